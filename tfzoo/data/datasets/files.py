"""The user's own data: a data frame or a file becomes interactions, or one clear error."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tfzoo.data.datasets.columns import read_ids, read_ratings, read_texts, read_times
from tfzoo.data.datasets.delimited import SEPARATORS, SNIFFED, check_is_file, read_delimited
from tfzoo.data.datasets.json_lines import JSON, read_json_lines
from tfzoo.data.interactions import Interactions
from tfzoo.errors import DataError, UsageError, nearest

DUPLICATES = ("error", "first", "last", "mean", "keep")
PARQUET = (".parquet", ".pq")
# The end of the year 9999 in seconds; later is milliseconds, most likely.
_MILLISECONDS = 253_402_300_799
_LONGEST_NAME = 64
_SHOWN_COLUMNS = 30


def from_dataframe(
    frame: pd.DataFrame,
    *,
    user_col: str = "user_id",
    item_col: str = "item_id",
    rating_col: str | None = "rating",
    rating_required: bool = True,
    time_col: str | None = None,
    text_col: str | None = None,
    duplicates: str = "error",
    rating_scale: tuple[float, float] | None = None,
    least: int = 2,
    name: str = "data",
    source: str = "the data frame",
) -> Interactions:
    """Make interactions out of a data frame with one row per interaction.

    Args:
        frame: the data; its index is not used.
        user_col: column of user ids, whole numbers or text.
        item_col: column of item ids, whole numbers or text.
        rating_col: column of ratings; None for data without.
        rating_required: False to do without ratings where there is no such column.
        time_col: column of times, seconds since 1970 or ISO dates; None for data without.
        text_col: column of reviews, missing ones taken as empty; None for data without.
        duplicates: what to do with a second row of the same user and item: ``"error"``, take the
            ``"first"`` or the ``"last"`` row, take the ``"mean"`` rating at the latest time with
            the first row's text, or ``"keep"`` all rows, as sessions of clicks need it.
        rating_scale: lowest and highest rating allowed; None for those that occur.
        least: how many users and how many items there must be.
        name: short name, used in folder names.
        source: what messages call the data.

    Returns:
        The interactions, in the order of the rows.

    Raises:
        UsageError: an option has no meaning.
        DataError: the data cannot be used; the message names row and column.
    """
    if not rating_required and rating_col not in [str(column) for column in frame.columns]:
        rating_col = None
    _check_options(duplicates, rating_scale, rating_col)
    named = (user_col, item_col, rating_col, time_col, text_col)
    columns = [column for column in named if column is not None]
    _check_columns([str(column) for column in frame.columns], columns, rating_col, source)
    frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
    if frame.empty:
        raise DataError(f"{source} has no data rows.")
    users, user_id = read_ids(frame[user_col], source)
    items, item_id = read_ids(frame[item_col], source)
    rating = None if rating_col is None else read_ratings(frame[rating_col], source, rating_scale)
    timestamp = None if time_col is None else read_times(frame[time_col], source)
    text = None if text_col is None else read_texts(frame[text_col], source)
    for what, vocabulary, column in (("users", users, user_col), ("items", items, item_col)):
        if len(vocabulary) < least:
            raise DataError(
                f"{source}, column '{column}': at least {least} {what} are needed, found {len(vocabulary)}."
            )

    notes = []
    if rating is not None and rating_scale is None:
        rating_scale = (float(rating.min()), float(rating.max()))
        notes.append(f"rating scale {rating_scale[0]:g} to {rating_scale[1]:g}, as observed")
    if timestamp is not None and abs(timestamp).max() > _MILLISECONDS:
        notes.append(f"times in '{time_col}' kept as they are, but they look like milliseconds")
    rows, rating, timestamp = _resolve_duplicates(
        (user_id, item_id), rating, timestamp, duplicates, f"{source}, columns '{user_col}' and '{item_col}'"
    )
    dropped = len(user_id) - len(rows)
    reason = f" (same user and item as another row, duplicates='{duplicates}')" if dropped else ""
    notes.insert(0, f"{source}: {len(frame):,} rows read, {len(rows):,} kept, {dropped:,} dropped{reason}")
    return Interactions(
        users=users,
        items=items,
        user_id=user_id[rows],
        item_id=item_id[rows],
        rating=rating,
        timestamp=timestamp,
        text=None if text is None else text[rows],
        rating_scale=rating_scale,
        name=_slug(name),
        notes=tuple(notes),
    )


def from_file(
    path: str | Path,
    *,
    user_col: str,
    item_col: str,
    rating_col: str | None = None,
    rating_required: bool = True,
    time_col: str | None = None,
    text_col: str | None = None,
    sep: str | None = None,
    duplicates: str = "error",
    rating_scale: tuple[float, float] | None = None,
    least: int = 2,
    name: str | None = None,
) -> Interactions:
    """Make interactions out of a file with a header line and one row per interaction.

    Args:
        path: ``.csv``, ``.tsv``, ``.tab``, ``.txt``, ``.dat`` (UTF-8, each also with ``.gz``),
            ``.json`` or ``.jsonl`` (one object a line, each also with ``.gz``), ``.parquet`` or
            ``.pq``; any text file when ``sep`` is given.
        user_col: as for `from_dataframe`.
        item_col: as for `from_dataframe`.
        rating_col: as for `from_dataframe`.
        rating_required: as for `from_dataframe`.
        time_col: as for `from_dataframe`.
        text_col: as for `from_dataframe`.
        sep: separator of a text file; None to go by the ending, or by the header line for
            ``.txt`` and ``.dat``.
        duplicates: as for `from_dataframe`.
        rating_scale: as for `from_dataframe`.
        least: as for `from_dataframe`.
        name: short name, used in folder names; None for the name of the file.

    Returns:
        The interactions, in the order of the rows.

    Raises:
        UsageError: an option has no meaning.
        DataError: the file cannot be used; the message names file, row and column.
    """
    path = Path(path)
    check_is_file(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    ending = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])
    _check_options(duplicates, rating_scale, rating_col)
    if ending in PARQUET and sep is None:
        frame = _read_parquet(path)
    elif ending in JSON and sep is None:
        frame = read_json_lines(path)
    elif sep is not None or ending in SEPARATORS or ending in SNIFFED:
        frame = read_delimited(path, ending, sep, (user_col, item_col))
    else:
        known = ", ".join((*SEPARATORS, *SNIFFED, *JSON, *PARQUET))
        raise DataError(f"{path}: unknown kind of file '{ending}'. Known: {known}; else give --sep.")
    return from_dataframe(
        frame,
        user_col=user_col,
        item_col=item_col,
        rating_col=rating_col,
        rating_required=rating_required,
        time_col=time_col,
        text_col=text_col,
        duplicates=duplicates,
        rating_scale=rating_scale,
        least=least,
        name=path.name.split(".")[0] if name is None else name,
        source=str(path),
    )


def _check_options(duplicates: str, scale: tuple[float, float] | None, rating_col: str | None) -> None:
    if duplicates not in DUPLICATES:
        raise UsageError(f"Unknown policy duplicates={duplicates!r}. {nearest(duplicates, DUPLICATES)}")
    if duplicates == "mean" and rating_col is None:
        raise UsageError("duplicates='mean' needs ratings (--rating-col); use 'first' or 'last'.")
    if scale is not None and not (len(scale) == 2 and -math.inf < scale[0] < scale[1] < math.inf):
        raise UsageError(f"rating_scale must be a lower and a higher number. Received {scale}.")


def _check_columns(present: list[str], wanted: list[str], rating_col: str | None, source: str) -> None:
    if len(set(wanted)) < len(wanted):
        raise UsageError(f"Each column can play one part only. Received {', '.join(map(repr, wanted))}.")
    column, times = Counter(present).most_common(1)[0] if present else ("", 0)
    if times > 1:
        raise DataError(f"{source}: the header has column {_cut(column)!r} {times} times.")
    for column in wanted:
        if column in present:
            continue
        shown = [_cut(name) for name in present[:_SHOWN_COLUMNS]]
        more = ", ..." if len(present) > _SHOWN_COLUMNS else ""
        hint = nearest(column, map(_cut, present)) if present else ""
        if len(present) == 1 and (other := re.search(r"[;\t,|]", present[0])):
            hint = f"The header is one column with {other.group()!r} in it: give --sep {other.group()!r}."
        elif column == rating_col:
            hint += " For data without ratings leave the rating column out (rating_col=None)."
        raise DataError(
            f"{source} has no column '{column}'. {hint} Columns: {', '.join(map(repr, shown))}{more}."
        )


def _cut(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:57]}..."


def _resolve_duplicates(
    ids: tuple[NDArray, NDArray],
    rating: NDArray[np.float32] | None,
    timestamp: NDArray[np.int64] | None,
    policy: str,
    where: str,
) -> tuple[NDArray, NDArray | None, NDArray | None]:
    """Return the rows to keep, and rating and time of each of them."""
    if policy == "keep":
        return np.arange(len(ids[0])), rating, timestamp
    pair, _ = pd.factorize(ids[0] * (ids[1].max() + 1) + ids[1])
    repeated = pd.Series(pair).duplicated(keep="last" if policy == "last" else "first").to_numpy()
    if policy == "error" and repeated.any():
        row = int(np.argmax(repeated))
        earlier = int(np.argmax(pair == pair[row]))
        raise DataError(
            f"{where}: row {row + 1} (counted from 1 without the header) has the same user and item as row "
            f"{earlier + 1}; {int(repeated.sum()):,} such rows in all. Choose what to keep with "
            "duplicates='first', 'last' or 'mean' (--duplicates)."
        )
    rows = np.flatnonzero(~repeated)
    if policy == "mean" and repeated.any():
        # factorize numbers the pairs in order of appearance, which is the order of the rows kept.
        sums = np.bincount(pair, weights=rating)
        rating = (sums / np.bincount(pair)).astype(np.float32)
        if timestamp is not None:
            timestamp = pd.Series(timestamp).groupby(pair).max().to_numpy()
        return rows, rating, timestamp
    return rows, None if rating is None else rating[rows], None if timestamp is None else timestamp[rows]


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except Exception as error:
        # A damaged file can make the decoder stumble anywhere, over wrong types and missing keys too.
        words = " ".join(str(error).split()) or type(error).__name__
        reason = "".join(letter if letter.isprintable() else "?" for letter in words)
        raise DataError(f"{path} cannot be read as Parquet: {reason}") from error


def _slug(name: str) -> str:
    slug = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-") or "data"
    if len(slug) <= _LONGEST_NAME:
        return slug
    # Names of folders are limited; the digest keeps long names with one beginning apart.
    return f"{slug[: _LONGEST_NAME - 9]}-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:8]}"
