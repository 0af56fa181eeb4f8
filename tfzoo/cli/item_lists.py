"""Lists of items on a command line: ids with commas in them, files of ids, and ids that nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from tfzoo.data.vocabulary import INTEGER, Vocabulary
from tfzoo.errors import TfzooError, UsageError
from tfzoo.serving.export import read_metadata
from tfzoo.serving.recommender import ITEMS_FILE

# Beyond so many items the search for a similar id would take longer than the answer.
MOST_COMPARED = 20_000


def items_of(version: Path) -> Vocabulary:
    """Return the ids of the items of an export.

    Raises:
        UsageError: it is of a model of clicks.
        TfzooError: they cannot be read.
    """
    described = read_metadata(version)
    if "fields" in described:
        raise UsageError(
            f"{version} is an export of '{described.get('model')}', a model of clicks: it gives the "
            "probability of a click, and has no lists to recommend. Ask it with 'tfzoo serve'."
        )
    try:
        return Vocabulary.load(version / "assets" / ITEMS_FILE, described["ids"]["item"])
    except (OSError, ValueError, KeyError, TypeError):
        raise TfzooError(f"The ids of the items in {version} cannot be read. Export it again.") from None


def listed_items(values: Iterable[str], file: Path | None, option: str, items: Vocabulary) -> list[str]:
    """Return the ids that an option names.

    Args:
        values: what was given to the option, once or several times: an id, or several with commas between
            them. Of what can be read in both ways, an id that there is comes first.
        file: with an id a line, taken as they are; None for no file.
        option: name of the option, for messages.
        items: the ids that there are.

    Raises:
        UsageError: the file cannot be read.
    """
    found = [id_ for value in values for id_ in _separated(value, items)]
    if file is None:
        return found
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise UsageError(f"{option}-file {file} cannot be read: {reason}. Give a file of ids.") from None
    return [*found, *(line.strip() for line in lines if line.strip())]


def notes_on_unknown(named: Sequence[str], option: str, items: Vocabulary) -> list[str]:
    """Return a sentence about each id that is not among the items, with the nearest that is."""
    if not named:
        return []
    known = items.lookup([*named]) > 0
    unknown = dict.fromkeys(id_ for id_, there in zip(named, known, strict=True) if not there)
    return [f"{option}: there is no item '{id_}', it is ignored.{_similar(id_, items)}" for id_ in unknown]


def _separated(value: str, items: Vocabulary) -> list[str]:
    """Divide a text at commas, but for those within ids that there are: the longest such id wins."""
    pieces, found = value.split(","), []
    while pieces:
        joined = [",".join(pieces[:count]).strip() for count in range(len(pieces), 1, -1)]
        known = items.lookup(joined).tolist() if joined else []
        taken = next((len(pieces) - at for at, dense in enumerate(known) if dense), 1)
        found.append(",".join(pieces[:taken]).strip())
        pieces = pieces[taken:]
    return [id_ for id_ in found if id_]


def _similar(id_: str, items: Vocabulary) -> str:
    # Two numbers that look alike have nothing in common.
    if items.dtype == INTEGER or len(items) > MOST_COMPARED:
        return ""
    close = difflib.get_close_matches(id_, items.ids.tolist(), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
