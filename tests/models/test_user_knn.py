"""User neighbourhoods against loops over users and the worked case of the paper's notebook."""

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse
from sklearn.metrics.pairwise import cosine_similarity

from tfzoo.data.datasets import load_dataset
from tfzoo.errors import UsageError
from tfzoo.experiment import Experiment
from tfzoo.layers import StoredUsers, closed_form
from tfzoo.models import create_model, model_info
from tfzoo.training.recipe import load_recipe

USERS, ITEMS = 14, 9


def interactions(seed=0, users=USERS, items=ITEMS):
    """Return a random matrix of ones with an empty row and column for the unknown ids."""
    dense = (np.random.default_rng(seed).random((users + 1, items + 1)) < 0.4).astype(np.float32)
    dense[0], dense[:, 0] = 0, 0
    return sparse.csr_matrix(dense)


ROWS = interactions().toarray()


def solved(name, matrix=None, **options):
    matrix = interactions() if matrix is None else matrix
    model = create_model(name, matrix.shape[0] - 1, matrix.shape[1] - 1, **options)
    model_info(name).solve(model, matrix)
    return model


def score(model, rows, users=0):
    rows = np.atleast_2d(rows)
    inputs = {"user_row": tf.constant(rows, tf.float32)}
    if "user_id" in model.input:
        inputs["user_id"] = tf.constant(np.broadcast_to(users, len(rows)), tf.int32)
    return model(inputs)["scores"].numpy()


def everyone(model):
    return score(model, ROWS, np.arange(len(ROWS)))


def test_nothing_is_trained():
    model = solved("user-knn")
    number_of_parameters = sum(math.prod(weight.shape) for weight in model.weights)
    assert model.trainable_variables == []
    assert number_of_parameters == 15 * 10 + 15 + 15 + 10 + 10
    assert not everyone(model)[:, 0].any()


def test_interactions_of_others_are_refused():
    for other in ({"users": 5}, {"items": 5}):
        model = create_model("user-knn", USERS, ITEMS)
        with pytest.raises(
            UsageError, match=rf"The model has {USERS} users and {ITEMS} items, the interactions"
        ):
            model_info("user-knn").solve(model, interactions(**other))


def by_loops(model_rows, row, user, *, k, threshold=0.0, shrinkage=0.0, weights=None):
    """Score one row from a sorted list of neighbours; popularity where there is none."""
    weights = np.ones(model_rows.shape[1]) if weights is None else weights
    similar = {}
    for other in range(1, len(model_rows)):
        scale = np.linalg.norm(row * weights) * np.linalg.norm(model_rows[other] * weights) + shrinkage
        if other != user and scale > 0:
            similar[other] = (row * weights) @ (model_rows[other] * weights) / scale
    near = {other: value for other, value in similar.items() if value > threshold + 1e-9}
    if near and k is not None:
        last = sorted(near.values())[::-1][:k][-1]
        near = {other: value for other, value in near.items() if value > last - 1e-6}
    if not near:
        return model_rows.sum(axis=0) / model_rows.sum(axis=0).max()
    return sum(value * model_rows[other] for other, value in near.items()) / sum(near.values())


def test_the_worked_case_of_the_papers_notebook():
    layer = StoredUsers(2, neighbours=9, threshold=0.3)
    layer.build((None, 4), (None,))
    # Ratings instead of ones; lengths such that the cosines with [0, 1, 0, 0] are those of the notebook.
    layer.stored.assign([[0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 5, 4]])
    layer.lengths.assign([0, 1 / 0.31388, 1 / 0.30821])
    row = tf.constant([[0.0, 1, 0, 0]])
    shares = layer.similarities(row, tf.constant([0])).numpy()[0]
    np.testing.assert_allclose(shares[1:], [0.31388, 0.30821], rtol=1e-6)
    np.testing.assert_allclose(shares[1:] / shares.sum(), [0.50456, 0.49544], atol=5e-6)
    np.testing.assert_allclose(layer(row, tf.constant([0]))[0, 2:], [2.4772, 1.9818], atol=5e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"neighbours": 9, "threshold": 0.3},
        {"neighbours": 2, "threshold": 0.0},
        {"neighbours": None, "threshold": 0.5},
        {"neighbours": 3, "threshold": 0.0, "shrinkage": 4.0},
        {"neighbours": 100, "threshold": 0.0},
    ],
)
def test_scores_are_those_of_loops_over_users(options):
    model = solved("user-knn", **options)
    found = everyone(model)
    for user, row in enumerate(ROWS):
        rest = {"threshold": 0.0, **options}
        expected = by_loops(ROWS, row, user, k=rest.pop("neighbours"), **rest)
        np.testing.assert_allclose(found[user], expected, rtol=1e-5, atol=1e-6)
    assert np.ptp(found[1:]) > 0.5


def test_a_new_history_is_scored_from_all_users():
    model = solved("user-knn", neighbours=3, threshold=0.0)
    row = np.zeros(ITEMS + 1)
    row[[2, 5]] = 1
    np.testing.assert_allclose(score(model, row)[0], by_loops(ROWS, row, 0, k=3), rtol=1e-5)


def test_the_users_own_row_counts_for_others_alone():
    row = ROWS[4]
    model = solved("user-knn", neighbours=1, threshold=0.0)
    np.testing.assert_allclose(score(model, row, 0)[0], row, atol=1e-6)
    assert not np.allclose(score(model, row, 4)[0], row, atol=0.1)


def test_who_has_no_neighbour_gets_what_is_popular():
    model = solved("user-knn", threshold=0.99)
    counts = ROWS.sum(axis=0)
    nothing = np.zeros(ITEMS + 1)
    np.testing.assert_allclose(score(model, nothing)[0], counts / counts.max(), rtol=1e-6)
    for user in range(USERS + 1):
        similar = cosine_similarity(ROWS[[user]], ROWS)[0]
        similar[user] = 0
        if similar.max() < 0.98:
            np.testing.assert_allclose(score(model, ROWS[user], user)[0], counts / counts.max(), rtol=1e-6)


def test_the_threshold_itself_is_not_above_it():
    # The cosine of [1 0 0 0] with [1 1 1 1] is 1/2.
    dense = np.zeros((4, 6))
    dense[1, 1], dense[2, 1:5], dense[3, 5] = 1, 1, 1
    matrix = sparse.csr_matrix(dense.astype(np.float32))
    above = score(solved("user-knn", matrix, threshold=0.49), dense[1], 1)[0]
    np.testing.assert_allclose(above, [0, 1, 1, 1, 1, 0])
    at = score(solved("user-knn", matrix, threshold=0.5), dense[1], 1)[0]
    np.testing.assert_allclose(at, np.array([0, 2, 1, 1, 1, 1]) / 2)


def test_users_as_similar_as_the_last_neighbour_count_too():
    dense = np.zeros((5, 5))
    dense[1, 1], dense[2, [1, 2]], dense[3, [1, 3]], dense[4, [1, 4]] = 1, 1, 1, 1
    model = solved("user-knn", sparse.csr_matrix(dense.astype(np.float32)), neighbours=1, threshold=0.0)
    np.testing.assert_allclose(score(model, dense[1], 1)[0], [0, 1, 1 / 3, 1 / 3, 1 / 3], rtol=1e-6)


def bm25(counts):
    return 2.2 / (1.2 * (0.25 + 0.75 * counts / counts[1:].mean()) + 1)


def test_bm25_weighs_items_by_their_counts():
    weights = bm25(ROWS.sum(axis=0))
    found = everyone(solved("user-knn", neighbours=3, threshold=0.0, weighting="bm25"))
    for user, row in enumerate(ROWS):
        expected = by_loops(ROWS, row, user, k=3, weights=weights)
        np.testing.assert_allclose(found[user], expected, rtol=1e-5, atol=1e-6)
    assert not np.allclose(found, everyone(solved("user-knn", neighbours=3, threshold=0.0)), atol=0.05)


@pytest.mark.parametrize("weighting", ["none", "bm25"])
@pytest.mark.parametrize("k", [1, 4, None])
def test_neighbours_who_have_the_user_among_their_own_nearest(k, weighting, monkeypatch):
    weights = bm25(ROWS.sum(axis=0)) if weighting == "bm25" else np.ones(ITEMS + 1)
    similar = cosine_similarity(ROWS * weights)
    np.fill_diagonal(similar, 0)
    if k is not None:
        similar = np.where(similar >= np.sort(similar, axis=0)[::-1][k - 1] - 1e-7, similar, 0).T
        similar = similar.T  # Column v holds the nearest of v; row u those who list u.
    options = {"neighbours": k, "threshold": 0.0, "weighting": weighting, "neighbours_of": "neighbour"}
    found = everyone(solved("user-knn", **options))
    popular = ROWS.sum(axis=0) / ROWS.sum(axis=0).max()
    for user in range(len(ROWS)):
        total = similar[user].sum()
        expected = similar[user] @ ROWS / total if total > 0 else popular
        np.testing.assert_allclose(found[user], expected, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(closed_form, "ITEMS_PER_BLOCK", 4)
    np.testing.assert_array_equal(everyone(solved("user-knn", **options)), found)


def test_the_tie_break_orders_equal_scores_by_popularity():
    plain, broken = everyone(solved("user-knn")), everyone(solved("user-knn", popularity_tiebreak=True))
    counts = ROWS.sum(axis=0)
    expected = np.tile(1e-6 * counts / counts.max(), (len(ROWS), 1))
    np.testing.assert_allclose(broken - plain, expected, atol=1.2e-7)
    assert np.ptp(expected) > 5e-7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weighting": "tfidf"}, "`weighting` must be one of .*'tfidf'"),
        ({"neighbours_of": "item"}, "`neighbours_of` must be one of .*'item'"),
        ({"neighbours": 0}, "`neighbours` must be at least 1, or None.*0"),
        ({"threshold": -0.1}, "`threshold` must not be negative"),
        ({"shrinkage": float("nan")}, "`shrinkage` must not be negative"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        create_model("user-knn", 2, 2, **options)


def test_rows_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="rows of 100,000 users over 20,000 items take 7 GiB"):
        create_model("user-knn", 100_000, 20_000)


@pytest.mark.data
def test_the_figures_of_ferrari_dacrema_on_the_ncf_files():
    settings = load_recipe("user-knn", "ml-1m", "bm25")
    experiment = Experiment.prepare(settings, load_dataset("ml-1m"), 0).refitted()
    metrics = experiment.evaluator(experiment.build()).evaluate("test")
    reported = settings.reported.metrics
    assert reported
    for metric, value in reported.items():
        assert metrics[metric] == pytest.approx(value, abs=0.001)
