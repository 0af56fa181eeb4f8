"""Per-user splits: time order, shares, no leak, and nothing but data and seed decides."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tfzoo.data.interactions import Interactions
from tfzoo.data.ranking_splits import (
    chronological_order,
    chronological_split,
    draw_negatives,
    leave_out_split,
    one_row_per_user,
    per_user_split,
)
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError

PARTS = ("train", "validation", "test")
SEEDS = st.integers(0, 2**31)
NUM_USERS, NUM_ITEMS = 12, 15


def make(user, item, time=None):
    """Make interactions; the rating is the number of the row."""
    return Interactions(
        Vocabulary(np.arange(1, NUM_USERS + 1)),
        Vocabulary(np.arange(1, NUM_ITEMS + 1)),
        np.asarray(user),
        np.asarray(item),
        rating=np.arange(len(user)),
        timestamp=time,
    )


@st.composite
def tables(draw, distinct_times=False):
    """Draw interactions with distinct pairs; user 1 has five rows, so that no part is empty."""
    cells = st.integers(NUM_ITEMS, NUM_USERS * NUM_ITEMS - 1)
    drawn = draw(st.lists(cells, min_size=5, max_size=60, unique=True))
    cells = draw(st.permutations([0, 1, 2, 3, 4, *drawn]))
    size = len(cells)
    times = st.lists(
        st.integers(0, 10**6 if distinct_times else 5),
        min_size=size,
        max_size=size,
        unique=distinct_times,
    )
    data = make(np.array(cells) // NUM_ITEMS + 1, np.array(cells) % NUM_ITEMS + 1, draw(times))
    # Five items that nobody has, so that every user has some to draw negatives from.
    return replace(data, items=Vocabulary(np.arange(1, NUM_ITEMS + 6)))


def rows_of(part):
    return part.ratings.astype(int).tolist()


def assert_partition(split, size):
    rows = [row for part in PARTS for row in rows_of(getattr(split, part))]
    assert sorted(rows) == list(range(size))


def content(part):
    return Counter(zip(part.user_id.tolist(), part.item_id.tolist(), part.ratings.tolist(), strict=True))


def contents(split):
    return [content(getattr(split, part)) for part in PARTS]


def history(data, user):
    """Return the rows of one user in time order, rows of equal time in the order of the table."""
    rows = [row for row in range(len(data)) if data.user_id[row] == user]
    return sorted(rows, key=lambda row: (int(data.timestamp[row]), row))


@given(tables())
def test_order_is_user_then_time_then_row(data):
    assert chronological_order(data).tolist() == [
        row for user in range(1, NUM_USERS + 1) for row in history(data, user)
    ]
    without = replace(data, timestamp=None)
    assert chronological_order(without).tolist() == sorted(
        range(len(data)), key=lambda row: (int(data.user_id[row]), row)
    )


@given(tables(), st.sampled_from([(0.675, 0.075, 0.25), (0.5, 0.25, 0.25), (0.6, 0.2, 0.2)]))
def test_chronological_parts_are_cut_at_the_rounded_shares(data, ratios):
    split = chronological_split(data, seed=0, ratios=ratios)
    assert_partition(split, len(data))
    expected = [[], [], []]
    for user in range(1, NUM_USERS + 1):
        rows = history(data, user)
        # Python rounds halves to the even number, as the library does.
        cuts = [round(len(rows) * ratios[0]), round(len(rows) * (1 - ratios[2]))]
        for part, wanted in zip(
            expected, (rows[: cuts[0]], rows[slice(*cuts)], rows[cuts[1] :]), strict=True
        ):
            part += wanted
    assert [rows_of(getattr(split, part)) for part in PARTS] == expected


@given(tables(), SEEDS)
def test_no_later_row_of_a_user_is_trained_on_than_tested_on(data, seed):
    for split in (chronological_split(data, seed=seed), leave_out_split(data, seed=seed)):
        for user in np.unique(split.test.user_id):
            of = [getattr(split, part).timestamp[getattr(split, part).user_id == user] for part in PARTS]
            bounds = [bound for times in of if len(times) for bound in (times.min(), times.max())]
            assert bounds == sorted(bounds)


@given(tables(distinct_times=True), SEEDS, st.randoms())
def test_parts_do_not_depend_on_the_order_of_rows_where_times_differ(data, seed, random):
    order = list(range(len(data)))
    random.shuffle(order)
    shuffled = data.take(np.array(order))
    assert contents(chronological_split(data, seed=seed)) == contents(
        chronological_split(shuffled, seed=seed)
    )
    one, other = (
        leave_out_split(table, seed=seed, negatives=2, validation="random") for table in (data, shuffled)
    )
    assert contents(one) == contents(other)
    for part in ("validation", "test"):
        assert np.array_equal(one.negatives[part].item_id, other.negatives[part].item_id)


@given(tables(), SEEDS, st.randoms())
def test_per_user_parts_do_not_depend_on_the_order_of_rows_at_all(data, seed, random):
    order = list(range(len(data)))
    random.shuffle(order)
    ratios = (0.5, 0.25, 0.25)
    one, other = (
        per_user_split(table, seed=seed, ratios=ratios) for table in (data, data.take(np.array(order)))
    )
    assert_partition(one, len(data))
    assert contents(one) == contents(other)
    for user in range(1, NUM_USERS + 1):
        size = int((data.user_id == user).sum())
        assert (one.test.user_id == user).sum() == size - round(0.75 * size)


def test_per_user_parts_are_random_and_depend_on_the_seed(toy):
    tests = [frozenset(content(per_user_split(toy, seed=seed).test)) for seed in range(200)]
    assert len(set(tests)) == 200
    assert contents(per_user_split(toy, seed=3)) == contents(per_user_split(toy, seed=3))
    # Each user has 10 rows, 2 of them for test: every row is drawn 40 times on average.
    drawn = Counter(row for test in tests for row in test)
    counts = [drawn[row] for row in content(toy)]
    assert stats.chisquare(counts).pvalue > 1e-4


def test_chronological_toy_by_hand():
    # User 1: items by time 4, 3, 2, 1 and 5; user 2 has two rows at the same time.
    data = make([1, 1, 1, 1, 2, 2, 1], [1, 2, 3, 4, 6, 7, 5], [40, 30, 20, 10, 5, 5, 50])
    split = chronological_split(data, seed=9, ratios=(0.4, 0.2, 0.4))
    assert split.train.item_id.tolist() == [4, 3, 6]
    assert split.validation.item_id.tolist() == [2]
    assert split.test.item_id.tolist() == [1, 5, 7]
    assert split.protocol == "per user chronological 40/20/40"
    rows = chronological_split(replace(data, timestamp=None), seed=9, ratios=(0.4, 0.2, 0.4))
    assert rows.train.item_id.tolist() == [1, 2, 6]
    assert "row order" in rows.protocol


@pytest.mark.parametrize("make_split", [chronological_split, per_user_split])
def test_wrong_ratios_are_refused(toy, make_split):
    with pytest.raises(UsageError, match=r"split\.ratios"):
        make_split(toy, seed=0, ratios=(0.5, 0.5, 0.5))


@given(tables(), SEEDS, st.integers(1, 3))
def test_leave_out_takes_the_last_rows(data, seed, leave):
    split = leave_out_split(data, seed=seed, leave=leave)
    assert_partition(split, len(data))
    expected = [[], [], []]
    for user in range(1, NUM_USERS + 1):
        rows = history(data, user)
        cuts = (len(rows) - leave - 1, len(rows) - leave) if len(rows) >= leave + 2 else (len(rows),) * 2
        for part, wanted in zip(
            expected, (rows[: cuts[0]], rows[slice(*cuts)], rows[cuts[1] :]), strict=True
        ):
            part += wanted
    assert [sorted(rows_of(getattr(split, part))) for part in PARTS] == [sorted(part) for part in expected]


def test_leave_out_says_who_stays_in_train():
    data = make([1, 1, 1, 2, 2, 3], [1, 2, 3, 1, 2, 1], np.arange(6))
    split = leave_out_split(data, seed=0)
    assert (rows_of(split.train), rows_of(split.validation), rows_of(split.test)) == ([0, 3, 4, 5], [1], [2])
    assert split.protocol == (
        "leave 1 out per user, latest row before for validation, "
        "2 users with fewer than 3 rows wholly in train"
    )
    with pytest.raises(DataError, match="validation part is empty"):
        leave_out_split(data, seed=0, leave=2)


def test_a_random_validation_row_is_any_but_the_test_row():
    data = make([1] * 5 + [2] * 3, [1, 2, 3, 4, 5, 1, 2, 3], np.arange(8))
    chosen = Counter()
    for seed in range(300):
        split = leave_out_split(data, seed=seed, validation="random")
        assert rows_of(split.test) == [4, 7]
        chosen.update(rows_of(split.validation))
    assert set(chosen) == {0, 1, 2, 3, 5, 6}
    assert stats.chisquare([chosen[row] for row in (0, 1, 2, 3)]).pvalue > 1e-4


@given(tables(), SEEDS, st.integers(1, 4))
def test_negatives_are_unseen_distinct_and_there_for_every_user(data, seed, count):
    split = leave_out_split(data, seed=seed, negatives=count)
    for part in ("validation", "test"):
        drawn = split.negatives[part]
        assert drawn.item_id.shape == (len(np.unique(getattr(split, part).user_id)), count)
        assert drawn.user_id.tolist() == np.unique(getattr(split, part).user_id).tolist()
        for user, items in zip(drawn.user_id, drawn.item_id, strict=True):
            assert len(set(items.tolist())) == count
            assert items.min() >= 1
            assert not set(items.tolist()) & set(data.item_id[data.user_id == user].tolist())


def test_negatives_differ_between_parts_and_seeds(toy):
    draws = [leave_out_split(toy, seed=seed, negatives=5).negatives for seed in (0, 0, 1)]
    assert np.array_equal(draws[0]["test"].item_id, draws[1]["test"].item_id)
    assert not np.array_equal(draws[0]["test"].item_id, draws[2]["test"].item_id)
    assert not np.array_equal(draws[0]["test"].item_id, draws[0]["validation"].item_id)


def test_negatives_are_uniform_over_the_unseen_items():
    data = make([1] * 5, [2, 3, 5, 7, 11])
    counts = np.zeros(NUM_ITEMS + 1, int)
    for seed in range(1000):
        counts[draw_negatives(data, np.array([1]), 3, seed).item_id] += 1
    assert counts[[0, 2, 3, 5, 7, 11]].tolist() == [0] * 6
    # Draws without replacement vary less than independent ones, so the test is on the safe side.
    assert stats.chisquare(counts[counts > 0]).pvalue > 1e-4
    assert (counts > 0).sum() == 10


def test_users_with_too_few_unseen_items_are_left_out_and_counted():
    # User 1 has every item, user 2 all but one, one of them twice; user 3 has five.
    users = [1] * NUM_ITEMS + [2] * NUM_ITEMS + [3] * 5
    items = [*range(1, NUM_ITEMS + 1), *range(1, NUM_ITEMS), 1, *range(1, 6)]
    data = make(users, items)
    for negatives, left_out, measured in ((1, 1, [2, 3]), (2, 2, [3]), (10, 2, [3])):
        split = leave_out_split(data, seed=0, negatives=negatives)
        assert split.test.user_id.tolist() == split.validation.user_id.tolist() == measured
        assert f"{left_out} users with fewer than {negatives} items never interacted with" in split.protocol
        assert split.negatives["test"].user_id.tolist() == measured
        assert len(split.train) == len(data) - 2 * 3
        assert np.unique(split.train.user_id).tolist() == [1, 2, 3]
    assert "left out" not in leave_out_split(data, seed=0).protocol
    with pytest.raises(
        DataError,
        match=r"every user has fewer than 11 items .* for 11 negatives\. Rank all items \(--set split",
    ):
        leave_out_split(data, seed=0, negatives=11)


def test_all_unseen_items_can_be_asked_for_but_no_more():
    data = make([1] * 5 + [4], [2, 3, 5, 7, 11, 1])
    every = draw_negatives(data, np.array([4, 1, 4]), 10, 0)
    assert every.user_id.tolist() == [1, 4]
    assert sorted(every.item_id[0].tolist()) == [1, 4, 6, 8, 9, 10, 12, 13, 14, 15]
    with pytest.raises(
        DataError, match="user 1 has 10 items never interacted with, too few for 11 negatives"
    ):
        draw_negatives(data, np.array([1, 4]), 11, 0)


def test_negatives_are_drawn_block_by_block_alike(toy, monkeypatch):
    users = np.arange(1, toy.num_users + 1)
    monkeypatch.setattr("tfzoo.data.ranking_splits._BLOCK_ENTRIES", 4 * (toy.num_items + 1))
    drawn = draw_negatives(toy, users, 6, 0)
    seen = set(zip(toy.user_id.tolist(), toy.item_id.tolist(), strict=True))
    pairs = [(user, item) for user, row in zip(users, drawn.item_id, strict=True) for item in row.tolist()]
    assert len(set(pairs)) == 6 * toy.num_users
    assert not seen & set(pairs)


@pytest.mark.parametrize("options", [{"leave": 0}, {"negatives": 0}])
def test_leave_out_refuses_less_than_one(toy, options):
    with pytest.raises(UsageError, match=r"split\.leave and split\.negatives must be at least 1"):
        leave_out_split(toy, seed=0, **options)


def test_one_row_per_user_keeps_to_the_given_rows():
    data = make([1, 1, 1, 2, 2, 3], [1, 2, 3, 4, 5, 6], [5, 9, 7, 1, 2, 3])
    rows = np.array([0, 2, 3, 4, 5])
    assert one_row_per_user(data, rows, seed=0).tolist() == [2, 4, 5]
    assert one_row_per_user(data, rows, seed=0, at_least=2).tolist() == [2, 4]
    chosen = [tuple(one_row_per_user(data, rows, seed=seed, how="random")) for seed in range(50)]
    assert set(chosen) == {(first, second, 5) for first in (0, 2) for second in (3, 4)}
    with pytest.raises(UsageError, match="must be 'latest' or 'random' here"):
        one_row_per_user(data, rows, seed=0, how="last")
