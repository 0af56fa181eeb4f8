"""Interactions that no part of a split has: what a filter, or the rule of the split, left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Split
from tfzoo.data.vocabulary import Vocabulary


def unused_interactions(interactions: Interactions, split: Split, *, copies: int = 1) -> Interactions | None:
    """Return the interactions whose pair of user and item is in no part of a split.

    Models and figures know nothing of them, but their users do.

    Args:
        interactions: the whole data set, before any filter.
        split: made of it; its vocabularies may be smaller.
        copies: of every interaction in the split, see `tfzoo.data.splits.oversample`.

    Returns:
        Ids alone, over the vocabularies of the whole data set; None where there are none.
    """
    parts = [split.train, split.validation, split.test, *([] if split.fold_in is None else [split.fold_in])]
    if sum(map(len, parts)) == copies * len(interactions):
        return None
    used = [_pairs(part, interactions) for part in (*parts, *split.variants.values())]
    rows = np.flatnonzero(~np.isin(_pairs(interactions, interactions), np.concatenate(used)))
    if len(rows) == 0:
        return None
    user, item = interactions.user_id[rows], interactions.item_id[rows]
    return Interactions(interactions.users, interactions.items, user, item, name=interactions.name)


def translated(vocabulary: Vocabulary, into: Vocabulary) -> NDArray[np.int32]:
    """Return the dense id in another vocabulary of every dense id, int32 ``[n + 1]``, 0 where it has none."""
    if vocabulary is into:
        return np.arange(len(vocabulary) + 1, dtype=np.int32)
    return np.concatenate([np.zeros(1, np.int32), into.lookup(vocabulary.ids)])


def _pairs(part: Interactions, whole: Interactions) -> NDArray[np.int64]:
    """Return a number for the pair of every row, by the vocabularies of the whole data set."""
    user = translated(part.users, whole.users)[part.user_id].astype(np.int64)
    return user * (whole.num_items + 1) + translated(part.items, whole.items)[part.item_id]
