"""Losses of one item against others, by hand and by their limits."""

import numpy as np
import pytest
import tensorflow as tf

from tfzoo.layers import ItemTable
from tfzoo.layers import item_losses as losses

RANDOM = np.random.default_rng(3)
POSITIVE = RANDOM.normal(size=(2, 4)).astype("float32")
NEGATIVE = RANDOM.normal(size=(2, 4, 5)).astype("float32")
MASK = (RANDOM.random((2, 4, 5)) < 0.7).astype("float32")


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def test_binary_cross_entropy_by_hand():
    expected = -np.log(sigmoid(POSITIVE)) - (np.log(1 - sigmoid(NEGATIVE)) * MASK).sum(-1)
    np.testing.assert_allclose(losses.binary_cross_entropy(POSITIVE, NEGATIVE, MASK), expected, rtol=1e-5)


def test_the_generalised_loss_without_calibration_is_the_plain_one():
    beta = losses.calibrated_beta(5, 1000, 0.0)
    assert beta == pytest.approx(1.0)
    plain = losses.binary_cross_entropy(POSITIVE, NEGATIVE, MASK)
    found = losses.generalised_binary_cross_entropy(POSITIVE, NEGATIVE, MASK, beta)
    np.testing.assert_allclose(found, plain, rtol=1e-5)
    assert losses.calibrated_beta(5, 1001, 1.0) == pytest.approx(5 / 1000)


@pytest.mark.parametrize("calibration", [0.0, 0.3, 0.75, 1.0])
def test_beta_is_the_formula_of_the_paper(calibration):
    alpha = 256 / 3415
    expected = alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)
    assert losses.calibrated_beta(256, 3416, calibration) == pytest.approx(expected)


def test_the_best_score_moves_with_beta_as_the_formula_says():
    # For an item that is the target with probability p and one of K negatives else, the expected loss
    # beta p softplus(-s) + (1 - p) K / n softplus(s) is least where sigmoid(s) = beta p / (beta p + q).
    p, share = 0.3, 0.1
    for beta in (1.0, 0.2):
        score = tf.Variable(0.0)
        for _ in range(3000):
            with tf.GradientTape() as tape:
                right = losses.generalised_binary_cross_entropy(score, tf.zeros([1]), tf.zeros([1]), beta)
                wrong = losses.generalised_binary_cross_entropy(
                    tf.constant(1e4), score[tf.newaxis], tf.ones([1]), beta
                )
                loss = p * right + (1 - p) * share * wrong
            score.assign_sub(0.5 * tape.gradient(loss, score))
        expected = beta * p / (beta * p + (1 - p) * share)
        assert sigmoid(float(score)) == pytest.approx(expected, rel=1e-2)


def test_the_generalised_loss_stays_finite_where_a_power_would_underflow():
    found = losses.generalised_binary_cross_entropy(
        tf.constant([-300.0]), tf.constant([[300.0]]), tf.ones([1, 1]), 0.9
    )
    np.testing.assert_allclose(found, 0.9 * 300 + 300, rtol=1e-6)


def test_sampled_softmax_over_all_others_is_the_softmax():
    scores = np.concatenate([POSITIVE[..., None], NEGATIVE], axis=-1)
    expected = np.log(np.exp(scores).sum(-1)) - POSITIVE
    np.testing.assert_allclose(
        losses.sampled_softmax(POSITIVE, NEGATIVE, np.ones_like(MASK)), expected, rtol=1e-5
    )
    np.testing.assert_allclose(losses.sampled_softmax(POSITIVE, NEGATIVE, 0 * MASK), 0, atol=1e-6)


def test_bpr_and_bpr_max_by_hand():
    each = -np.log(sigmoid(POSITIVE[..., None] - NEGATIVE)) * MASK
    np.testing.assert_allclose(
        losses.bpr(POSITIVE, NEGATIVE, MASK), each.sum(-1) / np.maximum(MASK.sum(-1), 1), rtol=1e-5
    )
    weights = np.exp(NEGATIVE) * MASK
    weights /= weights.sum(-1, keepdims=True)
    won = (weights * sigmoid(POSITIVE[..., None] - NEGATIVE)).sum(-1)
    expected = -np.log(won) + 0.5 * (weights * NEGATIVE**2).sum(-1)
    np.testing.assert_allclose(losses.bpr_max(POSITIVE, NEGATIVE, MASK, 0.5), expected, rtol=1e-4)


@pytest.mark.parametrize("options", [{}, {"bias": True}, {"normalize": True, "temperature": 0.1}])
def test_scores_of_chosen_items_are_those_of_all_items(options):
    layer = ItemTable(7, 3, **options)
    layer.build()
    for weight in layer.weights:
        weight.assign(RANDOM.normal(size=weight.shape))
    states = RANDOM.normal(size=(2, 4, 3)).astype("float32")
    every = layer(states).numpy()
    ids = RANDOM.integers(0, 8, (2, 4, 5)).astype("int32")
    np.testing.assert_allclose(
        layer.of(states, ids), np.take_along_axis(every, ids, -1), rtol=1e-4, atol=1e-5
    )
    of_rows = np.take_along_axis(every, np.repeat(ids[:, :1], 4, 1), -1)
    np.testing.assert_allclose(layer.of(states, ids[:, 0]), of_rows, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.of(states, ids[0, 0]), every[..., ids[0, 0]], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(layer(ids, look_up=True), layer.table.numpy()[ids])


def test_a_hidden_event_has_a_row_of_its_own_and_no_score():
    layer = ItemTable(7, 3, bias=True, mask_row=True)
    layer.build()
    for weight in layer.weights:
        weight.assign(RANDOM.normal(size=weight.shape))
    table, bias = layer.table.numpy(), layer.bias.numpy()
    assert (table.shape, bias.shape) == ((9, 3), (8,))
    np.testing.assert_array_equal(layer(np.array([[0, 7, -1]], "int32"), look_up=True), table[[[0, 7, 8]]])
    states = RANDOM.normal(size=(2, 3)).astype("float32")
    np.testing.assert_allclose(layer(states), states @ table[:8].T + bias, rtol=1e-5, atol=1e-5)
    assert ItemTable.from_config(layer.get_config()).mask_row
