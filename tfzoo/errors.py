"""The errors that tfzoo raises on purpose, and the wording they share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SEEDS = 2**32
# Each is a training, all of whose data is prepared before the first begins.
MOST_SEEDS = 1000


class TfzooError(Exception):
    """Base of every error that tfzoo raises on purpose; the command line exits with status 1."""

    exit_status = 1


class UsageError(TfzooError, ValueError):
    """The caller asked for something that does not exist or makes no sense (exit status 2)."""

    exit_status = 2


class DataError(UsageError):
    """The given data cannot be used as it is; the message names file, row and column."""


class DataWarning(UserWarning):
    """The given data can be used, and its figures mean less, or something other, than they seem to."""


class DownloadError(TfzooError):
    """A data set could not be had from any source; the message lists what was tried."""


class StorageError(TfzooError, OSError):
    """A file or folder cannot be written, such as on a disk that is full."""


def check_seed(seed: int) -> None:
    """Raise `UsageError` for a seed that the generators of NumPy and Keras do not take."""
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise UsageError(f"--seed must be a whole number. Received {seed!r}.")
    if seed < 0:
        raise UsageError(f"--seed must be 0 or more. Received {seed}.")
    if seed >= SEEDS:
        raise UsageError(f"--seed must be below 2^32, {SEEDS}. Received {seed}.")


def check_seeds(count: int) -> None:
    """Raise `UsageError` for a number of seeds that nobody can train with."""
    if not 1 <= count <= MOST_SEEDS:
        bound = f"at least 1 and at most {MOST_SEEDS}" if count > MOST_SEEDS else "at least 1"
        raise UsageError(f"--seeds must be {bound}. Received {count}.")


def nearest(name: object, choices: Iterable[object], *, limit: int = 12) -> str:
    """Return a hint that names the closest of ``choices`` to ``name``.

    Args:
        name: what the user wrote.
        choices: the valid names.
        limit: how many valid names to list at most when none is close.

    Returns:
        A sentence such as ``Did you mean 'edrs'?``, or the list of valid names.
    """
    known = [str(choice) for choice in choices]
    wanted = str(name).lower()
    same = [k for k in known if k.lower() == wanted]
    close = difflib.get_close_matches(wanted, [k.lower() for k in known], n=3)
    if same or close:
        spelled = same or [k for k in known if k.lower() in close]
        return "Did you mean " + " or ".join(repr(k) for k in spelled) + "?"
    shown = ", ".join(sorted(known)[:limit])
    return f"Valid: {shown}{', ...' if len(known) > limit else ''}."
