"""Parquet files, read column by column."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


def parquet_shape(path: Path) -> tuple[list[str], int]:
    """Return the names of the columns and the number of rows."""
    with reading_parquet(path):
        metadata = parquet.read_metadata(path)
        empty = metadata.schema.to_arrow_schema().empty_table().to_pandas()
        return [str(column) for column in empty.columns], metadata.num_rows


def read_parquet_column(path: Path, column: str) -> pd.Series:
    """Return one column: all at once, with Arrow's copies of them, would be several times the data."""
    with reading_parquet(path):
        numbers = _numbers(path, column)
        if numbers is not None:
            return pd.Series(numbers, name=column, copy=False)
        return pd.read_parquet(path, columns=[column])[column]


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
    except Exception as error:
        # A damaged file can make the decoder stumble anywhere, over wrong types and missing keys too.
        words = " ".join(str(error).split()) or type(error).__name__
        reason = "".join(letter if letter.isprintable() else "?" for letter in words)
        raise DataError(f"{path} cannot be read as Parquet: {reason}") from error
