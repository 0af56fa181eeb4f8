"""The terminal that a command writes to: characters it cannot print, and readers that have gone."""

from __future__ import annotations

import codecs
import os
import sys

# Typography that ASCII has a plain form of; of all else an escape keeps what an id or a path is.
PLAIN = {
    "±": "+/-",
    "…": "...",
    "–": "-",  # noqa: RUF001
    "—": "-",
    "‘": "'",  # noqa: RUF001
    "’": "'",  # noqa: RUF001
    "“": '"',
    "”": '"',
    "·": "*",
    "×": "x",  # noqa: RUF001
    "²": "^2",
}
ERRORS = "tfzoo-plain"


def make_printable() -> None:
    """Let standard output and error print every text, whatever their encoding lacks.

    Names of files that are no text can be printed then too.
    """
    codecs.register_error(ERRORS, _plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=ERRORS)


def flush() -> None:
    """Write out what is buffered, while an error can still be told; raises `OSError`."""
    if sys.stdout is not None:
        sys.stdout.flush()


def forget_output() -> None:
    """Let Python end without a complaint of what nobody reads any more."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.close(sink)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_shown, error.object[error.start : error.end])), error.end


def _shown(letter: str) -> str:
    # Both are ASCII, which every encoding of terminals has.
    return PLAIN.get(letter) or letter.encode("ascii", "backslashreplace").decode("ascii")
