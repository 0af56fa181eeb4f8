import numpy as np
import pytest

from tfzoo.errors import DataError
from tfzoo.evaluation.click_metrics import auc, log_loss, log_losses


def by_pairs(label, score):
    clicks, others = score[label == 1], score[label == 0]
    return np.mean([(a > b) + 0.5 * (a == b) for a in clicks for b in others])


@pytest.mark.parametrize("values", [2, 5, 10_000])
def test_auc_is_the_share_of_pairs_in_order_with_ties_half(values):
    random = np.random.default_rng(values)
    for _ in range(20):
        label = np.concatenate([[0, 1], random.integers(0, 2, 60)])
        score = random.integers(0, values, len(label)).astype(np.float32)
        assert auc(label, score) == pytest.approx(by_pairs(label, score), abs=1e-15)


def test_auc_of_known_orders():
    assert auc([0, 0, 1, 1], [1, 2, 3, 4]) == 1
    assert auc([1, 1, 0, 0], [1, 2, 3, 4]) == 0
    assert auc([0, 1, 0, 1], [7, 7, 7, 7]) == 0.5
    # The pair (3, 2) is out of order, (2, 2) is even.
    assert auc([0, 1, 0, 1], [1, 2, 2, 3]) == (1 + 0.5 + 1 + 1) / 4
    score = np.array([0.1, 0.4, 0.35, 0.8])
    assert auc([0, 0, 1, 1], score) == auc([0, 0, 1, 1], np.exp(score)) == 0.75


def test_auc_of_large_parts_is_exact():
    count = 1_000_000
    label = np.arange(count) % 2
    assert auc(label, np.arange(count)) == 0.5 + 1 / count


def test_log_loss_is_the_negative_log_of_the_probability():
    logit, label = np.array([-2.0, 0.0, 3.0, 3.0]), np.array([0, 1, 1, 0])
    probability = 1 / (1 + np.exp(-logit))
    expected = -np.log(np.where(label == 1, probability, 1 - probability))
    np.testing.assert_allclose(log_losses(label, logit), expected, rtol=1e-12)
    assert log_loss(label, logit) == pytest.approx(expected.mean())
    # A probability of 1 in float32 would give no number.
    assert log_loss([0, 1], [1000.0, -1000.0]) == 1000


@pytest.mark.parametrize(
    ("label", "score", "message"),
    [
        ([1, 1], [0.0, 1.0], "2 and 0"),
        ([0, 1], [0.0, np.nan], "finite"),
        ([0, 1], [0.0], "as many scores"),
        ([], [], "at least one"),
        ([0, 2], [0.0, 1.0], "0 or 1"),
    ],
)
def test_what_gives_no_number_is_refused(label, score, message):
    with pytest.raises(DataError, match=message):
        auc(label, score)
