"""ADRS: against a forward pass in NumPy, size, limiting cases."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfzoo.errors import UsageError
from tfzoo.layers import WordTable
from tfzoo.models import create_model, model_info

WORDS, LENGTH = 15, 9
SMALL = {
    "vocabulary_size": WORDS,
    "embedding_dim": 6,
    "document_length": LENGTH,
    "filters": 5,
    "hidden_units": 4,
}
USERS, ITEMS = 7, 4
SIDES = ("user", "item")


def build(seed=0, scale=0.5, **options):
    """Build a small model with random weights, biases included."""
    model = create_model("adrs", USERS, ITEMS, **{**SMALL, **options})
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(scale=scale, size=weight.shape) for weight in model.weights])
    return model


def random_inputs(batch, seed=0, fewest=0):
    random = np.random.default_rng(seed)
    inputs = {}
    for side, known in zip(SIDES, (USERS, ITEMS), strict=True):
        tokens = random.integers(1, WORDS, (batch, LENGTH))
        words = random.integers(fewest, LENGTH + 1, (batch, 1))
        inputs[f"{side}_tokens"] = tf.constant(np.where(np.arange(LENGTH) < words, tokens, 0), tf.int32)
        inputs[f"{side}_id"] = tf.constant(random.integers(0, known + 1, batch), tf.int32)
    return inputs


def weights_of(model):
    """Return the weights by the last part of their layer's name."""
    found = {}
    for side in SIDES:
        tower = model.get_layer(f"{side}_tower")
        for name in ("words", "convolution", "bias"):
            found[side, name] = tower.get_layer(f"{side}_{name}").get_weights()
        found[side, "importance"] = model.get_layer("head").get_layer(f"{side}_importance").get_weights()[0]
    for name in ("attentive_pooling", "interaction", "rating_unit"):
        found[name] = model.get_layer("head").get_layer(name).get_weights()[0]
    return found


def convolved(tokens, table, kernel, bias):
    """Return the vectors of the places that hold a word, by a loop over places and windows."""
    vectors = np.where(tokens[:, None] == 0, 0, table[tokens])
    before = (len(kernel) - 1) // 2
    rows = []
    for place in np.flatnonzero(tokens):
        total = bias.copy()
        for offset in range(len(kernel)):
            neighbour = place + offset - before
            if 0 <= neighbour < len(tokens):
                total = total + vectors[neighbour] @ kernel[offset]
        rows.append(np.maximum(total, 0))
    rows = np.array(rows).reshape(-1, len(bias))
    return rows[rows.any(axis=1)]


def rate_by_hand(weights, user_tokens, user_id, item_tokens, item_id, mean):
    offset = mean + weights["user", "bias"][0][user_id, 0] + weights["item", "bias"][0][item_id, 0]
    user, item = (
        convolved(tokens, *weights[side, "words"], *weights[side, "convolution"])
        for side, tokens in (("user", user_tokens), ("item", item_tokens))
    )
    if not len(user) or not len(item):
        return offset
    scores = np.tanh(user @ weights["attentive_pooling"] @ item.T)
    pooled_user, pooled_item = (
        np.exp(best) / np.exp(best).sum() @ rows
        for best, rows in ((scores.max(axis=1), user), (scores.max(axis=0), item))
    )
    both = np.concatenate([pooled_user, pooled_item, pooled_user * pooled_item])
    importance = {side: 1 / (1 + np.exp(-both @ weights[side, "importance"][:, 0])) for side in SIDES}
    product = (importance["user"] * pooled_user) * (importance["item"] * pooled_item)
    return offset + np.maximum(product @ weights["interaction"], 0) @ weights["rating_unit"][:, 0]


def test_it_is_registered_as_a_reconstruction():
    info = model_info("adrs")
    assert (info.task, info.paper.year, info.reconstruction) == ("review-rating", 2021, True)


def test_inputs_and_outputs_are_those_of_the_contract():
    model = create_model("adrs", USERS, ITEMS)
    assert {key: (tensor.dtype, tensor.shape) for key, tensor in model.input.items()} == {
        "user_tokens": ("int32", (None, 300)),
        "user_id": ("int32", (None,)),
        "item_tokens": ("int32", (None, 300)),
        "item_id": ("int32", (None,)),
    }
    assert {key: (tensor.dtype, tensor.shape) for key, tensor in model.output.items()} == {
        "rating": ("float32", (None,))
    }


@pytest.mark.parametrize(
    ("options", "words", "others"),
    [
        # 2 (3 * 300 * 100 + 100) + 100^2 + 6 * 100 + 101 * 100 + 8 + 5
        ({}, 2 * 20_002 * 300, 200_913),
        # 2 (2 * 6 * 5 + 5) + 5^2 + 6 * 5 + 6 * 4 + 8 + 5
        ({**SMALL, "kernel_size": 2}, 2 * 15 * 6, 222),
    ],
)
def test_the_number_of_parameters(options, words, others):
    model = create_model("adrs", USERS, ITEMS, **options)
    layers = [layer for side in SIDES for layer in model.get_layer(f"{side}_tower").layers]
    tables = [layer for layer in layers if isinstance(layer, WordTable)]
    assert sum(math.prod(table.embeddings.shape) for table in tables) == words
    assert model.count_params() - words == others


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4])
@pytest.mark.parametrize("training", [True, False])
def test_ratings_are_those_of_the_formulae(kernel_size, training):
    model = build(scale=1.0, kernel_size=kernel_size, mean_rating=3.5, dropout=0.0)
    # Products of what comes out of relus are not negative: two hidden units are open, two closed.
    interaction = model.get_layer("head").get_layer("interaction")
    interaction.set_weights([np.abs(interaction.get_weights()[0]) * [1, 1, -1, -1]])
    inputs = random_inputs(20)
    # The longest documents, one word, and none on either side or on both.
    for side, row in (("user", 0), ("item", 1), ("user", 2), ("item", 2)):
        tokens = inputs[f"{side}_tokens"].numpy()
        tokens[row] = 0
        tokens[3:5] = [[3, *[0] * (LENGTH - 1)], np.arange(1, LENGTH + 1)]
        inputs[f"{side}_tokens"] = tf.constant(tokens)
    weights, arrays = weights_of(model), {key: value.numpy() for key, value in inputs.items()}
    order = ("user_tokens", "user_id", "item_tokens", "item_id")
    rows = [[arrays[key][row] for key in order] for row in range(20)]
    found = model(inputs, training=training)["rating"]
    np.testing.assert_allclose(
        found, [rate_by_hand(weights, *row, 3.5) for row in rows], rtol=1e-4, atol=1e-4
    )
    without_text = {**weights, "rating_unit": np.zeros((4, 1))}
    assert np.std(found - [rate_by_hand(without_text, *row, 3.5) for row in rows]) > 0.1


def test_attention_sums_to_one_and_leaves_padding_out():
    model, inputs = build(), random_inputs(12, fewest=1)
    maps = []
    for side in SIDES:
        vector = model.get_layer(f"{side}_tower")(
            {key: inputs[key] for key in (f"{side}_tokens", f"{side}_id")}
        )
        maps.append(tf.reshape(vector[:, :-1], [-1, LENGTH, 5]))
    weights = model.get_layer("head").get_layer("attentive_pooling").attention(*maps)
    for side, attention in zip(SIDES, weights, strict=True):
        padding = inputs[f"{side}_tokens"].numpy() == 0
        assert padding.any()
        assert not attention.numpy()[padding].any()
        says_something = tf.reduce_any(maps[SIDES.index(side)] != 0, axis=[1, 2]).numpy()
        assert says_something.any()
        np.testing.assert_allclose(attention.numpy().sum(axis=1), says_something, rtol=1e-5)


def test_constant_documents_leave_biases_and_a_constant():
    model = build(mean_rating=3.0)
    users, items = (grid.ravel() for grid in np.meshgrid(np.arange(USERS + 1), np.arange(ITEMS + 1)))
    user_document, item_document = [3, 5, 7, 2, 0, 0, 0, 0, 0], [4, 4, 9, 1, 6, 8, 0, 0, 0]
    found = model(
        {
            "user_tokens": tf.constant([user_document] * len(users)),
            "user_id": tf.constant(users, tf.int32),
            "item_tokens": tf.constant([item_document] * len(users)),
            "item_id": tf.constant(items, tf.int32),
        }
    )["rating"].numpy()
    weights = weights_of(model)
    biases = weights["user", "bias"][0][users, 0] + weights["item", "bias"][0][items, 0]
    np.testing.assert_allclose(np.ptp(found - biases), 0, atol=1e-5)
    assert np.ptp(found) > 0.5


def test_empty_documents_are_rated_by_the_biases_alone():
    model, inputs = build(mean_rating=3.0), random_inputs(8, fewest=1)
    weights = weights_of(model)
    biases = sum(weights[side, "bias"][0][inputs[f"{side}_id"].numpy(), 0] for side in SIDES)
    assert np.abs(model(inputs)["rating"] - biases - 3.0).max() > 1e-2
    for empty in (["user"], ["item"], ["user", "item"]):
        documents = {f"{side}_tokens": tf.zeros([8, LENGTH], tf.int32) for side in empty}
        np.testing.assert_allclose(model({**inputs, **documents})["rating"], biases + 3.0, rtol=1e-6)


def test_a_new_model_knows_nothing_of_users_and_items():
    model = create_model("adrs", USERS, ITEMS, **SMALL)
    for side in SIDES:
        assert not weights_of(model)[side, "bias"][0].any()


def test_with_tied_weights_swapped_documents_transpose_the_attention():
    model, inputs = build(), random_inputs(6, fewest=2)
    towers = {side: model.get_layer(f"{side}_tower") for side in SIDES}
    for name in ("words", "convolution"):
        towers["item"].get_layer(f"item_{name}").set_weights(
            towers["user"].get_layer(f"user_{name}").get_weights()
        )
    pooling = model.get_layer("head").get_layer("attentive_pooling")
    pooling.set_weights([pooling.get_weights()[0] + pooling.get_weights()[0].T])

    def attention(documents):
        maps = [
            tf.reshape(
                towers[side]({f"{side}_tokens": tokens, f"{side}_id": tf.zeros([6], tf.int32)})[:, :-1],
                [6, LENGTH, 5],
            )
            for side, tokens in zip(SIDES, documents, strict=True)
        ]
        return pooling.products(*maps).numpy(), pooling.attention(*maps)

    documents = [inputs[f"{side}_tokens"] for side in SIDES]
    (products, weights), (swapped, swapped_weights) = attention(documents), attention(documents[::-1])
    np.testing.assert_allclose(swapped, np.swapaxes(products, 1, 2), rtol=1e-4, atol=1e-5)
    for one, other in zip(swapped_weights[::-1], weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert not np.allclose(swapped, products, atol=1e-2)


def test_more_padding_changes_nothing():
    short, inputs = build(), random_inputs(8)
    long = create_model("adrs", USERS, ITEMS, **{**SMALL, "document_length": LENGTH + 4})
    long.set_weights(short.get_weights())
    padded = {
        key: tf.pad(value, [[0, 0], [0, 4]]) if "tokens" in key else value for key, value in inputs.items()
    }
    np.testing.assert_allclose(long(padded)["rating"], short(inputs)["rating"], rtol=1e-5, atol=1e-5)


def test_gradients_are_finite_and_reach_every_weight_also_beside_empty_documents():
    model = build(dropout=0.0)
    # Positive weights, so that no relu is closed; of small size, so that no tanh is flat.
    model.set_weights([np.abs(weight) * 0.3 for weight in model.get_weights()])
    inputs = random_inputs(32)
    assert any((inputs[f"{side}_tokens"].numpy() == 0).all(axis=1).any() for side in SIDES)
    for empty in ([], ["user"], ["user", "item"]):
        documents = {f"{side}_tokens": tf.zeros([32, LENGTH], tf.int32) for side in empty}
        with tf.GradientTape() as tape:
            rating = model({**inputs, **documents}, training=True)["rating"]
            loss = tf.reduce_mean(tf.square(rating - 3.0))
        gradients = tape.gradient(loss, model.trainable_variables)
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
            assert gradient is not None, variable.path
            values = tf.convert_to_tensor(gradient).numpy()
            assert np.isfinite(values).all(), variable.path
            assert values.any() or empty, variable.path


def test_dropout_and_the_penalty_on_biases_act_in_training_alone():
    model, plain, inputs = build(dropout=0.9, tower_dropout=0.5, bias_l2=0.1), build(), random_inputs(6)
    np.testing.assert_array_equal(model(inputs)["rating"], plain(inputs)["rating"])
    one, other = (model(inputs, training=True)["rating"].numpy() for _ in range(2))
    assert not np.array_equal(one, other)
    expected = 0.0
    for side in SIDES:
        ids = inputs[f"{side}_id"].numpy()
        rows = weights_of(model)[side, "bias"][0][ids, 0]
        expected += 0.1 * np.mean(rows[ids > 0] ** 2)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


def test_word_vectors_can_be_kept_as_they_are():
    free, frozen = build(), build(train_words=False)
    assert len(free.trainable_variables) - len(frozen.trainable_variables) == 2


def test_a_saved_model_gives_the_same_ratings(tmp_path):
    model, inputs = build(tower_dropout=0.2), random_inputs(8)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(loaded(inputs)["rating"], model(inputs)["rating"])


@pytest.mark.parametrize("option", ["document_length", "embedding_dim", "hidden_units", "filters"])
def test_sizes_below_one_are_refused(option):
    with pytest.raises(UsageError, match=f"{option}=0"):
        create_model("adrs", 1, 1, **{**SMALL, option: 0})


def test_a_vocabulary_without_words_is_refused():
    with pytest.raises(UsageError, match="vocabulary_size=2"):
        create_model("adrs", 1, 1, **{**SMALL, "vocabulary_size": 2})
