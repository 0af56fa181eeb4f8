"""The user's own click log: a file or a data frame becomes a `ClickLog`, or one clear error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tfzoo.data.click_log import Category, ClickLog
from tfzoo.data.datasets.columns import IdColumn, numbers_of, row_error, shown
from tfzoo.data.datasets.delimited import Layout, check_is_file
from tfzoo.data.datasets.files import accounted
from tfzoo.data.datasets.names import file_name, slug
from tfzoo.data.datasets.parquet import release_memory
from tfzoo.data.datasets.tables import Columns, open_table
from tfzoo.data.datasets.text_files import UTF8
from tfzoo.errors import DataError, UsageError


@dataclass(frozen=True)
class ClickColumns(Columns):
    """Which columns play which part.

    Attributes:
        label: 1 for a click, 0 for none.
        fields: categories.
        numbers: numbers.
    """

    label: str
    fields: tuple[str, ...]
    numbers: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """The columns by which a file's separator is found."""
        return tuple(self.all())

    def all(self) -> list[str]:
        """Return the names, the label first."""
        return [self.label, *self.fields, *self.numbers]


def clicks_from_dataframe(
    frame: pd.DataFrame,
    *,
    label_col: str = "click",
    field_cols: Sequence[str] = (),
    number_cols: Sequence[str] = (),
    name: str = "clicks",
    source: str = "the data frame",
) -> ClickLog:
    """Make a click log out of a data frame with one row per impression.

    Args:
        frame: the data.
        label_col: column of 1 for a click and 0 for none.
        field_cols: columns of categories, text or whole numbers; a missing value, or an empty text, belongs
            to no category.
        number_cols: columns of numbers; they may be missing.
        name: short name, used in folder names.
        source: what messages call the data.

    Returns:
        The impressions, in the order of the rows.

    Raises:
        UsageError: no column is named, or one for two parts.
        DataError: the data cannot be used; the message names row and column.
    """
    names = ClickColumns(label_col, tuple(field_cols), tuple(number_cols))
    frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
    _check_some(names)
    names.check(list(frame.columns), source)
    return _from_columns(frame.__getitem__, len(frame), names, name=name, source=source)


def clicks_from_file(
    path: str | Path,
    *,
    label_col: str,
    field_cols: Sequence[str],
    number_cols: Sequence[str] = (),
    sep: str | None = None,
    header: bool = True,
    encoding: str = UTF8,
    quoting: str = "csv",
    name: str | None = None,
) -> ClickLog:
    """Make a click log out of a file with one row per impression.

    Args:
        path: as for `from_file`.
        label_col: as for `clicks_from_dataframe`.
        field_cols: as for `clicks_from_dataframe`.
        number_cols: as for `clicks_from_dataframe`.
        sep: as for `from_file`.
        header: as for `from_file`.
        encoding: as for `from_file`.
        quoting: as for `from_file`.
        name: short name, used in folder names; None for the name of the file.

    Returns:
        The impressions, in the order of the rows.

    Raises:
        UsageError: an option has no meaning.
        DataError: the file cannot be used; the message names file, row and column.
    """
    path = Path(path)
    names = ClickColumns(label_col, tuple(field_cols), tuple(number_cols))
    check_is_file(path)
    _check_some(names)
    table = open_table(path, Layout(sep, header, encoding, quoting), names, in_memory=True)
    names.check(table.columns, str(path), table.hint)
    column, count = table.read(names.all())
    name = file_name(path) if name is None else name
    log = _from_columns(column, count, names, name=name, source=str(path))
    release_memory()
    return replace(log, notes=(*log.notes, *table.notes()))


def _check_some(names: ClickColumns) -> None:
    if not names.fields and not names.numbers:
        raise UsageError(
            "A click log needs columns to predict the click from: --field-cols or --number-cols."
        )


def _from_columns(
    column: Callable[[str], pd.Series], count: int, names: ClickColumns, *, name: str, source: str
) -> ClickLog:
    if count == 0:
        raise DataError(f"{source} has no data rows.")
    notes = [accounted(source, count)]
    label = read_labels(column(names.label), source)
    categories = {one: read_category(column(one), source) for one in names.fields}
    numbers = {one: read_numbers(column(one), source) for one in names.numbers}
    missing = {one: int(np.count_nonzero(found.codes == 0)) for one, found in categories.items()}
    missing |= {one: int(np.count_nonzero(np.isnan(values))) for one, values in numbers.items()}
    if some := [f"{one} {times:,}" for one, times in missing.items() if times]:
        notes.append(f"missing values: {', '.join(some)}")
    return ClickLog(label, categories, numbers, slug(name), tuple(notes))


def read_labels(values: pd.Series, source: str) -> NDArray[np.float32]:
    """Return a column of labels as float32 ``[n]``; raises `DataError` for one that is not 0 or 1."""
    numbers = values.to_numpy(np.float64) if values.dtype == bool else numbers_of(values)
    wrong = ~np.isin(numbers, (0, 1))
    if wrong.any():
        row = int(np.argmax(wrong))
        problem = f"label {shown(values.iloc[row])}, expected 1 for a click or 0 for none"
        raise row_error(source, row, str(values.name), problem)
    return numbers.astype(np.float32)


def read_category(values: pd.Series, source: str) -> Category:
    """Return a column of categories; missing values and empty texts have the code 0.

    Raises:
        DataError: no value is there, or one is neither text nor a whole number, see `IdColumn`.
    """
    missing = (values.isna() | values.isin([""])).to_numpy(bool)
    rows = np.flatnonzero(~missing)
    if len(rows) == 0:
        raise DataError(f"{source}, column '{values.name}': no value at all; leave the column out.")
    codes = np.zeros(len(values), np.int32)
    try:
        vocabulary, codes[rows] = IdColumn(source).read(values.iloc[rows])
    except DataError:
        if len(rows) == len(values):
            raise
        # Once more with the missing ones in place, so that the message counts the rows of the file.
        IdColumn(source).read(values.mask(missing, values.iloc[rows[0]]))
        raise
    return Category(vocabulary, codes)


def read_numbers(values: pd.Series, source: str) -> NDArray[np.float32]:
    """Return a column of numbers as float32 ``[n]``, NaN where there is none.

    Raises:
        DataError: a value is there and is no finite number of 32 bits.
    """
    missing = (values.isna() | values.isin([""])).to_numpy(bool)
    numbers = numbers_of(values).astype(np.float64, copy=False)
    highest = np.finfo(np.float32).max
    wrong = ~missing & ~((numbers >= -highest) & (numbers <= highest))
    if wrong.any():
        row = int(np.argmax(wrong))
        problem = f"{shown(values.iloc[row])}, expected a finite number or nothing"
        raise row_error(source, row, str(values.name), problem)
    return np.where(missing, np.nan, numbers).astype(np.float32)
