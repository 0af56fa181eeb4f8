"""The raw YooChoose file, and splits by the end of sessions."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfzoo.data.datasets.sessions import read_yoochoose_clicks, sessions_split
from tfzoo.data.interactions import Interactions
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError

PARTS = ("train", "validation", "test")


def make(session, item, time=None):
    """Make events; the rating is the number of the row."""
    return Interactions(
        Vocabulary(np.arange(1, 31)),
        Vocabulary(np.arange(1, 13)),
        np.asarray(session),
        np.asarray(item),
        rating=np.arange(len(session)),
        timestamp=time,
    )


def rows_of(part):
    return part.ratings.astype(int).tolist()


def by_hand(data, seconds):
    """Apply the published rule with sets and dictionaries."""

    def late(rows):
        end = {}
        for row in rows:
            user = int(data.user_id[row])
            end[user] = max(end.get(user, 0), int(data.timestamp[row]))
        border = max(end.values()) - seconds
        before = [row for row in rows if end[int(data.user_id[row])] < border]
        items = {int(data.item_id[row]) for row in before}
        after = [
            row for row in rows if end[int(data.user_id[row])] >= border and int(data.item_id[row]) in items
        ]
        length = np.bincount(data.user_id[after], minlength=31)
        return before, [row for row in after if length[data.user_id[row]] > 1]

    earlier, test = late(range(len(data)))
    train, validation = late(earlier) if earlier else ([], [])
    return train, validation, test


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 12), st.integers(1, 40)), min_size=40, max_size=90),
    st.integers(1, 12),
)
def test_time_split_is_the_published_rule(events, seconds):
    data = make(*zip(*events, strict=True))
    expected = by_hand(data, seconds)
    if not all(expected):
        with pytest.raises(DataError, match="part is empty"):
            sessions_split(data, seed=0, test_seconds=seconds)
        return
    split = sessions_split(data, seed=0, test_seconds=seconds)
    assert [rows_of(getattr(split, part)) for part in PARTS] == [list(rows) for rows in expected]
    users = [set(getattr(split, part).user_id.tolist()) for part in PARTS]
    assert sum(map(len, users)) == len(set.union(*users))


def test_time_split_by_hand():
    # Sessions end at 10, 20, 30, 40 and 100, 101; item 9 is new in the test part.
    data = make(
        [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 6, 6],
        [1, 2, 2, 3, 1, 3, 3, 1, 1, 9, 2, 9, 3],
        [5, 10, 15, 20, 25, 30, 39, 40, 1, 90, 100, 90, 101],
    )
    split = sessions_split(data, seed=0, test_seconds=10)
    assert rows_of(split.train) == [0, 1, 2, 3]
    # Session 3 ends exactly 10 s before the last of the earlier ones, which still is within.
    assert rows_of(split.validation) == [4, 5, 6, 7]
    # Session 5 loses its new item; session 6 is left with one event and goes.
    assert rows_of(split.test) == [8, 10]
    assert split.protocol == (
        "sessions, test the last 10 s, validation the last 10 s of the others, items unseen before and "
        "single events dropped"
    )
    assert split.notes == (
        "the test part is without 2 events with items unseen before, and without 1 events that "
        "are the only ones of a session",
    )


def test_validation_share_takes_the_sessions_that_end_last():
    # In order of their ends: 3, 1, 4, 2, then the test session 5.
    session, item = np.repeat([1, 2, 3, 4, 5], 2), np.tile([1, 2], 5)
    data = make(session, item, np.array([2, 20, 4, 40, 1, 10, 3, 30, 1, 900]))
    split = sessions_split(data, seed=0, test_seconds=100, validation=0.5)
    assert rows_of(split.test) == [8, 9]
    assert set(split.validation.user_id.tolist()) == {2, 4}
    assert set(split.train.user_id.tolist()) == {1, 3}


def test_without_times_the_first_rows_give_the_order():
    # Sessions begin in the order 4, 1, 2, 3, whatever their numbers and ends.
    data = make([4, 1, 1, 2, 4, 2, 3, 3], [1, 2, 1, 1, 2, 2, 2, 1])
    split = sessions_split(data, seed=0, test=0.25, validation=0.34)
    assert set(split.test.user_id.tolist()) == {3}
    assert set(split.validation.user_id.tolist()) == {2}
    assert rows_of(split.train) == [0, 1, 2, 4]
    assert split.protocol.endswith("row order for time")
    same = sessions_split(data, seed=1, test=0.25)
    assert rows_of(same.validation) == rows_of(split.validation)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_seconds": 0}, "test_seconds must be at least 1"),
        ({"validation": 1.0}, r"split\.validation must lie between 0 and 1"),
        ({"test": 0.0}, "test must lie between 0 and 1"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        sessions_split(make([1, 1], [1, 2]), seed=0, **options)


def click(session, second, item):
    return f"{session},2014-04-07T10:00:{second:06.3f}Z,{item},0\n"


def test_clicks_are_read_and_prepared(tmp_path):
    lines = [click(20, 30 - number, 7) for number in range(2)]
    lines += [click(11, 1.25, 7), click(11, 1.75, 5), click(11, 1.5, 5), click(11, 2, 5)]
    lines += [click(30, 5, 5), click(30, 6, 5), click(30, 7, 7), click(30, 8, 7)]
    # A session of one click goes first, so that its item has only four clicks and goes too;
    # then a session of two is left with one click, and goes.
    lines += [
        click(40, 9, 3),
        click(41, 1, 3),
        click(41, 2, 7),
        click(42, 1, 3),
        click(42, 2, 3),
        click(42, 3, 3),
    ]
    path = tmp_path / "clicks.dat"
    path.write_text("".join(lines))
    data = read_yoochoose_clicks(path)
    assert data.users.ids.tolist() == [11, 20, 30]
    assert data.items.ids.tolist() == [5, 7]
    assert data.user_id.tolist() == [1] * 4 + [2] * 2 + [3] * 4
    # In order of time, also within one second.
    assert data.items.decode(data.item_id).tolist() == [7, 5, 5, 5, 7, 7, 5, 5, 7, 7]
    start = 1_396_864_800_000
    assert data.ticks_per_second == 1000
    assert (data.timestamp - start).tolist() == [
        *(1250, 1500, 1750, 2000),
        *(29_000, 30_000),
        *(5000, 6000, 7000, 8000),
    ]
    assert data.rating is None

    packed = tmp_path / "clicks.dat.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_yoochoose_clicks(packed).item_id.tolist() == data.item_id.tolist()


@pytest.mark.parametrize("content", ["1,noon,3,0\n", "a,2014-04-07T10:00:00.000Z,3,0\n", ""])
def test_damaged_clicks_are_refused(tmp_path, content):
    path = tmp_path / "clicks.dat"
    path.write_text(content)
    with pytest.raises(DataError, match=r"clicks\.dat"):
        read_yoochoose_clicks(path)
