"""Filters keep what they promise, renumber without mixing anything up, and say what they dropped."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfzoo.data.filters import compact, filter_interactions, restricted
from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Negatives, split_at_rows
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError


def make(user, item, rating=None):
    """Make interactions of users 101.. and items i1..; the time is the number of the row."""
    return Interactions(
        Vocabulary(np.arange(101, 111)),
        Vocabulary(np.array([f"i{number}" for number in range(10)])),
        np.asarray(user),
        np.asarray(item),
        rating=rating,
        timestamp=np.arange(len(user)),
        text=np.array([f"row {row}" for row in range(len(user))], dtype=object),
        user_features={"age": np.arange(11) * 10},
        item_features={"title": np.array(["", *(f"title of i{number}" for number in range(10))])},
        notes=("from a test",),
    )


@st.composite
def tables(draw):
    cells = draw(st.lists(st.integers(0, 99), min_size=1, max_size=80))
    rating = draw(st.lists(st.integers(1, 5), min_size=len(cells), max_size=len(cells)))
    return make(np.array(cells) // 10 + 1, np.array(cells) % 10 + 1, np.array(rating))


def raw_rows(data):
    columns = (data.users.decode(data.user_id), data.items.decode(data.item_id), data.timestamp, data.text)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def expected_rows(data, min_rating, min_user, min_item, iterate):
    """Apply the rules one row at a time."""
    rows = [
        (*row, rating)
        for row, rating in zip(raw_rows(data), data.ratings.tolist(), strict=True)
        if rating >= min_rating
    ]
    while True:
        size = len(rows)
        rows = [row for row in rows if sum(other[0] == row[0] for other in rows) >= min_user]
        rows = [row for row in rows if sum(other[1] == row[1] for other in rows) >= min_item]
        if not iterate or len(rows) == size:
            return [row[:4] for row in rows]


@given(tables(), st.integers(1, 5), st.integers(0, 4), st.integers(0, 4), st.booleans())
def test_rows_are_those_of_the_rules_one_by_one(data, min_rating, min_user, min_item, iterate):
    options = {
        "min_rating": min_rating,
        "min_user_interactions": min_user,
        "min_item_interactions": min_item,
        "iterate": iterate,
    }
    expected = expected_rows(data, min_rating, min_user, min_item, iterate)
    if not expected:
        with pytest.raises(DataError, match="no interaction is left by the filter rating of at least"):
            filter_interactions(data, **options)
        return
    left = filter_interactions(data, **options)
    assert raw_rows(left) == expected
    assert set(left.users.ids.tolist()) == {row[0] for row in expected}
    assert set(left.items.ids.tolist()) == {row[1] for row in expected}
    assert left.user_features["age"].tolist() == [0, *((left.users.ids - 100) * 10)]
    assert left.item_features["title"].tolist() == ["", *(f"title of {item}" for item in left.items.ids)]


def test_once_leaves_users_below_their_minimum_and_iterating_does_not():
    # User 3 has two rows, one of them of an item that only he has.
    data = make([1, 1, 2, 2, 3, 3], [1, 2, 1, 2, 1, 3])
    once = filter_interactions(data, min_user_interactions=2, min_item_interactions=2)
    assert once.user_counts().tolist() == [0, 2, 2, 1]
    core = filter_interactions(data, min_user_interactions=2, min_item_interactions=2, iterate=True)
    assert raw_rows(core) == raw_rows(data)[:4]


def test_the_note_counts_what_was_dropped():
    data = compact(make([1, 1, 2, 2, 3], [1, 2, 1, 2, 4], rating=[5, 4, 4, 2, 5]))
    left = filter_interactions(data, min_rating=4, min_user_interactions=2)
    assert left.notes == (
        "from a test",
        "filter: rating of at least 4, then at least 2 rows a user; dropped 3 of 5 interactions, "
        "2 of 3 users, 1 of 3 items",
    )
    core = filter_interactions(data, min_item_interactions=2, iterate=True)
    assert core.notes[-1].startswith(
        "filter: at least 2 rows an item, repeated until all hold; dropped 1 of 5"
    )


def test_ratings_stay_what_they_are():
    left = filter_interactions(make([1, 2, 2], [1, 1, 2], rating=[3.5, 4, 4.5]), min_rating=4)
    assert left.ratings.tolist() == [4, 4.5]


def test_no_filter_changes_nothing_but_the_vocabulary():
    data = make([1, 3], [1, 2])
    left = filter_interactions(data)
    assert raw_rows(left) == raw_rows(data)
    assert left.notes == data.notes
    assert left.users.ids.tolist() == [101, 103]


def test_a_minimum_rating_needs_ratings():
    with pytest.raises(DataError, match="has no ratings"):
        filter_interactions(make([1], [1]), min_rating=4)


@pytest.mark.parametrize("option", ["min_user_interactions", "min_item_interactions"])
def test_negative_minima_are_refused(option):
    with pytest.raises(UsageError, match="must not be negative"):
        filter_interactions(make([1], [1]), **{option: -1})


def test_compact_keeps_the_unknown_id():
    data = compact(make([0, 4, 4], [2, 0, 9]))
    assert data.user_id.tolist() == [0, 1, 1]
    assert data.item_id.tolist() == [1, 0, 2]
    assert data.users.ids.tolist() == [104]
    assert data.items.ids.tolist() == ["i1", "i8"]
    assert data.user_features["age"].tolist() == [0, 40]
    assert compact(data).users is data.users


def test_stored_negatives_follow_the_filter(toy):
    whole = replace(
        split_at_rows(toy, np.arange(200), np.arange(200, 250), np.arange(250, 300), "rows"),
        negatives={
            part: Negatives(np.arange(1, 31), np.tile(np.arange(1, 21), (30, 1)))
            for part in ("validation", "test")
        },
    )
    kept = filter_interactions(toy, min_rating=3, min_item_interactions=9)
    split = restricted(whole, kept, 3)
    stored = split.negatives["test"]
    assert np.array_equal(toy.users.ids[:30][np.isin(toy.users.ids, kept.users.ids)], kept.users.ids)
    assert len(stored) == kept.num_users
    dropped = ~np.isin(toy.items.ids, kept.items.ids)
    assert 0 < dropped.sum() < 20
    assert (stored.item_id[0] == 0).tolist() == dropped.tolist()
    assert kept.items.decode(stored.item_id[0][~dropped]).tolist() == toy.items.ids[~dropped].tolist()
    high = replace(whole, test=toy.take(np.flatnonzero(toy.ratings < 3)[:5]))
    with pytest.raises(DataError, match=r"Of the test part of 'toy' no interaction is left by the filter"):
        restricted(high, kept, 3)
