"""Corruption, tied weights, the variational code, and computed item weights against independent values."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import ops
from scipy import integrate, sparse, stats

from tfzoo.errors import UsageError
from tfzoo.layers import (
    Bias,
    Corruption,
    GaussianCode,
    ItemOffset,
    ItemWeights,
    TiedProjection,
    closed_form,
    column_products,
    known_columns,
)

LAYERS = [
    Corruption(0.3, scaled=False, seed=4, name="noise"),
    TiedProjection(3, kernel_initializer=keras.initializers.RandomUniform(-2, 2), l2=0.1, name="tied"),
    Bias(l2=0.1, name="bias"),
    GaussianCode(kl_cap=0.5, total_anneal_steps=7, seed=4, name="code"),
    ItemWeights({"l2": 3.0, "neighbours": None}, name="weights"),
    ItemOffset(name="offset"),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_layers_survive_serialisation(layer):
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(restored) is type(layer)
    assert restored.get_config() == layer.get_config()
    assert keras.saving.get_registered_name(type(layer)) == f"tfzoo>{type(layer).__name__}"


# Corruption


@pytest.mark.parametrize(("scaled", "factor"), [(True, 1.0), (False, 0.7)])
def test_the_expected_corrupted_row_over_10000_draws(scaled, factor):
    row = np.array([1.0, 0.0, 2.0, 5.0, 0.0], np.float32)
    draws = Corruption(0.3, scaled=scaled, seed=1)(tf.tile(row[None], [10_000, 1]), training=True).numpy()
    kept = row / 0.7 if scaled else row
    assert (np.isclose(draws, 0) | np.isclose(draws, kept)).all()
    # Five standard errors of a mean of 10,000 Bernoulli draws.
    np.testing.assert_allclose(draws.mean(axis=0), factor * row, atol=1e-6, rtol=5 * np.sqrt(0.3 / 0.7) / 100)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_corruption_leaves_inference_alone(rate):
    row = tf.constant([[1.0, 0.0, 3.0]])
    np.testing.assert_array_equal(Corruption(rate)(row), row)
    np.testing.assert_array_equal(Corruption(rate)(row, training=False), row)


def test_without_corruption_training_sees_the_row():
    row = tf.constant([[1.0, 0.0, 3.0]])
    np.testing.assert_array_equal(Corruption(0.0)(row, training=True), row)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
def test_full_corruption_empties_the_row_everywhere(training, scaled):
    found = Corruption(1.0, scaled=scaled)(tf.ones([2, 3]), training=training)
    np.testing.assert_array_equal(found, np.zeros((2, 3)))


def test_every_call_corrupts_anew_and_every_row_by_itself():
    layer = Corruption(0.5, seed=1)
    first, second = (layer(tf.ones([2, 200]), training=True).numpy() for _ in range(2))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_outside_0_to_1_is_refused(rate):
    with pytest.raises(ValueError, match="must lie from 0 to 1"):
        Corruption(rate)


# Tied weights


def tied_model(l2=0.0):
    values = keras.Input((4,), name="values")
    layer = TiedProjection(2, l2=l2, name="tied")
    return keras.Model(values, layer(layer(values), transposed=True)), layer


def test_the_tied_projection_by_hand():
    model, layer = tied_model()
    kernel = np.array([[1, 2], [3, 4], [5, 6], [7, 8]], np.float32)
    layer.set_weights([kernel])
    values = np.array([[1, 0, 0, 2], [0, 1, 1, 0]], np.float32)
    assert len(model.weights) == 1
    assert model.output_shape == (None, 4)
    np.testing.assert_array_equal(model(values), values @ kernel @ kernel.T)


def test_a_tied_model_survives_saving(tmp_path):
    model, _ = tied_model(l2=0.1)
    model.save(tmp_path / "tied.keras")
    restored = keras.saving.load_model(tmp_path / "tied.keras")
    values = tf.random.stateless_normal([3, 4], [1, 2])
    assert len(restored.weights) == 1
    np.testing.assert_array_equal(restored(values), model(values))


def test_tied_weights_are_charged_once():
    model, layer = tied_model(l2=0.5)
    layer.set_weights([np.full((4, 2), 3.0)])
    model(tf.ones([1, 4]))
    assert float(sum(model.losses)) == pytest.approx(0.5 * 8 * 9)


def test_both_uses_give_the_tied_weights_a_gradient():
    model, layer = tied_model()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(tf.constant([[1.0, 0.0, 0.0, 0.0]])))
    gradient = tape.gradient(loss, layer.kernel.value).numpy()
    kernel = layer.get_weights()[0]
    # d/dW of w_0 . sum_i w_i: row 0 has sum_i w_i + w_0, the others w_0.
    expected = np.tile(kernel[0], (4, 1))
    expected[0] += kernel.sum(axis=0)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6)


def test_the_bias_by_hand():
    layer = Bias(l2=0.5)
    np.testing.assert_array_equal(layer(tf.ones([2, 3])), np.ones((2, 3)))
    layer.set_weights([np.array([1.0, 2.0, 3.0])])
    np.testing.assert_array_equal(layer(tf.ones([1, 3])), [[2, 3, 4]])
    assert float(sum(layer.losses)) == pytest.approx(0.5 * (1 + 4 + 9))


# The variational code


def code(**options):
    return GaussianCode(**{"kl_cap": 1.0, "total_anneal_steps": 0, "seed": 3, **options})


def loss_of(layer, statistics, rows, training=False):
    layer(tf.constant(statistics, tf.float32), tf.constant(rows, tf.float32), training=training)
    (loss,) = layer.losses
    return float(loss)


def test_the_standard_normal_costs_nothing():
    assert loss_of(code(), np.zeros((3, 8)), np.ones((3, 2))) == 0


@pytest.mark.parametrize(("mean", "log_variance"), [(0.5, -1.0), (-2.0, 0.7), (0.0, 1.5), (1.2, 0.0)])
def test_the_divergence_is_the_integral_of_its_definition(mean, log_variance):
    one, other = stats.norm(mean, np.exp(log_variance / 2)), stats.norm()
    integral, _ = integrate.quad(
        lambda x: one.pdf(x) * (one.logpdf(x) - other.logpdf(x)), mean - 15, mean + 15, points=[mean]
    )
    found = loss_of(code(), [[mean, 0.0, log_variance, 0.0]], [[1.0]])
    assert found == pytest.approx(integral, rel=1e-5)


def test_the_divergence_is_a_sum_over_the_code_and_a_mean_over_users():
    statistics = np.random.default_rng(0).normal(size=(5, 6))
    alone = [loss_of(code(), [each], [[1.0]]) for each in statistics]
    parts = [loss_of(code(), [[m, v]], [[1.0]]) for m, v in zip(*np.split(statistics[0], 2), strict=True)]
    assert alone[0] == pytest.approx(sum(parts), rel=1e-5)
    assert loss_of(code(), statistics, np.ones((5, 1))) == pytest.approx(np.mean(alone), rel=1e-5)


def test_padding_is_not_charged():
    random = np.random.default_rng(0)
    statistics, rows = random.normal(size=(5, 6)), np.ones((5, 4))
    rows[[1, 4]] = 0
    padded = loss_of(code(), statistics, rows)
    assert padded == pytest.approx(loss_of(code(), statistics[[0, 2, 3]], rows[[0, 2, 3]]), rel=1e-6)
    assert padded != pytest.approx(loss_of(code(), statistics, np.ones((5, 4))), rel=1e-3)


def test_a_batch_of_padding_costs_nothing():
    assert loss_of(code(), np.ones((2, 4)), np.zeros((2, 3))) == 0


def test_the_code_is_the_mean_at_inference():
    statistics = tf.constant([[1.0, 2.0, 3.0, 4.0]])
    assert code()(statistics, tf.ones([1, 1])).numpy().tolist() == [[1, 2]]


def test_the_code_in_training_is_normal_with_the_given_moments():
    statistics = tf.tile([[1.0, -2.0, 0.0, np.log(4.0)]], [20_000, 1])
    found = code()(statistics, tf.ones([20_000, 1]), training=True).numpy()
    for column, expected in zip(found.T, (stats.norm(1, 1), stats.norm(-2, 2)), strict=True):
        assert stats.kstest(column, expected.cdf).pvalue > 0.01
    assert abs(np.corrcoef(found.T)[0, 1]) < 0.04


def test_gradients_reach_mean_and_variance_through_the_code():
    statistics = tf.constant([[1.0, 2.0, 0.0, 0.5]])
    with tf.GradientTape() as tape:
        tape.watch(statistics)
        drawn = code()(statistics, tf.ones([1, 1]), training=True)
    gradient = tape.gradient(drawn, statistics).numpy()[0]
    np.testing.assert_allclose(gradient[:2], [1, 1])
    # z = mean + noise sd, so that dz/d log variance = (z - mean) / 2.
    np.testing.assert_allclose(gradient[2:], (drawn.numpy()[0] - [1, 2]) / 2, rtol=1e-5)


@given(calls=st.integers(1, 12), total=st.integers(1, 20), cap=st.sampled_from([0.0, 0.2, 0.3, 1.0]))
def test_beta_grows_with_training_calls_up_to_the_cap(calls, total, cap):
    layer = code(kl_cap=cap, total_anneal_steps=total)
    for _ in range(calls):
        layer(tf.zeros([1, 2]), tf.ones([1, 1]), training=True)
        layer(tf.zeros([1, 2]), tf.ones([1, 1]), training=False)
    assert float(layer.beta) == pytest.approx(min(cap, calls / total), rel=1e-6)


def test_the_first_step_is_not_charged_and_the_next_ones_are():
    layer = code(kl_cap=0.5, total_anneal_steps=4)
    charged = [loss_of(layer, [[2.0, 0.0]], [[1.0]], training=True) for _ in range(5)]
    # KL of N(2, 1) is 2; the weight is 0, 1/4, 2/4 and then capped.
    assert charged == pytest.approx([0, 0.5, 1, 1, 1])


def test_the_full_weight_applies_at_once_without_annealing():
    assert float(code(kl_cap=0.3).beta) == pytest.approx(0.3)


def test_compiled_training_counts_steps():
    layer = code(total_anneal_steps=10)
    layer(tf.zeros([1, 2]), tf.ones([1, 1]))
    step = tf.function(
        lambda: layer(tf.zeros([1, 2]), tf.ones([1, 1]), training=True), autograph=False, jit_compile=True
    )
    for _ in range(3):
        step()
    assert float(layer.beta) == pytest.approx(0.3)


def test_the_count_of_steps_is_saved(tmp_path):
    statistics, rows = keras.Input((4,)), keras.Input((3,))
    model = keras.Model([statistics, rows], code(total_anneal_steps=10, name="code")(statistics, rows))
    for _ in range(4):
        model([tf.zeros([1, 4]), tf.ones([1, 3])], training=True)
    model.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras").get_layer("code")
    assert float(restored.beta) == pytest.approx(0.4)
    assert restored.trainable_variables == []


@pytest.mark.parametrize("options", [{"kl_cap": -0.1}, {"total_anneal_steps": -1}])
def test_a_negative_annealing_is_refused(options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}` must not be negative"):
        GaussianCode(**options)


# Computed weights


def test_item_weights_by_hand():
    layer = ItemWeights()
    assert not ops.convert_to_numpy(layer(tf.ones([1, 3]))).any()
    layer.kernel.assign([[0, 0, 0], [0, 0, 2], [0, 3, 0]])
    # Item 1 in the row adds 2 to item 2; item 2 adds 3 to item 1.
    assert layer(tf.constant([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])).numpy().tolist() == [[0, 0, 2], [0, 3, 0]]
    assert layer.trainable_variables == []


def test_too_many_items_are_refused_before_memory_is_taken():
    with pytest.raises(UsageError, match=r"40,001 items takes 6 GiB, .* up to 30 GiB\. At most 40,000 items"):
        ItemWeights().build((None, 40_002))


def test_item_offsets_by_hand():
    layer = ItemOffset()
    layer.build((None, 2))
    layer.offset.assign([1, 5])
    assert layer(tf.constant([[1.0, 1.0], [0.0, -5.0]])).numpy().tolist() == [[2, 6], [1, 0]]
    assert layer.trainable_variables == []


def test_the_unknown_item_is_no_known_column():
    matrix = sparse.csr_matrix(np.arange(12, dtype=np.float32).reshape(3, 4))
    found = known_columns(matrix, 4)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found.toarray(), matrix.toarray()[:, 1:])
    with pytest.raises(UsageError, match="The model has 4 items, the interactions 3"):
        known_columns(matrix, 5)


@pytest.mark.parametrize("block", [1, 3, 7, 100])
def test_blocks_make_up_the_product(block, monkeypatch):
    monkeypatch.setattr(closed_form, "ITEMS_PER_BLOCK", block)
    dense = np.random.default_rng(0).integers(0, 2, (10, 7)).astype(float)
    blocks = list(column_products(sparse.csr_matrix(dense)))
    assert [rows.stop - rows.start for rows, _ in blocks[:-1]] == [block] * (len(blocks) - 1)
    np.testing.assert_array_equal(np.concatenate([values for _, values in blocks]), dense.T @ dense)
