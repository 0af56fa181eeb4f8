"""Signatures with an allow-list, and inputs whose rows do not fit together."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.zoo import build
from tfzoo.data.splits import Split
from tfzoo.serving.export import export_saved_model
from tfzoo.serving.recommender import BLANK_SCORE
from tfzoo.serving.recommenders import CatalogueRecommender
from tfzoo.serving.signatures import served_functions
from tfzoo.tasks import get_task

UNTRAINED = "film-05"
UNKNOWN_USER = 5


@pytest.fixture(scope="module")
def train(toy):
    return toy.take(np.flatnonzero(toy.item_id != 6))


@pytest.fixture(scope="module", params=["gmf", "biased-mf", "mult-dae"])
def served(request, train, tmp_path_factory):
    """Return the signatures of an export of one model for each way of scoring."""
    folder = tmp_path_factory.mktemp(request.param)
    return tf.saved_model.load(str(export(request.param, train, folder / request.param))).signatures


@pytest.fixture(scope="module")
def by_history(train, tmp_path_factory):
    return tf.saved_model.load(str(export("ease", train, tmp_path_factory.mktemp("ease") / "e"))).signatures


def export(name, train, folder):
    scorer, model = scorer_of(name, train)
    return export_saved_model(model, scorer, train, folder, metadata={"model": name})


def scorer_of(name, train):
    model = build(name, 3, 0.4, train.num_users, train.num_items)
    task = get_task({"gmf": "implicit", "biased-mf": "rating"}.get(name, "reconstruction"))()
    return task.scorer(model, task.features(model, Split(train, train, train, ""), train)), model


def lists(answer):
    """Return (id, score) of each row, without blanks, and how wide the answer is."""
    items, scores = answer["item_ids"].numpy(), answer["scores"].numpy()
    rows = [
        [(item.decode(), score) for item, score in zip(*row, strict=True) if item]
        for row in zip(items, scores, strict=True)
    ]
    assert ((items == b"") == (scores == BLANK_SCORE)).all()
    return rows, items.shape[1]


def ask(signatures, allowed, *, users=(100,), k=5, exclude=("",), name="recommend_among", **who):
    rows = len(users)
    who = who or {"user_id": tf.constant(users, tf.int64)}
    return signatures[name](
        **who,
        k=tf.fill([rows], k),
        exclude_ids=tf.constant([list(exclude)] * rows),
        allow_ids=tf.reshape(tf.constant(allowed, tf.string), [rows, -1]),
    )


def whole_list(signatures, user):
    """Return all items of a user, best first, with their scores, without an allow-list."""
    answer = signatures["recommend"](
        user_id=tf.constant([user], tf.int64), k=tf.constant([100]), exclude_ids=tf.constant([[""]])
    )
    return lists(answer)[0][0]


@pytest.mark.parametrize("user", [100, 107, UNKNOWN_USER])
def test_the_list_is_the_whole_list_without_what_is_not_allowed(served, user):
    whole = whole_list(served, user)
    allowed = [f"film-{number:02d}" for number in (19, 3, 7, 11, 12, 0, 8)]
    (row,), width = lists(ask(served, [allowed], users=[user], k=20))
    assert width == 7
    expected = [pair for pair in whole if pair[0] in allowed]
    assert [item for item, _ in row] == [item for item, _ in expected]
    np.testing.assert_allclose([s for _, s in row], [s for _, s in expected], rtol=1e-5, atol=1e-5)
    assert 1 < len(row) <= 7


def test_an_allowed_item_is_listed_once_and_unknown_and_excluded_ones_never(served):
    best = [item for item, _ in whole_list(served, 100)]
    allowed = [best[2], "no such film", best[1], best[2], "", best[0], best[1], best[1]]
    (row,), _ = lists(ask(served, [allowed], k=8, exclude=["film-no", best[0]]))
    assert [item for item, _ in row] == [best[1], best[2]]


def test_seen_items_are_not_listed_though_they_are_allowed(served, train):
    seen = train.items.decode(train.item_id[train.user_id == 1]).tolist()
    (row,), _ = lists(ask(served, [seen]))
    assert row == []


def test_k_and_the_allow_list_are_each_rows_own(served):
    best = [[item for item, _ in whole_list(served, user)] for user in (100, 107)]
    answer = served["recommend_among"](
        user_id=tf.constant([100, 107, 100], tf.int64),
        k=tf.constant([1, 3, 0]),
        exclude_ids=tf.zeros([3, 0], tf.string),
        allow_ids=tf.constant([best[0][3:6], best[1][:3], best[0][:3]]),
    )
    rows, width = lists(answer)
    assert width == 3
    assert [[item for item, _ in row] for row in rows] == [best[0][3:4], best[1][:3], []]
    assert answer["known_user"].numpy().tolist() == [True] * 3


@pytest.mark.parametrize("allowed", [[[]], [[""]], [["no such film", ""]]])
def test_nothing_allowed_gives_a_blank_list(served, allowed):
    (row,), width = lists(ask(served, allowed))
    assert row == []
    assert width == len(allowed[0])


def test_an_item_without_training_data_is_allowed_for_rating_models_alone(served, request):
    (row,), _ = lists(ask(served, [[UNTRAINED, "film-04"]], users=[UNKNOWN_USER]))
    rating = "rating" in served["serving_default"].structured_outputs
    assert [item for item, _ in row] == ["film-04", *([UNTRAINED] if rating else [])]


def test_ties_go_to_the_item_that_comes_first_in_the_vocabulary(train, tmp_path):
    version = export("popularity", train, tmp_path / "popularity")
    signatures = tf.saved_model.load(str(version)).signatures
    order = [item for item, _ in whole_list(signatures, UNKNOWN_USER)]
    counts = [score for _, score in whole_list(signatures, UNKNOWN_USER)]
    assert len(set(counts)) < len(counts)
    (row,), _ = lists(ask(signatures, [order[::-1]], users=[UNKNOWN_USER], k=100))
    assert [item for item, _ in row] == order


def test_a_history_with_an_allow_list(by_history):
    history = tf.constant([["film-03", "no such film", "film-08"]])
    whole = by_history["recommend_from_history"](
        history=history, k=tf.constant([100]), exclude_ids=tf.constant([[""]])
    )
    allowed = ["film-12", "film-03", "film-01", "film-07", "film-07"]
    expected = [pair for pair in lists(whole)[0][0] if pair[0] in allowed]
    name = "recommend_among_from_history"
    (row,), width = lists(ask(by_history, [allowed], k=10, name=name, history=history))
    assert width == 5
    assert row == expected
    assert {item for item, _ in row} == {"film-12", "film-01", "film-07"}


GOOD = {
    "user_id": [100, 107],
    "item_id": ["film-01", "film-02"],
    "history": [["film-01"], ["film-02"]],
    "k": [3, 3],
    "exclude_ids": [[""], [""]],
    "allow_ids": [["film-01"], ["film-02"]],
}


def test_inputs_with_another_number_of_rows_are_named(by_history):
    for signature in by_history.values():
        inputs = signature.structured_input_signature[1]
        first = next(key for key in ("user_id", "history") if key in inputs)
        good = {key: tf.constant(GOOD[key], spec.dtype) for key, spec in inputs.items()}
        signature(**good)
        for wrong in set(inputs) - {first}:
            with pytest.raises(
                tf.errors.InvalidArgumentError, match=rf"{wrong} must have one row.*{first}\."
            ):
                signature(**{**good, wrong: good[wrong][:1]})


@pytest.fixture(scope="module")
def ranked(train, tmp_path_factory):
    """Return the traced functions and the scores of one model, for tests with many examples."""
    scorer, _ = scorer_of("gmf", train)
    assets = tmp_path_factory.mktemp("assets")
    recommender = CatalogueRecommender(scorer, train, assets, exclude_seen=True)
    return scorer, served_functions(recommender)["recommend_among"]


@given(
    user=st.integers(0, 31),
    k=st.integers(-2, 2**31 - 1),
    allowed=st.lists(st.integers(-1, 21), max_size=12),
    excluded=st.lists(st.integers(-1, 21), max_size=4),
)
def test_an_allow_list_against_sorting(ranked, train, user, k, allowed, excluded):
    scorer, function = ranked
    raw = [[f"film-{number:02d}" for number in numbers] for numbers in (allowed, excluded)]
    answer = function(
        tf.constant([100 + 7 * (user - 1)], tf.int64),
        tf.constant([k]),
        tf.reshape(tf.constant(raw[1], tf.string), [1, -1]),
        tf.reshape(tf.constant(raw[0], tf.string), [1, -1]),
    )
    dense = user if 1 <= user <= 30 else 0
    counts = train.item_counts()
    scores = scorer.score_items(tf.constant([dense])).numpy()[0] if dense else counts
    barred = {number + 1 for number in excluded} | set(train.item_id[train.user_id == dense].tolist())
    eligible = {number + 1 for number in allowed} - barred
    eligible = [item for item in eligible if 1 <= item <= 20 and counts[item]]
    best = sorted(eligible, key=lambda item: (-scores[item], item))[: max(k, 0)]
    (row,), _ = lists(answer)
    assert [item for item, _ in row] == train.items.decode(best).tolist() if best else row == []
    np.testing.assert_allclose([score for _, score in row], scores[best], rtol=1e-5, atol=1e-5)
