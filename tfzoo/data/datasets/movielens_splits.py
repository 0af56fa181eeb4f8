"""Splits that are published for MovieLens: GroupLens' folds, a random one, and the NCF paper's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tfzoo.data.datasets.readers import read_integers, read_ratings, rows_of_pairs
from tfzoo.data.datasets.recbole_split import NAME as RECBOLE
from tfzoo.data.datasets.recbole_split import RECBOLE_SPLIT
from tfzoo.data.datasets.registry import GivenSplit
from tfzoo.data.interactions import Interactions
from tfzoo.data.ranking_splits import draw_negatives, one_row_per_user
from tfzoo.data.splits import Negatives, Split, given_split, split_at_rows
from tfzoo.errors import DataError, UsageError

FOLDS = ("u1", "u2", "u3", "u4", "u5", "ua", "ub")
NCF_NEGATIVES = 99
_NCF_URL = (
    "https://raw.githubusercontent.com/hexiangnan/neural_collaborative_filtering/"
    "4aab159e81c44b062c091bdaed0ab54ac632371f/Data"
)


def fold_rows(
    folder: Path, interactions: Interactions, fold: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the training and the test part of one of GroupLens' `FOLDS`."""
    train, test = (
        rows_of_pairs(interactions, frame["user"].to_numpy(), frame["item"].to_numpy(), path)
        for path in (folder / f"{fold}.base", folder / f"{fold}.test")
        for frame in (read_ratings(path, "\t"),)
    )
    return train, test


def _fold(fold: str) -> Callable[[Path, Interactions, int, float | str], Split]:
    def make(folder: Path, interactions: Interactions, seed: int, validation: float | str) -> Split:
        if isinstance(validation, str):
            raise UsageError(
                f"split.validation of '{fold}' must be a share of the training rows. Received {validation!r}."
            )
        train, test = fold_rows(folder, interactions, fold)
        return given_split(interactions, train, test, name=fold, seed=seed, validation=validation)

    return make


def _leave_one_out(folder: Path, interactions: Interactions, seed: int, validation: float | str) -> Split:
    """Map the NCF files (He et al. 2017, section 4.1) back to the rows of the data set.

    The files number users as in ``ratings.dat``, from 0, and items by their first appearance
    there. What is not a test row is a training row. The latest training row of each user, or
    a random one, becomes the validation part.
    """
    _, by_appearance = pd.factorize(interactions.item_id)
    path = folder / "ml-1m.test.rating"
    given = read_integers(path, "\t").to_numpy()
    test = rows_of_pairs(interactions, given[:, 0] + 1, _raw(interactions, by_appearance, given[:, 1]), path)
    if not np.array_equal(interactions.ratings[test], given[:, 2]):
        raise DataError(
            f"{path}: the ratings differ from those of '{interactions.name}'. The files number items by "
            "their first appearance in ratings.dat, so they need all interactions in the order of that file."
        )
    path = folder / "ml-1m.test.negative"
    # Lines such as (user,item)<tab>number<tab>number.
    stored = read_integers(path, "\t", replace={"(": "", ")": "", ",": "\t"}).to_numpy()
    if stored.shape[1] != 2 + NCF_NEGATIVES or not np.array_equal(stored[:, :2], given[:, :2]):
        raise DataError(f"{path} does not fit ml-1m.test.rating: expected the same pairs, and 99 items each.")
    own = stored[:, 2:] == stored[:, 1:2]
    items = interactions.items.lookup(_raw(interactions, by_appearance, stored[:, 2:]))
    users = interactions.user_id[test]
    train = np.setdiff1d(np.arange(len(interactions)), test)
    how = validation if isinstance(validation, str) else "latest"
    held_out = one_row_per_user(interactions, train, seed=seed, how=how, at_least=2)
    clashes = int(own.any(axis=1).sum())
    split = split_at_rows(
        interactions,
        np.setdiff1d(train, held_out),
        held_out,
        test,
        f"given split leave-one-out (NCF paper): one test item a user among {NCF_NEGATIVES} stored negatives "
        f"({clashes} users have the test item among them; it is left out there, so they are ranked among "
        f"{NCF_NEGATIVES - 1}), the {how} training item a user for validation among {NCF_NEGATIVES} drawn "
        f"negatives, seed {seed}",
    )
    order = np.argsort(users)
    negatives = {
        "validation": draw_negatives(interactions, split.validation.user_id, NCF_NEGATIVES, seed),
        "test": Negatives(users[order], np.where(own, 0, items)[order]),
    }
    return replace(split, negatives=negatives)


def _raw(interactions: Interactions, by_appearance: NDArray, numbers: NDArray) -> NDArray:
    """Return the raw item ids of items numbered by first appearance."""
    if numbers.min() < 0 or numbers.max() >= len(by_appearance):
        raise DataError(
            f"The files of the split name item {numbers.max()}; '{interactions.name}' has "
            f"{len(by_appearance):,} items with interactions."
        )
    return interactions.items.decode(by_appearance[numbers])


SPLITS_100K = {
    **{
        fold: GivenSplit(
            files=(f"{fold}.base", f"{fold}.test"),
            make=_fold(fold),
            origin="GroupLens' archive ml-100k.zip; the recbole wheel has not got them",
        )
        for fold in FOLDS
    },
    RECBOLE: RECBOLE_SPLIT,
}
SPLITS_1M = {
    "leave-one-out": GivenSplit(
        files=("ml-1m.test.rating", "ml-1m.test.negative"),
        make=_leave_one_out,
        origin="the repository of the NCF paper, hexiangnan/neural_collaborative_filtering",
        urls={
            "ml-1m.test.rating": (
                f"{_NCF_URL}/ml-1m.test.rating",
                "sha256:231ae11eb060b643a8c58c063cd17ffc743b54f569afb073d1abb6cf126b88b5",
            ),
            "ml-1m.test.negative": (
                f"{_NCF_URL}/ml-1m.test.negative",
                "sha256:127853228a76b7d21c0481e8ef8d00dd009cd5c88670dbdd9e9debfdb9f93de4",
            ),
        },
    )
}
