"""Metrics of scores, by hand and against those of hits."""

import keras
import numpy as np
import pytest

import tfzoo
from tfzoo import metrics
from tfzoo.errors import DataError, UsageError

KERAS = ("HitRate", "MeanAveragePrecision", "NDCG", "Precision", "Recall", "ReciprocalRank")


def test_ties_count_against_the_model():
    labels = [[1, 0, 0, 0], [0, 1, 0, 1]]
    hits, relevant = metrics.hits_of(labels, np.zeros((2, 4)))
    np.testing.assert_array_equal(hits, [[False, False, False, True], [False, False, True, True]])
    np.testing.assert_array_equal(relevant, [1, 2])
    # By columns the first would have been found at once.
    assert metrics.metrics_of_scores(labels, np.zeros((2, 4)), [2])["hr@2"] == 0


def test_what_is_not_ranked_and_who_has_nothing_relevant_is_left_out():
    labels = np.array([[-1, 0, 1, 0], [0, 0, 0, 0]])
    found = tfzoo.metrics.metrics_of_scores(labels, [[9.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]], [2])
    assert found["mrr@2"] == 0.5
    assert found["ndcg@2"] == pytest.approx(1 / np.log2(3))


def test_wrong_arrays_are_refused():
    with pytest.raises(
        DataError, match=r"labels and scores \[n, C\] of one shape. Received \(2, 3\) and \(3,\)"
    ):
        metrics.metrics_of_scores(np.zeros((2, 3)), np.zeros(3))
    with pytest.raises(DataError, match="finite"):
        metrics.metrics_of_scores([[1, 0]], [[np.nan, 0]], [1])
    with pytest.raises(DataError, match="at least one user"):
        metrics.metrics_of_scores([[0, 0]], [[1, 0]], [1])
    with pytest.raises(UsageError, match="A cutoff must be a whole number from 1 to 2"):
        metrics.metrics_of_scores([[1, 0]], [[1, 0]], [3])


@pytest.fixture(scope="module")
def batch():
    random = np.random.default_rng(4)
    labels = random.choice([-1, 0, 0, 0, 1], (40, 12))
    # Few values, so that many are tied.
    return labels, random.integers(0, 4, (40, 12)).astype("float32")


@pytest.mark.parametrize("name", KERAS)
@pytest.mark.parametrize("cutoff", [1, 5, 12])
def test_keras_metrics_are_those_of_arrays(batch, name, cutoff):
    labels, scores = batch
    metric = getattr(tfzoo.metrics, name)(cutoff)
    for part in (slice(0, 7), slice(7, 40)):
        metric.update_state(labels[part], scores[part])
    expected = metrics.metrics_of_scores(labels, scores, [cutoff])[metric.name]
    np.testing.assert_allclose(float(metric.result()), expected, rtol=1e-5)
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert (again.cutoff, again.name) == (cutoff, metric.name)
    assert float(again.result()) == 0


def test_weights_choose_users(batch):
    labels, scores = batch
    metric = metrics.NDCG(5)
    metric.update_state(labels, scores, np.arange(40) < 9)
    expected = metrics.metrics_of_scores(labels[:9], scores[:9], [5])["ndcg@5"]
    np.testing.assert_allclose(float(metric.result()), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="`cutoff` must be at least 1"):
        metrics.NDCG(0)
