"""Layers of pair models against hand-made values, NumPy and Keras' own layers."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfzoo.layers import FrequencyPenalty, PairDense, PairDot, PairOutput, ScaleAndOffset

USERS, CANDIDATES = 4, 3


# PairDense


@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
def test_pair_dense_is_dense_on_the_concatenation(activation):
    random = np.random.default_rng(0)
    user = random.normal(size=(USERS, 1, 5)).astype(np.float32)
    item = random.normal(size=(USERS, CANDIDATES, 2)).astype(np.float32)
    pair = PairDense(6, activation)
    pair.build(user.shape, item.shape)
    weights = [random.normal(size=weight.shape) for weight in pair.weights]
    pair.set_weights(weights)
    dense = keras.layers.Dense(6, activation)
    both = np.concatenate([np.repeat(user, CANDIDATES, axis=1), item], axis=-1)
    dense.build(both.shape)
    dense.set_weights(weights)
    found = pair(user, item)
    assert found.shape == (USERS, CANDIDATES, 6)
    np.testing.assert_allclose(found, dense(both), rtol=1e-5, atol=1e-5)


def test_pair_dense_starts_as_dense_on_the_concatenation():
    initial = keras.initializers.GlorotUniform(seed=3)
    pair = PairDense(6, kernel_initializer=initial)
    dense = keras.layers.Dense(6, kernel_initializer=keras.initializers.GlorotUniform(seed=3))
    pair.build((None, 1, 5), (None, None, 2))
    dense.build((None, 7))
    for found, expected in zip(pair.get_weights(), dense.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_pair_dense_without_bias_and_with_penalties():
    pair = PairDense(2, use_bias=False, kernel_regularizer=keras.regularizers.L2(0.5))
    pair.build((None, 1, 2), (None, None, 1))
    pair.set_weights([np.array([[1, 2], [3, 0], [0, 1]], np.float32)])
    assert [float(loss) for loss in pair.losses] == [0.5 * 15]
    found = pair(tf.constant([[[1.0, 1.0]]]), tf.constant([[[10.0], [20.0]]]))
    np.testing.assert_array_equal(found, [[[4, 12], [4, 22]]])


def test_pair_dense_needs_a_width():
    with pytest.raises(ValueError, match="units=0"):
        PairDense(0)


# PairDot and PairOutput


@pytest.mark.parametrize("batch", [1, USERS])
def test_products_by_numpy(batch):
    random = np.random.default_rng(2)
    user = random.normal(size=(USERS, 1, 5)).astype(np.float32)
    item = random.normal(size=(batch, CANDIDATES, 5)).astype(np.float32)
    hidden = random.normal(size=(USERS, CANDIDATES, 2)).astype(np.float32)
    np.testing.assert_allclose(PairDot()(user, item), np.sum(user * item, axis=-1), rtol=1e-5, atol=1e-5)
    output = PairOutput()
    output(user, item, hidden)
    kernel, bias = random.normal(size=(7, 1)).astype(np.float32), np.float32([0.7])
    output.set_weights([kernel, bias])
    expected = np.sum(user * item * kernel[:5, 0], axis=-1) + hidden @ kernel[5:, 0] + bias
    np.testing.assert_allclose(output(user, item, hidden), expected, rtol=1e-5, atol=1e-5)


def test_the_output_unit_starts_from_lecun_uniform_over_both_parts():
    keras.utils.set_random_seed(0)
    output = PairOutput()
    output.build((None, 1, 1000), (None, None, 1000), (None, None, 2000))
    kernel, bias = output.get_weights()
    assert kernel.shape == (3000, 1)
    assert not bias.any()
    limit = math.sqrt(3 / 3000)
    assert np.abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize(
    "layer",
    [
        PairDense(3, "relu", False, "zeros", "ones", keras.regularizers.L2(0.1), keras.regularizers.L1(0.2)),
        PairDot(name="d"),
        PairOutput(False, "ones"),
        FrequencyPenalty(4, 0.5, 1.0),
        ScaleAndOffset(3.0, -1.0),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_survive_serialisation(layer):
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(restored) is type(layer)
    assert restored.get_config() == layer.get_config()
    assert keras.saving.get_registered_name(type(layer)) == f"tfzoo>{type(layer).__name__}"


# FrequencyPenalty


@pytest.mark.parametrize(
    ("exponent", "counts", "share"),
    [(0.5, 1, 1), (0.5, 4, 1 / 2), (1.0, 4, 1 / 4), (0.0, 4, 1), (1.0, 0, 1)],
)
def test_the_frequency_penalty_of_one_id_by_hand(exponent, counts, share):
    layer = FrequencyPenalty(2, 0.1, exponent)
    vectors, ids = tf.constant([[3.0, 4.0]]), tf.constant([2])
    layer(vectors, ids)
    layer.counts.assign([7, 9, counts])
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        np.testing.assert_array_equal(layer(vectors, ids), vectors)
        loss = sum(layer.losses)
    assert float(loss) == pytest.approx(0.1 * share * 25 / 2)
    # The gradient is lambda times the vector, as the authors' code has it.
    np.testing.assert_allclose(tape.gradient(loss, vectors), 0.1 * share * vectors, rtol=1e-6)


def test_the_frequency_penalty_is_a_mean_over_known_ids():
    layer = FrequencyPenalty(3, 2.0, 0.5)
    layer(tf.zeros([1, 1]), tf.constant([0]))
    layer.counts.assign([0, 1, 4, 16])
    layer(tf.constant([[1.0], [5.0], [2.0], [4.0]]), tf.constant([1, 0, 2, 3]))
    assert float(sum(layer.losses)) == pytest.approx((1 + 4 / 2 + 16 / 4) / 3)
    layer(tf.ones([2, 1]), tf.constant([0, 0]))
    assert float(sum(layer.losses)) == 0


def test_counts_are_kept_and_not_trained():
    layer = FrequencyPenalty(3, 2.0)
    layer.build((None, 2), (None,))
    assert layer.trainable_variables == []
    assert [weight.name for weight in layer.non_trainable_variables] == ["counts"]
    np.testing.assert_array_equal(layer.counts, np.ones(4))


def test_counts_above_the_range_of_half_precision():
    keras.config.set_dtype_policy("mixed_float16")
    layer = FrequencyPenalty(1, 1.0, 0.5)
    layer(tf.ones([1, 1]), tf.constant([1]))
    layer.counts.assign([1, 1_000_000])
    layer(tf.ones([1, 1]), tf.constant([1]))
    assert layer.counts.dtype == "float32"
    assert float(sum(layer.losses)) == pytest.approx(0.5 / 1000)


def test_a_penalty_may_rise_with_frequency():
    layer = FrequencyPenalty(1, 1.0, -0.5)
    layer(tf.ones([1, 1]), tf.constant([1]))
    layer.counts.assign([1, 16])
    layer(tf.ones([1, 1]), tf.constant([1]))
    assert float(sum(layer.losses)) == pytest.approx(0.5 * 4)


def test_negative_penalties_are_refused():
    with pytest.raises(ValueError, match="must not be negative"):
        FrequencyPenalty(1, -1.0, 0.5)
