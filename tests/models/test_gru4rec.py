"""GRU4Rec's model: size, one step by hand, embeddings, dropout, initial weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfzoo.layers import BlockUniform, GRUStep, ItemScores
from tfzoo.models import create_model

ITEMS = 8
KINDS = ("shared", "separate", "none")


def build(seed=0, scale=0.5, items=ITEMS, **options):
    """Build a small model with random weights, biases included."""
    model = create_model("gru4rec", 1, items, **{"units": (4,), **options})
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(scale=scale, size=weight.shape) for weight in model.weights])
    return model


def states(batch, *widths, seed=1):
    random = np.random.default_rng(seed)
    return {
        f"state_{number}": tf.constant(random.normal(size=(batch, width)), tf.float32)
        for number, width in enumerate(widths)
    }


def inputs(item_id, *widths, **options):
    return {"item_id": tf.constant(item_id, tf.int32), **states(len(item_id), *widths, **options)}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_by_hand(x, h, kernel, gate_kernel, candidate_kernel, bias):
    """One step of one example, gate by gate; the gates' order is candidate, reset, update."""
    units = len(h)
    inner = (x if kernel is None else x @ kernel) + bias
    r = sigmoid(inner[units : 2 * units] + h @ gate_kernel[:, :units])
    z = sigmoid(inner[2 * units :] + h @ gate_kernel[:, units:])
    candidate = np.tanh(inner[:units] + (r * h) @ candidate_kernel)
    return (1 - z) * h + z * candidate


def step_weights(model, number=0):
    layer = model.get_layer(f"gru_{number}")
    kernel = None if layer.projected else layer.kernel.numpy()
    return kernel, layer.gate_kernel.numpy(), layer.candidate_kernel.numpy(), layer.bias.numpy()


# Size


@pytest.mark.parametrize("rows", [37_483, 3_416])
def test_the_number_of_parameters_is_the_papers(rows):
    h = 100
    expected = {
        "none": rows * 3 * h + 2 * h**2 + h**2 + 3 * h + rows * h + rows,
        "shared": rows * h + 3 * h**2 + 3 * h**2 + 3 * h + rows,
        "separate": 2 * rows * h + 3 * h**2 + 3 * h**2 + 3 * h + rows,
    }
    printed = {
        37_483: {"none": 15_060_983, "shared": 3_846_083},
        3_416: {"none": 1_400_116, "shared": 405_316},
    }
    for kind, number in expected.items():
        model = create_model("gru4rec", 5, rows - 1, embedding=kind)
        assert model.count_params() == number == printed[rows].get(kind, number)
        assert all(weight.trainable for weight in model.weights)


def test_the_shared_table_is_one_weight():
    model = create_model("gru4rec", 1, ITEMS)
    tables = [weight for weight in model.weights if weight.shape == (ITEMS + 1, 100)]
    assert [weight.path for weight in tables] == ["item_scores/table"]


# One step


@pytest.mark.parametrize("kind", KINDS)
def test_one_step_by_hand(kind):
    model = build(embedding=kind, final_activation="elu", elu_alpha=0.5)
    given = inputs([3, 8, 1], 4)
    found = model(given, training=False)
    layer = model.get_layer("item_scores")
    table = layer.table.numpy() if kind == "shared" else model.get_layer("item_embedding").embeddings.numpy()
    for row, item in enumerate([3, 8, 1]):
        hidden = gru_by_hand(table[item], given["state_0"][row].numpy(), *step_weights(model))
        raw = layer.table.numpy() @ hidden + layer.bias.numpy()
        np.testing.assert_allclose(found["state_0"][row], hidden, rtol=1e-4, atol=1e-5)
        scores = np.where(raw > 0, raw, 0.5 * np.expm1(raw))
        np.testing.assert_allclose(found["scores"][row], scores, rtol=1e-4, atol=1e-5)


def test_two_layers_feed_each_other():
    model = build(units=(3, 5), embedding="separate", embedding_dim=6)
    given = inputs([2, 7], 3, 5)
    found = model(given, training=False)
    table = model.get_layer("item_embedding").embeddings.numpy()
    assert table.shape == (ITEMS + 1, 6)
    for row, item in enumerate([2, 7]):
        first = gru_by_hand(table[item], given["state_0"][row].numpy(), *step_weights(model, 0))
        second = gru_by_hand(first, given["state_1"][row].numpy(), *step_weights(model, 1))
        np.testing.assert_allclose(found["state_0"][row], first, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found["state_1"][row], second, rtol=1e-4, atol=1e-5)


def test_a_shared_embedding_has_the_width_of_the_last_layer():
    model = build(units=(3, 5))
    assert model.get_layer("gru_0").kernel.shape == (5, 9)
    assert set(model(inputs([1], 3, 5))) == {"state_0", "state_1", "scores"}


def test_a_separate_table_with_the_same_rows_gives_the_shared_models_scores():
    shared, separate = build(), build(seed=1, embedding="separate")
    for layer in ("gru_0", "item_scores"):
        separate.get_layer(layer).set_weights(shared.get_layer(layer).get_weights())
    given = inputs([1, 5, 8], 4)
    assert not np.allclose(separate(given)["scores"], shared(given)["scores"], atol=1e-3)
    separate.get_layer("item_embedding").set_weights([shared.get_layer("item_scores").table.numpy()])
    np.testing.assert_allclose(separate(given)["scores"], shared(given)["scores"], rtol=1e-5, atol=1e-6)


def test_no_embedding_is_the_product_of_a_one_hot_item():
    none, separate = build(embedding="none"), build(seed=1, embedding="separate", embedding_dim=ITEMS + 1)
    gates = none.get_layer("item_embedding").embeddings.numpy()
    separate.get_layer("item_embedding").set_weights([np.eye(ITEMS + 1)])
    separate.get_layer("gru_0").set_weights([gates, *none.get_layer("gru_0").get_weights()])
    separate.get_layer("item_scores").set_weights(none.get_layer("item_scores").get_weights())
    given = inputs([1, 5, 8], 4)
    np.testing.assert_allclose(separate(given)["scores"], none(given)["scores"], rtol=1e-5, atol=1e-6)


def test_the_unknown_item_leaves_the_states_as_they_are():
    model = build(units=(3, 5))
    given = inputs([0, 4], 3, 5)
    found = model(given, training=False)
    for name in ("state_0", "state_1"):
        np.testing.assert_array_equal(found[name][0], given[name][0])
        assert not np.allclose(found[name][1], given[name][1], atol=1e-3)


def test_a_session_after_a_reset_gives_the_same_scores_as_before():
    model = build()

    def play(items, state):
        for item in items:
            out = model({"item_id": tf.constant([item]), "state_0": state}, training=False)
            state = out["state_0"]
        return out["scores"].numpy(), state

    zero = tf.zeros([1, 4])
    first, state = play([1, 2, 3], zero)
    again, _ = play([1, 2, 3], zero)
    without_reset, _ = play([1, 2, 3], state)
    np.testing.assert_array_equal(again, first)
    assert not np.allclose(without_reset, first, atol=1e-4)


def test_gradients_do_not_flow_into_the_state_of_the_step_before():
    model = build()
    given = inputs([1, 2], 4)
    with tf.GradientTape() as tape:
        tape.watch(given["state_0"])
        scores = model(given)["scores"]
    assert tape.gradient(scores, given["state_0"]) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_reaches_every_weight(kind):
    model = build(embedding=kind)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(model(inputs([1, 2, 3], 4), training=True)["scores"]))
    for weight, gradient in zip(
        model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True
    ):
        assert tf.reduce_any(tf.convert_to_tensor(gradient) != 0), weight.path


# Scores of chosen items, activations


@pytest.mark.parametrize("activation", ["linear", "elu", "tanh", "relu", "leaky_relu", "selu", "softplus"])
def test_chosen_items_have_the_scores_that_they_have_among_all(activation):
    layer = build(final_activation=activation).get_layer("item_scores")
    hidden = tf.random.stateless_normal([3, 4], [0, 1])
    chosen = tf.constant([5, 1, 5, 0])
    np.testing.assert_allclose(
        layer.of(hidden, chosen), tf.gather(layer(hidden), chosen, axis=1), rtol=1e-5, atol=1e-6
    )


def test_activations_differ_and_are_the_named_ones():
    given = inputs([1, 2, 3], 4)
    raw = build()(given)["scores"].numpy()
    assert raw.min() < -0.1
    np.testing.assert_allclose(build(final_activation="tanh")(given)["scores"], np.tanh(raw), rtol=1e-5)
    np.testing.assert_allclose(build(final_activation="relu")(given)["scores"], np.maximum(raw, 0), rtol=1e-5)


def test_the_gradient_of_chosen_items_touches_their_rows_alone():
    layer = build().get_layer("item_scores")
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer.of(tf.ones([2, 4]), tf.constant([3, 7, 3])))
    for gradient in tape.gradient(total, [layer.table.value, layer.bias.value]):
        assert isinstance(gradient, tf.IndexedSlices)
        assert set(gradient.indices.numpy()) == {3, 7}


# Dropout


def test_each_dropout_rate_is_its_own():
    model = build(embedding_dropout=0.25, hidden_dropout=0.5)
    assert model.get_layer("embedding_dropout").rate == 0.25
    assert model.get_layer("hidden_dropout_0").rate == 0.5
    names = [layer.name for layer in build().layers]
    assert not any("dropout" in name for name in names)


def test_hidden_dropout_acts_on_the_carried_state_and_in_training_alone():
    keras.utils.set_random_seed(0)
    model = create_model("gru4rec", 1, ITEMS, units=(200,), hidden_dropout=0.4)
    given = inputs([1, 2, 3], 200)
    exact, dropped = model(given, training=False)["state_0"], model(given, training=True)["state_0"].numpy()
    assert 0.3 < np.mean(dropped == 0) < 0.5
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], exact.numpy()[kept] / 0.6, rtol=1e-5)


def test_embedding_dropout_changes_training_alone():
    keras.utils.set_random_seed(0)
    model = build(embedding_dropout=0.5)
    given = inputs([1, 2, 3], 4)
    plain = build()(given)["scores"]
    np.testing.assert_array_equal(model(given, training=False)["scores"], plain)
    assert not np.allclose(model(given, training=True)["scores"], plain, atol=1e-3)


# Initial weights


@pytest.mark.parametrize("kind", KINDS)
def test_every_gate_starts_as_a_matrix_of_its_own(kind):
    model = create_model("gru4rec", 1, 3000, units=(50,), embedding=kind)
    layer = model.get_layer("gru_0")
    square = np.sqrt(6 / 100)
    table = np.sqrt(6 / (3001 + 50))
    bounds = [(layer.gate_kernel, square), (layer.candidate_kernel, square)]
    bounds.append((model.get_layer("item_scores").table, table))
    if kind != "none":
        bounds.append((layer.kernel, square))
    if kind != "shared":
        bounds.append((model.get_layer("item_embedding").embeddings, table))
    for weight, bound in bounds:
        largest = np.abs(weight.numpy()).max()
        assert 0.99 * bound < largest <= bound, weight.path
        np.testing.assert_allclose(weight.numpy().std(), bound / np.sqrt(3), rtol=0.05)
    assert not layer.bias.numpy().any()
    assert not model.get_layer("item_scores").bias.numpy().any()
    assert len(model.weights) == len(bounds) + 2


def test_the_initial_numbers_of_two_weights_differ():
    layer = create_model("gru4rec", 1, 3).get_layer("gru_0")
    assert not np.allclose(layer.gate_kernel.numpy()[:, :100], layer.candidate_kernel.numpy())
    assert not np.allclose(layer.gate_kernel.numpy()[:, :100], layer.gate_kernel.numpy()[:, 100:])


# Precision, files, errors


def test_mixed_precision_gives_float32_near_the_full_result():
    given = inputs([3, 8, 1], 4)
    expected = build()(given)
    keras.config.set_dtype_policy("mixed_float16")
    model = build()
    found = model(given)
    assert {key: value.dtype for key, value in found.items()} == dict.fromkeys(found, tf.float32)
    assert {weight.dtype for weight in model.weights} == {"float32"}
    for key, value in found.items():
        np.testing.assert_allclose(value, expected[key], rtol=0.01, atol=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_model_is_the_same_and_still_shares_its_table(kind, tmp_path):
    options = {} if kind == "none" else {"embedding_dropout": 0.1}
    model = build(embedding=kind, units=(4, 4), hidden_dropout=0.1, final_activation="elu", **options)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert loaded.count_params() == model.count_params()
    given = inputs([1, 5, 8], 4, 4)
    for key, value in model(given).items():
        np.testing.assert_array_equal(loaded(given)[key], value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": ()}, "`units` needs at least one layer"),
        ({"embedding": "tied"}, "`embedding` must be one of"),
        ({"embedding_dim": 5}, "`embedding_dim` is for a separate embedding only"),
        ({"embedding": "none", "embedding_dropout": 0.1}, "`embedding_dropout` needs an embedding"),
        ({"final_activation": "softmax"}, "`activation` must be one of"),
    ],
)
def test_options_that_make_no_model_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        create_model("gru4rec", 1, ITEMS, **options)


@pytest.mark.parametrize(
    "thing", [GRUStep(3, projected=True), ItemScores(5, 3, activation="elu", elu_alpha=0.5), BlockUniform(3)]
)
def test_layers_can_be_written_down_and_read_again(thing):
    assert type(thing).from_config(thing.get_config()).get_config() == thing.get_config()
