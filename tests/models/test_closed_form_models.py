"""EASE, item-based neighbours and popularity against scikit-learn, SciPy and counts by hand."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.spatial import distance
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import cosine_similarity

import tfzoo
from tests.zoo import random_inputs, sampled, small
from tfzoo.errors import UsageError
from tfzoo.layers import ComputedModel, closed_form
from tfzoo.models import create_model, list_models, model_info
from tfzoo.models.neighbours import keep_largest, weigh

USERS, ITEMS = 12, 9


def interactions(seed=0, users=USERS, items=ITEMS):
    """Return a random matrix of ones with an empty row and column for the unknown ids."""
    dense = (np.random.default_rng(seed).random((users + 1, items + 1)) < 0.4).astype(np.float32)
    dense[0], dense[:, 0] = 0, 0
    return sparse.csr_matrix(dense)


ROWS = interactions().toarray()


def score(model, rows):
    return model({"user_row": tf.constant(rows, tf.float32)})["scores"].numpy()


def solved(name, matrix=None, **options):
    model = create_model(name, USERS, ITEMS, **options)
    model_info(name).solve(model, interactions() if matrix is None else matrix)
    return model


def weights(model, layer):
    return model.get_layer(layer).get_weights()


# All of them


@pytest.mark.parametrize("name", ["ease", "item-knn", "popularity"])
def test_closed_forms_have_nothing_to_train(name):
    model = solved(name)
    assert model.trainable_variables == []
    assert len(model.non_trainable_variables) == 1
    assert model_info(name).solve is not None
    assert not score(model, ROWS)[:, 0].any()


@pytest.mark.parametrize("name", ["ease", "item-knn", "popularity"])
def test_interactions_of_other_items_are_refused(name):
    with pytest.raises(UsageError, match=f"The model has {ITEMS} items, the interactions {ITEMS + 1}"):
        solved(name, matrix=interactions(items=ITEMS + 1))


@pytest.mark.parametrize("name", ["ease", "item-knn"])
def test_too_many_items_for_a_dense_matrix_are_refused(name):
    with pytest.raises(UsageError, match=r"40,001 items takes 6 GiB"):
        create_model(name, 5, 40_001)


# EASE


def known(matrix):
    return matrix.toarray()[:, 1:].astype(np.float64)


def ease_kernel(l2, matrix):
    model = create_model("ease", matrix.shape[0] - 1, matrix.shape[1] - 1, l2=l2)
    model_info("ease").solve(model, matrix)
    return model, weights(model, "item_weights")[0]


def test_ease_on_four_users_by_hand():
    x = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 0]], np.float32)
    model, kernel = ease_kernel(1.0, sparse.csr_matrix(np.pad(x, ((1, 0), (1, 0)))))
    expected = [[0, 0.454545, 0.166667], [0.454545, 0, 0.166667], [0.181818, 0.181818, 0]]
    np.testing.assert_allclose(kernel[1:, 1:], expected, atol=6e-7)
    found = score(model, [[0, 1, 1, 0]])[0]
    np.testing.assert_allclose(found, [0, 0.454545, 0.454545, 0.333333], atol=6e-7)


def test_ease_is_ridge_regression_of_each_item_on_the_others():
    matrix = interactions(seed=3, users=40)
    x = known(matrix)
    _, kernel = ease_kernel(2.5, matrix)
    for item in range(ITEMS):
        others = [other for other in range(ITEMS) if other != item]
        ridge = Ridge(alpha=2.5, fit_intercept=False, solver="cholesky").fit(x[:, others], x[:, item])
        np.testing.assert_allclose(kernel[1:, 1:][others, item], ridge.coef_, atol=1e-6)
    assert not np.diag(kernel).any()
    assert not kernel[0].any()
    assert not kernel[:, 0].any()


def test_ease_with_an_infinite_penalty_counts_what_occurs_together():
    matrix = interactions(seed=3, users=40)
    gram = known(matrix).T @ known(matrix)
    np.fill_diagonal(gram, 0)
    _, kernel = ease_kernel(1e7, matrix)
    np.testing.assert_allclose(1e7 * kernel[1:, 1:], gram, rtol=1e-4, atol=1e-4)


def test_ease_columns_are_scaled_by_the_inverse_of_the_gram_matrix():
    matrix = interactions(seed=3, users=40)
    inverse = np.linalg.inv(known(matrix).T @ known(matrix) + 2.5 * np.eye(ITEMS))
    kernel = ease_kernel(2.5, matrix)[1][1:, 1:]
    scaled = kernel * np.diag(inverse)
    assert not np.allclose(kernel, kernel.T, atol=1e-3)
    np.testing.assert_allclose(scaled, scaled.T, atol=1e-6)
    assert np.count_nonzero(kernel) == ITEMS * (ITEMS - 1)


def test_an_item_that_nobody_has_gets_no_weight():
    dense = interactions(seed=3).toarray()
    dense[:, 4] = 0
    _, kernel = ease_kernel(1.0, sparse.csr_matrix(dense))
    assert not kernel[4].any()
    assert not kernel[:, 4].any()
    assert kernel.any()


@pytest.mark.parametrize("l2", [0.0, -1.0, float("nan")])
def test_ease_needs_a_penalty(l2):
    with pytest.raises(UsageError, match="`l2` must be above 0"):
        create_model("ease", 2, 2, l2=l2)


def test_ease_tells_when_the_penalty_is_too_small():
    twins = np.pad(np.ones((3, 2), np.float32), ((1, 0), (1, 0)))
    with pytest.raises(UsageError, match=r"l2 = 1e-300 has no solution .* Use a larger l2"):
        ease_kernel(1e-300, sparse.csr_matrix(twins))


@pytest.mark.parametrize("name", ["ease", "item-knn"])
def test_blocks_do_not_change_the_weights(name, monkeypatch):
    whole = weights(solved(name), "item_weights")[0]
    assert whole.any()
    monkeypatch.setattr(closed_form, "ITEMS_PER_BLOCK", 4)
    np.testing.assert_array_equal(weights(solved(name), "item_weights")[0], whole)


# Item-based nearest neighbours


def knn_kernel(matrix=None, **options):
    return weights(solved("item-knn", matrix=matrix, **options), "item_weights")[0]


def off_diagonal(similar):
    similar = np.array(similar, np.float64)
    np.fill_diagonal(similar, 0)
    return similar


def set_similarity(metric):
    columns = known(interactions()).T.astype(bool)
    return 1 - distance.squareform(distance.pdist(columns, metric))


@pytest.mark.parametrize("similarity", ["cosine", "jaccard", "dice"])
def test_similarities_are_those_of_scipy_and_sklearn(similarity):
    columns = known(interactions()).T
    expected = cosine_similarity(columns) if similarity == "cosine" else set_similarity(similarity)
    kernel = knn_kernel(similarity=similarity, neighbours=None)
    np.testing.assert_allclose(kernel[1:, 1:], off_diagonal(expected), rtol=1e-6)
    assert not kernel[0].any()
    assert not kernel[:, 0].any()


def test_an_item_that_nobody_has_is_similar_to_none():
    dense = interactions().toarray()
    dense[:, 4] = 0
    for similarity in ("cosine", "jaccard", "dice"):
        kernel = knn_kernel(matrix=sparse.csr_matrix(dense), similarity=similarity)
        assert np.isfinite(kernel).all()
        assert not kernel[4].any()
        assert not kernel[:, 4].any()


def test_shrinkage_is_added_to_the_denominator():
    x = known(interactions())
    lengths = np.linalg.norm(x, axis=0)
    expected = off_diagonal(x.T @ x / (np.outer(lengths, lengths) + 5))
    np.testing.assert_allclose(
        knn_kernel(shrinkage=5.0, neighbours=None)[1:, 1:], expected, rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("neighbours", [1, 3, 8, 9, 50])
def test_the_nearest_neighbours_are_kept(neighbours):
    matrix = interactions(seed=5, users=2000)
    similar = off_diagonal(cosine_similarity(known(matrix).T))
    assert len(np.unique(similar.round(9))) == 1 + ITEMS * (ITEMS - 1) / 2  # Without ties.
    expected = np.where(similar >= np.sort(similar, axis=0)[::-1][min(neighbours, ITEMS) - 1], similar, 0)
    of_candidates = knn_kernel(matrix=matrix, neighbours=neighbours)[1:, 1:]
    np.testing.assert_allclose(of_candidates, expected, rtol=1e-6)
    of_history = knn_kernel(matrix=matrix, neighbours=neighbours, neighbours_of="history")[1:, 1:]
    np.testing.assert_allclose(of_history, expected.T, rtol=1e-6)
    assert ((of_candidates > 0).sum(axis=0) == min(neighbours, ITEMS - 1)).all()


def test_the_score_is_the_sum_over_the_history():
    model = solved("item-knn", neighbours=3)
    kernel = weights(model, "item_weights")[0]
    row = np.zeros((1, ITEMS + 1))
    row[0, [2, 5, 7]] = 1
    np.testing.assert_allclose(score(model, row)[0], kernel[[2, 5, 7]].sum(axis=0), rtol=1e-6)


@given(
    values=st.lists(st.lists(st.integers(0, 4), min_size=6, max_size=6), min_size=1, max_size=4),
    count=st.integers(1, 8),
)
def test_keep_largest_keeps_the_first_of_equals(values, count):
    found = keep_largest(np.array(values, float), count)
    for row, kept in zip(values, found, strict=True):
        order = sorted(range(6), key=lambda at: (-row[at], at))[:count]
        assert kept.tolist() == [row[at] if at in order else 0 for at in range(6)]


@pytest.mark.parametrize("weighting", ["tfidf", "bm25"])
def test_weightings_by_their_formula(weighting):
    x = known(interactions())
    x[1] = 1
    found = weigh(sparse.csr_matrix(x), weighting).toarray()
    lengths = x.sum(axis=0)
    for user, item in np.ndindex(*x.shape):
        inverse = max(0.0, math.log(ITEMS / (1 + x[user].sum())))
        relative = 0.25 + 0.75 * lengths[item] / lengths.mean()
        gain = 2.2 / (1.2 * relative + 1) if weighting == "bm25" else 1.0
        assert found[user, item] == pytest.approx(x[user, item] * inverse * gain, rel=1e-9)
    assert not found[1].any()
    kernel = knn_kernel(matrix=interactions(), weighting=weighting, neighbours=None)
    expected = cosine_similarity(weigh(sparse.csr_matrix(known(interactions())), weighting).T)
    np.testing.assert_allclose(kernel[1:, 1:], off_diagonal(expected), rtol=1e-5, atol=1e-7)


def test_the_tie_break_orders_equal_scores_by_popularity():
    matrix = interactions()
    plain, broken = solved("item-knn"), solved("item-knn", popularity_tiebreak=True)
    nothing = np.zeros((1, ITEMS + 1))
    counts = matrix.toarray().sum(axis=0)
    assert not score(plain, nothing).any()
    np.testing.assert_allclose(score(broken, nothing)[0], 1e-6 * counts / counts.max(), rtol=1e-5)
    assert np.abs(score(broken, ROWS) - score(plain, ROWS)).max() < 2e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"similarity": "pearson"}, "`similarity` must be one of .*'pearson'"),
        ({"weighting": "idf"}, "`weighting` must be one of .*'idf'"),
        ({"neighbours_of": "user"}, "`neighbours_of` must be one of .*'user'"),
        ({"neighbours": 0}, "`neighbours` must be at least 1, or None.*0"),
        ({"shrinkage": -1.0}, "`shrinkage` must not be negative"),
        ({"similarity": "jaccard", "weighting": "bm25"}, "compares sets.*not 'bm25'"),
    ],
)
def test_wrong_options_of_item_knn_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        create_model("item-knn", 2, 2, **options)


# Popularity


def test_popularity_counts_interactions_for_everyone():
    matrix = interactions()
    found = score(solved("popularity", matrix=matrix), np.random.default_rng(0).random((4, ITEMS + 1)))
    np.testing.assert_array_equal(found, np.tile(matrix.toarray().sum(axis=0), (4, 1)))
    assert len(np.unique(found)) > 3


# One of each builder, and one that is trained; the others with --all-models.
FEW = ("baseline", "biased-mf", "ease", "item-knn", "pure-svd", "session-popularity", "user-knn")


@pytest.mark.parametrize("name", sampled(list_models(), FEW))
def test_what_is_computed_refuses_to_be_fitted(name):
    model = small(name)
    assert isinstance(model, ComputedModel) == (not model.trainable_variables)


@pytest.mark.parametrize("name", ["baseline", "ease"])
def test_a_saved_one_refuses_too(name, tmp_path):
    model = small(name)
    model.save(tmp_path / "model.keras")
    inputs = random_inputs(model, 3)
    for one in (model, tfzoo.load_model(tmp_path / "model.keras"), keras.models.clone_model(model)):
        one.compile("sgd", "mse")
        with pytest.raises(UsageError, match=f"'{name}' is trained by gradient descent.*fit_closed_form"):
            one.fit(inputs, model(inputs), verbose=0)
        for key, values in one(inputs).items():
            np.testing.assert_array_equal(values, model(inputs)[key])
