"""The user's own data: a data frame or a file becomes interactions, or one clear error."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from tfzoo.data.datasets.columns import read_ids, read_ratings, read_texts, read_times
from tfzoo.data.datasets.delimited import SEPARATORS, SNIFFED, check_is_file, ending_of, read_delimited
from tfzoo.data.datasets.duplicates import DUPLICATES, resolve_duplicates
from tfzoo.data.datasets.json_lines import JSON, read_json_lines
from tfzoo.data.datasets.parquet import PARQUET, parquet_shape, read_parquet_column, release_memory
from tfzoo.data.interactions import Interactions, frozen
from tfzoo.errors import DataError, UsageError, nearest

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
    frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
    return _from_columns(
        list(frame.columns),
        frame.__getitem__,
        len(frame),
        (user_col, item_col, rating_col, time_col, text_col),
        rating_required=rating_required,
        duplicates=duplicates,
        rating_scale=rating_scale,
        least=least,
        name=name,
        source=source,
    )


def _from_columns(
    present: list[str],
    column: Callable[[str], pd.Series],
    count: int,
    named: tuple[str, str, str | None, str | None, str | None],
    *,
    rating_required: bool,
    duplicates: str,
    rating_scale: tuple[float, float] | None,
    least: int,
    name: str,
    source: str,
) -> Interactions:
    """Make interactions out of columns that are asked for one by one, see `from_dataframe`."""
    user_col, item_col, rating_col, time_col, text_col = named
    if not rating_required and rating_col not in present:
        rating_col = None
    _check_options(duplicates, rating_scale, rating_col)
    wanted = (user_col, item_col, rating_col, time_col, text_col)
    _check_columns(present, [name for name in wanted if name is not None], rating_col, source)
    if count == 0:
        raise DataError(f"{source} has no data rows.")
    users, user_id = read_ids(column(user_col), source)
    items, item_id = read_ids(column(item_col), source)
    rating = None if rating_col is None else read_ratings(column(rating_col), source, rating_scale)
    timestamp = None if time_col is None else read_times(column(time_col), source)
    text = None if text_col is None else read_texts(column(text_col), source)
    for what, vocabulary, where in (("users", users, user_col), ("items", items, item_col)):
        if len(vocabulary) < least:
            raise DataError(
                f"{source}, column '{where}': at least {least} {what} are needed, found {len(vocabulary)}."
            )

    notes = []
    if rating is not None and rating_scale is None:
        rating_scale = (float(rating.min()), float(rating.max()))
        notes.append(f"rating scale {rating_scale[0]:g} to {rating_scale[1]:g}, as observed")
    if timestamp is not None and max(timestamp.max(), -timestamp.min()) > _MILLISECONDS:
        notes.append(f"times in '{time_col}' kept as they are, but they look like milliseconds")
    rows, rating, timestamp = resolve_duplicates(
        (user_id, item_id), rating, timestamp, duplicates, f"{source}, columns '{user_col}' and '{item_col}'"
    )
    dropped = 0 if rows is None else len(user_id) - len(rows)
    reason = f" (same user and item as another row, duplicates='{duplicates}')" if dropped else ""
    kept = len(user_id) - dropped
    notes.insert(0, f"{source}: {len(user_id):,} rows read, {kept:,} kept, {dropped:,} dropped{reason}")
    if rows is not None:
        user_id, item_id, text = user_id[rows], item_id[rows], None if text is None else text[rows]
    return Interactions(
        users=users,
        items=items,
        user_id=frozen(user_id),
        item_id=frozen(item_id),
        rating=None if rating is None else frozen(rating),
        timestamp=None if timestamp is None else frozen(timestamp),
        text=None if text is None else frozen(text),
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
    ending = ending_of(path)
    _check_options(duplicates, rating_scale, rating_col)
    column: Callable[[str], pd.Series]
    if ending in PARQUET and sep is None:
        (present, count), column = parquet_shape(path), partial(read_parquet_column, path)
    else:
        if ending in JSON and sep is None:
            frame = read_json_lines(path)
        elif sep is not None or ending in SEPARATORS or ending in SNIFFED:
            frame = read_delimited(path, ending, sep, (user_col, item_col))
        else:
            known = ", ".join((*SEPARATORS, *SNIFFED, *JSON, *PARQUET))
            raise DataError(f"{path}: unknown kind of file '{ending}'. Known: {known}; else give --sep.")
        present, column, count = list(frame.columns), frame.__getitem__, len(frame)
    interactions = _from_columns(
        present,
        column,
        count,
        (user_col, item_col, rating_col, time_col, text_col),
        rating_required=rating_required,
        duplicates=duplicates,
        rating_scale=rating_scale,
        least=least,
        name=path.name.split(".")[0] if name is None else name,
        source=str(path),
    )
    release_memory()
    return interactions


def _check_options(duplicates: str, scale: tuple[float, float] | None, rating_col: str | None) -> None:
    if duplicates not in DUPLICATES:
        raise UsageError(f"Unknown policy duplicates={duplicates!r}. {nearest(duplicates, DUPLICATES)}")
    if duplicates == "mean" and rating_col is None:
        raise UsageError("duplicates='mean' needs ratings (--rating-col); use 'first' or 'last'.")
    check_rating_scale(scale)


def check_rating_scale(scale: tuple[float, float] | None) -> None:
    """Raise `UsageError` unless a scale is None or two finite numbers, the lower one first."""
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


def _slug(name: str) -> str:
    slug = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-") or "data"
    if len(slug) <= _LONGEST_NAME:
        return slug
    # Names of folders are limited; the digest keeps long names with one beginning apart.
    return f"{slug[: _LONGEST_NAME - 9]}-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:8]}"
