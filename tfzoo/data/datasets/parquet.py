"""Parquet files, read column by column, or in parts of some rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow  # type: ignore[import-untyped]
from numpy.typing import NDArray
from pyarrow import parquet

from tfzoo.errors import DataError

PARQUET = (".parquet", ".pq")
_NUMBERS = {"int32": np.int32, "int64": np.int64, "float": np.float32, "double": np.float64}
_ROWS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class ParquetShape:
    """What a file holds.

    Attributes:
        columns: names of the columns, and after them those of the parts of a pandas index.
        rows: number of rows.
        counted: a part of the index that counts the rows, and is not stored -> its first number and step.
    """

    columns: list[str]
    rows: int
    counted: dict[str, tuple[int, int]]


def parquet_shape(path: Path) -> ParquetShape:
    """Return the names of the columns and the number of rows."""
    with reading_parquet(path):
        metadata = parquet.read_metadata(path)
        schema = metadata.schema.to_arrow_schema()
        empty = schema.empty_table().to_pandas()
        columns = [str(column) for column in empty.columns]
        index = [str(name) for name in empty.index.names if name is not None]
        parts = (schema.pandas_metadata or {}).get("index_columns", [])
        counted = {
            str(part["name"]): (int(part["start"]), int(part["step"]))
            for part in parts
            if isinstance(part, dict) and part["name"] is not None and str(part["name"]) not in columns
        }
        index = [name for name in dict.fromkeys([*index, *counted]) if name not in columns]
        return ParquetShape(columns + index, metadata.num_rows, counted)


def read_parquet_column(path: Path, column: str) -> pd.Series:
    """Return one column: all at once, with Arrow's copies of them, would be several times the data."""
    with reading_parquet(path):
        numbers = _numbers(path, column)
        if numbers is not None:
            return pd.Series(numbers, name=column, copy=False)
        shape = parquet_shape(path)
        if column in shape.counted:
            return _counted(shape, column, 0, shape.rows)
        return _with_index(pd.read_parquet(path, columns=[column]))[column]


def parquet_parts(path: Path, columns: list[str], rows: int | None) -> Iterator[pd.DataFrame]:
    """Yield some columns of a file, at most ``rows`` rows at a time."""
    shape = parquet_shape(path)
    stored = [column for column in columns if column not in shape.counted]
    with reading_parquet(path):
        file = parquet.ParquetFile(path)
    with file:
        start, batches = 0, file.iter_batches(rows or _ROWS_AT_ONCE, columns=stored)
        while True:
            with reading_parquet(path):
                batch = next(batches, None)
                part = None if batch is None else _with_index(batch.to_pandas())
            if part is None:
                return
            for column in shape.counted.keys() & set(columns):
                part[column] = _counted(shape, column, start, len(part))
            start += len(part)
            yield part[columns]


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns by the texts of their names, and after them what an index holds."""
    frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
    for number, name in enumerate(frame.index.names):
        if name is not None and str(name) not in frame.columns:
            frame[str(name)] = frame.index.get_level_values(number)
    return frame.reset_index(drop=True)


def _counted(shape: ParquetShape, column: str, start: int, count: int) -> pd.Series:
    first, step = shape.counted[column]
    return pd.Series(first + step * np.arange(start, start + count), name=column)


def _numbers(path: Path, column: str) -> NDArray | None:
    """Return a column of numbers, read in parts so that Arrow never holds it whole; None for others."""
    with parquet.ParquetFile(path) as file:
        kinds = {field.name: field.type for field in file.schema_arrow}
        dtype = _NUMBERS.get(str(kinds.get(column)))
        if dtype is None:
            return None
        values: NDArray = np.empty(file.metadata.num_rows, dtype)
        start = 0
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[column]):
            part = batch.column(0)
            if part.null_count:
                return None
            values[start : start + len(part)] = part.to_numpy()
            start += len(part)
    return values if start == len(values) else None


def release_memory() -> None:
    """Give back what Arrow holds on to after reading, hundreds of megabytes for a large file."""
    pyarrow.default_memory_pool().release_unused()


@contextmanager
def reading_parquet(path: Path) -> Iterator[None]:
    """Raise `DataError` with the name of the file where the block raises anything."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        # A damaged file can make the decoder stumble anywhere, over wrong types and missing keys too.
        words = " ".join(str(error).split()) or type(error).__name__
        reason = "".join(letter if letter.isprintable() else "?" for letter in words)
        raise DataError(f"{path} cannot be read as Parquet: {reason}") from error
