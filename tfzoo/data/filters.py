"""Filters over whole data sets: by rating, by activity of users, by popularity of items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Negatives, Split
from tfzoo.data.unused import translated
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError


def filter_interactions(
    interactions: Interactions,
    *,
    min_rating: float | None = None,
    min_user_interactions: int = 0,
    min_item_interactions: int = 0,
    iterate: bool = False,
) -> Interactions:
    """Keep high ratings, then active users, then popular items, and renumber what is left.

    Each condition is applied once in this order, so that dropped items can leave users below
    their minimum; with ``iterate`` users and items are filtered until both conditions hold
    (the k-core). Ratings stay what they are.

    Args:
        interactions: the data set.
        min_rating: lowest rating to keep; None keeps all and needs no ratings.
        min_user_interactions: rows that a user must have, after the filter on ratings.
        min_item_interactions: rows that an item must have, after the filter on users.
        iterate: repeat the filters on users and items until nothing changes.

    Returns:
        The remaining rows in their order, over vocabularies of the users and items that still
        have rows, with one note more that says what was dropped.

    Raises:
        UsageError: a minimum is negative.
        DataError: ``min_rating`` is given but there are no ratings, or no row is left.
    """
    if min(min_user_interactions, min_item_interactions) < 0:
        raise UsageError(
            "min_user_interactions and min_item_interactions must not be negative. Received "
            f"{min_user_interactions} and {min_item_interactions}."
        )
    rows = np.arange(len(interactions))
    rules = []
    if min_rating is not None:
        rows = np.flatnonzero(interactions.ratings >= min_rating)
        rules.append(f"rating of at least {min_rating:g}")
    conditions = (
        ("user", interactions.user_id, min_user_interactions),
        ("item", interactions.item_id, min_item_interactions),
    )
    rules += [
        f"at least {least} rows {'an' if what == 'item' else 'a'} {what}"
        for what, _, least in conditions
        if least
    ]
    while True:
        before = len(rows)
        for _, ids, least in conditions:
            if not least:
                continue
            rows = rows[np.bincount(ids[rows])[ids[rows]] >= least]
        if not iterate or len(rows) == before:
            break
    rule = ", then ".join(rules) + (", repeated until all hold" if iterate else "")
    if len(rows) == 0:
        advice = "" if min_rating is None else " Give another --min-rating."
        raise DataError(
            f"'{interactions.name}': no interaction is left by the filter {rule or 'given'}.{advice}"
        )
    left = compact(interactions if len(rows) == len(interactions) else interactions.take(rows))
    if not rules:
        return left
    note = (
        f"filter: {rule}; dropped {len(interactions) - len(left):,} of {len(interactions):,} interactions, "
        f"{interactions.num_users - left.num_users:,} of {interactions.num_users:,} users, "
        f"{interactions.num_items - left.num_items:,} of {interactions.num_items:,} items"
    )
    return replace(left, notes=(*interactions.notes, note))


def restricted(split: Split, kept: Interactions, min_rating: float | None = None) -> Split:
    """Return a split of a whole data set without what `filter_interactions` has dropped from it.

    Args:
        split: of the whole data set.
        kept: what the filter has left of that.
        min_rating: the lowest rating that it has kept.

    Returns:
        The parts over the vocabularies of ``kept``; stored negatives too, 0 for dropped items.

    Raises:
        DataError: a part would be empty.
    """
    user = translated(split.train.users, kept.users)
    item = translated(split.train.items, kept.items)

    def left(part: Interactions, name: str = "fold-in") -> Interactions:
        rows = (user[part.user_id] > 0) & (item[part.item_id] > 0)
        if min_rating is not None:
            rows &= part.ratings >= min_rating
        if not rows.any():
            raise DataError(f"Of the {name} part of '{kept.name}' no interaction is left by the filter.")
        part = part.take(np.flatnonzero(rows))
        return replace(
            part,
            users=kept.users,
            items=kept.items,
            user_id=user[part.user_id],
            item_id=item[part.item_id],
            user_features=kept.user_features,
            item_features=kept.item_features,
        )

    negatives = {}
    for name, stored in split.negatives.items():
        known = user[stored.user_id] > 0
        negatives[name] = Negatives(user[stored.user_id[known]], item[stored.item_id[known]])
    return replace(
        split,
        train=left(split.train, "training"),
        validation=left(split.validation, "validation"),
        test=left(split.test, "test"),
        fold_in=None if split.fold_in is None else left(split.fold_in),
        variants={name: left(part, name) for name, part in split.variants.items()},
        negatives=negatives,
        protocol=f"{split.protocol}, then filtered",
    )


def compact(interactions: Interactions) -> Interactions:
    """Renumber users and items so that only those with interactions have a dense id.

    Args:
        interactions: any; it has at least one row with a known user and a known item.

    Returns:
        The same rows over the smaller vocabularies, with features to match; the unknown id 0
        stays 0.
    """
    users, user_id, user_features = _compact(
        interactions.users, interactions.user_id, interactions.user_features
    )
    items, item_id, item_features = _compact(
        interactions.items, interactions.item_id, interactions.item_features
    )
    return replace(
        interactions,
        users=users,
        items=items,
        user_id=user_id,
        item_id=item_id,
        user_features=user_features,
        item_features=item_features,
    )


def _compact(
    vocabulary: Vocabulary, ids: NDArray[np.int32], features: Mapping[str, NDArray]
) -> tuple[Vocabulary, NDArray[np.int32], dict[str, NDArray]]:
    used = np.bincount(ids, minlength=len(vocabulary) + 1) > 0
    used[0] = False
    if used[1:].all():
        return vocabulary, ids, dict(features)
    dense = np.where(used, np.cumsum(used), 0).astype(np.int32)
    used[0] = True
    table_rows = np.flatnonzero(used)
    return (
        Vocabulary(vocabulary.ids[used[1:]]),
        dense[ids],
        {name: values[table_rows] for name, values in features.items()},
    )
