"""DMF: cosines of towers over rows and columns, and the loss that its task makes of them."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial.distance import cdist
from scipy.special import expit

from tests.zoo import build, random_inputs
from tfzoo.models import create_model
from tfzoo.tasks.implicit import logit_model

SMALL = {"user_units": (6, 3), "item_units": (5, 3)}


def relu(x):
    return np.maximum(x, 0)


def cosine(model, inputs):
    """Return the cosine of each pair by the equations of the paper."""
    vectors = []
    for side in ("user", "item"):
        first, second, bias = model.get_layer(f"{side}_tower").get_weights()
        vectors.append(relu(inputs[f"{side}_row"].numpy() @ first @ second + bias))
    user, item = vectors
    lengths = np.linalg.norm(user, axis=1) * np.linalg.norm(item, axis=1)
    return np.divide((user * item).sum(axis=1), lengths, out=np.zeros(len(user)), where=lengths > 1e-9)


@pytest.mark.parametrize("name", ["dmf", "dmf-rating"])
@pytest.mark.parametrize(
    ("num_users", "num_items", "expected"), [(943, 1682, 1_925_248), (6040, 3706, 8_180_864)]
)
def test_the_number_of_parameters_is_the_cards(name, num_users, num_items, expected):
    model = create_model(name, num_users, num_items)
    found = sum(math.prod(weight.shape) for weight in model.trainable_variables)
    assert found == expected + 512 + 1024  # A kernel has a row for the unknown id.


def test_the_score_is_the_cosine_and_never_below_the_least_value():
    model = build("dmf", **SMALL)
    inputs = random_inputs(model, 200)
    expected = np.clip(cosine(model, inputs), 1e-6, 1 - 1e-6)
    found = model(inputs)["score"].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    assert (expected == 1e-6).any()
    assert np.ptp(expected) > 0.5


def test_the_rating_is_the_highest_times_the_cosine():
    model = build("dmf-rating", rating_scale=(1.0, 4.0), **SMALL)
    inputs = random_inputs(model, 100)
    expected = 4 * np.maximum(cosine(model, inputs), 1e-6)
    np.testing.assert_allclose(model(inputs)["rating"], expected, rtol=1e-4, atol=1e-5)


def test_scaling_a_linear_tower_leaves_the_cosine():
    options = {"user_units": (3,), "item_units": (3,)}
    model = build("dmf", **options)
    inputs = random_inputs(model, 50)
    before = model(inputs)["score"].numpy()
    tripled = {**inputs, "user_row": 3 * inputs["user_row"]}
    np.testing.assert_allclose(model(tripled)["score"], before, rtol=1e-4, atol=1e-6)


def test_a_scale_makes_a_logistic_function_of_the_cosine_of_linear_towers():
    options = {"user_units": (3,), "item_units": (3,)}
    model = build("dmf", **options, logit_scale=5.0)
    inputs = random_inputs(model, 60)
    user, item = (
        inputs[f"{side}_row"].numpy() @ model.get_layer(f"{side}_tower").get_weights()[0]
        for side in ("user", "item")
    )
    scale, offset = model.get_layer("head").get_weights()
    found = 1 - cdist(user, item, "cosine").diagonal()
    assert (found < -0.2).any()
    np.testing.assert_allclose(model(inputs)["score"], expit(np.exp(scale) * found + offset), rtol=1e-4)
    assert model.count_params() == build("dmf", **options).count_params() + 2


def test_the_scale_and_the_offset_start_where_asked():
    head = create_model("dmf", 4, 5, **SMALL, logit_scale=5.0, logit_offset=-2.0).get_layer("head")
    np.testing.assert_allclose(head.get_weights(), [math.log(5), -2], rtol=1e-6)


def test_a_model_with_a_scale_is_the_same_after_saving(tmp_path):
    model = build("dmf", user_units=(3,), item_units=(3,), logit_scale=5.0)
    inputs = random_inputs(model, 20)
    model.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(restored(inputs)["score"], model(inputs)["score"], rtol=1e-6)


def test_the_scale_and_the_offset_are_learned():
    model = build("dmf", logit_scale=5.0, **SMALL)
    inputs = random_inputs(model, 200)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(logit_model(model)(inputs))
    learned = model.get_layer("head").trainable_variables
    slopes = tape.gradient(total, learned)
    # d/ds of exp(s) x is exp(s) x, and d/dt of x + t is 1.
    assert [weight.shape for weight in learned] == [(), ()]
    np.testing.assert_allclose(slopes[0], total - 200 * learned[1], rtol=1e-4)
    np.testing.assert_allclose(slopes[1], 200)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_a_scale_that_is_not_above_zero_is_refused(scale):
    with pytest.raises(Exception, match=r"scale.*above 0"):
        create_model("dmf", 4, 5, **SMALL, logit_scale=scale)


def test_cross_entropy_on_the_logit_is_the_papers_normalised_one():
    model = build("dmf", **SMALL)
    inputs = random_inputs(model, 400)
    logit, score = logit_model(model)(inputs).numpy(), model(inputs)["score"].numpy()
    label = np.linspace(0, 1, 400)
    inside = (score > 0.01) & (score < 0.99)
    found = np.log1p(np.exp(logit)) - label * logit
    expected = -(label * np.log(score) + (1 - label) * np.log(1 - score))
    assert inside.sum() > 10
    np.testing.assert_allclose(found[inside], expected[inside], rtol=1e-3)
    # The card's example: the best score for a rating of 3 of 5 is 0.6, with a loss of 0.6730.
    scores = np.linspace(0.01, 0.99, 99)
    losses = -(0.6 * np.log(scores) + 0.4 * np.log(1 - scores))
    assert scores[losses.argmin()] == pytest.approx(0.6)
    assert losses.min() == pytest.approx(0.6730, abs=1e-4)


def test_empty_rows_have_finite_scores_and_gradients():
    model = build("dmf", **SMALL)
    nothing = {key: tf.zeros_like(value) for key, value in random_inputs(model, 2).items()}
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(logit_model(model)(nothing))
    gradients = tape.gradient(total, model.trainable_variables)
    assert np.isfinite(total)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("units", [{"user_units": ()}, {"item_units": (4, 5)}])
def test_towers_of_other_widths_are_refused(units):
    with pytest.raises(Exception, match="last width"):
        create_model("dmf", 4, 5, **{**SMALL, **units})
