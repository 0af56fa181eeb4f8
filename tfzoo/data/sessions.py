"""Sessions of events, and the session-parallel schedule that recurrent models train on."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.interactions import Interactions
from tfzoo.errors import UsageError


@dataclass(frozen=True, eq=False)
class Sessions:
    """Events grouped by session; in a data set of sessions every user is one session.

    Attributes:
        user_id: int32 ``[S]``, whose session it is.
        item_id: int32 ``[n]``, the events of the first session, then of the second, and so on.
        offsets: int64 ``[S + 1]``; the events of session ``s`` are ``offsets[s]:offsets[s + 1]``.
    """

    user_id: NDArray[np.int32]
    item_id: NDArray[np.int32]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, interactions: Interactions) -> Sessions:
        """Group interactions by user.

        Events lie in the order of their time stamps, those of one second in row order. Sessions
        lie in the order of their first event, oldest first. Without time stamps both orders are
        that of the rows.
        """
        users, rows = interactions.user_id, np.arange(len(interactions))
        times = rows if interactions.timestamp is None else interactions.timestamp
        order = np.lexsort((rows, times, users))
        starts = np.flatnonzero(np.diff(users[order], prepend=-1))
        lengths = np.diff(np.append(starts, len(order)))
        by_age = np.lexsort((order[starts], times[order[starts]]))
        starts, lengths = starts[by_age], lengths[by_age]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        events = order[np.repeat(starts - offsets[:-1], lengths) + np.arange(len(order))]
        return cls(users[order[starts]], interactions.item_id[events], offsets)

    def __len__(self) -> int:
        return len(self.user_id)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of events of each session, int64 ``[S]``."""
        return np.diff(self.offsets)

    def take(self, numbers: NDArray) -> Sessions:
        """Return the sessions with the given numbers, in the given order."""
        lengths = self.lengths[numbers]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        rows = np.repeat(self.offsets[numbers] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Sessions(self.user_id[numbers], self.item_id[rows], offsets)

    def last_events(self, num_users: int, width: int) -> NDArray[np.int32]:
        """Return the last events of every user, oldest first.

        Args:
            num_users: number of known users.
            width: largest number of events a user.

        Returns:
            Item ids ``[num_users + 1, w]``, right-padded with 0, with ``w`` no wider than the
            longest session needs.
        """
        lengths = self.lengths
        width = int(min(width, lengths.max(initial=1)))
        columns = np.arange(width)
        first = np.maximum(self.offsets[1:] - width, self.offsets[:-1])
        events = first[:, None] + columns
        used = columns < np.minimum(lengths, width)[:, None]
        table = np.zeros((num_users + 1, width), np.int32)
        table[self.user_id] = np.where(used, self.item_id[np.minimum(events, len(self.item_id) - 1)], 0)
        return table


@dataclass(frozen=True, eq=False)
class SessionLayout:
    """Session-parallel mini-batches (Hidasi et al. 2016, figure 2), a row a step.

    Every step feeds the current event of each slot and asks for the next one. A slot whose
    session has ended takes the next session that no slot has had, and starts from a hidden state
    of 0. Nothing is shuffled, so that all epochs are alike.

    Attributes:
        current: int32 ``[T, B]``, the event that is fed; 0 where the slot is idle.
        target: int32 ``[T, B]``, the event that follows it; 0 where the slot is idle.
        reset: bool ``[T, B]``, true where a session begins: the state is set to 0 before the step.
        active: bool ``[T, B]``, false where no session was left for the slot.
    """

    current: NDArray[np.int32]
    target: NDArray[np.int32]
    reset: NDArray[np.bool_]
    active: NDArray[np.bool_]

    @classmethod
    def of(cls, sessions: Sessions, batch_size: int, *, fewest: int = 1) -> SessionLayout:
        """Lay sessions out over slots.

        Args:
            sessions: in the order in which they are used; those of one event have no next event
                and are left out.
            batch_size: number of slots, ``B``.
            fewest: the layout ends where fewer slots than this are active. Without extra negative
                samples a lone session has nothing to be told apart from, so that needs 2.

        Returns:
            The layout.

        Raises:
            UsageError: ``batch_size`` is below 1.
        """
        if batch_size < 1:
            raise UsageError(f"training.batch_size must be at least 1. Received {batch_size}.")
        usable = sessions.take(np.flatnonzero(sessions.lengths > 1))
        steps = usable.lengths - 1
        start, slot = _schedule(steps, batch_size)
        shape = (int((start + steps).max(initial=0)), batch_size)
        within = np.arange(steps.sum()) - np.repeat(np.cumsum(steps) - steps, steps)
        cells = (np.repeat(start, steps) + within, np.repeat(slot, steps))
        events = np.repeat(usable.offsets[:-1], steps) + within
        current, target = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        reset, active = np.zeros(shape, bool), np.zeros(shape, bool)
        current[cells], target[cells] = usable.item_id[events], usable.item_id[events + 1]
        active[cells] = True
        reset[start, slot] = True
        used = slice(0, int((active.sum(axis=1) >= fewest).sum()))
        return cls(current[used], target[used], reset[used], active[used])

    @property
    def steps(self) -> int:
        """Number of steps of an epoch."""
        return len(self.current)

    @property
    def events(self) -> int:
        """Number of events that are asked for in an epoch."""
        return int(self.active.sum())


def _schedule(steps: NDArray, batch_size: int) -> tuple[NDArray, NDArray]:
    """Return the first step and the slot of each session, handed out in order to the first free slot."""
    free = [(0, slot) for slot in range(batch_size)]
    start, slots = np.empty(len(steps), np.int64), np.empty(len(steps), np.int64)
    for number, length in enumerate(steps.tolist()):
        step, slot = free[0]
        start[number], slots[number] = step, slot
        heapq.heapreplace(free, (step + length, slot))
    return start, slots
