"""Several rows of one user for one item: refused, or one of them kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.cells import sorted_cells
from tfzoo.errors import DataError

DUPLICATES = ("error", "first", "last", "mean", "keep")


def resolve_duplicates(
    ids: tuple[NDArray, NDArray],
    rating: NDArray[np.float32] | None,
    timestamp: NDArray[np.int64] | None,
    policy: str,
    where: str,
) -> tuple[NDArray | None, NDArray | None, NDArray | None]:
    """Return the rows to keep, None for all, and rating and time of each of them.

    First and last are those in time, of equal times those in the order of the rows.
    """
    if policy == "keep":
        return None, rating, timestamp
    order, first = sorted_cells(*ids, int(ids[1].max()) + 1)
    if first.all():
        return None, rating, timestamp
    if timestamp is not None and policy in ("first", "last"):
        order = order[np.lexsort((timestamp[order], np.cumsum(first)))]
    repeated = np.zeros(len(order), bool)
    repeated[order[~np.append(first[1:], True)] if policy == "last" else order[~first]] = True
    if policy == "error":
        row = int(np.argmax(repeated))
        earlier = int(np.argmax((ids[0] == ids[0][row]) & (ids[1] == ids[1][row])))
        raise DataError(
            f"{where}: row {row + 1} (counted from 1 without the header) has the same user and item as row "
            f"{earlier + 1}; {int(repeated.sum()):,} such rows in all. Choose what to keep with "
            "duplicates='first', 'last' or 'mean', or keep all with 'keep' (--duplicates)."
        )
    rows = np.flatnonzero(~repeated)
    if policy == "mean" and rating is not None:
        cell, kept = np.cumsum(first) - 1, order[first]
        rating = rating.copy()
        rating[kept] = np.bincount(cell, weights=rating[order]) / np.bincount(cell)
        if timestamp is not None:
            timestamp = timestamp.copy()
            timestamp[kept] = np.maximum.reduceat(timestamp[order], np.flatnonzero(first))
    return rows, None if rating is None else rating[rows], None if timestamp is None else timestamp[rows]


def repeated_rows(ids: tuple[NDArray, NDArray]) -> int:
    """Return how many rows have the user and item of an earlier one."""
    _, first = sorted_cells(*ids, int(ids[1].max()) + 1)
    return int((~first).sum())
