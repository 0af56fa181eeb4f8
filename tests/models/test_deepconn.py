"""DeepCoNN: contract, size, limiting cases."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfzoo.errors import UsageError
from tfzoo.layers import FactorizationMachine, WordTable
from tfzoo.models import create_model, model_info

SMALL = {
    "vocabulary_size": 15,
    "embedding_dim": 6,
    "document_length": 9,
    "filters": 5,
    "latent_dim": 4,
    "fm_factors": 3,
}
SIDES = ("user", "item")


def build(seed=0, scale=0.5, **options):
    """Build a small model with random weights, biases included."""
    model = create_model("deepconn", 4, 3, **{**SMALL, **options})
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(scale=scale, size=weight.shape) for weight in model.weights])
    return model


def random_inputs(batch, seed=0):
    random = np.random.default_rng(seed)
    inputs = {}
    for side in SIDES:
        tokens = random.integers(1, 15, (batch, 9))
        words = random.integers(0, 10, (batch, 1))
        inputs[f"{side}_tokens"] = tf.constant(np.where(np.arange(9) < words, tokens, 0), tf.int32)
    return inputs


def word_tables(model):
    layers = {id(layer): layer for side in SIDES for layer in model.get_layer(f"{side}_tower").layers}
    return [layer for layer in layers.values() if isinstance(layer, WordTable)]


def test_it_is_registered():
    info = model_info("deepconn")
    assert (info.task, info.paper.year) == ("review-rating", 2017)


def test_inputs_and_outputs_are_those_of_the_contract():
    model = create_model("deepconn", 4, 3)
    assert {key: (tensor.dtype, tensor.shape) for key, tensor in model.input.items()} == {
        "user_tokens": ("int32", (None, 500)),
        "item_tokens": ("int32", (None, 500)),
    }
    assert {key: (tensor.dtype, tensor.shape) for key, tensor in model.output.items()} == {
        "rating": ("float32", (None,))
    }


def test_the_number_of_parameters_is_that_of_the_port():
    model = create_model("deepconn", 4, 3)
    tables = word_tables(model)
    words = sum(math.prod(table.embeddings.shape) for table in tables)
    assert [tuple(table.embeddings.shape) for table in tables] == [(20_002, 300)] * 2
    # 2 (3 * 300 * 100 + 100) + 2 (100 * 32 + 32) + 64 + 64 * 8 + 1
    assert sum(math.prod(weight.shape) for weight in model.trainable_variables) - words == 187_241


def test_towers_and_head_compose_to_the_model():
    model, inputs = build(), random_inputs(6)
    vectors = {
        f"{side}_vector": model.get_layer(f"{side}_tower")({f"{side}_tokens": inputs[f"{side}_tokens"]})
        for side in SIDES
    }
    assert vectors["user_vector"].shape == (6, 4)
    np.testing.assert_array_equal(model.get_layer("head")(vectors), model(inputs)["rating"])


def test_without_pairwise_weights_the_head_is_linear_in_both_vectors():
    model = build(mean_rating=3.5)
    head = model.get_layer("head")
    machine = head.get_layer("factorization_machine")
    bias, linear, pairwise = machine.get_weights()
    user, item = np.random.default_rng(1).normal(size=(2, 8, 4)).astype(np.float32)
    expected = 3.5 + bias + user @ linear[:4] + item @ linear[4:]
    vectors = {"user_vector": user, "item_vector": item}
    assert not np.allclose(head(vectors), expected, atol=0.05)
    machine.set_weights([bias, linear, np.zeros_like(pairwise)])
    np.testing.assert_allclose(head(vectors), expected, rtol=1e-5, atol=1e-5)


def test_the_head_is_a_factorization_machine_on_both_vectors_side_by_side():
    model = build(mean_rating=3.5)
    head = model.get_layer("head")
    machine = FactorizationMachine(3)
    machine.build((None, 8))
    machine.set_weights(head.get_layer("factorization_machine").get_weights())
    user, item = np.random.default_rng(1).normal(size=(2, 8, 4)).astype(np.float32)
    found = head({"user_vector": user, "item_vector": item})
    np.testing.assert_allclose(found, 3.5 + machine(np.concatenate([user, item], axis=1)), rtol=1e-5)


def test_empty_documents_are_rated_by_a_constant():
    model = build()
    empty = {f"{side}_tokens": tf.zeros([3, 9], tf.int32) for side in SIDES}
    found = model(empty)["rating"].numpy()
    assert np.ptp(found) == 0
    others = random_inputs(3)
    only_item = model({**empty, "item_tokens": others["item_tokens"]})["rating"].numpy()
    assert np.ptp(only_item) > 0


def test_users_and_items_have_networks_of_their_own():
    model, inputs = build(), random_inputs(6)
    swapped = {"user_tokens": inputs["item_tokens"], "item_tokens": inputs["user_tokens"]}
    assert not np.allclose(model(inputs)["rating"], model(swapped)["rating"], atol=1e-3)


def test_examples_do_not_influence_each_other():
    model, inputs = build(), random_inputs(4)
    together = model(inputs)["rating"].numpy()
    for row in range(4):
        alone = model({key: value[row : row + 1] for key, value in inputs.items()})["rating"].numpy()
        np.testing.assert_allclose(alone, together[row : row + 1], rtol=1e-5, atol=1e-5)


def test_a_gradient_reaches_every_weight():
    # Positive weights, so that no relu is closed.
    model = build()
    model.set_weights([np.abs(weight) for weight in model.get_weights()])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(random_inputs(32), training=True)["rating"] - 3.0))
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True
    ):
        assert gradient is not None, variable.path
        values = tf.convert_to_tensor(gradient).numpy()
        assert np.isfinite(values).all(), variable.path
        assert values.any(), variable.path


def test_word_vectors_can_be_kept_as_they_are():
    free, frozen = build(), build(train_words=False)
    assert len(free.trainable_variables) - len(frozen.trainable_variables) == 2
    assert all(not table.trainable for table in word_tables(frozen))
    inputs = random_inputs(5)
    frozen.set_weights(
        [
            dict(zip(map(_path, free.weights), free.get_weights(), strict=True))[_path(w)]
            for w in frozen.weights
        ]
    )
    np.testing.assert_array_equal(free(inputs)["rating"], frozen(inputs)["rating"])


def _path(weight):
    return weight.path.removeprefix("deepconn/")


def test_word_vectors_start_in_the_given_range():
    for table in word_tables(create_model("deepconn", 1, 1, **SMALL, initial_range=0.5)):
        values = np.abs(table.get_weights()[0])
        assert 0.3 < values.max() <= 0.5


@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_float16", 0.02), ("mixed_bfloat16", 0.1)])
def test_mixed_precision_gives_float32_near_the_full_result(policy, tolerance):
    inputs = random_inputs(8)
    expected = build()(inputs)["rating"]
    keras.config.set_dtype_policy(policy)
    model = build()
    found = model(inputs)["rating"]
    assert found.dtype == tf.float32
    assert {weight.dtype for weight in model.weights} == {"float32"}
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_a_saved_model_gives_the_same_ratings(tmp_path):
    model, inputs = build(tower_dropout=0.2), random_inputs(8)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(loaded(inputs)["rating"], model(inputs)["rating"])


def test_initial_weights_depend_on_the_seed_alone():
    def initial(seed):
        keras.utils.set_random_seed(seed)
        model = create_model("deepconn", 3, 4, **SMALL)
        return np.concatenate([weight.ravel() for weight in model.get_weights()])

    np.testing.assert_array_equal(initial(1), initial(1))
    assert not np.array_equal(initial(1), initial(2))


@pytest.mark.parametrize(
    "option", ["document_length", "embedding_dim", "latent_dim", "filters", "fm_factors"]
)
def test_sizes_below_one_are_refused(option):
    with pytest.raises(UsageError, match=f"{option.removeprefix('fm_')}=0"):
        create_model("deepconn", 1, 1, **{**SMALL, option: 0})


def test_a_vocabulary_without_words_is_refused():
    with pytest.raises(UsageError, match="vocabulary_size=2"):
        create_model("deepconn", 1, 1, **{**SMALL, "vocabulary_size": 2})
