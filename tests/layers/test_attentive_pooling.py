"""Attentive pooling: against loops, on padding, on documents without a word."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfzoo.layers import AttentivePooling

USER_WIDTH, ITEM_WIDTH = 4, 3


def layer_of(seed=0, user_width=USER_WIDTH, item_width=ITEM_WIDTH):
    layer = AttentivePooling(dtype="float32")
    layer.build((None, None, user_width), (None, None, item_width))
    layer.set_weights([np.random.default_rng(seed).normal(scale=0.4, size=(user_width, item_width))])
    return layer


def maps(words, places, width=USER_WIDTH, seed=0):
    """Return a vector for each place, zero after so many words."""
    values = np.random.default_rng(seed).normal(size=(len(words), places, width))
    return np.where(np.arange(places)[None, :, None] < np.array(words)[:, None, None], values, 0).astype(
        "float32"
    )


def by_hand(user, item, kernel):
    """Return weights and vectors of one pair without its padding."""
    scores = np.tanh(user @ kernel @ item.T)
    weights = []
    for best in (scores.max(axis=1), scores.max(axis=0)):
        weights.append(np.exp(best) / np.exp(best).sum())
    return *weights, weights[0] @ user, weights[1] @ item


def test_values_are_those_of_the_formula_without_the_padding():
    layer, lengths = layer_of(), [(5, 3), (1, 7), (6, 7), (2, 1)]
    user = maps([pair[0] for pair in lengths], 6)
    item = maps([pair[1] for pair in lengths], 7, ITEM_WIDTH, seed=1)
    found = [value.numpy() for value in (*layer.attention(user, item), *layer(user, item))]
    for row, (long, wide) in enumerate(lengths):
        expected = by_hand(user[row, :long], item[row, :wide], layer.get_weights()[0])
        np.testing.assert_allclose(found[0][row, :long], expected[0], rtol=1e-5)
        np.testing.assert_allclose(found[1][row, :wide], expected[1], rtol=1e-5)
        np.testing.assert_allclose(found[2][row], expected[2], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found[3][row], expected[3], rtol=1e-4, atol=1e-6)
        assert not found[0][row, long:].any()
        assert not found[1][row, wide:].any()
    np.testing.assert_allclose(found[0].sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(found[1].sum(axis=1), 1, rtol=1e-6)
    assert np.ptp(found[0][0, :5]) > 0.05


def test_padding_that_would_win_as_zero_does_not():
    # All products are below 0, so an unmasked padding place would be the best one that is met.
    layer = layer_of()
    layer.set_weights([-np.ones((USER_WIDTH, ITEM_WIDTH), "float32")])
    user, item = np.abs(maps([3], 3)), np.abs(maps([2], 2, ITEM_WIDTH, seed=1))
    longer = np.pad(item, [(0, 0), (0, 4), (0, 0)])
    for one, other in zip(layer(user, item), layer(user, longer), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert np.ptp(layer.attention(user, longer)[0]) > 1e-3


def test_a_place_in_the_middle_without_a_value_is_padding_too():
    layer, user, item = layer_of(), maps([4], 4), maps([3], 3, ITEM_WIDTH, seed=1)
    user[0, 1] = 0
    weights = layer.attention(user, item)[0].numpy()[0]
    assert weights[1] == 0
    short = layer.attention(user[:, [0, 2, 3]], item)[0].numpy()[0]
    np.testing.assert_allclose(weights[[0, 2, 3]], short, rtol=1e-6)


def test_an_empty_document_is_zero_and_leaves_the_other_its_mean():
    layer, user, item = layer_of(), maps([3, 0], 4), maps([0, 0], 5, ITEM_WIDTH)
    pooled_user, pooled_item = layer(user, item)
    np.testing.assert_allclose(pooled_user[0], user[0, :3].mean(axis=0), rtol=1e-5)
    assert not pooled_user.numpy()[1].any()
    assert not pooled_item.numpy().any()


def test_gradients_are_finite_whatever_is_empty():
    layer = layer_of()
    user = tf.Variable(maps([3, 0, 0, 2], 4))
    item = tf.Variable(maps([0, 2, 0, 5], 5, ITEM_WIDTH, seed=1))
    with tf.GradientTape() as tape:
        loss = tf.add_n([tf.reduce_sum(vector**2) for vector in layer(user, item)])
    gradients = tape.gradient(loss, [user, item, layer.kernel.value])
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        assert np.any(gradient)


def test_gradients_are_those_of_differences():
    layer, user, item = layer_of(), maps([3], 3), maps([2], 2, ITEM_WIDTH, seed=1)
    kernel = layer.get_weights()[0]

    def loss(values):
        layer.kernel.assign(values)
        return tf.add_n([tf.reduce_sum(vector**2) for vector in layer(user, item)])

    with tf.GradientTape() as tape:
        value = loss(kernel)
    found = tape.gradient(value, layer.kernel.value).numpy()
    for cell in np.ndindex(*kernel.shape):
        step = np.zeros_like(kernel)
        step[cell] = 1e-2
        difference = (float(loss(kernel + step)) - float(loss(kernel - step))) / 2e-2
        assert found[cell] == pytest.approx(difference, abs=5e-3)


def test_swapped_documents_transpose_the_products():
    layer, swapped = layer_of(), layer_of(1, ITEM_WIDTH, USER_WIDTH)
    swapped.set_weights([layer.get_weights()[0].T])
    user, item = maps([3, 2], 4), maps([5, 1], 5, ITEM_WIDTH, seed=1)
    np.testing.assert_allclose(
        swapped.products(item, user), np.swapaxes(layer.products(user, item), 1, 2), rtol=1e-5, atol=1e-6
    )
    for one, other in zip(swapped(item, user)[::-1], layer(user, item), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_it_is_the_same_after_serialisation():
    layer = AttentivePooling("he_normal", name="pooling")
    copy = AttentivePooling.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert isinstance(copy.initializer, keras.initializers.HeNormal)


def test_half_precision_inputs_are_pooled_in_float32():
    layer, user, item = layer_of(), maps([3], 4), maps([2], 5, ITEM_WIDTH, seed=1)
    found = layer(tf.cast(user, tf.float16), tf.cast(item, tf.float16))
    assert {vector.dtype for vector in found} == {tf.float32}
    for one, other in zip(found, layer(user, item), strict=True):
        np.testing.assert_allclose(one, other, atol=5e-3)
