"""AutoRec: the autoencoder of the paper, written as two towers."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import NUM_ITEMS, NUM_USERS, build, random_inputs, small
from tfzoo.models import create_model


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# The card's figures, and what the row of the unknown id adds.
@pytest.mark.parametrize(("name", "expected"), [("i-autorec", 944_443), ("u-autorec", 1_684_182)])
def test_the_number_of_parameters_is_the_papers(name, expected):
    model = create_model(name, 943, 1682)
    found = sum(math.prod(weight.shape) for weight in model.trainable_variables)
    assert found == expected + 2 * 500 + 1


@pytest.mark.parametrize(
    ("name", "rows", "other"), [("i-autorec", "item", "user"), ("u-autorec", "user", "item")]
)
@pytest.mark.parametrize("activation", ["sigmoid", "linear"])
def test_a_rating_is_a_component_of_the_reconstruction(name, rows, other, activation):
    model = build(name, hidden_activation=activation, hidden_units=4)
    inputs = random_inputs(model, 20)
    encoder, code_bias = model.get_layer(f"{rows}_tower").get_weights()
    weights, output_bias = model.get_layer(f"{other}_tower").get_weights()
    hidden = inputs[f"{rows}_row"].numpy() @ encoder + code_bias
    if activation == "sigmoid":
        hidden = sigmoid(hidden)
    reconstruction = hidden @ weights.T + output_bias[:, 0]
    expected = reconstruction[np.arange(20), inputs[f"{other}_id"].numpy()]
    found = model(inputs)["rating"].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_binary_code_is_one_of_zeros_and_ones_with_the_gradient_of_the_smooth_one():
    smooth, binary = (build("i-autorec", hidden_units=4, binary_hidden=flag) for flag in (False, True))
    inputs = random_inputs(smooth, 20)
    row = {"item_row": inputs["item_row"]}
    codes = [model.get_layer("item_tower")(row).numpy()[:, :4] for model in (smooth, binary)]
    assert set(np.unique(codes[1])) == {0.0, 1.0}
    np.testing.assert_array_equal(codes[1], codes[0] > 0.5)
    gradients = []
    for model in (smooth, binary):
        tower = model.get_layer("item_tower")
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(tower(row))
        gradients.append(tape.gradient(total, tower.trainable_variables[0]).numpy())
    np.testing.assert_allclose(*gradients, rtol=1e-5, atol=1e-6)
    assert np.abs(gradients[0]).max() > 0


@pytest.mark.parametrize(("name", "rows"), [("i-autorec", NUM_ITEMS), ("u-autorec", NUM_USERS)])
def test_lambda_is_on_both_matrices_and_no_bias(name, rows):
    model = build(name, hidden_units=4, l2=6.0)
    matrices = [weight for weight in model.weights if 4 in weight.shape and len(weight.shape) == 2]
    assert len(matrices) == 2
    expected = 6.0 / (2 * rows) * sum(float(keras.ops.sum(weight**2)) for weight in matrices)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


def test_output_biases_start_at_the_mean():
    model = small("i-autorec", hidden_units=4, mean_rating=3.5, l2=0.0)
    bias = model.get_layer("user_tower").get_weights()[1]
    np.testing.assert_array_equal(bias, np.full((NUM_USERS + 1, 1), 3.5))
