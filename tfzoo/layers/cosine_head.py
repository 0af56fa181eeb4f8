"""Heads that compare a user and an item by the cosine of their vectors, which come at length 1."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from tfzoo.layers.inner_product import Degrees, of_sum
from tfzoo.layers.pair_layers import PairDot

# Under the root: a vector whose components are all switched off has a cosine of 0.
SMALLEST_SQUARE = 1e-12


def unit_length(vector: Any) -> Any:
    """Scale vectors ``[..., w]`` to length 1; the zero vector stays."""
    squares = ops.sum(ops.square(vector), axis=-1, keepdims=True)
    return vector / ops.sqrt(squares + SMALLEST_SQUARE)


@keras.saving.register_keras_serializable("tfzoo")
class ScaleAndOffset(layers.Layer):
    """A learned positive number times the input plus a learned number: ``exp(s) x + t``.

    Args:
        scale: initial value of ``exp(s)``, above 0.
        offset: initial value of ``t``.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        values: of any shape.

    Returns:
        The shape of ``values``.

    Raises:
        ValueError: ``scale`` is not above 0 and finite.
    """

    def __init__(self, scale: float = 1.0, offset: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < scale < math.inf:
            raise ValueError(f"`scale` must be above 0 and finite. Received: scale={scale}")
        self.scale, self.offset = float(scale), float(offset)

    def build(self, input_shape: Any) -> None:
        """Create the two numbers."""
        # Steps of an optimiser change a logarithm by shares of the scale, however large that is.
        start = keras.initializers.Constant(math.log(self.scale))
        self.log_scale = self.add_weight(shape=(), initializer=start, name="log_scale")
        start = keras.initializers.Constant(self.offset)
        self.shift = self.add_weight(shape=(), initializer=start, name="offset")

    def call(self, values: Any) -> Any:
        """Multiply and add."""
        return ops.exp(self.log_scale) * values + self.shift

    def degrees(self, values: Degrees) -> Degrees:
        """Return those of the values."""
        return of_sum(values)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


def cosine_pair_head(
    width: int, *, scale: float | None = None, offset: float = 0.0, smallest: float = 1e-6
) -> keras.Model:
    """Build the logit of the cosine of a user vector and item vectors.

    Without ``scale`` the cosine is taken for a probability: the logistic function of the logit is the
    cosine, so that cross-entropy on it is that of the cosine itself. With it the logit is a learned
    number times the cosine plus another. Both rank as the cosine does.

    Args:
        width: width of both vectors, which are of length 1 or 0, see `unit_length`.
        scale: initial value of the learned factor, above 0; None for none.
        offset: initial value of the learned summand; unused without ``scale``.
        smallest: the cosine is kept this far from 0 and from 1; unused with ``scale``.

    Returns:
        A model named ``head`` from ``user_vector`` ``[B, 1, w]`` and ``item_vector`` ``[B, M, w]``
        to logits ``[B, M]``.
    """
    user = keras.Input((None, width), dtype="float32", name="user_vector")
    item = keras.Input((None, width), dtype="float32", name="item_vector")
    cosine = PairDot(dtype="float32", name="cosine")(user, item)
    if scale is not None:
        logit = ScaleAndOffset(scale, offset, dtype="float32", name="scale_and_offset")(cosine)
    else:
        cosine = ops.clip(cosine, smallest, 1.0 - smallest)
        # ONNX has no log1p, which would be no more exact this far from 0 and 1.
        logit = ops.log(cosine) - ops.log(1.0 - cosine)
    return keras.Model({"user_vector": user, "item_vector": item}, logit, name="head")


def cosine_rating_head(
    width: int, highest: float, *, lowest: float = 0.0, smallest: float = 1e-6
) -> keras.Model:
    """Build ``lowest + (highest - lowest) * cosine`` of a user and an item vector.

    Args:
        width: width of both vectors, which are of length 1 or 0, see `unit_length`.
        highest: the highest rating.
        lowest: the rating of a cosine of 0.
        smallest: least value of the cosine.

    Returns:
        A model named ``head`` from ``user_vector`` and ``item_vector``, float32 ``[B, w]``, to a
        rating float32 ``[B]``.
    """
    user = keras.Input((width,), dtype="float32", name="user_vector")
    item = keras.Input((width,), dtype="float32", name="item_vector")
    cosine = ops.sum(user * item, axis=-1)
    rating = (highest - lowest) * ops.maximum(cosine, smallest)
    if lowest:
        rating = rating + lowest
    return keras.Model({"user_vector": user, "item_vector": item}, rating, name="head")
