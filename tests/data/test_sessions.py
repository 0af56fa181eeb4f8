"""Sessions, and the session-parallel layout against a plain Python loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfzoo.data.interactions import Interactions
from tfzoo.data.sessions import SessionLayout, Sessions
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import UsageError


def interactions(user, item, timestamp=None, num_users=9, num_items=500):
    return Interactions(
        Vocabulary(np.arange(num_users)),
        Vocabulary(np.arange(num_items)),
        np.array(user),
        np.array(item),
        timestamp=timestamp,
    )


def of_lengths(*lengths):
    """Sessions with events 1, 2, 3, ... all different."""
    return Sessions(
        np.arange(1, len(lengths) + 1, dtype=np.int32),
        np.arange(1, sum(lengths) + 1, dtype=np.int32),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )


def as_lists(sessions):
    return [
        (int(user), sessions.item_id[sessions.offsets[n] : sessions.offsets[n + 1]].tolist())
        for n, user in enumerate(sessions.user_id)
    ]


def reference_layout(sessions, batch_size):
    """Return ``(current, target, reset)`` of every active slot of every step, one list a step.

    A port of the iterator in the authors' code: all slots run until the first of their sessions
    ends; slots for which no session is left drop out.
    """
    queue = [events for _, events in as_lists(sessions) if len(events) > 1]
    slots = [{"events": events, "at": 0, "new": True} for events in queue[:batch_size]]
    unused = batch_size
    steps = []
    while slots:
        shortest = min(len(slot["events"]) - slot["at"] for slot in slots)
        for _ in range(shortest - 1):
            steps.append([(s["events"][s["at"]], s["events"][s["at"] + 1], s["new"]) for s in slots])
            for slot in slots:
                slot["at"] += 1
                slot["new"] = False
        going_on = []
        for slot in slots:
            if len(slot["events"]) - slot["at"] > 1:
                going_on.append(slot)
            elif unused < len(queue):
                going_on.append({"events": queue[unused], "at": 0, "new": True})
                unused += 1
        slots = going_on
    return steps


def layout_as_lists(layout):
    return [
        [
            (int(layout.current[t, b]), int(layout.target[t, b]), bool(layout.reset[t, b]))
            for b in range(layout.active.shape[1])
            if layout.active[t, b]
        ]
        for t in range(layout.steps)
    ]


def test_events_are_ordered_by_time_then_row_and_sessions_by_their_first_event():
    data = interactions(
        user=[3, 1, 3, 2, 1, 3],
        item=[31, 11, 32, 21, 12, 33],
        timestamp=[50, 40, 45, 40, 40, 50],
    )
    # User 1 and 2 both begin at 40, user 1 in an earlier row; user 3 begins at 45.
    assert as_lists(Sessions.of(data)) == [(1, [11, 12]), (2, [21]), (3, [32, 31, 33])]


def test_without_time_stamps_rows_are_the_order():
    data = interactions(user=[3, 1, 3, 2, 1], item=[31, 11, 32, 21, 12])
    assert as_lists(Sessions.of(data)) == [(3, [31, 32]), (1, [11, 12]), (2, [21])]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 500), st.integers(0, 5)), max_size=40))
def test_sessions_are_those_of_a_plain_loop(rows):
    user, item, time = (np.array(column, int) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    found = as_lists(Sessions.of(interactions(user, item, np.array(time, np.int64))))
    expected = {}
    for row in sorted(range(len(rows)), key=lambda row: (rows[row][2], row)):
        expected.setdefault(rows[row][0], []).append(rows[row][1])
    # A dict keeps the order in which sessions were first seen: by time, then by row.
    assert found == list(expected.items())


def test_taking_sessions_keeps_their_events():
    assert as_lists(of_lengths(2, 3, 1).take(np.array([2, 1]))) == [(3, [6]), (2, [3, 4, 5])]


def test_last_events_are_right_padded_and_the_oldest_fall_off():
    sessions = of_lengths(2, 4, 1)
    np.testing.assert_array_equal(
        sessions.last_events(num_users=4, width=3), [[0, 0, 0], [1, 2, 0], [4, 5, 6], [7, 0, 0], [0, 0, 0]]
    )


def test_last_events_are_no_wider_than_the_longest_session():
    assert of_lengths(2, 4, 1).last_events(num_users=3, width=50).shape == (4, 4)


def test_the_layout_by_hand():
    # Three sessions in two slots: 1 2 3 | 4 5 | 6 7 8.
    layout = SessionLayout.of(of_lengths(3, 2, 3), 2)
    np.testing.assert_array_equal(layout.current, [[1, 4], [2, 6], [0, 7]])
    np.testing.assert_array_equal(layout.target, [[2, 5], [3, 7], [0, 8]])
    np.testing.assert_array_equal(layout.reset, [[True, True], [False, True], [False, False]])
    np.testing.assert_array_equal(layout.active, [[True, True], [True, True], [False, True]])
    assert (layout.steps, layout.events) == (3, 5)


@given(st.lists(st.integers(1, 7), max_size=25), st.integers(1, 6))
def test_the_layout_is_that_of_the_authors_iterator(lengths, batch_size):
    sessions = of_lengths(*lengths)
    layout = SessionLayout.of(sessions, batch_size)
    assert layout_as_lists(layout) == reference_layout(sessions, batch_size)
    for name, dtype in [("current", np.int32), ("target", np.int32), ("reset", bool), ("active", bool)]:
        assert getattr(layout, name).dtype == dtype
        assert getattr(layout, name).shape == (layout.steps, batch_size)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=25), st.integers(1, 6))
def test_a_slot_is_reset_where_a_session_begins_and_nowhere_else(lengths, batch_size):
    sessions = of_lengths(*lengths)
    layout = SessionLayout.of(sessions, batch_size)
    first = [events[0] for _, events in as_lists(sessions) if len(events) > 1]
    assert sorted(layout.current[layout.reset].tolist()) == first
    # Inside a session the event that is fed is the one that was asked for a step earlier.
    inside = layout.active[1:] & ~layout.reset[1:]
    np.testing.assert_array_equal(layout.current[1:][inside], layout.target[:-1][inside])
    assert layout.events == sum(length - 1 for length in lengths)
    assert not layout.current[~layout.active].any()
    assert not layout.target[~layout.active].any()


@given(st.lists(st.integers(2, 6), min_size=1, max_size=12), st.integers(2, 4))
def test_a_layout_for_two_slots_or_more_ends_where_one_is_left(lengths, batch_size):
    full = SessionLayout.of(of_lengths(*lengths), batch_size)
    cut = SessionLayout.of(of_lengths(*lengths), batch_size, fewest=2)
    together = full.active.sum(axis=1) >= 2
    assert cut.steps == together.sum()
    np.testing.assert_array_equal(cut.current, full.current[together])


def test_a_batch_needs_a_slot():
    with pytest.raises(UsageError, match=r"batch_size must be at least 1\. Received 0"):
        SessionLayout.of(of_lengths(2), 0)
