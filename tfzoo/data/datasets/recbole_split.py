"""RecBole's default split of MovieLens 100K, worked out from its rule.

RecBole 1.2.1 with its defaults (seed 2020, random order, ratios 0.8, 0.1, 0.1 grouped by user) shuffles
the rows with PyTorch and cuts each user's rows in order. PyTorch draws from the Mersenne twister that
NumPy has too, so the parts can be had without either library, down to the order of their rows.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.datasets.registry import GivenSplit
from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Split, split_at_rows
from tfzoo.errors import DataError

NAME = "random_80_10_10"
SEED = 2020
RATIOS = (0.8, 0.1, 0.1)
# Of the pairs of u.data in its order: the rule is about the numbers of the rows.
_ROWS_SHA256 = "bd01c9fc63b8911be1c983c36e4f8af9aa26e0115d27ea7d581d81f43e370eab"


def torch_permutation(count: int, seed: int) -> NDArray[np.int64]:
    """Return what ``torch.randperm(count)`` gives on a CPU after ``torch.manual_seed(seed)``.

    Args:
        count: numbers to permute, below 2^32 / 20, from where PyTorch draws in another way.
        seed: from 0 to 2^32 - 1.

    Returns:
        The numbers ``0..count - 1``, int64.
    """
    if count < 2:
        return np.arange(count)
    # `RandomState` alone seeds the twister as PyTorch does, and `bytes` returns its words as they come.
    words = np.frombuffer(np.random.RandomState(seed).bytes(4 * (count - 1)), "<u4")
    ahead = (words % np.arange(count, 1, -1)).tolist()
    numbers = list(range(count))
    for place, step in enumerate(ahead):
        numbers[place], numbers[place + step] = numbers[place + step], numbers[place]
    return np.array(numbers)


def recbole_rows(user_id: NDArray[np.int32], seed: int = SEED) -> list[NDArray[np.int64]]:
    """Return the rows of the training, validation and test part.

    Args:
        user_id: the user of each row ``[n]``, in the order of the file that RecBole reads; each
            has ten rows or more, since RecBole does something else below.
        seed: RecBole's.

    Returns:
        Row numbers of the three parts, in RecBole's order: users as they first appear in the
        shuffled rows, the rows of each in shuffled order.
    """
    shuffled = torch_permutation(len(user_id), seed)
    users = user_id[shuffled]
    _, first, user = np.unique(users, return_index=True, return_inverse=True)
    by_user = np.argsort(first[user], kind="stable")
    counts = np.bincount(user)[user[by_user]]
    starts = np.flatnonzero(np.diff(user[by_user], prepend=-1))
    place = np.arange(len(users)) - np.repeat(starts, np.diff(starts, append=len(users)))
    validation, test = (np.floor(ratio * counts).astype(np.int64) for ratio in RATIOS[1:])
    part = (place >= counts - validation - test).astype(int) + (place >= counts - test)
    rows = shuffled[by_user]
    return [rows[part == number] for number in range(len(RATIOS))]


def _make(folder: Path, interactions: Interactions, seed: int, validation: float | str) -> Split:
    """Make the three parts; folder, seed and ``validation`` change nothing."""
    if not _are_all_in_order(interactions):
        raise DataError(
            f"Split '{NAME}' follows from the numbers of the rows of u.data, so it needs all 100,000 of "
            f"'ml-100k' in that order. Received {len(interactions):,} rows of '{interactions.name}' that are "
            "not these. --protocol per-user divides any data in a like way."
        )
    train, held_out, test = recbole_rows(interactions.user_id)
    protocol = f"given split {NAME}, all three parts as published"
    return split_at_rows(interactions, train, held_out, test, protocol)


def _are_all_in_order(interactions: Interactions) -> bool:
    columns = (
        interactions.users.decode(interactions.user_id),
        interactions.items.decode(interactions.item_id),
    )
    if any(column.dtype.kind not in "iu" for column in columns):
        return False
    return hashlib.sha256(np.stack(columns).astype("<i8").tobytes()).hexdigest() == _ROWS_SHA256


RECBOLE_SPLIT = GivenSplit(files=(), make=_make, origin="RecBole's rule")
