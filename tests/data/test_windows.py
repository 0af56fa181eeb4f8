"""Windows of sequences, against loops over users."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.zoo import table
from tfzoo.data.windows import Sequences, histories_before, windows_of
from tfzoo.errors import DataError

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def sequences_of(lengths, seed=0):
    """Return interactions in shuffled row order, and each user's items in time order."""
    random = np.random.default_rng(seed)
    user = np.repeat(np.arange(1, len(lengths) + 1), lengths)
    item = random.integers(1, 30, len(user))
    time = np.concatenate([np.sort(random.choice(10**6, n, replace=False)) for n in lengths])
    order = random.permutation(len(user))
    data = table(user[order], item[order], np.ones(len(user)), timestamp=time[order], num_items=30)
    return data, [item[user == u].tolist() for u in range(1, len(lengths) + 1)], time


@given(LENGTHS)
def test_sequences_are_each_users_events_in_time(lengths):
    data, expected, time = sequences_of(lengths)
    found = Sequences.of(data)
    parts = np.split(found.item_id, found.offsets[1:-1])
    assert [part.tolist() for part in parts] == expected
    gaps = np.diff(time, append=time[-1]).astype(float)
    gaps[np.cumsum(lengths) - 1] = 5
    np.testing.assert_array_equal(found.gaps(last=5), gaps.astype("float32"))


@given(LENGTHS, st.integers(1, 5))
def test_the_last_events_are_right_aligned(lengths, width):
    data, expected, _ = sequences_of(lengths)
    found = Sequences.of(data)
    last = found.last(found.item_id, data.num_users, width)
    assert last[0].tolist() == [0] * width
    for user, items in enumerate(expected, start=1):
        kept = items[-width:]
        assert last[user].tolist() == [0] * (width - len(kept)) + kept


def examples(data, kind, length, **options):
    """Return (user, input items, events that may be targets) of every example."""
    found = Sequences.of(data)
    windows = windows_of(found, kind, length, **options)
    return [
        (found.user_id[s], found.item_id[b:e].tolist(), found.item_id[e:limit].tolist())
        for s, b, e, limit in zip(windows.sequence, windows.begin, windows.end, windows.limit, strict=True)
    ]


@given(LENGTHS, st.integers(1, 5))
def test_prefixes_are_all_events_with_their_history(lengths, length):
    data, sequences, _ = sequences_of([*lengths, 2])
    expected = [
        (user, items[max(0, at - length) : at], items[at])
        for user, items in enumerate(sequences, start=1)
        for at in range(1, len(items))
    ]
    found = [(user, read, after[0]) for user, read, after in examples(data, "prefixes", length)]
    assert found == expected


@given(LENGTHS, st.integers(1, 4), st.integers(2, 3))
def test_windows_are_every_run_with_the_next_events(lengths, length, targets):
    data, sequences, _ = sequences_of([*lengths, 2])
    expected = []
    for user, items in enumerate(sequences, start=1):
        if len(items) < 2:
            continue
        if len(items) < length + targets:
            end = max(1, len(items) - targets)
            expected.append((user, items[max(0, end - length) : end], items[end : end + targets]))
        for start in range(len(items) - length - targets + 1):
            end = start + length
            expected.append((user, items[start:end], items[end : end + targets]))
    found = [
        (u, read, after[:targets]) for u, read, after in examples(data, "windows", length, targets=targets)
    ]
    assert found == expected


@given(LENGTHS, st.integers(1, 5), st.sampled_from(["positions", "cloze"]))
def test_the_last_window_ends_with_the_last_event(lengths, length, kind):
    data, sequences, _ = sequences_of([*lengths, 2])
    ahead = kind == "positions"
    expected = [
        (user, items[: len(items) - ahead][-length:])
        for user, items in enumerate(sequences, start=1)
        if len(items) > ahead
    ]
    assert [(user, read) for user, read, _ in examples(data, kind, length)] == expected


@given(LENGTHS, st.integers(1, 4), st.integers(1, 4))
def test_strides_cover_every_event(lengths, length, stride):
    stride = min(stride, length)
    data, sequences, _ = sequences_of([*lengths, 2])
    found = Sequences.of(data)
    windows = windows_of(found, "cloze", length, stride=stride)
    covered = np.zeros(len(found.item_id), bool)
    for begin, end in zip(windows.begin, windows.end, strict=True):
        assert 0 < end - begin <= length
        covered[begin:end] = True
    assert covered.all()
    assert len(sequences) == len(np.unique(windows.sequence))


def test_sequences_without_a_pair_are_refused():
    data, _, _ = sequences_of([1, 1])
    with pytest.raises(DataError, match="long enough"):
        windows_of(Sequences.of(data), "prefixes", 3)


@given(LENGTHS, st.integers(1, 4))
def test_every_event_but_the_first_is_a_case(lengths, width):
    data, sequences, _ = sequences_of(lengths)
    _, history, target = histories_before(Sequences.of(data), width)
    expected = [
        ([0] * (width - len(items[:at][-width:])) + items[:at][-width:], items[at])
        for items in sequences
        for at in range(1, len(items))
    ]
    assert [(h.tolist(), t) for h, t in zip(history, target, strict=True)] == expected
