"""The items that an export shall recommend, and the files that list them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tfzoo.data.vocabulary import INTEGER
from tfzoo.errors import DataError

VECTOR_COLUMN = re.compile(r"v(\d+)")
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
        table = _read_arrays(path) if path.suffix == ".npz" else _read_table(path, id_col)
    except (OSError, ValueError) as error:
        raise DataError(f"Cannot read candidates from {path}: {error}") from None
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
        table = pd.read_csv(path, sep=SEPARATORS[path.suffix], dtype={id_col: str, "title": str})
    else:
        raise ValueError("expected a file that ends in .csv, .tsv, .parquet or .npz")
    if id_col not in table:
        raise ValueError(f"there is no column '{id_col}' among {', '.join(map(str, table.columns))}")
    if table[id_col].isna().any():
        raise ValueError(f"row {int(np.flatnonzero(table[id_col].isna())[0]) + 1} has no '{id_col}'")
    numbered = {
        int(match[1]): name for name in table.columns if (match := VECTOR_COLUMN.fullmatch(str(name)))
    }
    if sorted(numbered) != list(range(len(numbered))):
        raise ValueError("the columns of the vectors must be v0, v1, v2, ... without a gap")
    columns = [numbered[position] for position in range(len(numbered))]
    return Candidates(
        table[id_col].to_numpy(),
        table[columns].to_numpy(np.float32) if columns else None,
        table["popularity"].to_numpy(np.float32) if "popularity" in table else None,
        table["title"].fillna("").to_numpy() if "title" in table else None,
    )


def _read_arrays(path: Path) -> Candidates:
    with np.load(path, allow_pickle=False) as arrays:
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
    if dtype != INTEGER:
        return ids.astype(str)
    try:
        return np.array([int(raw) for raw in ids.tolist()], np.int64)
    except (ValueError, OverflowError):
        raise DataError(
            f"{path}: the item ids of the export are whole numbers; those here are not."
        ) from None
