"""Side features of users and items as columns of zeros and ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SEPARATOR = "|"
MOST_CATEGORIES = 100
BUCKETS = 10


def multi_hot(features: Mapping[str, NDArray], rows: int) -> tuple[list[str], NDArray[np.float32]]:
    """Encode side features, one column for each category.

    A text may hold several categories, divided by ``|``; an empty one holds none. Numbers of more
    than 10 different values are put into 10 buckets of about equally many ids. Texts of more than
    100 categories, such as titles, are left out: they tell ids apart and nothing else.

    Args:
        features: name -> values, shape ``[rows]``; row 0 belongs to the unknown id.
        rows: number of ids, the unknown one included.

    Returns:
        The names of the columns (``genres=Comedy``), and float32 ``[rows, columns]``; row 0 is 0.
    """
    columns: list[str] = []
    blocks: list[NDArray[np.float32]] = [np.zeros((rows, 0), np.float32)]
    for name in sorted(features):
        table = _categories(np.asarray(features[name]))
        if table.shape[1] == 0 or table.shape[1] > MOST_CATEGORIES:
            continue
        columns += [f"{name}={category}" for category in table.columns]
        blocks.append(table.to_numpy(np.float32))
    encoded = np.concatenate(blocks, axis=1)
    encoded[0] = 0.0
    return columns, encoded


def _categories(values: NDArray) -> pd.DataFrame:
    if values.dtype.kind not in "iufb":
        texts = pd.Series(values[1:].astype(str))
        # Many more texts than rows of categories cost memory for nothing.
        if texts.str.split(SEPARATOR).explode().nunique() > MOST_CATEGORIES + 1:
            return pd.DataFrame(index=range(len(values)))
        known = texts.str.get_dummies(SEPARATOR).drop(columns="", errors="ignore")
    else:
        numbers = pd.Series(values[1:].astype(np.float64))
        many = numbers.nunique() > BUCKETS
        known = pd.get_dummies(pd.qcut(numbers, BUCKETS, duplicates="drop") if many else numbers)
    unknown = pd.DataFrame(0, index=[0], columns=known.columns)
    return pd.concat([unknown, known.astype(int)], ignore_index=True)
