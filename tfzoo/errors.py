"""The errors that tfzoo raises on purpose, and the wording they share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TfzooError(Exception):
    """Base of every error that tfzoo raises on purpose; the command line exits with status 1."""

    exit_status = 1


class UsageError(TfzooError, ValueError):
    """The caller asked for something that does not exist or makes no sense (exit status 2)."""

    exit_status = 2


class DataError(UsageError):
    """The given data cannot be used as it is; the message names file, row and column."""


class DownloadError(TfzooError):
    """A data set could not be had from any source; the message lists what was tried."""


class StorageError(TfzooError, OSError):
    """A file or folder cannot be written, such as on a disk that is full."""


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
    close = difflib.get_close_matches(str(name).lower(), [k.lower() for k in known], n=3)
    if close:
        spelled = [k for k in known if k.lower() in close]
        return "Did you mean " + " or ".join(repr(k) for k in spelled) + "?"
    shown = ", ".join(sorted(known)[:limit])
    return f"Valid: {shown}{', ...' if len(known) > limit else ''}."
