"""One matrix for encoder and decoder, and a bias of its own for each."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("tfzoo")
class TiedProjection(keras.layers.Layer):
    """Multiplies by a matrix ``W``, or by its transpose; call it once for each.

    Args:
        units: number of columns of ``W``.
        kernel_initializer: initialiser of ``W``.
        l2: L2 on ``W``, charged once.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        values: ``[B, n]`` for ``values @ W``; the first call fixes ``n``.
        transposed: give ``values @ W^T`` for ``values`` of shape ``[B, units]``.

    Returns:
        ``[B, units]``, or ``[B, n]`` with ``transposed``.
    """

    def __init__(
        self, units: int, *, kernel_initializer: Any = "glorot_uniform", l2: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units, self.l2 = units, float(l2)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Any) -> None:
        """Create ``W`` for inputs ``[B, n]``."""
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units),
            initializer=self.kernel_initializer,
            regularizer=keras.regularizers.L2(self.l2) if self.l2 else None,
            name="kernel",
        )

    def call(self, values: Any, transposed: bool = False) -> Any:
        """Multiply."""
        return ops.matmul(values, ops.transpose(self.kernel) if transposed else self.kernel)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {
            **super().get_config(),
            "units": self.units,
            "kernel_initializer": initializer,
            "l2": self.l2,
        }


@keras.saving.register_keras_serializable("tfzoo")
class Bias(keras.layers.Layer):
    """Adds a trainable vector that starts at 0.

    Args:
        l2: L2 on the vector.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        values: ``[B, n]``.

    Returns:
        ``[B, n]``.
    """

    def __init__(self, *, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.l2 = float(l2)

    def build(self, input_shape: Any) -> None:
        """Create the vector for inputs ``[B, n]``."""
        regularizer = keras.regularizers.L2(self.l2) if self.l2 else None
        self.bias = self.add_weight(
            shape=(input_shape[-1],), initializer="zeros", regularizer=regularizer, name="bias"
        )

    def call(self, values: Any) -> Any:
        """Add the vector."""
        return values + self.bias

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "l2": self.l2}
