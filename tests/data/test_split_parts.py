"""What a split can carry besides its three parts: fold-in histories, negatives, further test parts."""

from collections import Counter

import numpy as np
import pytest

from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Negatives, Split, drop_cold
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError


def make(user, item):
    ids = Vocabulary(np.arange(1, 51))
    return Interactions(ids, ids, np.asarray(user), np.asarray(item))


def content(part):
    return Counter(zip(part.user_id.tolist(), part.item_id.tolist(), strict=True))


def test_a_split_has_only_its_parts_by_default():
    part = make([1], [1])
    split = Split(part, part, part, "by hand")
    assert (split.fold_in, split.negatives, split.variants) == (None, {}, {})


def test_drop_cold_keeps_what_goes_with_the_parts():
    train, fold_in = make([1, 2], [1, 2]), make([3, 5], [1, 1])
    # User 3 is known by the fold-in part, user 4 not at all; item 3 is known to nobody.
    validation, test = make([3, 4, 3], [2, 1, 3]), make([5, 4], [2, 2])
    negatives = {
        "validation": Negatives(np.array([3, 4]), np.array([[4, 5], [5, 6]])),
        "test": Negatives(np.array([4, 5, 6]), np.array([[4], [5], [6]])),
    }
    variants = {"warm": make([5, 4], [1, 1]), "cold": make([4], [1])}
    split = drop_cold(Split(train, validation, test, "by hand", fold_in, negatives, variants))
    assert content(split.validation) == {(3, 2): 1}
    assert content(split.test) == {(5, 2): 1}
    assert content(split.fold_in) == content(fold_in)
    assert {part: (n.user_id.tolist(), n.item_id.tolist()) for part, n in split.negatives.items()} == {
        "validation": ([3], [[4, 5]]),
        "test": ([5], [[5]]),
    }
    assert {name: content(part) for name, part in split.variants.items()} == {"warm": {(5, 1): 1}}


def test_negatives_are_read_only_int32_with_one_row_a_user():
    source = np.array([[1, 2], [3, 0]])
    negatives = Negatives(np.array([7, 3]), source)
    source[0, 0] = 9
    assert (negatives.user_id.dtype, negatives.item_id.dtype) == (np.int32, np.int32)
    assert negatives.item_id.tolist() == [[1, 2], [3, 0]]
    with pytest.raises(ValueError, match="read-only"):
        negatives.item_id[0, 0] = 5
    assert len(negatives) == 2
    with pytest.raises(DataError, match="name a user twice"):
        Negatives(np.array([7, 7]), source)
    with pytest.raises(DataError, match=r"one row of items a user.*\(3,\) and \(2, 2\)"):
        Negatives(np.array([1, 2, 3]), source)


@pytest.mark.parametrize(
    ("negatives", "message"),
    [
        ({"train": Negatives(np.array([1]), np.array([[4]]))}, "Only the validation and test parts"),
        ({"test": Negatives(np.array([1]), np.array([[51]]))}, r"id 51 lies outside 0\.\.50"),
        ({"test": Negatives(np.array([2]), np.array([[4]]))}, "1 users of the test part have no negatives"),
    ],
)
def test_negatives_must_fit_their_part(negatives, message):
    part = make([1], [1])
    with pytest.raises(DataError, match=message):
        Split(part, part, part, "by hand", negatives=negatives)
