"""The user's own data: a data frame or a file becomes interactions, or one clear error."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from tfzoo.data.datasets.columns import IdColumn, read_ratings, read_texts
from tfzoo.data.datasets.delimited import Layout, check_is_file
from tfzoo.data.datasets.duplicates import DUPLICATES, repeated_rows, resolve_duplicates
from tfzoo.data.datasets.names import file_name, slug
from tfzoo.data.datasets.parquet import release_memory
from tfzoo.data.datasets.tables import Names, open_table
from tfzoo.data.datasets.text_files import UTF8
from tfzoo.data.datasets.times import AUTO, TimeColumn, ties_noted
from tfzoo.data.interactions import Interactions, frozen
from tfzoo.data.vocabulary import INTEGER, Vocabulary
from tfzoo.errors import DataError, UsageError, nearest


def from_dataframe(
    frame: pd.DataFrame,
    *,
    user_col: str = "user_id",
    item_col: str = "item_id",
    rating_col: str | None = "rating",
    rating_required: bool = True,
    time_col: str | None = None,
    text_col: str | None = None,
    time_unit: str = AUTO,
    duplicates: str = "error",
    rating_scale: tuple[float, float] | None = None,
    least: int = 2,
    name: str = "data",
    source: str = "the data frame",
) -> Interactions:
    """Make interactions out of a data frame with one row per interaction.

    Args:
        frame: the data; its index is used where it has the name of a column that is asked for.
        user_col: column of user ids, whole numbers or text. Whole numbers of 64 bits, and texts that all
            spell such numbers, become int64.
        item_col: column of item ids, as for users.
        rating_col: column of ratings; None for data without.
        rating_required: False to do without ratings where there is no such column.
        time_col: column of times, numbers since 1970 or ISO dates; None for data without. Fractions of a
            second are kept, see `Interactions.ticks_per_second`.
        text_col: column of reviews, missing ones taken as empty; None for data without.
        time_unit: what numbers in ``time_col`` count: ``"s"``, ``"ms"``, ``"us"`` or ``"ns"``; ``"auto"`` to
            tell it by their size.
        duplicates: what to do with a second row of the same user and item: ``"error"``, take the
            ``"first"`` or the ``"last"`` row, by time where there is a column of times and of equal times
            by the order of rows, take the ``"mean"`` rating at the latest time with the text of the row
            that stands first, or ``"keep"`` all rows, as sessions of clicks need it.
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
    asked = (user_col, item_col, rating_col, time_col, text_col)
    # A frame without a header has numbers for names.
    names = Names(*(None if column is None else str(column) for column in asked))  # type: ignore[arg-type]
    rules = _Rules(rating_required, time_unit, duplicates, rating_scale, least)
    rules.check(names)
    frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
    for number, part in enumerate(frame.index.names):
        if part is not None and str(part) in names.all() and str(part) not in frame.columns:
            frame = frame.assign(**{str(part): frame.index.get_level_values(number)})
    names = rules.choose(names, list(frame.columns), source)
    return _from_columns(frame.__getitem__, len(frame), names, rules, name=name, source=source)


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
    header: bool = True,
    encoding: str = UTF8,
    quoting: str = "csv",
    time_unit: str = AUTO,
    duplicates: str = "error",
    rating_scale: tuple[float, float] | None = None,
    least: int = 2,
    name: str | None = None,
) -> Interactions:
    """Make interactions out of a file with one row per interaction.

    Args:
        path: ``.csv``, ``.tsv``, ``.tab``, ``.txt``, ``.dat`` (text, each also with ``.gz``),
            ``.json`` or ``.jsonl`` (one object a line, each also with ``.gz``), ``.parquet`` or
            ``.pq``; any text file when ``sep`` is given.
        user_col: as for `from_dataframe`.
        item_col: as for `from_dataframe`.
        rating_col: as for `from_dataframe`.
        rating_required: as for `from_dataframe`.
        time_col: as for `from_dataframe`.
        text_col: as for `from_dataframe`.
        sep: separator of a text file; None to go by the ending, or by the first line for
            ``.txt`` and ``.dat``.
        header: the first row names the columns; if not, they are named ``"1"``, ``"2"``, ... in their
            order.
        encoding: of a text file, as Python names it.
        quoting: ``"csv"`` where fields may be enclosed in double quotes, ``"none"`` where a quote is a
            letter as any other.
        time_unit: as for `from_dataframe`.
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
    names = Names(user_col, item_col, rating_col, time_col, text_col)
    rules = _Rules(rating_required, time_unit, duplicates, rating_scale, least)
    check_is_file(path)
    rules.check(names)
    table = open_table(path, Layout(sep, header, encoding, quoting), names, in_memory=True)
    names = rules.choose(names, table.columns, str(path), table.hint)
    column, count = table.read(names.all())
    name = file_name(path) if name is None else name
    interactions = _from_columns(column, count, names, rules, name=name, source=str(path))
    release_memory()
    accounts, *notes = interactions.notes
    unread = [column for column in table.columns if column not in names.all()]
    if header and names.rating is None and unread:
        notes.append(
            f"no ratings are read (--rating-col): every row counts alike; unread columns: {quoted(unread)}"
        )
    if not header:
        sides = (interactions.users, interactions.user_id), (interactions.items, interactions.item_id)
        notes += header_noted(
            [(known, int(ids[0]), int(np.count_nonzero(ids == ids[0]))) for known, ids in sides]
        )
    return replace(interactions, notes=(accounts, *table.notes(), *notes))


@dataclass(frozen=True)
class _Rules:
    """What is asked of the data, see `from_dataframe`."""

    rating_required: bool
    time_unit: str
    duplicates: str
    rating_scale: tuple[float, float] | None
    least: int

    def check(self, names: Names) -> None:
        """Raise `UsageError` where a rule has no meaning, or none for these columns."""
        if self.duplicates not in DUPLICATES:
            known = nearest(self.duplicates, DUPLICATES)
            raise UsageError(f"Unknown policy duplicates={self.duplicates!r}. {known}")
        if self.duplicates == "mean" and names.rating is None:
            raise UsageError("duplicates='mean' needs ratings (--rating-col); use 'first' or 'last'.")
        check_scale_and_unit(names, self.rating_scale, self.time_unit)

    def choose(self, names: Names, present: list[str], source: str, hint: str = "") -> Names:
        """Return the columns to use; raises `DataError` where one is missing, see `Names.check`."""
        if not self.rating_required and names.rating not in present:
            names = replace(names, rating=None)
            self.check(names)
        names.check(present, source, hint)
        return names


def _from_columns(
    column: Callable[[str], pd.Series], count: int, names: Names, rules: _Rules, *, name: str, source: str
) -> Interactions:
    """Make interactions out of columns that are asked for one by one, see `from_dataframe`."""
    if count == 0:
        raise DataError(f"{source} has no data rows.")
    of_users, of_items = IdColumn(source), IdColumn(source)
    users, user_id = of_users.read(column(names.user))
    items, item_id = of_items.read(column(names.item))
    scale = rules.rating_scale
    rating = None if names.rating is None else read_ratings(column(names.rating), source, scale)
    notes, timestamp, ticks = [*of_users.notes, *of_items.notes], None, 1
    if names.time is not None:
        times = TimeColumn(source, rules.time_unit)
        raw = times.read(column(names.time))
        times.check()
        timestamp, ticks = times.ticks(raw), times.ticks_per_second
        notes += times.notes()
    text = None if names.text is None else read_texts(column(names.text), source)
    check_sizes((users, items), names, rules.least, source)
    if rating is not None and scale is None:
        scale = (float(rating.min()), float(rating.max()))
        notes.insert(0, observed_scale(scale))
    rows, rating, timestamp = resolve_duplicates(
        (user_id, item_id),
        rating,
        timestamp,
        rules.duplicates,
        f"{source}, columns '{names.user}' and '{names.item}'",
    )
    dropped = 0 if rows is None else count - len(rows)
    if rows is not None:
        user_id, item_id, text = user_id[rows], item_id[rows], None if text is None else text[rows]
    notes.insert(0, accounted(source, count, dropped, rules.duplicates))
    if rules.duplicates == "keep" and (again := repeated_rows((user_id, item_id))):
        notes.append(repeats_noted(again))
    if timestamp is not None:
        notes += ties_noted(user_id, timestamp, f"'{names.time}'")
    return Interactions(
        users=users,
        items=items,
        user_id=frozen(user_id),
        item_id=frozen(item_id),
        rating=None if rating is None else frozen(rating),
        timestamp=None if timestamp is None else frozen(timestamp),
        ticks_per_second=ticks,
        text=None if text is None else frozen(text),
        rating_scale=scale,
        name=slug(name),
        notes=tuple(notes),
    )


def quoted(columns: Sequence[str], most: int = 5) -> str:
    """Return the names of the first few columns in quotes."""
    return ", ".join(f"'{column}'" for column in columns[:most]) + (", ..." if len(columns) > most else "")


def accounted(source: str, read: int, dropped: int = 0, duplicates: str = "") -> str:
    """Return the note that says what became of all rows."""
    reason = f" (same user and item as another row, duplicates='{duplicates}')" if dropped else ""
    return f"{source}: {read:,} rows read, {read - dropped:,} kept, {dropped:,} dropped{reason}"


def observed_scale(scale: tuple[float, float]) -> str:
    """Return the note that says where the scale of ratings comes from."""
    return f"rating scale {scale[0]:g} to {scale[1]:g}, as observed"


def repeats_noted(count: int) -> str:
    """Return the note on rows that repeat a pair."""
    return f"{count:,} rows have the user and item of an earlier one and are kept too"


def header_noted(sides: Sequence[tuple[Vocabulary, int, int]]) -> list[str]:
    """Return what is to be said of a first row that looks like the header of a file read without one.

    Args:
        sides: of users and of items the vocabulary, the dense id of the first row, and how many rows have it.
    """
    if not any(_is_lone_text(vocabulary, first, count) for vocabulary, first, count in sides):
        return []
    row = " and ".join(repr(str(vocabulary.decode(np.array(first)))) for vocabulary, first, _ in sides)
    return [f"the first row, {row}, looks like a header but is kept as data, as --no-header says"]


def _is_lone_text(vocabulary: Vocabulary, first: int, count: int) -> bool:
    """Tell whether the first id is a text that never comes again, and all others are numbers."""
    if vocabulary.dtype == INTEGER or count > 1 or _is_number(str(vocabulary.decode(np.array(first)))):
        return False
    return all(map(_is_number, np.delete(vocabulary.ids, first - 1).tolist()))


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def check_sizes(vocabularies: tuple[Vocabulary, Vocabulary], names: Names, least: int, source: str) -> None:
    """Raise `DataError` where there are fewer users or items than ``least``."""
    sides = zip(("users", "items"), vocabularies, (names.user, names.item), strict=True)
    for what, vocabulary, column in sides:
        if len(vocabulary) < least:
            raise DataError(
                f"{source}, column '{column}': at least {least} {what} are needed, found {len(vocabulary)}."
            )


def check_scale_and_unit(names: Names, scale: tuple[float, float] | None, unit: str) -> None:
    """Raise `UsageError` unless a scale of ratings and a unit of times, where given, have a meaning here.

    Args:
        names: the columns.
        scale: two finite numbers, the lower one first, or None.
        unit: see `from_dataframe`.
    """
    if scale is not None and not (len(scale) == 2 and -math.inf < scale[0] < scale[1] < math.inf):
        raise UsageError(f"rating_scale must be a lower and a higher number. Received {scale}.")
    if scale is not None and names.rating is None:
        raise UsageError("rating_scale needs ratings (--rating-col).")
    TimeColumn("", unit)
    if unit != AUTO and names.time is None:
        raise UsageError(f"--time-unit {unit} needs times (--time-col).")
