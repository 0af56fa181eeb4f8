"""Layers, towers and heads against hand-made values and NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tfzoo.layers import (
    AbsoluteError,
    IdEmbedding,
    KnownIdPenalty,
    SquaredError,
    dot_head,
    embedding_tower,
    mlp_head,
    row_tower,
    two_tower_model,
)


def randomise(model, seed=0):
    """Give every weight, biases included, a random value."""
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(size=weight.shape) for weight in model.weights])


def run(model, **inputs):
    return ops.convert_to_numpy(model({name: tf.constant(value) for name, value in inputs.items()}))


def relu(x):
    return np.maximum(x, 0)


def numpy_dense(layers, x, activations):
    """Apply the Dense layers of a model to ``x``, in their order."""
    dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
    for layer, activation in zip(dense, activations, strict=True):
        kernel, bias = layer.get_weights()
        x = activation(x @ kernel + bias)
    return x


def identity(x):
    return x


# IdEmbedding


def filled(counts):
    layer = IdEmbedding(4, 2)
    layer.build()
    layer.set_weights([np.array([[9, 9], [1, 2], [3, 6], [100, 100]], np.float32)])
    layer.fill_unseen(np.array(counts))
    return layer.get_weights()[0].tolist()


def test_unseen_rows_get_the_mean_of_the_trained_rows():
    assert filled([0, 2, 1, 0]) == [[2, 4], [1, 2], [3, 6], [2, 4]]


def test_row_zero_is_never_a_trained_row():
    assert filled([5, 1, 0, 0]) == [[1, 2], [1, 2], [1, 2], [1, 2]]


def test_a_table_without_trained_rows_stays():
    assert filled([3, 0, 0, 0]) == [[9, 9], [1, 2], [3, 6], [100, 100]]


# KnownIdPenalty


def test_the_penalty_is_the_mean_square_over_known_ids():
    layer = KnownIdPenalty(0.5)
    vectors = tf.constant([[1.0, 2.0], [30.0, 40.0], [5.0, 6.0]])
    found = layer(vectors, tf.constant([1, 0, 2]))
    np.testing.assert_array_equal(found, vectors)
    # 0.5 ((1 + 4) + (25 + 36)) / 2: the example with id 0 is not charged and not counted.
    assert [float(loss) for loss in layer.losses] == [16.5]


def test_a_batch_of_unknown_ids_costs_nothing():
    layer = KnownIdPenalty(0.5)
    layer(tf.ones([2, 3]), tf.constant([0, 0]))
    assert float(sum(layer.losses)) == 0


def test_an_id_is_charged_once_an_example():
    once, twice = KnownIdPenalty(1.0), KnownIdPenalty(1.0)
    once(tf.constant([[1.0], [2.0]]), tf.constant([1, 2]))
    twice(tf.constant([[1.0], [2.0], [2.0]]), tf.constant([1, 2, 2]))
    assert float(once.losses[0]) == pytest.approx(5 / 2)
    assert float(twice.losses[0]) == pytest.approx(9 / 3)


def test_no_gradient_reaches_row_zero():
    tower = embedding_tower("user", 3, 2, lookup_l2=1.0)
    with tf.GradientTape() as tape:
        tower({"user_id": tf.constant([0, 2, 0])})
        loss = sum(tower.losses)
    table = tower.get_layer("user_embedding").embeddings
    gradient = ops.convert_to_numpy(tf.convert_to_tensor(tape.gradient(loss, table.value)))
    np.testing.assert_allclose(gradient[2], 2 * ops.convert_to_numpy(table)[2], rtol=1e-6)
    assert not gradient[[0, 1, 3]].any()


@pytest.mark.parametrize("layer", [KnownIdPenalty(0.25, name="p"), IdEmbedding(5, 3, name="e")])
def test_layers_survive_serialisation(layer):
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(restored) is type(layer)
    assert restored.get_config() == layer.get_config()
    assert keras.saving.get_registered_name(type(layer)) == f"tfzoo>{type(layer).__name__}"


def test_the_restored_penalty_charges_the_same():
    restored = KnownIdPenalty.from_config(KnownIdPenalty(0.25).get_config())
    restored(tf.constant([[2.0]]), tf.constant([1]))
    assert float(restored.losses[0]) == 1.0


# Towers


def test_weights_have_names_that_tell_their_side():
    tower = embedding_tower("item", 4, 3, units=(2,), bias=True)
    assert tower.name == "item_tower"
    assert tower.get_layer("item_embedding").embeddings.path == "item_embedding/embeddings"
    assert tower.get_layer("item_bias").embeddings.path == "item_bias/embeddings"
    assert tower.get_layer("item_embedding").embeddings.shape == (5, 3)
    assert tower.get_layer("item_bias").embeddings.shape == (5, 1)


def test_an_embedding_tower_without_layers_is_its_table():
    tower = embedding_tower("user", 3, 2)
    randomise(tower)
    table = tower.get_layer("user_embedding").get_weights()[0]
    np.testing.assert_array_equal(run(tower, user_id=[3, 0, 3]), table[[3, 0, 3]])


@pytest.mark.parametrize(("last", "function"), [("relu", relu), (None, identity), ("tanh", np.tanh)])
def test_an_embedding_tower_equals_numpy(last, function):
    tower = embedding_tower("user", 6, 4, units=(5, 3), last_activation=last, bias=True)
    randomise(tower)
    ids = np.array([1, 6, 0, 2], np.int32)
    table = tower.get_layer("user_embedding").get_weights()[0]
    bias = tower.get_layer("user_bias").get_weights()[0]
    vector = numpy_dense(tower.layers, table[ids], [relu, function])
    expected = np.concatenate([vector, bias[ids]], axis=1)
    np.testing.assert_allclose(run(tower, user_id=ids), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("last", "function"), [("relu", relu), (None, identity)])
def test_a_row_tower_equals_numpy(last, function):
    tower = row_tower("item", 7, units=(5, 3), last_activation=last)
    randomise(tower)
    rows = np.random.default_rng(1).uniform(0, 5, (4, 7)).astype(np.float32)
    expected = numpy_dense(tower.layers, rows, [relu, function])
    np.testing.assert_allclose(run(tower, item_row=rows), expected, rtol=1e-5, atol=1e-5)


def test_an_embedding_towers_penalties_by_hand():
    tower = embedding_tower(
        "user", 2, 2, units=(3,), dense_l2=0.1, lookup_l2=0.01, output_l2=0.001, bias=True
    )
    tower.set_weights([np.ones(weight.shape) for weight in tower.weights])
    tower({"user_id": tf.constant([1, 0, 2])})
    # Kernel 2 x 3 and bias 3; looked-up rows of squared length 2 and biases of 1;
    # outputs (3, 3, 3), since 1 + 1 + 1 = 3.
    expected = 0.1 * (6 + 3) + 0.01 * (2 + 1) + 0.001 * 27
    assert float(sum(tower.losses)) == pytest.approx(expected, rel=1e-6)


def test_towers_without_penalties_have_no_losses():
    tower = embedding_tower("user", 2, 2, units=(3,), bias=True)
    tower({"user_id": tf.constant([1])})
    assert tower.losses == []


@pytest.mark.parametrize("option", ["dropout", "embedding_dropout"])
def test_dropout_acts_in_training_only(option):
    tower = embedding_tower("user", 2, 64, units=(64,), last_activation=None, **{option: 0.5})
    ids = {"user_id": tf.constant([1, 2])}
    calm = [tower(ids, training=False).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*calm)
    assert not np.array_equal(tower(ids, training=True), calm[0])


def test_input_dropout_acts_on_the_row():
    tower = row_tower("user", 50, units=(1,), last_activation=None, input_dropout=0.5)
    tower.set_weights([np.ones((50, 1)), np.zeros(1)])
    found = run(tower, user_row=np.ones((1, 50), np.float32))
    assert found.item() == 50
    kept = tower({"user_row": tf.ones([1, 50])}, training=True).numpy().item() / 2
    assert kept == int(kept)
    assert 5 < kept < 45


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_towers_and_heads_give_float32_under_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    towers = [
        embedding_tower("user", 4, 3, units=(6, 2), lookup_l2=0.1, output_l2=0.1, bias=True),
        embedding_tower("user", 4, 3),
        row_tower("user", 5, units=(6, 2)),
    ]
    inputs = {"user_id": tf.constant([1, 2]), "user_row": tf.ones([2, 5])}
    for tower in towers:
        name = tower.inputs[0].name
        assert tower.outputs[0].dtype == "float32"
        assert tower({name: inputs[name]}).dtype == tf.float32
        assert {weight.dtype for weight in tower.weights} == {"float32"}
        assert all(tf.as_dtype(loss.dtype) == tf.float32 for loss in tower.losses)
    vectors = {"user_vector": tf.ones([2, 4]), "item_vector": tf.ones([2, 4])}
    for head in (dot_head(4, biases=True, sigmoid_scale=(1, 5)), mlp_head(4, 4, units=(3,), biases=True)):
        assert head(vectors).dtype == tf.float32


def test_the_dot_product_is_not_rounded_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    # 1 + 2^-20 is not a float16, and 300^2 is above its range.
    found = run(dot_head(2), user_vector=[[1 + 2**-20, 0], [300.0, 0]], item_vector=[[1.0, 0], [300.0, 0]])
    assert found.tolist() == [1 + 2**-20, 90_000]


# Heads

PAIR = {"user_vector": [[1.0, 2.0, 0.5]], "item_vector": [[3.0, 4.0, -1.0]]}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 1 * 3 + 2 * 4 - 0.5),
        ({"biases": True}, 1 * 3 + 2 * 4 + 0.5 - 1),
        ({"mean_rating": 3.5}, 10.5 + 3.5),
        ({"biases": True, "mean_rating": 3.5}, 10.5 + 3.5),
    ],
)
def test_dot_head_by_hand(options, expected):
    found = run(dot_head(3, **options), **PAIR)
    assert found.shape == (1,)
    assert found[0] == pytest.approx(expected)


def test_dot_head_with_sigmoid_by_hand():
    # The logistic function is 1/2 at 0, 3/4 at log 3 and 1/4 at -log 3.
    head = dot_head(1, sigmoid_scale=(1.0, 5.0))
    found = run(head, user_vector=[[0.0], [np.log(3)], [np.log(3)]], item_vector=[[1.0], [1.0], [-1.0]])
    np.testing.assert_allclose(found, [3, 4, 2], rtol=1e-6)


def test_dot_head_has_no_weights():
    assert dot_head(3, biases=True, mean_rating=3).weights == []


@pytest.mark.parametrize("biases", [False, True])
def test_mlp_head_of_ones_by_hand(biases):
    head = mlp_head(3, 3, units=(2,), biases=biases, mean_rating=10.0)
    head.set_weights([np.ones(weight.shape) for weight in head.weights])
    # Without biases each hidden unit is 1 + 2 + 0.5 + 3 + 4 - 1 + 1 = 10.5, else 1 + 2 + 3 + 4 + 1 = 11.
    expected = 11 + 11 + 1 + (0.5 - 1) + 10 if biases else 10.5 + 10.5 + 1 + 10
    assert run(head, **PAIR)[0] == pytest.approx(expected)


@pytest.mark.parametrize(("activation", "function"), [("relu", relu), (None, identity)])
@pytest.mark.parametrize("units", [(), (6,), (6, 5)])
def test_mlp_head_equals_numpy(activation, function, units):
    head = mlp_head(4, 3, units=units, activation=activation)
    randomise(head)
    random = np.random.default_rng(2)
    user, item = (random.normal(size=(8, width)).astype(np.float32) for width in (4, 3))
    expected = numpy_dense(head.layers, np.concatenate([user, item], 1), [relu] * len(units) + [function])
    found = run(head, user_vector=user, item_vector=item)
    np.testing.assert_allclose(found, expected[:, 0], rtol=1e-5, atol=1e-5)


def test_mlp_head_penalty_by_hand():
    head = mlp_head(2, 1, units=(2,), dense_l2=0.1)
    head.set_weights([np.ones(weight.shape) for weight in head.weights])
    # Kernel 3 x 2, bias 2, kernel 2 x 1, bias 1.
    assert float(sum(head.losses)) == pytest.approx(0.1 * (6 + 2 + 2 + 1), rel=1e-6)


def test_two_tower_model_by_hand():
    towers = [embedding_tower(side, 2, 2) for side in ("user", "item")]
    towers[0].set_weights([np.array([[0, 0], [1, 2], [3, 4]])])
    towers[1].set_weights([np.array([[0, 0], [5, 6], [7, 8]])])
    model = two_tower_model(*towers, dot_head(2), name="pair")
    found = model({"user_id": tf.constant([1, 2, 0]), "item_id": tf.constant([2, 1, 1])})
    assert list(found) == ["rating"]
    assert found["rating"].numpy().tolist() == [1 * 7 + 2 * 8, 3 * 5 + 4 * 6, 0]
    assert {tensor.name: (tensor.dtype, tensor.shape) for tensor in model.inputs} == {
        "user_id": ("int32", (None,)),
        "item_id": ("int32", (None,)),
    }


# Losses


@pytest.mark.parametrize(("loss", "errors"), [(SquaredError(), [1, 4, 81]), (AbsoluteError(), [1, 2, 9])])
def test_losses_by_hand(loss, errors):
    truth, prediction = tf.constant([1, 2, 0]), tf.constant([2.0, 4.0, -9.0])
    np.testing.assert_array_equal(loss.call(truth, prediction), errors)
    assert float(loss(truth, prediction)) == pytest.approx(sum(errors) / 3)
    for weight in ([1.0, 1.0, 0.0], [3.0, 1.0, 0.0]):
        expected = np.average(errors, weights=weight)
        assert float(loss(truth, prediction, sample_weight=tf.constant(weight))) == pytest.approx(expected)
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert float(restored(truth, prediction)) == pytest.approx(sum(errors) / 3)
