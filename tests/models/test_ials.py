"""iALS against brute force, and what holds of exact alternating least squares."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from tfzoo.errors import UsageError
from tfzoo.models import create_model, ials, model_info
from tfzoo.models.ials import half_step

USERS, ITEMS, DIM = 14, 9, 3
A, L2 = 0.2, 0.05


def interactions(seed=0):
    """Return a random matrix of ones; the first and an empty last row and column are nobody's."""
    dense = (np.random.default_rng(seed).random((USERS + 1, ITEMS + 1)) < 0.4).astype(np.float32)
    dense[0], dense[:, 0], dense[-1], dense[:, -1] = 0, 0, 0, 0
    return sparse.csr_matrix(dense)


MATRIX = interactions()
X = MATRIX.toarray()[1:, 1:].astype(np.float64)
START = np.random.default_rng(1).normal(size=(ITEMS, DIM))
USED = X.any(axis=1).sum(), X.any(axis=0).sum()


def objective(w, v, *, a=A, l2=L2, exponent=1.0):
    """Return the objective as it is written, cell by cell."""
    predicted = w @ v.T
    per_user = (X.sum(axis=1) + a * USED[1]) ** exponent
    per_item = (X.sum(axis=0) + a * USED[0]) ** exponent
    penalty = per_user @ (w**2).sum(axis=1) + per_item @ (v**2).sum(axis=1)
    return (X * (predicted - 1) ** 2).sum() + a * (predicted**2).sum() + l2 * penalty


def solve(side, others, *, a=A, l2=L2, exponent=1.0):
    return half_step(sparse.csr_matrix(X if side == "users" else X.T), others, a, l2, exponent)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_a_half_step_is_the_brute_force_solution_user_by_user(exponent):
    found = solve("users", START, exponent=exponent)
    for user in range(USERS):
        ridge = L2 * (X[user].sum() + A * USED[1]) ** exponent
        # Least squares of all cells: observed ones to 1, all to 0 with the square root of a, and the penalty.
        left = np.vstack([START[X[user] > 0], np.sqrt(A) * START, np.sqrt(ridge) * np.eye(DIM)])
        right = np.concatenate([np.ones(int(X[user].sum())), np.zeros(ITEMS + DIM)])
        np.testing.assert_allclose(found[user], np.linalg.lstsq(left, right)[0], atol=1e-12)


def test_blocks_do_not_matter(monkeypatch):
    whole = solve("users", START)
    monkeypatch.setattr(ials, "NUMBERS_AT_ONCE", 40)
    np.testing.assert_allclose(solve("users", START), whole, atol=1e-13)


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_the_gradient_is_zero_after_each_half_step(exponent):
    def gradient(side, w, v):
        w, v = tf.Variable(w), tf.Variable(v)
        with tf.GradientTape() as tape:
            predicted = tf.matmul(w, v, transpose_b=True)
            per_user = (X.sum(axis=1) + A * USED[1]) ** exponent
            per_item = (X.sum(axis=0) + A * USED[0]) ** exponent
            loss = tf.reduce_sum(X * (predicted - 1) ** 2) + A * tf.reduce_sum(predicted**2)
            loss += L2 * tf.reduce_sum(per_user * tf.reduce_sum(w**2, axis=1))
            loss += L2 * tf.reduce_sum(per_item * tf.reduce_sum(v**2, axis=1))
        return tape.gradient(loss, w if side == "users" else v).numpy()

    w = solve("users", START, exponent=exponent)
    np.testing.assert_allclose(gradient("users", w, START), 0, atol=1e-12)
    v = solve("items", w, exponent=exponent)
    np.testing.assert_allclose(gradient("items", w, v), 0, atol=1e-12)
    assert np.abs(gradient("users", w, v)).max() > 1e-3


def test_the_objective_never_rises():
    v, values = START, []
    for _ in range(6):
        w = solve("users", v)
        values.append(objective(w, v))
        v = solve("items", w)
        values.append(objective(w, v))
    assert (np.diff(values) < 0).all()


def test_the_weighting_of_hu_et_al_is_the_same_model():
    alpha, theirs = 1 / A, L2 * (1 + 1 / A)
    confidence = 1 + alpha * X

    def their_users(v):
        return np.stack(
            [
                np.linalg.solve(v.T @ (c[:, None] * v) + theirs * np.eye(DIM), v.T @ (c * x))
                for c, x in zip(confidence, X, strict=True)
            ]
        )

    ours = solve("users", START, exponent=0.0)
    scale = np.sqrt(1 + A)  # Of the vectors of both sides: theirs predict 1 + a times ours.
    np.testing.assert_allclose(their_users(START * scale), ours * scale, atol=1e-12)


def test_with_all_cells_observed_and_no_weight_beside_it_is_ridge_regression():
    full = sparse.csr_matrix(np.ones((4, ITEMS)))
    found = half_step(full, START, 0.0, 0.3, 0.0)
    ridge = np.linalg.solve(START.T @ START + 0.3 * np.eye(DIM), START.T @ np.ones(ITEMS))
    np.testing.assert_allclose(found, np.tile(ridge, (4, 1)), atol=1e-12)


@pytest.fixture(scope="module")
def solved():
    options = {"embedding_dim": DIM, "unobserved_weight": A, "l2": L2, "alternations": 4, "iterations": 8}
    model = create_model("ials", USERS, ITEMS, **options)
    start = model.get_layer("least_squares").get_weights()[0][1:].astype(np.float64)
    model_info("ials").solve(model, MATRIX)
    return model, start


def test_the_number_of_parameters_is_that_of_the_formula(solved):
    assert solved[0].count_params() == DIM * (ITEMS + 2) + 1


def test_the_model_is_that_of_its_half_steps_but_for_a_rotation(solved):
    model, items = solved
    for _ in range(4):
        users = solve("users", items)
        items = solve("items", users)
    kernel, moments, known = model.get_layer("least_squares").get_weights()
    np.testing.assert_allclose(kernel[1:] @ kernel[1:].T, items @ items.T, atol=1e-5)
    np.testing.assert_allclose(kernel.T @ kernel, np.diag(moments), atol=1e-5)
    assert (known, model.trainable_variables) == (USED[1], [])
    # A row that is folded in gets the scores of the vector that training would give it.
    scores = model({"user_row": MATRIX.toarray()})["scores"].numpy()
    np.testing.assert_allclose(scores[1:, 1:], solve("users", items) @ items.T, atol=1e-5)
    assert not scores[:, 0].any()
    assert not scores[-1].any()


def test_interactions_of_other_items_and_senseless_settings_are_refused(solved):
    with pytest.raises(UsageError, match="The model has 9 items, the interactions 5"):
        model_info("ials").solve(solved[0], sparse.csr_matrix((3, 6)))
    for option, value in (("l2", 0.0), ("embedding_dim", 0), ("unobserved_weight", -1.0)):
        with pytest.raises(UsageError, match=f"Received: {option}={value}"):
            create_model("ials", USERS, ITEMS, **{option: value})


@pytest.mark.data
def test_a_few_conjugate_gradients_solve_for_real_rows():
    from tfzoo.data.datasets import load_dataset
    from tfzoo.experiment import Experiment
    from tfzoo.training.recipe import load_recipe

    experiment = Experiment.prepare(load_recipe("ials", "ml-100k", "tuned"), load_dataset("ml-100k"), 0)
    model = experiment.build()
    layer = model.get_layer("least_squares")
    matrix = experiment.task.matrix(experiment.split.train)
    items = layer.get_weights()[0][1:].astype(np.float64)
    exact = half_step(matrix[:, 1:].tocsr(), items, layer.unobserved_weight, layer.l2, layer.l2_exponent)
    found = model({"user_row": matrix.toarray()})["scores"].numpy()[:, 1:]
    np.testing.assert_allclose(found, exact @ items.T, atol=1e-3)
