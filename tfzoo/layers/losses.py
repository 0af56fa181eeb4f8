"""Losses on one number per example.

Keras' own mean errors average over the last axis first. On outputs of shape ``[B]`` that is the
batch, and example weights, with which padding is left out, would come too late.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("tfzoo")
class SquaredError(keras.losses.Loss):
    """Squared error of each example, ``[B]`` and ``[B]``, averaged by the examples' weights."""

    def __init__(self, reduction: str = "mean_with_sample_weight", **kwargs: Any) -> None:
        super().__init__(reduction=reduction, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the error of each example, float32 ``[B]``."""
        return ops.square(ops.cast(y_pred, "float32") - ops.cast(y_true, "float32"))


@keras.saving.register_keras_serializable("tfzoo")
class AbsoluteError(keras.losses.Loss):
    """Absolute error of each example, ``[B]`` and ``[B]``, averaged by the examples' weights."""

    def __init__(self, reduction: str = "mean_with_sample_weight", **kwargs: Any) -> None:
        super().__init__(reduction=reduction, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the error of each example, float32 ``[B]``."""
        return ops.abs(ops.cast(y_pred, "float32") - ops.cast(y_true, "float32"))
