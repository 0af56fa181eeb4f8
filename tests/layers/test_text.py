"""Word table, convolution with max over time, and the tower made of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfzoo.layers import TextConvolution, TextWindows, WordTable, text_tower

WORDS, WIDTH, FILTERS = 12, 5, 4


def documents(lengths, total, seed=0):
    """Return right-padded documents with so many words each."""
    tokens = np.random.default_rng(seed).integers(1, WORDS, (len(lengths), total))
    return tf.constant(np.where(np.arange(total) < np.array(lengths)[:, None], tokens, 0), tf.int32)


def convolution(kernel_size, seed=0):
    """Return a layer and a table with random weights; padding has a vector too, which must not count."""
    random = np.random.default_rng(seed)
    layer = TextConvolution(FILTERS, kernel_size)
    layer.build((None, None), (WORDS, WIDTH))
    layer.set_weights([random.normal(size=weight.shape) for weight in layer.weights])
    return layer, tf.Variable(random.normal(size=(WORDS, WIDTH)), dtype=tf.float32)


def standard(layer, tokens, table):
    """Return what standard layers give: embedding, Conv1D with relu, maximum over words."""
    known = tf.cast(tokens != 0, tf.float32)[..., None]
    windows = tf.nn.conv1d(tf.gather(table, tokens) * known, layer.kernel.value, 1, "SAME")
    # After relu nothing is below 0, so 0 stands for no window.
    return tf.reduce_max(tf.nn.relu(windows + layer.bias.value) * known, axis=1)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5])
def test_values_and_gradients_are_those_of_the_standard_layers(kernel_size, training):
    layer, table = convolution(kernel_size)
    tokens = documents([9, 6, 1, 2, 0, 9], 9)
    aim = tf.random.stateless_normal([6, FILTERS], [1, 2])
    variables = [table, layer.kernel.value, layer.bias.value]
    found = []
    for function in (
        lambda: layer(tokens, tf.convert_to_tensor(table), training=training),
        lambda: standard(layer, tokens, table),
    ):
        with tf.GradientTape() as tape:
            value = function()
            loss = tf.reduce_sum(aim * value)
        gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, variables)]
        found.append([value, *gradients])
    assert tf.reduce_any(found[0][0] > 0)
    for one, other in zip(*found, strict=True):
        assert tf.reduce_any(other != 0)
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_compiled_with_xla_it_gives_the_same(training):
    layer, table = convolution(3)
    tokens = documents([9, 4, 0], 9)
    compiled = tf.function(
        lambda: layer(tokens, tf.convert_to_tensor(table), training=training), jit_compile=True
    )
    np.testing.assert_allclose(compiled(), standard(layer, tokens, table), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_padding_never_wins(training):
    layer = TextConvolution(1, 3)
    layer.build((None, None), (2, 1))
    # The word takes 5 from a window, so a window of padding would have 1 and win.
    layer.set_weights([np.ones((3, 1, 1)), np.array([1.0])])
    table = tf.constant([[0.0], [-5.0]])
    assert layer(tf.constant([[1, 0, 0, 0]]), table, training=training).numpy().tolist() == [[0.0]]


@pytest.mark.parametrize("more", [1, 4])
def test_more_padding_changes_nothing(more):
    layer, table = convolution(3)
    tokens = documents([5, 2, 0], 5)
    padded = tf.pad(tokens, [[0, 0], [0, more]])
    np.testing.assert_allclose(layer(padded, table), layer(tokens, table), rtol=1e-6, atol=1e-6)


def test_the_vector_of_padding_does_not_count():
    layer, table = convolution(3)
    tokens = documents([5, 2, 0], 6)
    before = layer(tokens, table)
    changed = tf.concat([table[:1] + 100.0, table[1:]], axis=0)
    np.testing.assert_array_equal(layer(tokens, changed), before)


@pytest.mark.parametrize("training", [True, False])
def test_a_document_without_words_gives_zeros(training):
    layer, table = convolution(3)
    assert layer.bias.numpy().max() > 0
    found = layer(tf.zeros([2, 6], tf.int32), table, training=training)
    np.testing.assert_array_equal(found, np.zeros((2, FILTERS)))


def test_the_order_of_words_counts_within_a_window_only():
    layer, table = convolution(3)
    one, moved, mixed = ([1, 2, 3, 0, 0, 0, 0], [0, 0, 1, 2, 3, 0, 0], [3, 1, 2, 0, 0, 0, 0])
    found = layer(tf.constant([one, moved, mixed], tf.int32), table).numpy()
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
    assert not np.allclose(found[0], found[2])


@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_float16", 0.02), ("mixed_bfloat16", 0.15)])
def test_mixed_precision_is_near(policy, tolerance):
    layer, table = convolution(3)
    tokens = documents([9, 6, 1, 0], 9)
    expected = layer(tokens, table)
    keras.config.set_dtype_policy(policy)
    low, _ = convolution(3)
    found = low(tokens, tf.cast(table, low.compute_dtype))
    assert found.dtype.name == low.compute_dtype
    np.testing.assert_allclose(tf.cast(found, tf.float32), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("filters", "kernel_size"), [(0, 3), (3, 0)])
def test_a_convolution_needs_filters_and_windows(filters, kernel_size):
    with pytest.raises(ValueError, match=f"Received: filters={filters}, kernel_size={kernel_size}"):
        TextConvolution(filters, kernel_size)


def test_rows_of_the_table_can_be_set():
    table = WordTable(4, 2)
    before = np.array(table(tf.zeros([1, 3], tf.int32)))
    table.set_rows(np.array([1, 3]), np.array([[5.0, 6.0], [7.0, 8.0]]))
    found = table(tf.zeros([1, 3], tf.int32)).numpy()
    assert found[[1, 3]].tolist() == [[5, 6], [7, 8]]
    np.testing.assert_array_equal(found[[0, 2]], before[[0, 2]])


def tower(**options):
    words = WordTable(WORDS, WIDTH, trainable=options.pop("trainable", True))
    sizes = {"filters": FILTERS, "kernel_size": 3, "latent_dim": 6, **options}
    return text_tower("user", words, 8, **sizes)


def test_the_tower_is_a_dense_layer_on_the_convolution():
    model = tower()
    tokens = documents([8, 3, 0], 8)
    table, kernel, bias, dense, offset = model.get_weights()
    layer, _ = convolution(3)
    layer.set_weights([kernel, bias])
    expected = np.maximum(standard(layer, tokens, tf.constant(table)).numpy() @ dense + offset, 0)
    found = model({"user_tokens": tokens})
    assert (found.shape, found.dtype) == ((3, 6), tf.float32)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert expected.any()


def test_the_tower_keeps_everything_on_disk(tmp_path):
    model = tower(dropout=0.3, activation=None)
    tokens = documents([8, 3, 0], 8)
    model.save(tmp_path / "tower.keras")
    loaded = keras.saving.load_model(tmp_path / "tower.keras")
    np.testing.assert_array_equal(loaded({"user_tokens": tokens}), model({"user_tokens": tokens}))
    for one, other in zip(model.layers, loaded.layers, strict=True):
        assert one.get_config() == other.get_config()


def test_dropout_acts_in_training_only():
    model = tower(dropout=0.5, activation=None)
    tokens = {"user_tokens": documents([8] * 20, 8)}
    np.testing.assert_array_equal(model(tokens), model(tokens))
    assert not np.allclose(model(tokens, training=True), model(tokens, training=True))


def test_a_frozen_table_is_not_trained():
    assert len(tower().trainable_variables) == 5
    assert [variable.name for variable in tower(trainable=False).non_trainable_variables] == ["embeddings"]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4])
def test_windows_and_their_gradients_are_those_of_the_standard_layers(kernel_size, training):
    pooled, table = convolution(kernel_size)
    layer = TextWindows(FILTERS, kernel_size)
    layer.build((None, None), (WORDS, WIDTH))
    layer.set_weights(pooled.get_weights())
    tokens = documents([9, 6, 1, 2, 0, 9], 9)
    known = tf.cast(tokens != 0, tf.float32)[..., None]
    aim = tf.random.stateless_normal([6, 9, FILTERS], [1, 2])
    variables = [table, layer.kernel.value, layer.bias.value]
    found = []
    for function in (
        lambda: layer(tokens, tf.convert_to_tensor(table), training=training),
        lambda: (
            tf.nn.relu(
                tf.nn.conv1d(tf.gather(table, tokens) * known, layer.kernel.value, 1, "SAME")
                + layer.bias.value
            )
            * known
        ),
    ):
        with tf.GradientTape() as tape:
            value = function()
            loss = tf.reduce_sum(aim * value)
        gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, variables)]
        found.append([value, *gradients])
    assert found[0][0].shape == layer.compute_output_shape((6, 9), (WORDS, WIDTH))
    for one, other in zip(*found, strict=True):
        assert tf.reduce_any(other != 0)
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
