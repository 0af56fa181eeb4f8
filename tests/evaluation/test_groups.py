"""Figures by how often training has seen a user or an item, against figures by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfzoo.data.splits import Split
from tfzoo.errors import DataError
from tfzoo.evaluation.cases import root
from tfzoo.evaluation.groups import (
    equal_groups,
    group_figures,
    group_shares,
    known_counts,
    recommendation_counts,
)


def test_groups_of_equal_size():
    groups = equal_groups([5, 1, 9, 2, 7, 3], 3)
    assert groups.low.tolist() == [1, 3, 7]
    assert groups.high.tolist() == [2, 5, 9]
    assert groups.sizes.tolist() == [2, 2, 2]
    assert groups.index.tolist() == [1, 0, 2, 0, 2, 1]
    assert groups.labels == ["1-2\n(2)", "3-5\n(2)", "7-9\n(2)"]


def test_equal_counts_are_never_divided():
    groups = equal_groups([4, 4, 4, 4, 4, 1, 2000, 2000], 4)
    assert groups.low.tolist() == [1, 4, 2000]
    assert groups.sizes.tolist() == [1, 5, 2]
    assert groups.labels == ["1\n(1)", "4\n(5)", "2,000\n(2)"]
    assert equal_groups([3, 3, 3]).sizes.tolist() == [3]


def test_many_groups_are_even():
    counts = np.random.default_rng(0).integers(0, 10_000, 6_000)
    sizes = equal_groups(counts).sizes
    assert len(sizes) == 6
    assert sizes.sum() == 6_000
    assert abs(sizes - 1_000).max() <= 5


def test_counts_between_and_outside_the_groups():
    groups = equal_groups([1, 2, 5, 9], 2)
    assert (groups.low.tolist(), groups.high.tolist()) == ([1, 5], [2, 9])
    assert groups.of([0, 1, 2, 3, 9, 100]).tolist() == [0, 0, 0, 1, 1, 1]


def test_means_and_intervals_by_hand():
    groups = equal_groups([1, 1, 8, 8, 8, 8], 2)
    figures = group_figures([1.0, 3.0, 0.0, 0.0, 4.0, 4.0], groups)
    assert figures.values.tolist() == [2.0, 2.0]
    # Deviations over n - 1: 2 / 1 and 16 / 3; the first interval ends at 0, not below.
    assert figures.high == pytest.approx([2 + 1.96 * math.sqrt(2 / 2), 2 + 1.96 * math.sqrt(16 / 3 / 4)])
    assert figures.low == pytest.approx([0.04, max(0.0, 2 - 1.96 * math.sqrt(4 / 3))])
    roots = group_figures([1.0, 3.0, 0.0, 0.0, 4.0, 4.0], groups, root)
    assert roots.values == pytest.approx([math.sqrt(2)] * 2)
    assert roots.high == pytest.approx(np.sqrt(figures.high))


def test_one_case_has_no_interval():
    figures = group_figures([2.0, 1.0, 3.0], equal_groups([1, 5, 5], 2))
    assert figures.values.tolist() == [2.0, 2.0]
    assert np.isnan(figures.low[0])
    assert np.isfinite(figures.low[1])


def test_intervals_cover_the_mean():
    random = np.random.default_rng(1)
    groups = equal_groups(np.arange(60_000) // 100, 600)
    found = group_figures(random.exponential(1.0, 60_000), groups)
    assert len(groups.sizes) == 600
    assert 0.91 < np.mean((found.low < 1) & (found.high > 1)) < 0.97


def test_shares_by_hand():
    groups = equal_groups([1, 2, 5, 9], 2)
    assert group_shares([0, 1, 3, 7], [2, 1, 1, 4], groups).tolist() == [0.375, 0.625]


def test_what_cannot_be_grouped_is_refused():
    with pytest.raises(DataError, match="at least one case"):
        equal_groups([])
    with pytest.raises(DataError, match=r"shape \(2,\), expected \(3,\)"):
        group_figures([1.0, 2.0], equal_groups([1, 2, 3]))
    with pytest.raises(DataError, match="finite"):
        group_figures([1.0, np.nan], equal_groups([1, 2]))


def test_users_are_known_by_what_folds_them_in(toy):
    parts = [toy.take(np.arange(first, 300, 3)) for first in range(3)]
    split = Split(*parts, "by hand")
    assert known_counts(split)[0].tolist() == parts[0].user_counts().tolist()
    folded = Split(*parts, "by hand", fold_in=parts[1])
    users, items = known_counts(folded)
    assert users.tolist() == (parts[0].user_counts() + parts[1].user_counts()).tolist()
    assert items.tolist() == parts[0].item_counts().tolist()


class ByNumber:
    """Scores items by their number, the last one best."""

    def score_items(self, user_id):
        number = tf.range(21, dtype=tf.float32)
        return tf.repeat(number[tf.newaxis], tf.shape(user_id)[0], axis=0)


@pytest.mark.parametrize("scores_per_call", [2**21, 50])
def test_recommended_items_by_hand(toy, monkeypatch, scores_per_call):
    monkeypatch.setattr("tfzoo.evaluation.groups.SCORES_PER_CALL", scores_per_call)
    # Nobody has item 20 in the training part.
    train, other = toy.take(np.flatnonzero(toy.item_id != 20)[:200]), toy.take(np.arange(250, 300))
    users = np.arange(1, 31, dtype=np.int32)
    expected = np.zeros(21, int)
    for user in users:
        known = {*train.item_id[train.user_id == user], *other.item_id[other.user_id == user]}
        for item in sorted(set(range(1, 20)) - known)[-4:]:
            expected[item] += 1
    counts = recommendation_counts(ByNumber(), users, [train, other], 4)
    assert counts.tolist() == expected.tolist()
    assert counts.sum() == 120
    # Where fewer items are left than the list is long, these alone are counted.
    assert recommendation_counts(ByNumber(), users[:1], [train], 100).sum() == 19 - len(
        set(train.item_id[train.user_id == 1])
    )
