"""Splits for ranking: each user's rows in time order or at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.cells import first_of_cells
from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Negatives, Split, check_ratios, shuffled_rows, split_at_rows
from tfzoo.errors import DataError, UsageError

# Entries of the user-by-item table that negatives are drawn from at a time.
_BLOCK_ENTRIES = 1 << 23


class _Grouped(NamedTuple):
    """Row numbers ordered by user, where each stands inside its user, and how many the user has."""

    rows: NDArray[np.int64]
    user: NDArray[np.int32]
    position: NDArray[np.int32]
    history: NDArray[np.int32]


def chronological_order(interactions: Interactions) -> NDArray[np.int64]:
    """Return the row numbers ordered by user and, inside a user, by time.

    Rows of one user and time keep their order; so do all rows of a user without timestamps.
    """
    if interactions.timestamp is None:
        return np.argsort(interactions.user_id, kind="stable")
    return np.lexsort((interactions.timestamp, interactions.user_id))


def chronological_split(
    interactions: Interactions, *, seed: int, ratios: tuple[float, float, float] = (0.675, 0.075, 0.25)
) -> Split:
    """Cut each user's rows in time order into train, validation and test.

    A user's cuts lie at ``round(n * share)``, halves to the even number, so that the test part
    is that of ``python_chrono_split`` in Microsoft's recommenders for the same test share.
    Short histories can miss from a part.

    Args:
        interactions: the data set; without timestamps the order of rows stands for time.
        seed: not used, nothing is drawn; all splits take one.
        ratios: shares of train, validation and test; they must add up to 1.

    Returns:
        The three parts.

    Raises:
        UsageError: a ratio is not positive or they do not add up to 1.
        DataError: a part would be empty.
    """
    del seed
    how = "chronological" if interactions.timestamp is not None else "in row order (no timestamps)"
    return _cut(interactions, chronological_order(interactions), ratios, f"per user {how}")


def per_user_split(
    interactions: Interactions, *, seed: int, ratios: tuple[float, float, float] = (0.72, 0.08, 0.2)
) -> Split:
    """Divide each user's rows at random into train, validation and test (weak generalisation).

    The result depends on the set of interactions and the seed, not on their order in the file.

    Args:
        interactions: the data set.
        seed: which of the splits to make.
        ratios: shares of train, validation and test of each user's rows, cut as in
            `chronological_split`; they must add up to 1.

    Returns:
        The three parts.

    Raises:
        UsageError: a ratio is not positive or they do not add up to 1.
        DataError: a part would be empty.
    """
    rows = shuffled_rows(interactions, seed)
    rows = rows[np.argsort(interactions.user_id[rows], kind="stable")]
    split = _cut(interactions, rows, ratios, "per user random")
    return replace(split, protocol=f"{split.protocol}, seed {seed}")


def leave_out_split(
    interactions: Interactions,
    *,
    seed: int,
    leave: int = 1,
    negatives: int | None = None,
    validation: Literal["latest", "random"] = "latest",
) -> Split:
    """Hold out each user's last rows for test, and one row more for validation.

    Users with fewer than ``leave + 2`` rows stay wholly in the training part.

    Args:
        interactions: the data set; without timestamps the order of rows stands for time.
        seed: fixes the negatives and the random validation rows.
        leave: number of test rows a user.
        negatives: items to draw for each user and part, for ranking among them; None for
            ranking over all items.
        validation: ``"latest"`` for the row before the test rows, ``"random"`` for any of the
            rows before them.

    Returns:
        The three parts, with negatives where asked for.

    Raises:
        UsageError: ``leave``, ``negatives`` or ``validation`` has no meaning.
        DataError: a part would be empty, or every user has too few unseen items; users who have are left
            out of validation and test, and the protocol counts them.
    """
    if leave < 1 or (negatives is not None and negatives < 1):
        raise UsageError(
            f"split.leave and split.negatives must be at least 1. Received {leave} and {negatives}."
        )
    grouped = _group(interactions, chronological_order(interactions))
    enough = grouped.history >= leave + 2
    late = enough & (grouped.position >= grouped.history - leave)
    test, rest = grouped.rows[late], np.sort(grouped.rows[enough & ~late])
    held_out = one_row_per_user(interactions, rest, seed=seed, how=validation)
    kept = np.ones(len(interactions), bool)
    kept[test] = kept[held_out] = False
    protocol = f"leave {leave} out per user, {validation} row before for validation"
    if validation == "random":
        protocol += f", seed {seed}"
    if short := len(np.unique(grouped.user[~enough])):
        protocol += f", {short:,} users with fewer than {leave + 2} rows wholly in train"
    if interactions.timestamp is None:
        protocol += ", row order for time"
    full = _without_unseen(interactions, np.unique(grouped.user[enough]), negatives or 0)
    if len(full):
        # Nothing can be drawn for them, so they are measured no more than users with too few rows are.
        protocol += f", {len(full):,} users with fewer than {negatives} items never interacted with left out"
        test = test[~np.isin(interactions.user_id[test], full)]
        held_out = held_out[~np.isin(interactions.user_id[held_out], full)]
        if len(test) == 0:
            raise DataError(
                f"'{interactions.name}': every user has fewer than {negatives} items never interacted with, "
                f"too few for {negatives} negatives. Rank all items (--set split.negatives=null, or "
                "--protocol leave-one-out), or ask for fewer of them (split.negatives)."
            )
    split = split_at_rows(interactions, np.flatnonzero(kept), held_out, test, protocol)
    if negatives is None:
        return split
    drawn = {
        part: draw_negatives(interactions, getattr(split, part).user_id, negatives, (seed, stream))
        for stream, part in enumerate(("validation", "test"))
    }
    return replace(split, negatives=drawn, protocol=f"{protocol}, {negatives} drawn negatives, seed {seed}")


def _without_unseen(interactions: Interactions, users: NDArray, count: int) -> NDArray:
    """Return those of the users who have fewer than ``count`` items that they never interacted with."""
    # Rows are no fewer than distinct items, so that few users have to be looked at.
    counts = interactions.user_counts()[users]
    busy = users[counts > interactions.num_items - count]
    rows = np.flatnonzero(np.isin(interactions.user_id, busy))
    user, item = interactions.user_id[rows], interactions.item_id[rows]
    once = first_of_cells(user, item, interactions.num_items + 1)
    distinct = np.bincount(user[once], minlength=interactions.num_users + 1)
    return busy[distinct[busy] > interactions.num_items - count]


def draw_negatives(
    interactions: Interactions, users: NDArray, count: int, seed: int | Sequence[int]
) -> Negatives:
    """Draw items uniformly, without replacement, among those a user never interacted with.

    Args:
        interactions: all interactions, held-out ones too, so that none of them is drawn.
        users: dense user ids ``[n]``; repeated ones count once.
        count: number of items a user.
        seed: fixes the draws.

    Returns:
        ``count`` items for each distinct user, users ascending.

    Raises:
        DataError: a user has fewer than ``count`` unseen items.
    """
    users = np.unique(users)
    place = np.full(interactions.num_users + 1, -1)
    place[users] = np.arange(len(users))
    rows = np.flatnonzero(place[interactions.user_id] >= 0)
    rows = rows[np.argsort(place[interactions.user_id[rows]], kind="stable")]
    at, seen = place[interactions.user_id[rows]], interactions.item_id[rows]
    random = np.random.default_rng(seed)
    drawn = np.empty((len(users), count), np.int32)
    step = max(1, _BLOCK_ENTRIES // (interactions.num_items + 1))
    for start in range(0, len(users), step):
        stop = min(start + step, len(users))
        keys = random.random((stop - start, interactions.num_items + 1), dtype=np.float32)
        first, last = np.searchsorted(at, (start, stop))
        keys[at[first:last] - start, seen[first:last]] = np.inf
        keys[:, 0] = np.inf
        unseen = np.isfinite(keys).sum(axis=1)
        if unseen.min() < count:
            row = int(np.argmin(unseen))
            user = interactions.users.decode(users[start + row])
            raise DataError(
                f"'{interactions.name}': user {user} has {unseen[row]} items never interacted with, too few "
                f"for {count} negatives. Ask for fewer, or rank all items."
            )
        drawn[start:stop] = np.argpartition(keys, count - 1, axis=1)[:, :count]
    return Negatives(users, drawn)


def one_row_per_user(
    interactions: Interactions,
    rows: NDArray,
    *,
    seed: int,
    how: str = "latest",
    at_least: int = 1,
) -> NDArray[np.int64]:
    """Choose one of the given rows of each user, such as the one to validate on.

    Args:
        interactions: the data set; without timestamps the order of rows stands for time.
        rows: row numbers to choose from, ascending.
        seed: fixes the random choice.
        how: ``"latest"`` or ``"random"``.
        at_least: users with fewer of the given rows get none chosen.

    Returns:
        Row numbers, users ascending.

    Raises:
        UsageError: ``how`` is neither.
    """
    if how not in ("latest", "random"):
        raise UsageError(f"split.validation must be 'latest' or 'random' here. Received {how!r}.")
    part = replace(interactions, rating=None, text=None).take(rows)
    grouped = _group(part, chronological_order(part))
    wanted = grouped.history - 1
    if how == "random":
        chance = np.random.default_rng([seed, 2]).random(interactions.num_users + 1)
        wanted = np.floor(chance[grouped.user] * grouped.history)
    chosen: NDArray[np.int64] = rows[
        grouped.rows[(grouped.position == wanted) & (grouped.history >= at_least)]
    ]
    return chosen


def _group(interactions: Interactions, rows: NDArray) -> _Grouped:
    """Describe rows that are ordered by user."""
    user = interactions.user_id[rows]
    counts = interactions.user_counts().astype(np.int32)
    start = (np.cumsum(counts) - counts).astype(np.int32)
    position = np.arange(len(rows), dtype=np.int32)
    position -= start[user]
    return _Grouped(rows, user, position, counts[user])


def _cut(interactions: Interactions, rows: NDArray, ratios: tuple[float, float, float], how: str) -> Split:
    check_ratios(ratios)
    grouped = _group(interactions, rows)
    # Sums such as 0.675 + 0.075 must not lie a hair above 0.75: then 1.5 would round to 2, not by its rule.
    first, second = (np.rint(grouped.history * round(share, 9)) for share in np.cumsum(ratios)[:2])
    train, test = grouped.position < first, grouped.position >= second
    shares = "/".join(f"{100 * ratio:g}" for ratio in ratios)
    return split_at_rows(interactions, rows[train], rows[~(train | test)], rows[test], f"{how} {shares}")
