"""Losses for Keras: those of the layers, of candidates that labels mark."""

import keras
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

import tfzoo
from tfzoo import losses

SCORES = np.array([[2.0, 0.5, -1.0, 9.0], [0.0, 1.0, 1.5, -0.5]], "float32")
# The last candidate of the first row does not count.
LABELS = np.array([[1.0, 0.0, 0.0, -1.0], [0.0, 0.0, 1.0, 0.0]], "float32")
ROWS = [(2.0, np.array([0.5, -1.0])), (1.5, np.array([0.0, 1.0, -0.5]))]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_hand(name, right, others):
    """Write a loss down as its paper does."""
    drawn = len(SCORES[0]) - 1
    beta = drawn / 100 * (0.75 * (1 - 100 / drawn) + 100 / drawn)
    weights = softmax(others)
    return {
        "BPR": np.mean(-np.log(sigmoid(right - others))),
        "TOP1": np.mean(sigmoid(others - right) + sigmoid(others**2)),
        "TOP1Max": np.sum(weights * (sigmoid(others - right) + sigmoid(others**2))),
        "BPRMax": -np.log(np.sum(weights * sigmoid(right - others))) + 0.5 * np.sum(weights * others**2),
        "GBCE": -beta * np.log(sigmoid(right)) - np.sum(np.log(1 - sigmoid(others))),
        "SampledSoftmax": -log_softmax([right, *others])[0],
        "Multinomial": -log_softmax([right, *others])[0],
    }[name]


OPTIONS = {"GBCE": {"num_items": 101}, "BPRMax": {"bpreg": 0.5}}
NAMES = sorted(set(losses.__all__) - {"without_logq"})


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_is_that_of_its_paper(name):
    loss = getattr(tfzoo.losses, name)(**OPTIONS.get(name, {}))
    expected = [by_hand(name, *row) for row in ROWS]
    np.testing.assert_allclose(loss.call(LABELS, SCORES), expected, rtol=1e-5)
    np.testing.assert_allclose(loss(LABELS, SCORES), np.mean(expected), rtol=1e-5)
    weighted = loss(LABELS, SCORES, sample_weight=np.array([0.0, 2.0]))
    np.testing.assert_allclose(weighted, expected[1], rtol=1e-5)
    # One loss for each place of several axes, and none where there is no right item.
    wide = loss.call(np.stack([LABELS, 0 * LABELS]), np.stack([SCORES, SCORES]))
    np.testing.assert_allclose(wide, [expected, [0.0, 0.0]], rtol=1e-5, atol=1e-7)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    np.testing.assert_allclose(again(LABELS, SCORES), loss(LABELS, SCORES))


def test_several_right_items_count_as_often_as_they_are_labelled():
    labels = np.array([[2.0, 1.0, 0.0, -1.0]])
    expected = -np.dot([2, 1, 0], log_softmax(SCORES[0, :3]))
    np.testing.assert_allclose(losses.Multinomial()(labels, SCORES[:1]), expected, rtol=1e-6)


def test_logq_takes_out_how_often_items_are_proposed():
    # Of a full catalogue, proposals in proportion to probabilities leave equal scores.
    probabilities = softmax(SCORES[1])
    corrected = losses.without_logq(keras.ops.convert_to_tensor(SCORES[1:]), np.log(probabilities))
    np.testing.assert_allclose(np.ptp(corrected), 0, atol=1e-5)
    np.testing.assert_allclose(losses.without_logq(SCORES, np.zeros(4), 0.5), SCORES)


def test_gbce_of_a_whole_catalogue_and_wrong_settings():
    few = losses.GBCE(num_items=3, calibration=1.0).call(LABELS, SCORES)
    expected = [-np.log(sigmoid(s)) - np.sum(np.log(1 - sigmoid(o))) for s, o in ROWS]
    np.testing.assert_allclose(few, expected, rtol=1e-5)
    for wrong in ({"num_items": 1}, {"num_items": 9, "calibration": 1.5}):
        with pytest.raises(ValueError, match="`num_items` must be at least 2 and `calibration` from 0 to 1"):
            losses.GBCE(**wrong)
    with pytest.raises(ValueError, match="two candidates at least"):
        losses.GBCE(num_items=3).call(LABELS[:, :1], SCORES[:, :1])


def test_a_model_learns_by_one():
    random = np.random.default_rng(0)
    features, weights = random.normal(size=(64, 3)), random.normal(size=(3, 5))
    labels = np.eye(5)[(features @ weights).argmax(1)]
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5)])
    model.compile(keras.optimizers.Adam(0.1), tfzoo.losses.BPR(), metrics=[tfzoo.metrics.HitRate(1)])
    history = model.fit(features, labels, epochs=8, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] / 2
    assert history["hr@1"][-1] > 0.8
