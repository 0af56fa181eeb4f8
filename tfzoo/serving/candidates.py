"""The items that an export shall recommend, and the files that list them."""

from __future__ import annotations

import re
import warnings
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tfzoo.data.datasets.delimited import check_is_file
from tfzoo.data.datasets.text_files import text_blocks, text_rows
from tfzoo.data.vocabulary import INTEGER
from tfzoo.errors import DataError

VECTOR_COLUMN = re.compile(r"v[0-9]{1,9}")
# As the vocabulary prints them; Python would read "1_0" and " 10" for 10 as well.
WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}")
SEPARATORS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Candidates:
    """The items that an export shall recommend.

    Attributes:
        ids: their raw ids ``[n]``, distinct.
        vectors: float32 ``[n, wi]`` as the item tower makes them, or ``[n, wi + 1]`` with the item's
            offset as the last component; rows of NaN, or None for all, where the export has the
            item and its vector is to stay.
        popularity: interactions ``[n]``, by which unknown users are served; None keeps the
            export's counts, 0 for new items.
        titles: ``[n]``, or None.
    """

    ids: NDArray
    vectors: NDArray[np.float32] | None = None
    popularity: NDArray[np.float32] | None = None
    titles: NDArray | None = None


def with_vectors(candidates: Candidates, ids: NDArray, vectors: NDArray[np.float32]) -> Candidates:
    """Return the candidates with the vectors of some of them.

    Args:
        candidates: without vectors.
        ids: raw ids ``[m]``.
        vectors: float32 ``[m, width]``.

    Raises:
        DataError: there are vectors already, or an id is not among the candidates.
    """
    if candidates.vectors is not None:
        raise DataError("The vectors come from the file of the items or from ratings, not from both.")
    order = np.argsort(candidates.ids)
    at = order[np.searchsorted(candidates.ids, ids, sorter=order).clip(max=len(order) - 1)]
    missing = ids[candidates.ids[at] != ids]
    if len(missing):
        raise DataError(f"{len(missing)} rated items are not among the candidates, such as '{missing[0]}'.")
    given = np.full((len(candidates.ids), vectors.shape[1]), np.nan, np.float32)
    given[at] = vectors
    return replace(candidates, vectors=given)


def read_candidates(path: Path, dtype: str, id_col: str = "item_id") -> Candidates:
    """Read candidates from a file.

    Args:
        path: CSV, TSV or Parquet with the columns ``id_col`` and, if wanted, ``v0``, ``v1``, ... (the
            vector; empty where the export's is to stay), ``popularity`` and ``title``; or ``.npz``
            with the arrays ``item_ids`` and, if wanted, ``vectors``, ``popularity`` and ``titles``.
        dtype: of the ids of the export, ``"int64"`` or ``"string"``.
        id_col: column with the ids.

    Raises:
        DataError: the file cannot be read, lacks the ids, or an id, number or row is unusable.
    """
    try:
        check_is_file(path)
        # What no float32 can hold becomes infinite, and is refused as such.
        with np.errstate(over="ignore"):
            table = _read_arrays(path) if path.suffix == ".npz" else _read_table(path, id_col)
    except Exception as error:
        # The formats inside have errors of their own; whichever it is, the file is damaged.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"Cannot read candidates from {path}: {reason}") from None
    if table.ids.ndim != 1 or len(table.ids) == 0:
        raise DataError(f"{path}: expected a list of ids, at least one. Received shape {table.ids.shape}.")
    shapes = (("popularity", table.popularity, 1), ("vectors", table.vectors, 2), ("titles", table.titles, 1))
    for name, values, rank in shapes:
        if values is not None and (values.ndim != rank or len(values) != len(table.ids)):
            raise DataError(
                f"{path}: {name} must have a row for each of {len(table.ids)} items. Received shape "
                f"{values.shape}."
            )
    for name, values in (("popularity", table.popularity), ("vectors", table.vectors)):
        if values is not None and (len(values) != len(table.ids) or np.isinf(values).any()):
            raise DataError(f"{path}: {name} must be finite, with a row for each of {len(table.ids)} items.")
    if table.popularity is not None and not (table.popularity >= 0).all():
        raise DataError(f"{path}: popularity must be 0 or more in every row.")
    return Candidates(_ids(path, table.ids, dtype), table.vectors, table.popularity, table.titles)


def _read_table(path: Path, id_col: str) -> Candidates:
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
    elif path.suffix in SEPARATORS:
        table = _read_text(path, SEPARATORS[path.suffix], id_col)
    else:
        raise ValueError("expected a file that ends in .csv, .tsv, .parquet or .npz")
    if id_col not in table:
        raise ValueError(f"there is no column '{id_col}' among {', '.join(map(str, table.columns))}")
    if table[id_col].isna().any():
        raise ValueError(f"row {int(np.flatnonzero(table[id_col].isna())[0]) + 1} has no '{id_col}'")
    columns = [name for name in table.columns if VECTOR_COLUMN.fullmatch(str(name))]
    columns.sort(key=lambda name: int(str(name)[1:]))
    if columns != [f"v{position}" for position in range(len(columns))]:
        raise ValueError("the columns of the vectors must be v0, v1, v2, ... without a gap")
    return Candidates(
        table[id_col].to_numpy(),
        table[columns].to_numpy(np.float32) if columns else None,
        table["popularity"].to_numpy(np.float32) if "popularity" in table else None,
        table["title"].fillna("").to_numpy() if "title" in table else None,
    )


def _read_text(path: Path, sep: str, id_col: str) -> pd.DataFrame:
    with warnings.catch_warnings():
        # pandas cuts rows that are too long, with a warning.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        table = pd.read_csv(
            path,
            sep=sep,
            dtype={id_col: str, "title": str},
            index_col=False,
            # An item may be called NA.
            keep_default_na=False,
            na_values=[""],
        )
    header = pd.read_csv(path, sep=sep, header=None, nrows=1, dtype=str, keep_default_na=False)
    names = header.iloc[0].tolist()
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the header has column {repeated!r} {names.count(repeated)} times")
    # A lost quote swallows the items up to the next one, which pandas takes for a long title.
    deque(text_rows(path, text_blocks(path, in_memory=True), sep), maxlen=0)
    return table


def _read_arrays(path: Path) -> Candidates:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        raise ValueError("it is one array, not an archive of arrays")
    with loaded as arrays:
        if "item_ids" not in arrays:
            raise ValueError(f"there is no array 'item_ids' among {', '.join(arrays)}")
        vectors, popularity, titles = (arrays.get(name) for name in ("vectors", "popularity", "titles"))
        if vectors is not None and vectors.ndim != 2:
            raise ValueError(f"'vectors' must have two dimensions, not {vectors.ndim}")
        return Candidates(
            arrays["item_ids"],
            None if vectors is None else vectors.astype(np.float32),
            None if popularity is None else popularity.astype(np.float32),
            titles,
        )


def _ids(path: Path, ids: NDArray, dtype: str) -> NDArray:
    kinds = set(map(type, ids.tolist()))
    if not kinds <= {str, int, bytes}:
        odd = next(row for row, raw in enumerate(ids.tolist()) if type(raw) not in (str, int, bytes))
        raise DataError(
            f"{path}, row {odd + 1}: id {str(ids.tolist()[odd])[:60]!r}, expected text or a whole number."
        )
    try:
        texts = ids.astype(str)
    except UnicodeDecodeError:
        raise DataError(f"{path}: an id is no text in ASCII or UTF-8.") from None
    if dtype != INTEGER:
        return texts
    try:
        if not all(WHOLE_NUMBER.fullmatch(text) for text in texts.tolist()):
            raise ValueError
        return np.array([int(text) for text in texts.tolist()], np.int64)
    except (ValueError, OverflowError):
        raise DataError(
            f"{path}: the item ids of the export are whole numbers; those here are not."
        ) from None
