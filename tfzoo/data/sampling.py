"""Negative items drawn with NumPy, and what samplers know of the data; no TensorFlow."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfzoo.data.cells import first_of_cells
from tfzoo.data.interactions import Interactions, check_ids
from tfzoo.errors import DataError, UsageError, nearest

WEIGHTINGS = ("uniform", "popularity")
MAX_WEIGHT_BITS = 39


def sample_negatives(
    interactions: Interactions,
    users: ArrayLike,
    seed: int,
    *,
    weighting: str = "uniform",
    alpha: float = 1.0,
    reject_known: bool = True,
) -> NDArray[np.int32]:
    """Draw one item for each entry of ``users``, independently of each other.

    Items that the user knows are drawn again, so that the others keep their shares.

    Args:
        interactions: the known pairs; repeated pairs count once as known, and as often as they
            occur for popularity.
        users: dense user ids, any shape, such as ``np.repeat(train.user_id, 4)``; user 0 knows no item.
        seed: the same numbers give the same items.
        weighting: ``"uniform"``, or ``"popularity"``: as the item's number of interactions.
        alpha: exponent of that number, 0.75 for example as in word2vec; at least 0.
        reject_known: never draw an item that the user has interacted with.

    Returns:
        int32 dense item ids ``1..num_items``, same shape.

    Raises:
        UsageError: unknown ``weighting``, or ``alpha`` is negative or not finite.
        DataError: ``reject_known`` and a user has interacted with every item, or an id is none of the data.
    """
    who = np.asarray(users)
    check_ids(who.ravel(), interactions.num_users, "users")
    random = np.random.default_rng(seed)
    cumulative = np.cumsum(item_weights(interactions, weighting, alpha))
    items = np.zeros(who.size, np.int32)
    width = interactions.num_items + 1
    known = np.empty(0, np.int64)
    if reject_known and len(interactions):
        user, item, _ = known_items(interactions)
        known = user.astype(np.int64) * width + item
    open_places = np.arange(who.size)
    while len(open_places):
        drawn = random.integers(0, cumulative[-1], len(open_places))
        items[open_places] = np.searchsorted(cumulative, drawn, side="right")
        cells = who.ravel()[open_places].astype(np.int64) * width + items[open_places]
        open_places = open_places[np.isin(cells, known)]
    return items.reshape(who.shape)


def known_items(interactions: Interactions) -> tuple[NDArray, NDArray, NDArray]:
    """Return users and items of the known pairs, each once and in order, and how many a user has.

    Args:
        interactions: rows of pairs; those with the unknown user or item are left out.

    Returns:
        int32 ``[n]``, int32 ``[n]``, and int64 ``[num_users + 1]``.

    Raises:
        DataError: a user has interacted with every item, so that none is left to draw.
    """
    num_items = interactions.num_items
    rows = first_of_cells(interactions.user_id, interactions.item_id, num_items + 1)
    user, item = interactions.user_id[rows], interactions.item_id[rows]
    del rows
    known = (user > 0) & (item > 0)
    if not known.all():
        user, item = user[known], item[known]
    per_user = np.bincount(user, minlength=interactions.num_users + 1)
    if (per_user == num_items).any():
        first = int(np.argmax(per_user == num_items))
        raise DataError(
            f"User {interactions.users.decode(first)!s} of '{interactions.name}' has interacted with all "
            f"{num_items} items: there is no negative item to draw. Leave the user out, or draw "
            "negatives without rejecting known items."
        )
    return user, item, per_user


def item_weights(interactions: Interactions, weighting: str, alpha: float) -> NDArray[np.int64]:
    """Return whole weights ``[num_items + 1]``, 0 for the unknown item and at least 1 elsewhere."""
    if weighting not in WEIGHTINGS:
        raise UsageError(f"Unknown weighting of negatives '{weighting}'. {nearest(weighting, WEIGHTINGS)}")
    if not (math.isfinite(alpha) and alpha >= 0):
        raise UsageError(f"The exponent alpha of popularity must be at least 0. Received {alpha}.")
    weights = np.ones(interactions.num_items + 1, np.int64)
    if weighting == "popularity":
        popularity = interactions.item_counts()[1:].astype(np.float64) ** alpha
        # Keys reach (num_users + 1) * total, which must stay below 2**63.
        bits = min(MAX_WEIGHT_BITS, 61 - interactions.num_users.bit_length())
        scale = bits - math.ceil(math.log2(max(popularity.sum(), 1.0)))
        weights[1:] = np.maximum(1, np.rint(np.ldexp(popularity, scale)))
    weights[0] = 0
    return weights
