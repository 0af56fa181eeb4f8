"""Heads that compare a user and an item by the cosine of their vectors."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfzoo.layers.pair_layers import PairDot

# Under the root: a vector whose components are all switched off has a cosine of 0.
SMALLEST_SQUARE = 1e-12


def unit_length(vector: Any) -> Any:
    """Scale vectors ``[..., w]`` to length 1; the zero vector stays."""
    squares = ops.sum(ops.square(vector), axis=-1, keepdims=True)
    return vector / ops.sqrt(squares + SMALLEST_SQUARE)


def cosine_pair_head(width: int, *, smallest: float = 1e-6) -> keras.Model:
    """Build the logit of the cosine of a user vector and item vectors, taken for a probability.

    The logistic function of this logit is the cosine, so that cross-entropy on it is that of the
    cosine itself, and it ranks as the cosine does.

    Args:
        width: width of both vectors.
        smallest: the cosine is kept this far from 0 and from 1.

    Returns:
        A model named ``head`` from ``user_vector`` ``[B, 1, w]`` and ``item_vector`` ``[B, M, w]``
        to logits ``[B, M]``.
    """
    user = keras.Input((None, width), dtype="float32", name="user_vector")
    item = keras.Input((None, width), dtype="float32", name="item_vector")
    cosine = PairDot(dtype="float32", name="cosine")(unit_length(user), unit_length(item))
    cosine = ops.clip(cosine, smallest, 1.0 - smallest)
    # ONNX has no log1p, which would be no more exact this far from 0 and 1.
    logit = ops.log(cosine) - ops.log(1.0 - cosine)
    return keras.Model({"user_vector": user, "item_vector": item}, logit, name="head")


def cosine_rating_head(width: int, highest: float, *, smallest: float = 1e-6) -> keras.Model:
    """Build ``highest * cosine`` of a user and an item vector.

    Args:
        width: width of both vectors.
        highest: the highest rating.
        smallest: least value of the cosine.

    Returns:
        A model named ``head`` from ``user_vector`` and ``item_vector``, float32 ``[B, w]``, to a
        rating float32 ``[B]``.
    """
    user = keras.Input((width,), dtype="float32", name="user_vector")
    item = keras.Input((width,), dtype="float32", name="item_vector")
    cosine = ops.sum(unit_length(user) * unit_length(item), axis=-1)
    rating = highest * ops.maximum(cosine, smallest)
    return keras.Model({"user_vector": user, "item_vector": item}, rating, name="head")
