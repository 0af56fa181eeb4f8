"""Exports of rating models: recommendations against brute force, versions, ids, files."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfzoo.data.filters import filter_interactions
from tfzoo.data.interactions import Interactions
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, TfzooError
from tfzoo.models import create_model, model_info
from tfzoo.serving import export as export_module
from tfzoo.serving.export import METADATA, export_saved_model, latest_version, publish
from tfzoo.serving.id_lookup import blank_id
from tfzoo.serving.index import IndexSettings
from tfzoo.serving.recommender import BLANK_SCORE
from tfzoo.tasks import RatingTask
from tfzoo.tasks.pair_features import PairFeatures

SMALL = {"tower_units": (6, 4), "head_units": (5,), "embedding_dim": 4}
UNKNOWN_USER = 12345


def build(name, train, *, seed=3, scale=0.4, **options):
    """Build a small model with random weights, row 0 of the tables and the biases included."""
    known = model_info(name).options
    chosen = {key: value for key, value in {**SMALL, "mean_rating": 3.0, **options}.items() if key in known}
    # ReLU would make many scores equal.
    chosen.update({key: None for key in ("last_activation", "rating_activation") if key in known})
    model = create_model(name, train.num_users, train.num_items, **chosen)
    random = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        weight.assign(random.normal(scale=scale, size=weight.shape))
    return model


def scorer_of(model, train):
    task = RatingTask()
    return task.scorer(model, PairFeatures.of(model, train))


def export(model, train, folder, **options):
    return export_saved_model(model, scorer_of(model, train), train, folder, **{"metadata": {}, **options})


def keras_scores(model, users, items):
    """Score dense ids with Keras."""
    inputs = {"user_id": np.asarray(users, np.int32), "item_id": np.asarray(items, np.int32)}
    return model(inputs, training=False)["rating"].numpy()


def brute_force(scores, train, user, k, excluded=(), *, keep_seen=False):
    """Return the dense ids of the best ``k`` items by sorting, ties in favour of the lower id."""
    seen = set() if keep_seen else set(train.item_id[train.user_id == user].tolist())
    eligible = [i for i in range(1, train.num_items + 1) if i not in seen and i not in set(excluded)]
    return sorted(eligible, key=lambda item: (-scores[item], item))[:k]


class Served:
    """An export loaded again, with the parts it was made of."""

    def __init__(self, model, train, folder, **options):
        self.model, self.train = model, train
        self.version = export(model, train, folder, **options)
        self._loaded = tf.saved_model.load(str(self.version))
        self._users = tf.int64 if train.users.dtype == "int64" else tf.string
        self._items = tf.int64 if train.items.dtype == "int64" else tf.string
        self.blank = -1 if self._items == tf.int64 else ""

    def recommend(self, users, k, exclude=None):
        exclude = [[] for _ in users] if exclude is None else exclude
        answer = self._loaded.signatures["recommend"](
            user_id=tf.constant(users, self._users),
            k=tf.constant(k, tf.int32),
            exclude_ids=tf.reshape(tf.constant(exclude, self._items), [len(users), -1]),
        )
        items = answer["item_ids"].numpy()
        texts = [[i.decode() if isinstance(i, bytes) else int(i) for i in row] for row in items]
        return texts, answer["scores"].numpy(), answer["known_user"].numpy().tolist()

    def expected(self, user, k, exclude=(), **options):
        """Return raw ids and scores of the best items of a known raw user id, by brute force."""
        dense = int(self.train.users.lookup(user))
        scores = scorer_of(self.model, self.train).score_items(tf.constant([dense])).numpy()[0]
        excluded = self.train.items.lookup(list(exclude)).tolist() if exclude else []
        best = brute_force(scores, self.train, dense, k, excluded, **options)
        return (self.train.items.decode(best).tolist() if best else []), scores[best]


@pytest.fixture(scope="module")
def train(toy):
    return toy.take(np.arange(200))


@pytest.fixture(scope="module")
def served(train, tmp_path_factory):
    return Served(build("biased-mf", train), train, tmp_path_factory.mktemp("served") / "biased-mf-toy")


@pytest.fixture(scope="module")
def negative(tmp_path_factory):
    """Text user ids, and whole-number item ids among which are -1 and -9."""
    random = np.random.default_rng(8)
    raw_items = np.array([-9, -1, 0, 5, 2**62])
    user, item = np.nonzero(random.random((6, 5)) < 0.5)
    train = Interactions(
        users=Vocabulary(np.array(["ann", "bob", "dé", "eve", "fay", "gus"])),
        items=Vocabulary(raw_items),
        user_id=user + 1,
        item_id=item + 1,
        rating=random.integers(1, 6, len(user)),
        name="negative",
    )
    return Served(build("pmf", train), train, tmp_path_factory.mktemp("negative") / "pmf-negative")


def test_recommend_equals_brute_force_for_every_user(served, train):
    users = train.users.ids.tolist()
    items, scores, known = served.recommend(users, [6] * len(users))
    assert all(known)
    assert scores.shape == (len(users), 6)
    for user, row, values in zip(users, items, scores, strict=True):
        expected, expected_scores = served.expected(user, 6)
        assert row == expected
        np.testing.assert_allclose(values, expected_scores, rtol=0, atol=1e-5)


def test_seen_items_are_left_out(served, train):
    users = train.users.ids.tolist()
    items, _, _ = served.recommend(users, [train.num_items] * len(users))
    for dense, row in enumerate(items, start=1):
        seen = set(train.items.decode(train.item_id[train.user_id == dense]).tolist())
        assert seen
        assert set(row) - {""} == set(train.items.ids.tolist()) - seen


def test_items_rated_outside_the_training_part_are_not_left_out(served, toy, train):
    held_out = toy.take(np.arange(200, len(toy)))
    user = int(held_out.user_id[0])
    item = str(toy.items.decode(held_out.item_id[:1])[0])
    items, _, _ = served.recommend(train.users.decode([user]).tolist(), [train.num_items])
    assert item in items[0]


def test_excluded_items_are_left_out_of_their_own_row(served):
    first = [row[0] for row in served.recommend([100, 107], [1, 1])[0]]
    items, _, _ = served.recommend([100, 107], [5, 5], [[first[0]], ["film-no"]])
    assert items[0] == served.expected(100, 5, [first[0]])[0]
    assert first[0] not in items[0]
    assert items[1] == served.expected(107, 5)[0]
    assert items[1][0] == first[1]


def test_unknown_and_repeated_and_seen_excluded_ids_are_harmless(served, train):
    seen = train.items.decode(train.item_id[train.user_id == 1])[0]
    plain = served.recommend([100], [5])
    harmless = served.recommend([100], [5], [["", "film-no", "film-no", str(seen), str(seen)]])
    assert harmless[0] == plain[0]
    np.testing.assert_array_equal(harmless[1], plain[1])


def test_each_row_has_its_own_k_and_blanks_after_it(served):
    items, scores, _ = served.recommend([100, 107, 114], [2, 4, 0])
    assert scores.shape == (3, 4)
    assert items[0] == [*served.expected(100, 2)[0], "", ""]
    assert items[1] == served.expected(107, 4)[0]
    assert items[2] == [""] * 4
    assert (scores[0, 2:] == BLANK_SCORE).all()
    assert (scores[0, :2] > BLANK_SCORE).all()
    assert (scores[2] == BLANK_SCORE).all()


@pytest.mark.parametrize("k", [0, -3])
def test_k_below_one_gives_no_columns(served, k):
    items, scores, known = served.recommend([100], [k])
    assert items == [[]]
    assert scores.shape == (1, 0)
    assert known == [True]


def test_k_above_the_catalogue_gives_all_that_are_eligible(served, train):
    items, scores, _ = served.recommend([100], [1000])
    expected, expected_scores = served.expected(100, 1000)
    blanks = train.num_items - len(expected)
    assert blanks == (train.user_id == 1).sum()
    assert items[0] == expected + [""] * blanks
    np.testing.assert_allclose(scores[0, : len(expected)], expected_scores, rtol=0, atol=1e-5)
    assert (scores[0, len(expected) :] == BLANK_SCORE).all()


def test_everything_excluded_gives_blanks(served, train):
    items, scores, _ = served.recommend([100], [3], [train.items.ids.tolist()])
    assert items == [[""] * 3]
    assert (scores == BLANK_SCORE).all()


def test_an_empty_batch_has_an_empty_answer(served):
    items, scores, known = served.recommend([], [])
    assert items == []
    assert scores.shape[0] == 0
    assert known == []


def test_an_unknown_user_gets_popular_items(served, train):
    counts = train.item_counts()
    order = brute_force(counts, train, 0, train.num_items)
    # Some items are equally popular: the tie rule counts.
    assert len(set(counts[1:].tolist())) < train.num_items
    items, scores, known = served.recommend([UNKNOWN_USER, 100], [train.num_items, 1])
    assert known == [False, True]
    assert items[0] == train.items.decode(order).tolist()
    np.testing.assert_array_equal(scores[0], counts[order])
    excluded = str(items[0][0])
    assert served.recommend([UNKNOWN_USER], [2], [[excluded]])[0][0] == items[0][1:3]


def test_ties_go_to_the_item_that_comes_first(train, tmp_path):
    model = build("biased-mf", train, scale=0.0)
    tied = Served(model, train, tmp_path / "biased-mf-tied", exclude_seen=False)
    items, scores, _ = tied.recommend([100], [train.num_items])
    assert items[0] == train.items.ids.tolist()
    assert (scores == 3.0).all()


def test_scores_are_numbers_that_json_can_hold(served, train):
    _, scores, _ = served.recommend([100, UNKNOWN_USER], [1000, 3], [["film-00"], ["film-01"]])
    assert np.isfinite(scores).all()
    json.dumps(scores.tolist(), allow_nan=False)


def test_seen_items_can_be_kept(train, tmp_path):
    kept = Served(build("biased-mf", train), train, tmp_path / "biased-mf-kept", exclude_seen=False)
    items, _, _ = kept.recommend([100, UNKNOWN_USER], [train.num_items] * 2)
    assert items[0] == kept.expected(100, train.num_items, keep_seen=True)[0]
    assert set(items[0]) == set(train.items.ids.tolist())
    policy = json.loads((kept.version / "assets.extra" / METADATA).read_text(encoding="utf-8"))["policy"]
    assert policy["seen_items"].startswith("kept in all lists")


def test_what_is_known_beside_the_training_part_is_left_out_too(toy, tmp_path):
    train, fold_in = (toy.take(np.flatnonzero(rows)) for rows in (toy.user_id > 2, toy.user_id <= 2))
    assert fold_in.user_counts()[1] == 10
    served = Served(build("pmf", train), train, tmp_path / "pmf-fold-in", known=[fold_in])
    items = served.recommend([100, 303], [train.num_items] * 2)[0]
    known = set(toy.items.decode(toy.item_id[toy.user_id == 1]).tolist())
    assert set(items[0]) - {""} == set(toy.items.ids.tolist()) - known
    assert items[1][:5] == served.expected(303, 5)[0]
    kept = Served(served.model, train, tmp_path / "pmf-kept", known=[fold_in], exclude_seen=False)
    assert set(kept.recommend([100], [train.num_items])[0][0]) == set(toy.items.ids.tolist())
    # Popularity is a matter of the training part alone.
    scores = served.recommend([UNKNOWN_USER], [1])[1]
    assert scores[0, 0] == train.item_counts().max()


@pytest.mark.parametrize("index", [None, IndexSettings("exact")], ids=["catalogue", "index"])
def test_what_a_filter_dropped_is_left_out_even_for_users_it_left_nothing_of(toy, tmp_path, index):
    low = toy.user_id <= 3
    whole = replace(toy, rating=np.where(low | (toy.item_id == 20), 1.0, toy.ratings))
    kept = filter_interactions(whole, min_rating=2.0)
    assert (kept.num_users, kept.num_items) == (27, 19)
    train = kept.take(np.arange(0, len(kept), 2))
    model = build("biased-mf", train)
    served = Served(model, train, tmp_path / "biased-mf-toy", known=[kept, whole], index=index)
    for user in whole.users.ids.tolist():
        items, _, known = served.recommend([user], [20])
        dense = int(whole.users.lookup(user))
        rated = set(whole.items.decode(whole.item_id[whole.user_id == dense]).tolist())
        assert known == [dense > 3]
        assert set(items[0]) - {""} == set(kept.items.ids.tolist()) - rated
    # Those of whom nothing is left get the popular items that they have not rated.
    rated = kept.items.lookup(whole.items.decode(whole.item_id[whole.user_id == 1])).tolist()
    popular = brute_force(train.item_counts(), train, 0, 3, rated)
    assert served.recommend([100], [3])[0][0] == train.items.decode(popular).tolist()
    assert served.recommend([UNKNOWN_USER], [20])[0][0] == [
        *train.items.decode(brute_force(train.item_counts(), train, 0, 20)).tolist()
    ]
    text = (served.version / "assets.extra" / METADATA).read_text(encoding="utf-8")
    assert "rows that a filter dropped" in json.loads(text)["policy"]["seen_items"]


def test_negative_item_ids_are_not_taken_for_blanks(negative):
    blank = json.loads((negative.version / "assets.extra" / METADATA).read_text(encoding="utf-8"))["policy"][
        "blank_id"
    ]
    assert blank not in negative.train.items.ids.tolist()
    users = negative.train.users.ids.tolist()
    items, scores, known = negative.recommend(users, [5] * len(users))
    assert all(known)
    for user, row, values in zip(users, items, scores, strict=True):
        expected, _ = negative.expected(user, 5)
        assert row == expected + [blank] * (5 - len(expected))
        assert ((values > BLANK_SCORE) == (np.array(row) != blank)).all()
    items, _, known = negative.recommend(["zoe"], [5], [[-1, 77]])
    assert known == [False]
    assert sorted(items[0]) == sorted([blank, -9, 0, 5, 2**62])


def test_large_and_negative_ids_are_rated_as_themselves(negative):
    rate = tf.saved_model.load(str(negative.version)).signatures["serving_default"]
    users, items = ["dé", "ann", "zoe"], [2**62, -1, 5]
    found = rate(user_id=tf.constant(users), item_id=tf.constant(items, tf.int64))["rating"].numpy()
    expected = keras_scores(negative.model, [3, 1, 0], [5, 2, 4])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_text_ids_with_blanks_and_unicode_survive(tmp_path):
    names = np.array(sorted(["a b", "ä,ö", "007", "7", 'quo"te', "x#y"]))
    user, item = np.divmod(np.array([0, 3, 8, 9, 13, 16, 20, 23]), 6)
    train = Interactions(
        users=Vocabulary(np.arange(4)),
        items=Vocabulary(names),
        user_id=user + 1,
        item_id=item + 1,
        rating=np.ones(8),
        name="names",
    )
    odd = Served(build("pmf", train), train, tmp_path / "pmf-names", exclude_seen=False)
    assert sorted(odd.recommend([0], [6])[0][0]) == names.tolist()
    items = odd.recommend([0], [6], [["007", "a b"]])[0][0]
    assert set(items) == {"", *names.tolist()} - {"007", "a b"}


def test_versions_count_up_and_nothing_else_is_left(train, tmp_path):
    folder = tmp_path / "deep" / "pmf-toy"
    model = build("pmf", train)
    assert export(model, train, folder) == folder / "1"
    before = {path: path.read_bytes() for path in (folder / "1").rglob("*") if path.is_file()}
    assert export(model, train, folder) == folder / "2"
    assert sorted(entry.name for entry in folder.iterdir()) == ["1", "2"]
    assert before == {path: path.read_bytes() for path in (folder / "1").rglob("*") if path.is_file()}
    assert (folder / "2" / "saved_model.pb").is_file()
    assert latest_version(folder) == folder / "2"


def test_versions_are_numbers_not_texts(train, tmp_path):
    folder = tmp_path / "pmf-toy"
    for name in ("9", "10", "notes", "²", "-12"):
        (folder / name).mkdir(parents=True)
        (folder / name / "saved_model.pb").touch()
    assert latest_version(folder) == folder / "10"
    assert export(build("pmf", train), train, folder) == folder / "11"


def test_a_version_that_another_process_publishes_meanwhile_is_not_overwritten(tmp_path, monkeypatch):
    folder = tmp_path / "pmf-toy"
    for name in ("1", "2", "3"):
        (folder / name).mkdir(parents=True)
        (folder / name / "saved_model.pb").write_text(name, encoding="utf-8")
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "saved_model.pb").write_text("new", encoding="utf-8")
    counted = iter([[1], [1, 2], [1, 2, 3]])
    monkeypatch.setattr(export_module, "versions", lambda _: next(counted))
    assert publish(tmp_path / "prepared", folder) == folder / "4"
    texts = {path.parent.name: path.read_text(encoding="utf-8") for path in folder.rglob("*.pb")}
    assert texts == {"1": "1", "2": "2", "3": "3", "4": "new"}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_not_exported(train, tmp_path, value):
    model = build("pmf", train)
    table = model.get_layer("item_tower").get_layer("item_embedding").embeddings
    scorer = scorer_of(model, train)
    table.assign(np.where(np.arange(table.shape[0])[:, None] == 2, value, table.numpy()))
    with pytest.raises(TfzooError, match=r"item_embedding.*not finite.*smaller learning rate"):
        export_saved_model(model, scorer, train, tmp_path / "pmf-toy", metadata={})
    assert list(tmp_path.iterdir()) == []


def test_ids_that_leave_no_number_for_blanks_are_refused():
    assert blank_id(Vocabulary(np.array([-(2**63) + 1, 4]))) == -(2**63)
    with pytest.raises(DataError, match=r"-9223372036854775808 is the smallest of 64 bits"):
        blank_id(Vocabulary(np.array([-(2**63), 4])))


def test_no_version_is_one_clear_error(tmp_path):
    with pytest.raises(TfzooError, match=r"No exported model in .*nowhere"):
        latest_version(tmp_path / "nowhere")


def test_an_export_can_be_moved(train, tmp_path):
    model = build("pmf", train)
    version = export(model, train, tmp_path / "first")
    moved = version.rename(tmp_path / "moved")
    rate = tf.saved_model.load(str(moved)).signatures["serving_default"]
    found = rate(user_id=tf.constant([100], tf.int64), item_id=tf.constant(["film-03"]))["rating"].numpy()
    np.testing.assert_allclose(found, keras_scores(model, [1], [4]), rtol=0, atol=1e-5)


def test_a_failing_export_leaves_no_version(train, tmp_path):
    folder = tmp_path / "pmf-toy"
    model = build("pmf", train)
    with pytest.raises(TypeError):
        export(model, train, folder, metadata={"wrong": object()})
    assert list(folder.iterdir()) == []
    first = export(model, train, folder)
    with pytest.raises(TypeError):
        export(model, train, folder, metadata={"wrong": object()})
    assert list(folder.iterdir()) == [first]


def test_a_folder_that_cannot_be_written_is_one_clear_error(train, tmp_path):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(TfzooError, match=r"Cannot write the export to .*file"):
        export(build("pmf", train), train, tmp_path / "file" / "pmf-toy")


def test_metadata_and_titles(train, tmp_path):
    metadata = {"model": "pmf", "metrics": {"test": {"rmse": 0.9}}}
    version = export(build("pmf", train), train, tmp_path / "pmf-toy", metadata=metadata)
    extra = version / "assets.extra"
    written = json.loads((extra / METADATA).read_text(encoding="utf-8"))
    policy = written.pop("policy")
    assert written.pop("warmup_requests") >= 0
    assert written.pop("ids") == {"user": "int64", "item": "string"}
    assert written == metadata
    assert policy["blank_id"] == ""
    assert policy["blank_score"] == BLANK_SCORE
    assert policy["seen_items"].startswith("left out of all lists")
    assert {"unknown_user", "unknown_item", "blank", "k", "ties"} <= policy.keys()
    titles = json.loads((extra / "titles.json").read_text(encoding="utf-8"))
    assert len(titles) == train.num_items
    assert titles["film-07"] == "Film 7"


def test_without_titles_there_is_no_file_of_titles(train, tmp_path):
    plain = replace(train, item_features={})
    version = export(build("pmf", plain), plain, tmp_path / "pmf-toy")
    assert not (version / "assets.extra" / "titles.json").exists()


def test_the_graph_is_small_for_a_large_catalogue(tmp_path):
    num_users, num_items = 6040, 3706
    random = np.random.default_rng(0)
    cells = random.choice(num_users * num_items, 50_000, replace=False)
    user, item = np.divmod(cells, num_items)
    train = Interactions(
        users=Vocabulary(np.arange(num_users)),
        items=Vocabulary(np.arange(num_items)),
        user_id=user + 1,
        item_id=item + 1,
        rating=random.integers(1, 6, len(cells)),
        rating_scale=(1.0, 5.0),
        name="large",
    )
    keras.utils.set_random_seed(0)
    model = create_model("edrs", num_users, num_items)
    version = export(model, train, tmp_path / "edrs-large")
    assert (version / "saved_model.pb").stat().st_size < 5_000_000
    answer = tf.saved_model.load(str(version)).signatures["recommend"](
        user_id=tf.constant([0, 6039], tf.int64),
        k=tf.constant([10, 10]),
        exclude_ids=tf.zeros([2, 0], tf.int64),
    )
    assert answer["item_ids"].shape == (2, 10)
