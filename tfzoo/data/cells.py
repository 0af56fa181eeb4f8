"""Order and repetition of (row, column) pairs among millions, in little memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BITS = 63


def sorted_cells(row: NDArray, column: NDArray, width: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Order entries of a matrix by row, then column; entries of one cell keep their order.

    Args:
        row: whole numbers ``[n]``, 0 or more.
        column: whole numbers ``[n]``, ``0..width - 1``.
        width: number of columns.

    Returns:
        The positions of the entries in that order, int64 ``[n]``, and which of them are the first of their
        cell, bool ``[n]`` in the same order.
    """
    count = len(row)
    cells = row.astype(np.int64)
    cells *= width
    cells += column
    shift = count.bit_length()
    if int(cells.max(initial=0)).bit_length() + shift <= _BITS:
        # Cell and position in one number: sorting in place needs neither an array of indices nor room to
        # merge in, and is several times faster than sorting indices.
        cells <<= shift
        position: NDArray[np.integer] = np.arange(count, dtype=np.int32 if count < 2**31 else np.int64)
        cells |= position
        del position
        cells.sort()
        order = cells & ((1 << shift) - 1)
        cells >>= shift
    else:
        order = np.argsort(cells, kind="stable")
        cells = cells[order]
    first = np.ones(count, bool)
    np.not_equal(cells[1:], cells[:-1], out=first[1:])
    return order, first


def first_of_cells(row: NDArray, column: NDArray, width: int) -> NDArray[np.int64]:
    """Return the position of the first entry of each cell, by row, then column; see `sorted_cells`."""
    order, first = sorted_cells(row, column, width)
    return order if first.all() else order[first]


def shared_cells(row: NDArray, column: NDArray, width: int) -> int:
    """Return how many entries share their cell with another one; see `sorted_cells`."""
    cells = row.astype(np.int64)
    cells *= width
    cells += column
    cells.sort()
    same = cells[1:] == cells[:-1]
    return int((np.append(same, False) | np.append(False, same)).sum())
