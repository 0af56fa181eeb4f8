"""PureSVD against the full decomposition, and what holds of any truncated one."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from tfzoo.data.datasets import load_dataset
from tfzoo.errors import UsageError
from tfzoo.experiment import Experiment
from tfzoo.models import create_model, model_info
from tfzoo.models.pure_svd import right_singular_vectors
from tfzoo.training.recipe import load_recipe

USERS, ITEMS = 14, 9


def interactions(seed=0, users=USERS, items=ITEMS):
    """Return a random matrix of ones with an empty row and column for the unknown ids."""
    dense = (np.random.default_rng(seed).random((users + 1, items + 1)) < 0.4).astype(np.float32)
    dense[0], dense[:, 0] = 0, 0
    return sparse.csr_matrix(dense)


ROWS = interactions().toarray()


def solved(matrix, factors):
    model = create_model("pure-svd", matrix.shape[0] - 1, matrix.shape[1] - 1, factors=factors)
    model_info("pure-svd").solve(model, matrix)
    return model


def score(model, rows):
    return model({"user_row": tf.constant(np.atleast_2d(rows), tf.float32)})["scores"].numpy()


def test_nothing_is_trained():
    model = solved(interactions(), 50)
    number_of_parameters = sum(math.prod(weight.shape) for weight in model.weights)
    assert model.trainable_variables == []
    assert number_of_parameters == 50 * (ITEMS + 1)
    assert not score(model, ROWS)[:, 0].any()


def test_interactions_of_other_items_are_refused():
    with pytest.raises(UsageError, match=f"The model has {ITEMS} items, the interactions 5"):
        model_info("pure-svd").solve(create_model("pure-svd", USERS, ITEMS), interactions(items=5))


def reconstruction(k, matrix):
    kernel = solved(matrix, k).get_layer("item_factors").get_weights()[0]
    return kernel, matrix.toarray().astype(np.float64) @ kernel @ kernel.T


@pytest.mark.parametrize("k", [1, 3, 8, 9, 12])
def test_the_error_is_that_of_the_singular_values_left_out(k):
    matrix = interactions(seed=2, users=30)
    values = np.linalg.svd(matrix.toarray().astype(np.float64), compute_uv=False)
    kernel, found = reconstruction(k, matrix)
    error = np.sum((matrix.toarray() - found) ** 2)
    assert error == pytest.approx(np.sum(values[k:] ** 2), rel=1e-5, abs=1e-9)
    used = min(k, ITEMS)
    gram = np.zeros((k, k))
    gram[:used, :used] = np.eye(used)
    np.testing.assert_allclose(kernel.T @ kernel, gram, atol=1e-5)
    assert not kernel[0].any()


def test_more_factors_never_make_it_worse():
    matrix = interactions(seed=2, users=30)
    errors = [np.linalg.norm(matrix.toarray() - reconstruction(k, matrix)[1]) for k in range(1, 11)]
    assert (np.diff(errors) <= 1e-5).all()
    assert errors[0] > 3
    assert errors[-1] < 1e-4


@pytest.mark.parametrize("count", [2, 20])
def test_the_signs_and_digits_are_always_the_same(count):
    matrix = interactions(seed=2, users=30).astype(np.float64)[:, 1:]
    found = right_singular_vectors(matrix, count)
    np.testing.assert_array_equal(right_singular_vectors(matrix, count), found)
    np.testing.assert_allclose(right_singular_vectors(-matrix, count), found, atol=1e-12)
    largest = found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])]
    assert (largest > 0).all()
    expected = np.linalg.svd(matrix.toarray())[2][: found.shape[1]].T
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-9)


@given(seed=st.integers(0, 10_000), copies=st.integers(2, 4))
def test_factors_above_the_rank_are_empty(seed, copies):
    row = np.random.default_rng(seed).integers(0, 2, 6).astype(float)
    found = right_singular_vectors(sparse.csr_matrix(np.tile(row, (copies, 1))), 5)
    if not row.any():
        assert found.shape == (6, 0)
        return
    np.testing.assert_allclose(found, row[:, None] / np.linalg.norm(row), atol=1e-9)


def test_new_histories_are_projected_like_known_rows():
    model = solved(interactions(), 4)
    kernel = model.get_layer("item_factors").get_weights()[0]
    np.testing.assert_allclose(score(model, ROWS), ROWS @ kernel @ kernel.T, atol=1e-6)
    row = np.zeros(ITEMS + 1)
    row[3] = 1
    np.testing.assert_allclose(score(model, row)[0], kernel @ kernel[3], atol=1e-6)


def test_at_least_one_factor():
    with pytest.raises(UsageError, match=r"`factors` must be at least 1\. Received: factors=0"):
        create_model("pure-svd", 2, 2, factors=0)


@pytest.mark.data
def test_the_figures_of_ferrari_dacrema_on_the_ncf_files():
    settings = load_recipe("pure-svd", "ml-1m", "paper")
    experiment = Experiment.prepare(settings, load_dataset("ml-1m"), 0).refitted()
    metrics = experiment.evaluator(experiment.build()).evaluate("test")
    reported = settings.reported.metrics
    assert reported
    for metric, value in reported.items():
        assert metrics[metric] == pytest.approx(value, abs=0.008)
