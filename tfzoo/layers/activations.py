"""Activations that every runtime has the operations of."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("tfzoo")
def gelu(values: Any) -> Any:
    """Return ``x (1 + erf(x / sqrt 2)) / 2``, the exact one; Keras' own needs erfc, which ONNX lacks."""
    return 0.5 * values * (1.0 + ops.erf(values * 2**-0.5))
