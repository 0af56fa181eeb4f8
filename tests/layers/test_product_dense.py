"""A linear layer and the next one as one, against the two."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfzoo.layers import ProductDense

VALUES = np.random.default_rng(0).normal(size=(9, 7)).astype(np.float32)


def both(activation="relu", inner=6):
    """Return the layer, and two dense layers with the same weights, over 7 inputs."""
    one = keras.Sequential([keras.Input((7,)), ProductDense(inner, 3, activation)])
    two = keras.Sequential(
        [keras.Input((7,)), layers.Dense(inner, use_bias=False), layers.Dense(3, activation)]
    )
    two.set_weights([*one.get_weights()[:2], np.array([0.1, -0.2, 0.3])])
    one.set_weights(two.get_weights())
    return one, two


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", ["relu", None])
@pytest.mark.parametrize("inner", [3, 6])
def test_outputs_and_gradients_are_those_of_two_layers(training, activation, inner):
    found = []
    for model in both(activation, inner):
        with tf.GradientTape() as tape:
            output = model(VALUES, training=training)
            total = tf.reduce_sum(output * np.arange(27, dtype=np.float32).reshape(9, 3))
        found.append([output, *tape.gradient(total, [weight.value for weight in model.trainable_variables])])
    assert len(found[0]) == 4
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)


def test_the_layer_comes_back_from_its_file(tmp_path):
    model, _ = both()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(VALUES), model(VALUES))
    assert again.layers[0].get_config() == model.layers[0].get_config()
    assert again.count_params() == 7 * 6 + 6 * 3 + 3
