"""Sequences of events, and the windows of them that models of histories train on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.interactions import Interactions
from tfzoo.errors import DataError

Examples = Literal["positions", "prefixes", "windows", "cloze"]


@dataclass(frozen=True, eq=False)
class Sequences:
    """The events of every user in the order of time, users one after another.

    Attributes:
        user_id: int32 ``[S]``, whose sequence it is.
        item_id: int32 ``[n]``.
        seconds: float64 ``[n]``, time of each event, or None where the data has none.
        offsets: int64 ``[S + 1]``; the events of sequence ``s`` are ``offsets[s]:offsets[s + 1]``.
    """

    user_id: NDArray[np.int32]
    item_id: NDArray[np.int32]
    seconds: NDArray[np.float64] | None
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, *parts: Interactions) -> Sequences:
        """Order the events of some parts; those of one user and time keep the order of parts and rows."""
        user = np.concatenate([part.user_id for part in parts])
        item = np.concatenate([part.item_id for part in parts])
        times = [part.timestamp for part in parts]
        timed = all(time is not None for time in times)
        ticks = np.concatenate([np.asarray(time) for time in times]) if timed else np.arange(len(user))
        order = np.lexsort((np.arange(len(user)), ticks, user))
        starts = np.flatnonzero(np.diff(user[order], prepend=-1))
        seconds = ticks[order] / parts[0].ticks_per_second if timed else None
        return cls(user[order][starts], item[order], seconds, np.append(starts, len(user)).astype(np.int64))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of events of each sequence, int64 ``[S]``."""
        return np.diff(self.offsets)

    def gaps(self, last: float = 0.0) -> NDArray[np.float32]:
        """Return the seconds to the event after, float32 ``[n]``, and ``last`` for the last of each sequence.

        Raises:
            DataError: there are no times.
        """
        if self.seconds is None:
            raise DataError("The gaps between events need a time of each of them (--time-col).")
        found = np.diff(self.seconds, append=self.seconds[-1:])
        found[self.offsets[1:][self.lengths > 0] - 1] = last
        return found.astype(np.float32)

    def last(self, values: NDArray, num_users: int, width: int) -> NDArray:
        """Return the last values of every user, right-aligned, ``[num_users + 1, width]``, 0 before them."""
        table = np.zeros((num_users + 1, width), values.dtype)
        place = self.offsets[1:, None] - width + np.arange(width)
        known = place >= self.offsets[:-1, None]
        table[self.user_id] = np.where(known, values[np.maximum(place, 0)], 0)
        return table


@dataclass(frozen=True, eq=False)
class Windows:
    """Training examples as ranges of the events of `Sequences`.

    Attributes:
        sequence: int64 ``[E]``, number of the sequence.
        begin: int64 ``[E]``, first event of the input.
        end: int64 ``[E]``, one past the last event of the input.
        limit: int64 ``[E]``, one past the last event that can be a target.
    """

    sequence: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    limit: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.begin)


def windows_of(
    sequences: Sequences, kind: Examples, length: int, *, targets: int = 1, stride: int | None = None
) -> Windows:
    """Return the examples of a training part.

    Args:
        sequences: the events.
        kind: ``positions``: a target after every event of a window; ``prefixes``: a target after every
            prefix, cut to its last events; ``windows``: the next ``targets`` events after every run of
            ``length`` events (Caser); ``cloze``: events within the window are masked and are the targets.
        length: events of an input.
        targets: of ``windows``.
        stride: of ``positions`` and ``cloze``: further windows begin so many events earlier, until the
            sequence is covered; None takes the last window alone.

    Raises:
        DataError: no sequence is long enough for an example.
    """
    first, last = sequences.offsets[:-1], sequences.offsets[1:]
    if kind in ("prefixes", "windows"):
        found = _after_events(first, last, length, targets if kind == "windows" else 1)
    else:
        found = _covering(first, last, length, 1 if kind == "positions" else 0, stride)
    if len(found) == 0:
        raise DataError("No sequence of the training part is long enough to learn the next item from.")
    return found


def _after_events(first: NDArray, last: NDArray, length: int, targets: int) -> Windows:
    """Return an example for every event that has one before it or, of more targets, for every whole window.

    A sequence too short for a whole window of input and targets gives one example with what it has.
    """
    lengths = last - first
    whole = lengths - 1 if targets == 1 else np.maximum(lengths - length - targets + 1, 1)
    count = np.where(lengths >= 2, whole, 0)
    sequence, number = _numbered(count)
    end = last[sequence] - targets - (count[sequence] - 1 - number)
    end = np.maximum(end, first[sequence] + 1)
    return Windows(sequence, np.maximum(end - length, first[sequence]), end, last[sequence])


def _covering(first: NDArray, last: NDArray, length: int, ahead: int, stride: int | None) -> Windows:
    """Return the last window of each sequence, and those before it; ``ahead`` events follow the input."""
    lengths = last - first - ahead
    more = 0 if stride is None else np.maximum(0, -(-(lengths - length) // stride))
    sequence, number = _numbered(np.where(lengths >= 1, 1 + more, 0))
    end = last[sequence] - ahead - number * (stride or 0)
    begin = np.maximum(end - length, first[sequence])
    return Windows(sequence, begin, end, end + ahead)


def _numbered(count: NDArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for ``count`` examples a sequence the sequence of each, and its number within it."""
    sequence = np.repeat(np.arange(len(count)), count)
    return sequence, np.arange(len(sequence)) - np.repeat(np.cumsum(count) - count, count)


def histories_before(events: Sequences, width: int) -> tuple[NDArray, NDArray[np.int32], NDArray[np.int32]]:
    """Return every event but the first of each sequence as a case.

    Returns:
        number of the event int64 ``[n]``, the events before it, right-aligned, int32 ``[n, width]``, and
        its item int32 ``[n]``.
    """
    place = np.arange(len(events.item_id))
    begin = np.repeat(events.offsets[:-1], events.lengths)
    cases = place[place > begin]
    at = cases[:, None] - width + np.arange(width)
    history = np.where(at >= begin[cases][:, None], events.item_id[np.maximum(at, 0)], 0)
    return cases, history.astype(np.int32), events.item_id[cases]
