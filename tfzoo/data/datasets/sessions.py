"""Click sessions: the raw YooChoose file, and the split by time that goes with it."""

from __future__ import annotations

import csv
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tfzoo.data.datasets.delimited import check_is_file
from tfzoo.data.filters import filter_interactions
from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Split, split_at_rows
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError

MIN_SESSION = 2
MIN_SUPPORT = 5


def read_yoochoose_clicks(path: str | Path, *, name: str = "yoochoose") -> Interactions:
    """Read the clicks of the RecSys Challenge 2015 as GRU4Rec's code prepares them (RSC15).

    Sessions of one click are dropped, then items with fewer than 5 clicks, then again
    sessions of one click. Each session becomes a user; clicks are in order of session and time.

    Args:
        path: ``yoochoose-clicks.dat``, lines of session, time, item and category, separated by
            commas and without a header; packed if its name ends in ``.gz``.
        name: short name of the result, used in folder names.

    Returns:
        The clicks, with times in milliseconds, see `Interactions.ticks_per_second`.

    Raises:
        DataError: the file cannot be read as such, or nothing is left.
    """
    check_is_file(Path(path))
    try:
        frame = pd.read_csv(
            path,
            header=None,
            names=["session", "time", "item"],
            usecols=[0, 1, 2],
            # A lost quote would swallow the rows up to the next, and a blank row is a damaged one.
            quoting=csv.QUOTE_NONE,
            skip_blank_lines=False,
            dtype={"session": np.int64, "item": np.int64},
            compression="gzip" if str(path).lower().endswith(".gz") else None,
        )
        time = pd.to_datetime(frame["time"], utc=True, format="ISO8601").dt.tz_localize(None)
    except (OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{path} cannot be read as clicks of session, time and item: {reason}") from error
    if frame.empty:
        raise DataError(f"{path} is empty.")
    if time.isna().any():
        raise DataError(f"{path}, row {int(np.argmax(time.isna())) + 1}: there is no time.")
    moment = time.to_numpy().astype("datetime64[ms]").astype(np.int64)
    order = np.lexsort((moment, frame["session"]))
    sessions, session = np.unique(frame["session"].to_numpy()[order], return_inverse=True)
    items, item = np.unique(frame["item"].to_numpy()[order], return_inverse=True)
    clicks = Interactions(
        Vocabulary(sessions),
        Vocabulary(items),
        (session + 1).astype(np.int32),
        (item + 1).astype(np.int32),
        timestamp=moment[order],
        ticks_per_second=1000,
        name=name,
        notes=(f"{path}: {len(frame):,} rows read",),
    )
    clicks = filter_interactions(clicks, min_user_interactions=MIN_SESSION, min_item_interactions=MIN_SUPPORT)
    return filter_interactions(clicks, min_user_interactions=MIN_SESSION)


def sessions_split(
    interactions: Interactions,
    *,
    seed: int,
    test_seconds: int = 86_400,
    validation: float | None = None,
    test: float = 0.1,
) -> Split:
    """Hold out the latest sessions for test, and the latest of the others for validation.

    The rule of GRU4Rec's preparation of RSC15: a session belongs to the test part if it ends
    within ``test_seconds`` of the last event of all; of its events those with items that no
    earlier session has are dropped, and then sessions with a single event. The validation part
    is made out of the earlier sessions by the same rule, so that the test part does not depend
    on how much is held out for validation. Every user is one session.

    Args:
        interactions: events; where they have no times, the order of rows stands for it, and a
            share of the sessions replaces ``test_seconds``.
        seed: not used, nothing is drawn; all splits take one.
        test_seconds: length of the last stretch of time, which makes the test part.
        validation: share of the earlier sessions to hold out, the latest by their end; None for
            those that end in the last ``test_seconds`` before the test part.
        test: share of the sessions that makes the test part where there are no times.

    Returns:
        Three parts that share no session.

    Raises:
        UsageError: a share or ``test_seconds`` is out of range.
        DataError: a part would be empty.
    """
    del seed
    if test_seconds < 1:
        raise UsageError(f"test_seconds must be at least 1. Received {test_seconds}.")
    for option, share in (("split.validation", validation), ("test", test)):
        if share is not None and not 0 < share < 1:
            raise UsageError(f"{option} must lie between 0 and 1. Received {share}.")
    last_share = test if interactions.timestamp is None else None
    everything = np.arange(len(interactions))
    earlier, test_rows, of_test = _latest(interactions, everything, test_seconds, last_share)
    held_out_share = validation if validation is not None else last_share
    train, held_out, of_validation = _latest(interactions, earlier, test_seconds, held_out_share)
    which = [_which(share, test_seconds) for share in (last_share, held_out_share)]
    protocol = (
        f"sessions, test {which[0]}, validation {which[1]} of the others, items unseen before and single "
        "events dropped"
    )
    if interactions.timestamp is None:
        protocol += ", row order for time"
    split = split_at_rows(interactions, train, held_out, test_rows, protocol)
    notes = (*_dropped("test", of_test), *_dropped("validation", of_validation))
    return replace(split, notes=notes)


def _dropped(part: str, counts: tuple[int, int]) -> list[str]:
    unseen, single = counts
    if not unseen and not single:
        return []
    return [
        f"the {part} part is without {unseen:,} events with items unseen before, and without {single:,} "
        "events that are the only ones of a session"
    ]


def _which(share: float | None, seconds: int) -> str:
    return f"the last {seconds:,} s" if share is None else f"the last {100 * share:g} %"


def _latest(
    interactions: Interactions, rows: NDArray, seconds: int, share: float | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[int, int]]:
    """Divide rows into those of earlier sessions and those of the latest.

    Of the latest, events with unseen items are dropped, and then single ones; their two numbers come last.
    """
    if len(rows) == 0:
        return rows, rows, (0, 0)
    user = interactions.user_id[rows]
    end = np.full(interactions.num_users + 1, np.iinfo(np.int64).min)
    if interactions.timestamp is None:
        # The place of its first row tells when a session took place.
        end[user[::-1]] = rows[::-1]
    else:
        np.maximum.at(end, user, interactions.timestamp[rows])
    if share is None:
        late = end >= end.max() - seconds * interactions.ticks_per_second
    else:
        sessions = np.unique(user)
        sessions = sessions[np.argsort(end[sessions], kind="stable")]
        late = np.zeros(interactions.num_users + 1, bool)
        late[sessions[len(sessions) - max(1, round(share * len(sessions))) :]] = True
    earlier, latest = rows[~late[user]], rows[late[user]]
    seen = np.bincount(interactions.item_id[earlier], minlength=interactions.num_items + 1) > 0
    known = latest[seen[interactions.item_id[latest]]]
    length = np.bincount(interactions.user_id[known], minlength=interactions.num_users + 1)
    kept = known[length[interactions.user_id[known]] >= MIN_SESSION]
    return earlier, kept, (len(latest) - len(known), len(known) - len(kept))
