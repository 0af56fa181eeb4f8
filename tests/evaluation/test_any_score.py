"""Any function that scores is measured as models are."""

import numpy as np
import pytest

import tfzoo
from tests.zoo import table
from tfzoo.data.splits import Negatives, Split
from tfzoo.errors import DataError

TRAIN = table([1, 1, 2, 3, 3], [1, 2, 3, 4, 5], num_users=3, num_items=6)
VALIDATION = table([1, 2], [3, 1], num_users=3, num_items=6)
TEST = table([1, 2, 2, 3], [4, 4, 5, 1], num_users=3, num_items=6)
SPLIT = Split(TRAIN, VALIDATION, TEST, "")


def by_number(users, items):
    """Score items by their numbers, the first one best, whoever asks."""
    assert items.min() >= 1
    return np.broadcast_to(-items, (len(users), items.shape[1]))


def test_the_lists_of_a_function_by_hand():
    # Item 6 is not trained. Of user 1 items 1, 2 and 3 are known, so 4 and 5 are ranked; of user 2 items 1
    # and 3, so 2, 4, 5; of user 3 items 4 and 5, so 1, 2, 3.
    found = tfzoo.evaluate_ranking(by_number, SPLIT, (1, 2))
    assert found["hr@1"] == pytest.approx(2 / 3)
    assert found["recall@2"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert found["mrr@2"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert tfzoo.evaluate_ranking(by_number, SPLIT, (2,), part="validation")["mrr@2"] == pytest.approx(1)


def test_ties_count_against_it():
    assert tfzoo.evaluate_ranking(lambda users, items: np.zeros(items.shape), SPLIT, (1,))["hr@1"] == 0


def test_negatives_of_the_split_are_the_candidates():
    negatives = Negatives(np.array([1, 2, 3]), np.array([[5, 6], [1, 6], [2, 3]]))
    split = Split(TRAIN, VALIDATION, TEST, "", negatives={"test": negatives})
    found = tfzoo.evaluate_ranking(by_number, split, (1,))
    assert found["hr@1"] == pytest.approx(2 / 3)


def test_what_goes_wrong_in_the_function_is_told():
    with pytest.raises(DataError, match=r"score must return numbers \(3, 7\). Received \(3,\)"):
        tfzoo.evaluate_ranking(lambda users, items: users, SPLIT)
    with pytest.raises(ZeroDivisionError):
        tfzoo.evaluate_ranking(lambda users, items: 1 / 0, SPLIT)
    with pytest.raises(DataError, match="finite scores"):
        tfzoo.evaluate_ranking(lambda users, items: np.full(items.shape, np.nan), SPLIT)
