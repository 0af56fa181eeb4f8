"""Data frames of any library, and side features out of them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.interchange  # type: ignore[import-untyped]
from numpy.typing import NDArray

from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError


def as_frame(data: Any, what: str) -> pd.DataFrame:
    """Return tabular data as a data frame of pandas.

    Args:
        data: a data frame of pandas, or what offers its columns by the Arrow C stream or the data frame
            interchange protocol, as polars, pyarrow, modin, ibis and others do.
        what: what messages call it.

    Raises:
        UsageError: it is no such thing.
    """
    if isinstance(data, pd.DataFrame):
        return data
    if hasattr(data, "__arrow_c_stream__"):
        # A single column offers a stream, too.
        with contextlib.suppress(pa.ArrowInvalid):
            return _pandas(pa.table(data))
    elif hasattr(data, "__dataframe__"):
        return _pandas(pa.interchange.from_dataframe(data))
    hint = " Read a file with tfzoo.from_file first." if isinstance(data, str) else ""
    hint = " Give collect() of it." if hasattr(data, "collect") else hint
    raise UsageError(
        f"{what} must be a data frame (of pandas, polars, Arrow or another library that shares its columns). "
        f"Received {type(data).__name__}.{hint}"
    )


def _pandas(table: pa.Table) -> pd.DataFrame:
    """Return a table of Arrow as a data frame; pandas knows no views of text within lists, as polars has."""
    fields = [field.with_type(_without_views(field.type)) for field in table.schema]
    frame: pd.DataFrame = table.cast(pa.schema(fields)).to_pandas()
    return frame


def _without_views(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.large_list(_without_views(kind.value_type))
    # By its name, since not every version has the type.
    return pa.large_string() if str(kind) == "string_view" else kind


def side_features(data: Any, column: str, vocabulary: Vocabulary, what: str) -> Mapping[str, NDArray]:
    """Return the columns of a table of users or items, by dense id.

    Args:
        data: one row for each user or item, see `as_frame`.
        column: the column with their raw ids, also where it is the index.
        vocabulary: of the users or items of the interactions. Rows of others are left out; who has no
            row has the empty text, or 0.
        what: what messages call the table.

    Returns:
        name -> values ``[len(vocabulary) + 1]``, float64 or text, row 0 for the unknown id. Several
        categories of one text are divided by ``|``; lists of texts are joined so.

    Raises:
        DataError: there is no such column, no other one, an id twice, no known id at all, or a number
            is missing.
    """
    frame = as_frame(data, what)
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    if column not in frame.columns and frame.index.name == column:
        frame = frame.reset_index()
    if column not in frame.columns:
        raise DataError(f"{what} has no column '{column}'; its columns are {', '.join(frame.columns)}.")
    others = [name for name in frame.columns if name != column]
    if not others:
        raise DataError(f"{what} has no column beside '{column}'.")
    ids = frame[column]
    if ids.duplicated().any():
        raise DataError(f"{what}, column '{column}': {ids[ids.duplicated()].iloc[0]!r} stands there twice.")
    raw = ids.to_numpy()
    rows = vocabulary.lookup(raw if raw.dtype.kind in "iu" else raw.astype(str))
    if not rows.any():
        raise DataError(f"{what}: no id of column '{column}' occurs in the interactions.")
    features = {}
    for name in others:
        values = _values(frame[name], f"{what}, column '{name}'")
        table = np.zeros(len(vocabulary) + 1, values.dtype)
        table[rows[rows > 0]] = values[rows > 0]
        features[name] = table
    return features


def _values(column: pd.Series, where: str) -> NDArray:
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(np.float64, na_value=np.nan)
        if not np.isfinite(values).all():
            row = int(np.argmax(~np.isfinite(values)))
            raise DataError(f"{where}, row {row}: {values[row]} is not a finite number.")
        return values
    filled = column.astype(object).where(column.notna(), "")
    is_list = filled.map(lambda value: isinstance(value, list | tuple | np.ndarray))
    joined = filled.where(~is_list, filled[is_list].map(lambda value: "|".join(map(str, value))))
    return joined.to_numpy().astype(str)
