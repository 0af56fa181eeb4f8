"""Fast readers of published files, whose layout is known."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tfzoo.data.interactions import Interactions
from tfzoo.errors import DataError


def read_ratings(path: Path, sep: str, *, header: int | None = None) -> pd.DataFrame:
    """Read a file of users, items, ratings and times.

    Args:
        path: the file.
        sep: separator, of any length.
        header: number of the header line, None where there is none.

    Returns:
        Columns ``user``, ``item``, ``time`` (int64) and ``rating`` (float32).

    Raises:
        DataError: the file is damaged or empty.
    """
    dtypes = {"user": np.int64, "item": np.int64, "rating": np.float32, "time": np.int64}
    try:
        frame = pd.read_csv(
            _source(path, sep),
            sep=_one_character(sep),
            header=header,
            names=list(dtypes),
            dtype=dtypes,
            index_col=False,
        )
    except ValueError as error:
        raise DataError(
            f"{path} is truncated or is not a file of user, item, rating and time: {error}"
        ) from error
    wrong = ~np.isfinite(frame["rating"].to_numpy())
    if frame.empty or wrong.any():
        where = f"row {int(np.argmax(wrong)) + 1} has no rating" if len(frame) else "it has no rows"
        raise DataError(f"{path} is truncated or damaged: {where}.")
    return frame


def read_table(
    path: Path,
    sep: str,
    columns: Sequence[str] | range,
    *,
    header: int | None = None,
    encoding: str = "utf-8",
    quoting: Literal[0, 3] = csv.QUOTE_NONE,
) -> pd.DataFrame | None:
    """Read a file of features as text; None where there is no such file."""
    if not path.is_file():
        return None
    try:
        return pd.read_csv(
            _source(path, sep),
            sep=_one_character(sep),
            header=header,
            names=list(columns),
            dtype=str,
            keep_default_na=False,
            index_col=False,
            encoding=encoding,
            quoting=quoting,
        )
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def _source(path: Path, sep: str) -> Path | io.BytesIO:
    # pandas' fast parser takes separators of one character only; its slow one needs a minute for 10M.
    if len(sep) == 1:
        return path
    return io.BytesIO(path.read_bytes().replace(sep.encode(), _one_character(sep).encode()))


def _one_character(sep: str) -> str:
    return sep if len(sep) == 1 else "\x1f"


def read_integers(
    path: Path, sep: str, *, header: int | None = None, replace: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Read a file that holds whole numbers only.

    Args:
        path: the file.
        sep: separator, one character.
        header: number of the header line, None where there is none.
        replace: character -> what to read instead of it, such as nothing for brackets.

    Returns:
        The numbers, int64; numbers such as ``3.0`` are taken as 3.

    Raises:
        DataError: the file is empty, or a field is missing or no whole number.
    """
    try:
        text = path.read_text(encoding="utf-8").translate(
            {ord(old): new for old, new in (replace or {}).items()}
        )
        frame = pd.read_csv(io.StringIO(text), sep=sep, header=header, index_col=False)
        numbers = frame.to_numpy(np.float64)
        # Beyond this range int64 would wrap, and infinity is its own floor.
        whole = (np.floor(numbers) == numbers) & (np.abs(numbers) < 2.0**63)
        if len(frame) == 0 or not whole.all():
            raise ValueError("a field is missing or is no whole number, or there is no row")
    except ValueError as error:
        raise DataError(f"{path} is truncated or damaged: {error}.") from error
    return frame.astype(np.int64)


def rows_of_pairs(
    interactions: Interactions, users: NDArray, items: NDArray, source: Path
) -> NDArray[np.int64]:
    """Return the row number of each pair of a raw user id and a raw item id.

    Args:
        interactions: where to look; of a repeated pair the first row counts.
        users: raw user ids ``[n]``.
        items: raw item ids ``[n]``.
        source: file that names the pairs, for messages.

    Returns:
        Row numbers, int64 ``[n]``.

    Raises:
        DataError: there is no such interaction.
    """
    width = interactions.num_items + 1
    known = interactions.user_id.astype(np.int64) * width + interactions.item_id
    wanted = interactions.users.lookup(users).astype(np.int64) * width + interactions.items.lookup(items)
    order = np.argsort(known, kind="stable")
    at = np.searchsorted(known, wanted, sorter=order).clip(max=len(known) - 1)
    missing = known[order[at]] != wanted
    if missing.any():
        row = int(np.argmax(missing))
        raise DataError(
            f"{source}, row {row + 1}: user {users[row]} and item {items[row]} are not among "
            f"the interactions of '{interactions.name}' ({int(missing.sum()):,} such rows)."
        )
    found: NDArray[np.int64] = order[at]
    return found
