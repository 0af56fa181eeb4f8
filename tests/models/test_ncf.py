"""GMF, MLP and NeuMF: initial values, limiting cases, penalties, pre-training."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfzoo.errors import UsageError
from tfzoo.layers import catalogue_scores
from tfzoo.models import create_model
from tfzoo.models.ncf import merge_pretrained

NUM_USERS, NUM_ITEMS = 7, 5
SIDES = ("user", "item")


def build(name, seed=0, **options):
    """Build a small model with random weights, biases included."""
    model = create_model(name, NUM_USERS, NUM_ITEMS, **options)
    random = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    return model


def score(model, pairs):
    return model(pairs, training=False)["score"].numpy()


def logits(model):
    """Return the unsquashed score of every pair ``[NUM_USERS + 1, NUM_ITEMS + 1]``."""
    vectors = [
        model.get_layer(f"{side}_tower")({f"{side}_id": tf.range(count + 1)}, training=False)
        for side, count in zip(SIDES, (NUM_USERS, NUM_ITEMS), strict=True)
    ]
    return catalogue_scores(model.get_layer("head"), *vectors).numpy()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def table(model, side, name):
    return model.get_layer(f"{side}_tower").get_layer(f"{side}_{name}").get_weights()[0]


@pytest.mark.parametrize("name", ["gmf", "mlp", "neumf"])
def test_before_training_all_scores_are_near_that_of_the_output_bias(name):
    keras.utils.set_random_seed(0)
    model = create_model(name, 300, 200)
    random = np.random.default_rng(0)
    ids = {
        "user_id": tf.constant(random.integers(1, 301, 2000), tf.int32),
        "item_id": tf.constant(random.integers(1, 201, 2000), tf.int32),
    }
    found = score(model, ids)
    np.testing.assert_allclose(found, 0.5, atol=0.01)
    assert found.std() > 0
    # Binary cross-entropy with four negatives a positive starts at ln 2, whatever the labels.
    assert -np.mean(0.2 * np.log(found) + 0.8 * np.log(1 - found)) == pytest.approx(math.log(2), abs=1e-3)
    output = model.get_layer("head").get_layer("output")
    output.set_weights([output.get_weights()[0], np.float32([1.5])])
    np.testing.assert_allclose(score(model, ids), sigmoid(1.5), atol=0.01)


@pytest.mark.parametrize("name", ["gmf", "mlp", "neumf"])
def test_initialisers_are_those_of_the_authors_code(name):
    head = create_model(name, 2, 2).get_layer("head")
    assert isinstance(head.get_layer("output").kernel_initializer, keras.initializers.LecunUniform)
    hidden = [layer for layer in head.layers if layer.name.startswith("hidden_")]
    assert len(hidden) == (0 if name == "gmf" else 3)
    assert all(isinstance(layer.kernel_initializer, keras.initializers.GlorotUniform) for layer in hidden)


def test_gmf_with_a_weight_of_one_is_matrix_factorisation():
    gmf, mf = build("gmf"), build("gmf", fixed_output=True)
    gmf.get_layer("head").get_layer("output").set_weights([np.ones((8, 1)), np.zeros(1)])
    for side in SIDES:
        mf.get_layer(f"{side}_tower").set_weights(gmf.get_layer(f"{side}_tower").get_weights())
    expected = table(gmf, "user", "gmf") @ table(gmf, "item", "gmf").T
    np.testing.assert_allclose(logits(gmf), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(logits(mf), expected, rtol=1e-5, atol=1e-5)
    assert len(mf.weights) == 2


def test_biased_matrix_factorisation_by_numpy():
    model = build("gmf", fixed_output=True, biases=True)
    user, item = (table(model, side, "gmf") for side in SIDES)
    user_bias, item_bias = (table(model, side, "bias") for side in SIDES)
    np.testing.assert_allclose(logits(model), user @ item.T + user_bias + item_bias.T, rtol=1e-5, atol=1e-5)


def test_mlp_by_numpy():
    model = build("mlp", layers=(6, 4, 3))
    user, item = (table(model, side, "mlp") for side in SIDES)
    head = model.get_layer("head")
    hidden = np.concatenate(
        [np.repeat(user, NUM_ITEMS + 1, axis=0), np.tile(item, (NUM_USERS + 1, 1))], axis=1
    )
    for name in ("hidden_1", "hidden_2"):
        kernel, bias = head.get_layer(name).get_weights()
        hidden = np.maximum(hidden @ kernel + bias, 0)
    kernel, bias = head.get_layer("output").get_weights()
    expected = (hidden @ kernel + bias)[:, 0]
    np.testing.assert_allclose(logits(model).ravel(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layers", [(), (7, 4), (0, 2), (1,)])
def test_an_odd_width_of_the_concatenation_is_refused(layers):
    for name in ("mlp", "neumf"):
        with pytest.raises(UsageError, match="an even number"):
            create_model(name, 2, 2, layers=layers)


def test_neumf_needs_a_hidden_layer():
    with pytest.raises(UsageError, match="at least one hidden layer"):
        create_model("neumf", 2, 2, layers=(8,))


@pytest.mark.parametrize("name", ["gmf", "mlp", "neumf", "bpr-mf"])
def test_l2_is_on_the_looked_up_rows(name):
    model = create_model(name, NUM_USERS, NUM_ITEMS, embedding_l2=0.5)
    tables = [
        [weight.numpy() for weight in model.get_layer(f"{side}_tower").trainable_variables] for side in SIDES
    ]
    user_id, item_id = [3, 3, 0], [1, 0, 2]
    model({"user_id": tf.constant(user_id), "item_id": tf.constant(item_id)})
    expected = sum(0.5 * np.square(values[3]).sum() for values in tables[0])
    expected += sum(0.5 * np.square(values[[1, 2]]).sum() / 2 for values in tables[1])
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


# Pre-training of NeuMF


@pytest.mark.parametrize("options", [{}, {"biases": True}, {"output_bias": False}], ids=str)
@pytest.mark.parametrize("alpha", [0.5, 0.0, 0.3, 1.0])
def test_the_merged_logit_is_the_mix_of_the_pretrained_logits(alpha, options):
    gmf, mlp = build("gmf", 1, **options), build("mlp", 2, **options)
    neumf = build("neumf", 3, **options)
    assert merge_pretrained(neumf, gmf, mlp, alpha) is neumf
    expected = alpha * logits(gmf) + (1 - alpha) * logits(mlp)
    assert expected.std() > 0.1
    np.testing.assert_allclose(logits(neumf), expected, rtol=1e-4, atol=1e-4)


def test_pretrained_models_are_left_alone():
    gmf, mlp = build("gmf", 1), build("mlp", 2)
    before = [weight.copy() for model in (gmf, mlp) for weight in model.get_weights()]
    merge_pretrained(build("neumf"), gmf, mlp)
    for found, expected in zip([*gmf.get_weights(), *mlp.get_weights()], before, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("gmf", "mlp", "message"),
    [
        ({"embedding_dim": 4}, {}, r"'user_tower' .* \[\(8, 8\)\] .* give \[\(8, 4\)\]"),
        ({}, {"layers": (32, 32, 16, 8)}, r"\(8, 32\).*\(8, 16\)"),
        ({}, {"layers": (64, 32, 16)}, "'mlp' has no layer 'hidden_3'"),
        ({}, {"layers": (64, 32, 16, 8, 8)}, "'neumf' has no layer 'hidden_4'"),
        ({}, {"layers": (64, 16, 16, 8)}, r"'head' .*\(64, 32\)"),
        ({"fixed_output": True}, {}, "both have an output bias"),
        ({"output_bias": False}, {}, "both have an output bias"),
        ({"output_bias": False}, {"output_bias": False}, r"'head' .* in 'output'"),
    ],
)
def test_models_that_do_not_fit_are_refused_and_nothing_changes(gmf, mlp, message):
    neumf = build("neumf")
    before = [weight.copy() for weight in neumf.get_weights()]
    with pytest.raises(UsageError, match=message):
        merge_pretrained(neumf, build("gmf", **gmf), build("mlp", **mlp))
    for found, expected in zip(neumf.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_biases_of_users_and_items_cannot_come_from_models_without_them():
    with pytest.raises(UsageError, match="'gmf' has no layer 'user_bias'"):
        merge_pretrained(build("neumf", biases=True), build("gmf"), build("mlp"))


def test_models_in_the_wrong_order_are_refused():
    with pytest.raises(UsageError, match="NeuMF, GMF and MLP, in this order"):
        merge_pretrained(build("neumf"), build("mlp"), build("gmf"))


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_a_share_outside_zero_and_one_is_refused(alpha):
    with pytest.raises(UsageError, match=r"must lie in \[0, 1\]"):
        merge_pretrained(build("neumf"), build("gmf"), build("mlp"), alpha)
