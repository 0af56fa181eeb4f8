"""Files with a row per interaction, whatever their kind: which columns they have, and their rows in parts.

Reading into memory and reading in parts take a file for the same rows, or refuse it for the same reason.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from tfzoo.data.datasets.delimited import (
    SEPARATORS,
    SNIFFED,
    DelimitedFile,
    Layout,
    check_is_file,
    ending_of,
)
from tfzoo.data.datasets.json_lines import JSON, json_line_keys, json_line_parts, read_json_lines
from tfzoo.data.datasets.parquet import PARQUET, parquet_parts, parquet_shape, read_parquet_column
from tfzoo.errors import DataError, UsageError, nearest

_SHOWN_COLUMNS = 30


class Columns(ABC):
    """Columns that a file should have."""

    @property
    @abstractmethod
    def ids(self) -> tuple[str, ...]:
        """Those by which the separator of a text file is found where nothing else tells it."""

    @abstractmethod
    def all(self) -> list[str]:
        """Return the names."""

    def advice_on(self, column: str) -> str:
        """Return what else helps where a column is missing."""
        return ""

    def check(self, present: list[str], source: str, hint: str = "") -> None:
        """Raise an error unless ``present`` has all columns, each once and for one part.

        Args:
            present: names of the columns that there are.
            source: file or data frame, for messages.
            hint: what else may help where no column is found.

        Raises:
            UsageError: one name is given for two parts.
            DataError: a column is missing, or a name stands there twice.
        """
        wanted = self.all()
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
            advice = nearest(column, map(_cut, present)) if present else ""
            if len(present) == 1 and (other := re.search(r"[;\t,|]|::| ", present[0])):
                advice = (
                    f"The header is one column with {other.group()!r} in it: give --sep {other.group()!r}."
                )
            elif more_advice := self.advice_on(column):
                advice += more_advice
            elif not set(wanted) & set(present) and not advice.startswith("Did you mean"):
                advice += hint
            raise DataError(
                f"{source} has no column '{column}'. {advice} Columns: {', '.join(map(repr, shown))}{more}."
            )


@dataclass(frozen=True)
class Names(Columns):
    """Which columns play which part; None for none.

    Attributes:
        user: ids of users.
        item: ids of items.
        rating: ratings.
        time: times.
        text: reviews.
    """

    user: str
    item: str
    rating: str | None = None
    time: str | None = None
    text: str | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """The columns of ids."""
        return (self.user, self.item)

    def all(self) -> list[str]:
        """Return the names, in the order of the attributes."""
        names = (self.user, self.item, self.rating, self.time, self.text)
        return [name for name in names if name is not None]

    def advice_on(self, column: str) -> str:
        """Return what to do where the column of ratings is missing."""
        if column != self.rating:
            return ""
        return (
            " Name the column of ratings (--rating-col); data without ratings is for models of implicit "
            "feedback (rating_col=None)."
        )


@dataclass(frozen=True)
class Table:
    """A file that is open.

    Attributes:
        columns: names of its columns.
        parts: takes names of columns and a number of rows, and yields so many rows at a time, fewer at the
            end; any number where that is None. It works once.
        column: reads one column at once; None where all are read together.
        rows: number of rows where ``column`` is given.
        hint: what may help where no column is found.
        notes: what is to be said of the rows that were read so far, a sentence each.
    """

    columns: list[str]
    parts: Callable[[list[str], int | None], Iterator[pd.DataFrame]]
    column: Callable[[str], pd.Series] | None = None
    rows: int = 0
    hint: str = ""
    notes: Callable[[], list[str]] = list

    def read(self, columns: list[str]) -> tuple[Callable[[str], pd.Series], int]:
        """Return what gives the values of each of some columns, and the number of rows."""
        if self.column is not None:
            return self.column, self.rows
        parts = list(self.parts(columns, None))
        frame = parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
        return frame.__getitem__, len(frame)


def open_table(path: Path, layout: Layout, names: Columns, *, in_memory: bool) -> Table:
    """Open a file of any kind that is known.

    Args:
        path: the file.
        layout: how to read it where it is a text file.
        names: columns that it should have.
        in_memory: it will be read at once; if not, in parts.

    Raises:
        UsageError: the layout has no meaning, or none for this kind of file.
        DataError: there is no such file, or it cannot be used.
    """
    check_is_file(path)
    ending = ending_of(path)
    if ending in PARQUET and layout.sep is None:
        _refuse_layout(path, layout, "Parquet", encoding=True)
        shape = parquet_shape(path)
        column = partial(read_parquet_column, path)
        return Table(shape.columns, partial(parquet_parts, path), column, shape.rows)
    if ending in JSON and layout.sep is None:
        _refuse_layout(path, layout, "JSON lines")
        if in_memory:
            frame = read_json_lines(path, layout.encoding)
            return Table(list(frame.columns), lambda columns, rows: _of_size(iter([frame[columns]]), rows))
        keys = json_line_keys(path, layout.encoding)
        return Table(keys, partial(json_line_parts, path, layout.encoding))
    if layout.sep is None and ending not in SEPARATORS and ending not in SNIFFED:
        known = ", ".join((*SEPARATORS, *SNIFFED, *JSON, *PARQUET))
        raise DataError(f"{path}: unknown kind of file '{ending}'. Known: {known}; else give --sep.")
    if not layout.header and (words := [name for name in names.all() if not name.isdecimal()]):
        raise UsageError(
            f"With --no-header columns are given by their number from 1, such as --user-col 1. Received "
            f"{words[0]!r}."
        )
    file = DelimitedFile(path, ending, layout, names.ids, in_memory=in_memory)

    def parts(columns: list[str], rows: int | None) -> Iterator[pd.DataFrame]:
        return _of_size((part[columns] for part in file.parts()), rows)

    def notes() -> list[str]:
        if not file.continued:
            return []
        return [
            f"{file.continued:,} lines go on with a quoted field of the line before; if quotes enclose "
            "nothing in this file, give --quoting none"
        ]

    hint = " If the file has no header line, give --no-header and columns by number, such as --user-col 1."
    return Table(file.columns, parts, hint=hint if layout.header else "", notes=notes)


def _of_size(frames: Iterator[pd.DataFrame], rows: int | None) -> Iterator[pd.DataFrame]:
    """Yield the same rows, ``rows`` at a time."""
    if rows is None:
        yield from frames
        return
    held: list[pd.DataFrame] = []
    count = 0
    for frame in frames:
        held.append(frame)
        count += len(frame)
        if count < rows:
            continue
        whole = pd.concat(held, ignore_index=True)
        for start in range(0, count - rows + 1, rows):
            yield whole.iloc[start : start + rows].reset_index(drop=True)
        held = [whole.iloc[count - count % rows :]]
        count %= rows
    if count:
        yield pd.concat(held, ignore_index=True)


def _refuse_layout(path: Path, layout: Layout, kind: str, *, encoding: bool = False) -> None:
    plain = Layout()
    layout.check()
    given = {
        "--no-header": layout.header != plain.header,
        "--quoting": layout.quoting != plain.quoting,
        "--encoding": encoding and layout.encoding != plain.encoding,
    }
    for option, is_given in given.items():
        if is_given:
            raise UsageError(f"{option} is for text files with separators; {path} is {kind}.")


def _cut(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:57]}..."
