"""The vectors a model has of items and users, and their projection into two or three dimensions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import svds

from tfzoo.errors import UsageError

IDS_PER_CALL = 2048
# Layers that score all items at once, whose weights hold a vector for each item.
OUTPUTS = ("scores", "item_scores", "item_weights", "item_factors")
MAX_CATEGORIES = 50
FULL_DECOMPOSITION = 500


def id_vectors(model: keras.Model, features: Any, side: str, num_ids: int) -> NDArray[np.float32] | None:
    """Return the vectors of all users or all items, or None where the model has none.

    Args:
        model: a trained model: the vectors are those of its tower, or for items the weights
            through which its last layer scores them.
        features: from the task.
        side: ``user`` or ``item``.
        num_ids: number of users or items, without the unknown one.

    Returns:
        float32 ``[num_ids, width]``, in the order of the vocabulary.
    """
    names = {layer.name for layer in model.layers}
    if f"{side}_tower" in names:
        tower = model.get_layer(f"{side}_tower")
        parts = []
        for first in range(1, num_ids + 1, IDS_PER_CALL):
            ids = tf.range(first, min(first + IDS_PER_CALL, num_ids + 1))
            # Towers over rows or texts are asked through what makes rows or texts of ids.
            inputs = features.side(side, ids) if hasattr(features, "side") else {f"{side}_id": ids}
            parts.append(keras.ops.convert_to_numpy(tower(inputs, training=False)))
        return np.concatenate(parts).astype(np.float32)
    for name in OUTPUTS if side == "item" else ():
        for weight in model.get_layer(name).weights if name in names else ():
            if len(weight.shape) == 2:
                table = keras.ops.convert_to_numpy(weight)
                # A kernel to the scores has a column for each item, factors and tables have a row.
                rows = table.T if table.shape[1] == num_ids + 1 else table
                return np.asarray(rows[1 : num_ids + 1], np.float32)
    return None


def project(vectors: ArrayLike, dimensions: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Project vectors onto their principal components (Pearson, Philosophical Magazine 1901).

    The sign of a component is such that its largest weight is positive: the same vectors always
    give the same picture.

    Args:
        vectors: float ``[n, width]``.
        dimensions: how many components.

    Returns:
        Coordinates ``[n, dimensions]``, and the share of the variance along each ``[dimensions]``.

    Raises:
        UsageError: there are fewer vectors or components than dimensions, or a value is not finite.
    """
    table = np.asarray(vectors, np.float64)
    if table.ndim != 2 or min(table.shape) < dimensions or not np.isfinite(table).all():
        raise UsageError(
            f"A projection into {dimensions} dimensions needs at least {dimensions} finite vectors of at "
            f"least that width. Received shape {table.shape}."
        )
    centred = table - table.mean(axis=0)
    if min(table.shape) > FULL_DECOMPOSITION:
        # All components of a model that has a number for each pair of items take minutes.
        start = np.random.default_rng(0).standard_normal(min(table.shape))
        left, lengths, axes = svds(centred, k=dimensions, v0=start)
        left, lengths, axes = left[:, ::-1], lengths[::-1], axes[::-1]
    else:
        left, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1, keepdims=True), axis=1)[:, 0]
    shares = np.square(lengths) / max(np.square(centred).sum(), np.finfo(np.float64).tiny)
    places = left * lengths * np.where(largest < 0, -1.0, 1.0)
    return places[:, :dimensions], shares[:dimensions]


def category(features: Mapping[str, NDArray]) -> tuple[str, NDArray] | None:
    """Return the name of a feature with few different values, and one value an id.

    Of several values, such as ``Comedy|Romance``, an id gets the one that most ids have.

    Args:
        features: of `Interactions`, row 0 for the unknown id.

    Returns:
        The name and ``[num_ids]`` texts, empty where there is no value; None without such a
        feature.
    """
    for name, column in features.items():
        if column.dtype.kind not in "UO":
            continue
        values = [[part for part in str(text).split("|") if part] for text in column[1:]]
        frequency = Counter(part for parts in values for part in parts)
        if 1 < len(frequency) <= min(MAX_CATEGORIES, len(values) // 2):
            # Of equally frequent values the first in the alphabet, so that the order says nothing.
            chosen = [min(parts, key=lambda part: (-frequency[part], part), default="") for parts in values]
            return name, np.array(chosen)
    return None
