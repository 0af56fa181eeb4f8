"""Checks of what a fitted model is asked."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tfzoo.api.frames import as_frame
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, DataWarning, UsageError
from tfzoo.serving.interface import Id, plain_id

# From `warn_of_unknown` through the method that answers, its decorator and the public one to who called it.
CALLER = 5


def listed_ids(ids: Iterable[Id] | Id, name: str) -> list[Id]:
    """Return ids as a list of plain numbers and texts; one id is a list of one.

    Args:
        ids: one or several.
        name: of the argument, for messages.

    Raises:
        UsageError: one is missing or neither text nor whole number.
    """
    if hasattr(ids, "columns"):
        raise UsageError(f"'{name}' must be ids. Received a data frame; give its column of ids.")
    # Arrays and single values of Arrow hold objects of its own.
    plain: Any = ids.to_pylist() if hasattr(ids, "to_pylist") else ids
    plain = plain.as_py() if hasattr(plain, "as_py") else plain
    single = isinstance(plain, str | bytes) or not isinstance(plain, Iterable)
    several: Iterable[Any] = [plain] if single else plain
    return [plain_id(name, raw) for raw in several]


def positive(k: int) -> int:
    """Return a length of lists; raises `UsageError` for what is none."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise UsageError(f"k must be a whole number of at least 1. Received {k!r}.")
    return int(k)


def warn_of_unknown(items: Vocabulary, ids: list[Id], name: str) -> None:
    """Warn of raw item ids that are not in the data.

    Args:
        items: their vocabulary.
        ids: raw ids.
        name: of the argument that they were given as.
    """
    known = items.lookup(np.array(ids)) if ids else np.zeros(0, np.int32)
    unknown = [raw for raw, dense in zip(ids, known, strict=True) if dense == 0]
    if unknown:
        shown = ", ".join(map(repr, unknown[:3])) + (", ..." if len(unknown) > 3 else "")
        told = f"{name}: {len(unknown):,} of {len(ids):,} items are not in the data: {shown}"
        warnings.warn(told, DataWarning, stacklevel=CALLER)


def trained_items(items: Vocabulary, ids: list[Id], trained: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the dense ids of items of which something was learned.

    Args:
        items: their vocabulary.
        ids: raw ids.
        trained: bool ``[num_items + 1]``: which have interactions in the training part.

    Raises:
        UsageError: one is unknown, or has none.
    """
    dense = items.lookup(np.array(ids))
    for raw, found in zip(ids, dense, strict=True):
        if found == 0:
            raise UsageError(f"Item {raw!r} is not in the data.")
        if not trained[found]:
            raise UsageError(
                f"Item {raw!r} has no interaction in the training part: nothing was learned of what it is "
                "like. fit_on='all' trains on all interactions."
            )
    return dense


def checked_pairs(pairs: Any, user_col: str, item_col: str, answer: str) -> pd.DataFrame:
    """Return pairs of users and items as a data frame.

    Args:
        pairs: see `as_frame`.
        user_col: its column of users.
        item_col: its column of items.
        answer: name of the column that will stand beside them.

    Raises:
        DataError: a column is missing, stands there twice, or has the name of the answer.
        UsageError: it is no data frame.
    """
    frame = as_frame(pairs, "pairs")
    for column in (user_col, item_col):
        count = list(frame.columns).count(column)
        if count == 0:
            present = ", ".join(map(str, frame.columns))
            raise DataError(f"pairs has no column '{column}'; its columns are {present}.")
        if count > 1:
            raise DataError(f"pairs has column '{column}' {count} times.")
        if column == answer:
            raise DataError(f"pairs: column '{column}' has the name of the answer's; rename it.")
    return frame
