"""BMF and BPR-MF: penalties by frequency, gradients, products and biases."""

import math

import keras
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf

from tfzoo.layers import catalogue_scores
from tfzoo.models import create_model, model_info
from tfzoo.models.implicit_mf import count_interactions

NUM_USERS, NUM_ITEMS = 7, 5
SIDES = ("user", "item")


def build(name, seed=0, **options):
    """Build a small model with random weights, biases included."""
    model = create_model(name, NUM_USERS, NUM_ITEMS, **options)
    random = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    return model


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


@pytest.mark.parametrize(("exponent", "shares"), [(0.5, (1 / 2, 1)), (1.0, (1 / 4, 1))])
def test_bmf_charges_by_frequency(exponent, shares):
    model = create_model("bmf", NUM_USERS, NUM_ITEMS, embedding_l2=0.2, frequency_exponent=exponent)
    matrix = np.zeros((NUM_USERS + 1, NUM_ITEMS + 1), np.float32)
    # User 2 has four interactions, item 5 has one.
    matrix[2, [1, 2, 3, 5]] = matrix[3, [1, 2]] = 1
    solve = model_info("bmf").solve
    assert solve is count_interactions
    solve(model, scipy.sparse.csr_matrix(matrix))
    model({"user_id": tf.constant([2]), "item_id": tf.constant([5])})
    rows = (table(model, "user", "embedding")[2], table(model, "item", "embedding")[5])
    expected = sum(share * 0.2 / 2 * np.square(row).sum() for share, row in zip(shares, rows, strict=True))
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    for side, axis in (("user", 1), ("item", 0)):
        counts = model.get_layer(f"{side}_tower").get_layer(f"{side}_penalty").counts
        np.testing.assert_array_equal(counts, matrix.sum(axis=axis))


def test_bmf_takes_the_step_of_the_authors_code():
    # p += eta ((r - s) q - lambda / sqrt(n) p), for one pair.
    model = build("bmf", embedding_l2=0.3)
    matrix = scipy.sparse.csr_matrix(np.ones((NUM_USERS + 1, NUM_ITEMS + 1), np.float32))
    count_interactions(model, matrix)
    p, q = (table(model, side, "embedding")[row] for side, row in (("user", 4), ("item", 3)))
    s = sigmoid(p @ q)
    with tf.GradientTape() as tape:
        found = model({"user_id": tf.constant([4]), "item_id": tf.constant([3])}, training=True)["score"]
        loss = -tf.math.log(found[0]) + sum(model.losses)
    tables = [model.get_layer(f"{side}_tower").trainable_variables[0] for side in SIDES]
    gradients = [tf.convert_to_tensor(gradient).numpy() for gradient in tape.gradient(loss, tables)]
    expected = (s - 1) * q + 0.3 / math.sqrt(NUM_ITEMS + 1) * p
    np.testing.assert_allclose(gradients[0][4], expected, rtol=1e-4)
    expected = (s - 1) * p + 0.3 / math.sqrt(NUM_USERS + 1) * q
    np.testing.assert_allclose(gradients[1][3], expected, rtol=1e-4)
    assert np.count_nonzero(gradients[0].any(axis=1)) == np.count_nonzero(gradients[1].any(axis=1)) == 1


def test_bmf_starts_at_ln_two():
    keras.utils.set_random_seed(0)
    found = logits(create_model("bmf", NUM_USERS, NUM_ITEMS))
    assert -np.mean(np.log(sigmoid(found))) == pytest.approx(math.log(2), abs=0.02)


@pytest.mark.parametrize("name", ["bmf", "bpr-mf"])
def test_the_factors_are_multiplied_and_summed(name):
    model = build(name)
    expected = table(model, "user", "embedding") @ table(model, "item", "embedding").T
    np.testing.assert_allclose(logits(model), expected, rtol=1e-4, atol=1e-5)


def test_bpr_with_an_item_bias():
    model = build("bpr-mf", item_bias=True)
    expected = table(model, "user", "embedding") @ table(model, "item", "embedding").T
    expected = expected + table(model, "item", "bias").T
    np.testing.assert_allclose(logits(model), expected, rtol=1e-4, atol=1e-5)
    widths = [model.get_layer(f"{side}_tower").output_shape[-1] for side in SIDES]
    assert widths == [64, 65]
