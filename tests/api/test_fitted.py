"""What a fitted model answers, keeps and compares."""

import copy
import pickle
import warnings
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

import tfzoo
from tfzoo.api.fitted import FittedModel
from tfzoo.errors import DataError, DataWarning, TfzooError, UsageError
from tfzoo.experiment import Experiment
from tfzoo.serving.client import LocalClient
from tfzoo.training.recipe import load_recipe


@pytest.fixture(scope="module")
def ease(toy):
    return tfzoo.fit(toy, "ease", verbose=False)


@pytest.fixture(scope="module")
def factors(toy):
    return tfzoo.fit(toy, "biased-mf", epochs=2, embedding_dim=4, jit_compile=False, verbose=False)


@pytest.fixture(scope="module")
def towers(toy):
    ages = pd.DataFrame({"user_id": toy.users.ids, "age": 20 + np.arange(toy.num_users)})
    return tfzoo.fit(toy, "wide-deep", epochs=1, user_features=ages, jit_compile=False, verbose=False)


def test_a_short_text_says_what_it_is(ease):
    assert repr(ease).startswith("FittedModel('ease', 30 users, 20 items, test ")


def test_titles_stand_beside_answers(ease):
    answer = ease.recommend([107, 114], k=3)
    assert answer.title.tolist() == [f"Film {int(item[-2:])}" for item in answer.item_id]


def test_lists_follow_what_is_excluded_and_allowed(ease):
    first = ease.recommend(107, k=3)
    rest = ease.recommend(107, k=3, exclude=[first.item_id[0], "no such film"])
    assert rest.item_id.tolist()[:2] == first.item_id.tolist()[1:]
    among = ease.recommend(107, k=9, among=first.item_id[::-1])
    assert among.item_id.tolist() == first.item_id.tolist()
    assert ease.recommend(107, among=[]).empty
    assert ease.recommend([], k=3).empty


def test_a_user_of_whom_nothing_is_known_gets_what_is_popular(ease):
    answer = ease.recommend(-5, k=4)
    counts = ease._experiment.split.train.item_counts()
    assert answer.score.tolist() == sorted(counts.tolist(), reverse=True)[:4]
    assert not answer.known_user.any()


def test_many_users_are_asked_in_parts(ease, monkeypatch):
    users = ease.data.users.ids
    whole = ease.recommend(users, k=3)
    monkeypatch.setattr("tfzoo.api.fitted.USERS_PER_CALL", 4)
    pd.testing.assert_frame_equal(ease.recommend(users, k=3), whole)


@pytest.mark.parametrize("k", [0, -1, 1.5, True, "3"])
def test_k_is_a_positive_number(ease, k):
    with pytest.raises(UsageError, match="k must be"):
        ease.recommend(107, k=k)


@pytest.mark.parametrize("raw", [None, np.nan, True, np.bool_(True), 1.5, ["film-03"], 2.0**53])
def test_what_is_no_id_is_no_unknown_one(ease, raw):
    message = "an id is a text or a whole number"
    with pytest.raises(UsageError, match=f"'users': {message}"):
        ease.recommend([107, raw])
    with pytest.raises(UsageError, match=f"'exclude': {message}"):
        ease.recommend(107, exclude=[raw])
    with pytest.raises(UsageError, match=f"'items': {message}"):
        ease.similar_items([raw])
    with pytest.raises(UsageError, match=f"'item_id': {message}"):
        ease.predict(pd.DataFrame({"user_id": [107, 107], "item_id": ["film-03", raw]}))


def test_ids_out_of_a_column_of_fractions_are_whole_numbers(ease):
    # pandas turns a column of whole numbers with an empty cell into one of fractions.
    pairs = pd.DataFrame({"user_id": [107, 114], "item_id": ["film-03", "film-05"]})
    asked = pairs.assign(user_id=pairs.user_id.astype(float))
    assert ease.predict(asked).score.tolist() == ease.predict(pairs).score.tolist()
    pd.testing.assert_frame_equal(ease.recommend(asked.user_id), ease.recommend(pairs.user_id))
    pd.testing.assert_frame_equal(ease.recommend(107.0), ease.recommend(107))


def test_a_data_frame_is_no_list_of_ids(ease):
    with pytest.raises(UsageError, match=r"'users' must be ids\. Received a data frame"):
        ease.recommend(pd.DataFrame({"user_id": [107]}))


def test_a_copy_is_refused_with_the_way_to_keep_a_model(ease):
    for make in (pickle.dumps, copy.deepcopy):
        with pytest.raises(UsageError, match=r"write it with save\(folder\)"):
            make(ease)


def test_a_history_is_answered_where_the_model_reads_one(ease, factors):
    answer = ease.recommend_from_history(["film-03", "film-04"], k=3)
    assert len(answer) == 3
    assert not set(answer.item_id) & {"film-03", "film-04"}
    with pytest.raises(UsageError, match="cannot score a history"):
        factors.recommend_from_history(["film-03"])


def test_predictions_are_those_of_the_keras_model(factors):
    pairs = pd.DataFrame({"item": ["film-03", "film-11"], "user": [107, 114]})
    answer = factors.predict(pairs, user_col="user", item_col="item")
    dense = {
        "user_id": factors.data.users.lookup([107, 114]),
        "item_id": factors.data.items.lookup(pairs.item),
    }
    low, high = factors.data.rating_scale
    expected = np.clip(keras.ops.convert_to_numpy(factors.model(dense)["rating"]), low, high)
    assert list(answer.columns) == ["user", "item", "rating"]
    np.testing.assert_allclose(answer.rating, expected, rtol=1e-5)
    with pytest.raises(DataError, match="no column 'user_id'; its columns are item, user"):
        factors.predict(pairs)
    with pytest.raises(DataError, match="column 'user' 2 times"):
        factors.predict(pd.concat([pairs, pairs[["user"]]], axis=1), user_col="user", item_col="item")
    with pytest.raises(DataError, match="column 'rating' has the name of the answer's"):
        factors.predict(pairs.rename(columns={"user": "rating"}), user_col="rating", item_col="item")


def test_similar_items_are_near_by_cosine(factors):
    vectors = next(w for w in factors.model.weights if "item" in w.path and w.shape == (21, 4)).numpy()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit[4] @ unit[1:].T
    cosine[3] = -np.inf
    best = np.argsort(-cosine)[:5]
    answer = factors.similar_items("film-03", k=5)
    assert answer.similar_id.tolist() == [f"film-{number:02d}" for number in best]
    np.testing.assert_allclose(answer.score, cosine[best], rtol=1e-4)
    assert answer.title[0] == f"Film {best[0]}"


def test_similar_items_of_a_model_of_histories_are_what_it_recommends_after_one(ease):
    answer = ease.similar_items(["film-03", "film-07"], k=4)
    assert answer.item_id.tolist() == ["film-03"] * 4 + ["film-07"] * 4
    after = ease.recommend_from_history(["film-07"], k=4)
    assert answer.similar_id.tolist()[4:] == after.item_id.tolist()
    with pytest.raises(UsageError, match="'film-99' is not in the data"):
        ease.similar_items("film-99")


@pytest.mark.parametrize("model", ["ease", "bpr-mf"])
def test_items_of_which_nothing_was_learned_are_no_neighbours(toy, model):
    # With the latest events held out, film-05 has none to train on.
    held = np.flatnonzero(toy.item_id == toy.items.lookup(["film-05"])[0])[:2]
    others = np.flatnonzero(toy.item_id != toy.items.lookup(["film-05"])[0])
    rows = toy.take(np.concatenate([others, held]))
    late = np.where(np.arange(len(rows)) < len(others), rows.timestamp, rows.timestamp.max() + 1)
    options = {} if model == "ease" else {"epochs": 1, "embedding_dim": 4, "jit_compile": False}
    data = replace(rows, timestamp=late)
    fitted = tfzoo.fit(data, model, protocol="leave-one-out", verbose=False, **options)
    assert fitted._experiment.split.train.item_counts()[toy.items.lookup(["film-05"])[0]] == 0
    answer = fitted.similar_items("film-03", k=100)
    assert len(answer) == 18
    assert "film-05" not in answer.similar_id.tolist()
    with pytest.raises(UsageError, match="'film-05' has no interaction in the training part"):
        fitted.similar_items(["film-03", "film-05"])


def test_what_has_no_vectors_says_so(towers):
    with pytest.raises(UsageError, match="no vectors of items"):
        towers.similar_items("film-03")


def test_saved_models_answer_as_before(towers, ease, tmp_path):
    for number, fitted in enumerate((towers, ease)):
        folder = fitted.save(tmp_path / str(number))
        again = tfzoo.load(folder)
        users = [100, 107, -1]
        pd.testing.assert_frame_equal(again.recommend(users), fitted.recommend(users))
        pd.testing.assert_frame_equal(again.evaluate(), fitted.evaluate())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"], "nothing is left beside"
    with pytest.raises(UsageError, match="exists already"):
        ease.save(tmp_path / "0")


def test_an_update_knows_who_is_new_and_is_saved_and_loaded_as_it_is(toy, tmp_path):
    late = toy.user_id > 25
    past, new = (toy.take(np.flatnonzero(rows)) for rows in (~late, late))
    frames = [
        pd.DataFrame({"user_id": part.users.decode(part.user_id), "item_id": part.items.decode(part.item_id)})
        for part in (past, new)
    ]
    rec = tfzoo.fit(frames[0], "ease", verbose=False)
    after = rec.update(frames[1], verbose=False)
    newcomer = int(frames[1].user_id[0])
    assert not rec.recommend(newcomer, k=1).known_user[0]
    assert after.recommend(newcomer, k=1).known_user[0]
    assert after.record.continues["new_users"] == 5
    # A third table upon the second.
    third = after.update(pd.DataFrame({"user_id": [-5, -5], "item_id": frames[1].item_id[:2]}), verbose=False)
    for number, one in enumerate((after, third)):
        again = tfzoo.load(one.save(tmp_path / str(number)))
        pd.testing.assert_frame_equal(again.recommend_all(k=2), one.recommend_all(k=2))
    assert third.record.continues["fingerprint"] == after.record.fingerprint
    served = tmp_path / "served"
    assert [model.export(served).name for model in (rec, after)] == ["1", "2"]
    with pytest.raises(UsageError, match="does not know"):
        third.update(frames[0], verbose=False)
    with pytest.raises(UsageError, match="replay= must be"):
        rec.update(frames[1], replay=2.0, verbose=False)


def test_an_update_of_histories_keeps_repeated_events(toy, ease, tmp_path, monkeypatch):
    read = []

    def prepare_update(experiment, record, folder, new, source, **options):
        read.append(new)
        raise UsageError("not trained here")

    monkeypatch.setattr("tfzoo.api.fitted.prepare_update", prepare_update)
    columns = {"user_col": "user_id", "item_col": "item_id", "time_col": "time"}
    record = ease.record.model_copy(update={"model": "sasrec", "data": {"frame": "past", **columns}})
    experiment = Experiment.prepare(load_recipe("sasrec", ""), toy, 0)
    rec = FittedModel(experiment, toy, record, tmp_path)
    again = pd.DataFrame({"user_id": [100, 100], "item_id": ["film-03"] * 2, "time": [1, 2]})
    with pytest.raises(UsageError, match="not trained here"):
        rec.update(again, verbose=False)
    assert len(read[0]) == 2


def test_preparing_an_update_leaves_the_random_numbers_of_the_caller(toy, ease, monkeypatch):
    def prepare_update(*_, **options):
        # As building a model does.
        np.random.seed(1)
        raise UsageError("not trained here")

    monkeypatch.setattr("tfzoo.api.fitted.prepare_update", prepare_update)
    before = np.random.get_state()[1].tolist()
    with pytest.raises(UsageError, match="not trained here"):
        ease.update(toy, verbose=False)
    assert np.random.get_state()[1].tolist() == before


def test_a_damaged_or_foreign_folder_is_one_error(ease, tmp_path):
    with pytest.raises(UsageError, match="holds no fitted model"):
        tfzoo.load(tmp_path)
    folder = ease.save(tmp_path / "m")
    rows = folder / "data" / "interactions.parquet"
    table = pd.read_parquet(rows)
    table.iloc[:-1].to_parquet(rows)
    with pytest.raises(TfzooError, match="not the data"):
        tfzoo.load(folder)
    rows.write_bytes(b"no parquet")
    with pytest.raises(TfzooError, match="cannot be read"):
        tfzoo.load(folder)


def test_an_export_answers_alike(ease, factors, tmp_path):
    version = ease.export(tmp_path / "served")
    assert version.name == "1"
    answer = LocalClient(version).recommend(107, 5)
    assert answer.item_ids == ease.recommend(107, k=5).item_id.tolist()
    with pytest.raises(TfzooError, match=r"is an export of the model 'ease'.*Name another folder"):
        factors.export(tmp_path / "served")


def test_models_that_were_measured_alike_compare(toy, ease, factors):
    popular = tfzoo.fit(toy, "popularity", protocol="per-user", verbose=False)
    same = tfzoo.fit(toy, "ease", protocol="per-user", l2=1.0, verbose=False)
    table = tfzoo.compare([popular, same])
    assert table.model.tolist() == ["popularity", "ease"]
    assert table.recipe.tolist() == ["paper-per-user", "paper-per-user*"]
    assert table.changes.tolist() == ["", "builder.l2=1.0"]
    assert table["ndcg@10"].tolist() == [f.record.metrics["test"]["ndcg@10"] for f in (popular, same)]
    with pytest.raises(UsageError, match="do not compare"):
        tfzoo.compare([same, factors])
    other = tfzoo.fit(toy.take(np.arange(200)), "ease", protocol="per-user", verbose=False)
    with pytest.raises(UsageError, match="other test rows"):
        tfzoo.compare([same, other])
    with pytest.raises(UsageError, match="at least one"):
        tfzoo.compare([])
    with pytest.raises(UsageError, match="a list of fitted models"):
        tfzoo.compare(same)
    with pytest.raises(UsageError, match="Received 'ease'"):
        tfzoo.compare([same, "ease"])


def test_a_folder_is_named_as_in_a_shell(ease, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert ease.save("~/kept") == tmp_path / "kept"
    assert tfzoo.load("~/kept").recommend(107, 3).equals(ease.recommend(107, 3))
    for write in (ease.save, ease.export):
        with pytest.raises(UsageError, match="Name a folder"):
            write("")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_items_that_are_not_in_the_data_are_warned_of_where_the_question_stands(ease):
    known = ease.recommend(107, 1).item_id[0]
    for ask in (
        lambda: ease.recommend(107, 3, exclude=["nosuch"]),
        lambda: ease.recommend(107, 3, among=[known, "nosuch"]),
        lambda: ease.recommend_from_history([known, "nosuch"], 3),
    ):
        with pytest.warns(DataWarning, match="1 of . items are not in the data: 'nosuch'") as caught:
            ask()
        assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ease.recommend(107, 3, exclude=[known])
