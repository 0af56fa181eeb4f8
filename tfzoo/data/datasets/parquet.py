"""Parquet files, read column by column."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow  # type: ignore[import-untyped]
from pyarrow import parquet  # type: ignore[import-untyped]

from tfzoo.errors import DataError

PARQUET = (".parquet", ".pq")


def parquet_shape(path: Path) -> tuple[list[str], int]:
    """Return the names of the columns and the number of rows."""
    with reading_parquet(path):
        metadata = parquet.read_metadata(path)
        empty = metadata.schema.to_arrow_schema().empty_table().to_pandas()
        return [str(column) for column in empty.columns], metadata.num_rows


def read_parquet_column(path: Path, column: str) -> pd.Series:
    """Return one column: all at once, with Arrow's copies of them, would be several times the data."""
    with reading_parquet(path):
        values: pd.Series = pd.read_parquet(path, columns=[column])[column]
    pyarrow.default_memory_pool().release_unused()
    return values


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
