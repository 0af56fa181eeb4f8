"""Strong generalisation: whole users held out, part of their history known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Split, split_at_rows
from tfzoo.errors import DataError, UsageError

# The seed of the code published with Mult-VAE.
STRONG_SEED = 98_765
# Users with fewer surviving items keep them all in the fold-in part.
MIN_ITEMS_FOR_TARGETS = 5


def strong_generalization_split(
    interactions: Interactions, *, seed: int, held_out_users: int, fold_in: float = 0.8
) -> Split:
    """Hold out whole users: part of their rows is known at test, the rest is to be found.

    The recipe of the code published with Mult-VAE (Liang et al. 2018, section 4.1), draw for
    draw when ``seed`` is 0: users are permuted, the last ones are test users and those before
    them validation users; items that no training user has are dropped from held-out users; of
    every held-out user with at least 5 rows left, the share ``1 - fold_in`` rounded down are
    targets. Other held-out users have no target. The order of rows of a held-out user matters.
    Filter by rating and activity first.

    Args:
        interactions: the data set, each pair of user and item once.
        seed: which of the splits to make.
        held_out_users: number of test users, and as many for validation.
        fold_in: share of a held-out user's rows that is known.

    Returns:
        Training users' rows, targets of validation users, targets of test users; and in
        ``fold_in`` the known rows of both.

    Raises:
        UsageError: ``held_out_users`` or ``fold_in`` is out of range.
        DataError: a pair occurs twice, or a part would be empty.
    """
    present = np.unique(interactions.user_id)
    if not 1 <= held_out_users <= (len(present) - 1) // 2:
        raise UsageError(
            f"split.held_out_users must lie in 1..{(len(present) - 1) // 2}, for {len(present)} users with "
            f"rows. Received {held_out_users}."
        )
    if not 0 < fold_in < 1:
        raise UsageError(f"split.fold_in must lie between 0 and 1. Received {fold_in}.")
    _refuse_repeats(interactions)
    permuted = present[np.random.RandomState(STRONG_SEED + seed).permutation(len(present))]
    groups = {
        "validation": permuted[-2 * held_out_users : -held_out_users],
        "test": permuted[-held_out_users:],
    }
    in_train = np.isin(interactions.user_id, permuted[: -2 * held_out_users])
    train = np.flatnonzero(in_train)
    known_item = np.bincount(interactions.item_id[train], minlength=interactions.num_items + 1) > 0
    targets, known = {}, []
    for part, users in groups.items():
        rows = np.flatnonzero(np.isin(interactions.user_id, users) & known_item[interactions.item_id])
        is_target = _targets(interactions.user_id[rows], fold_in, seed)
        targets[part] = rows[is_target]
        known.append(rows[~is_target])
    protocol = (
        f"strong generalisation, {held_out_users:,} users each for validation and test, "
        f"{100 * fold_in:g} % of their rows known, seed {seed}"
    )
    split = split_at_rows(interactions, train, targets["validation"], targets["test"], protocol)
    return replace(split, fold_in=interactions.take(np.concatenate(known)))


def _targets(user: NDArray, fold_in: float, seed: int) -> NDArray[np.bool_]:
    """Choose the targets among rows of held-out users, in the order of draws of Mult-VAE's code."""
    share = round(1 - fold_in, 9)
    order = np.argsort(user, kind="stable")
    _, starts, counts = np.unique(user[order], return_index=True, return_counts=True)
    random = np.random.RandomState(STRONG_SEED + seed)
    chosen = [
        order[start + random.choice(count, int(share * count), replace=False)]
        for start, count in zip(starts, counts, strict=True)
        if count >= MIN_ITEMS_FOR_TARGETS
    ]
    is_target = np.zeros(len(user), bool)
    is_target[np.concatenate([np.empty(0, np.int64), *chosen])] = True
    return is_target


def _refuse_repeats(interactions: Interactions) -> None:
    pair = interactions.user_id.astype(np.int64) * (interactions.num_items + 1) + interactions.item_id
    repeats = len(pair) - len(np.unique(pair))
    if repeats:
        raise DataError(
            f"'{interactions.name}' has {repeats:,} repeated pairs of user and item: one copy could be known "
            "and the other a target. Keep one row a pair (--duplicates first or last)."
        )
