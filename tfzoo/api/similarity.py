"""Items near to an item, by what a trained model has learned of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.errors import UsageError

# Items whose scores with all others are made at once.
ITEMS_PER_CALL = 256


def similar(
    scorer: Any, items: NDArray[np.int32], k: int, model: str, listed: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the nearest items of items.

    Where scores are inner products, nearness is the cosine of what of two items
    meets a user's vector, without their biases. Where the model reads
    histories, it is the score of an item for somebody who has the given one alone.

    Args:
        scorer: of the model.
        items: dense ids int32 ``[n]``.
        k: neighbours an item; at most all others that may be listed.
        model: its name, for messages.
        listed: bool ``[num_items + 1]``: which items may be neighbours; all of ``items`` may.

    Returns:
        Dense ids int32 ``[n, k]``, nearest first, without the item itself, and their nearness float32
        ``[n, k]``.

    Raises:
        UsageError: the model has neither vectors nor reads histories.
    """
    factors = scorer.factors()
    if factors is None and not scorer.reads_history:
        raise UsageError(
            f"'{model}' has no vectors of items that could be compared, and reads no history: its scores "
            "come out of hidden layers. Models such as ease, item-knn, bpr-mf or biased-mf answer."
        )
    scorer.refresh()
    found, nearness = [], []
    unit = None if factors is None else _unit(factors.item_directions())
    for first in range(0, len(items), ITEMS_PER_CALL):
        asked = items[first : first + ITEMS_PER_CALL]
        if unit is not None:
            scores = unit[asked] @ unit.T
        else:
            scores = scorer.score_history(tf.constant(asked[:, np.newaxis])).numpy().copy()
        scores[:, ~listed] = -np.inf
        scores[np.arange(len(asked)), asked] = -np.inf
        count = min(k, int(listed.sum()) - 1)
        # Stable, so that ties go to the first in the vocabulary.
        best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        found.append(best.astype(np.int32))
        nearness.append(np.take_along_axis(scores, best, axis=1).astype(np.float32))
    if not found:
        return np.zeros((0, k), np.int32), np.zeros((0, k), np.float32)
    return np.concatenate(found), np.concatenate(nearness)


def _unit(vectors: NDArray) -> NDArray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
