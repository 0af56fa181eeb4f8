"""A linear layer and the layer after it as one."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("tfzoo")
class ProductDense(keras.layers.Layer):
    """A linear layer without a bias and a dense layer after it: ``activation(x A B + b)``.

    In training ``A B`` is multiplied first where ``A`` is at least twice as wide as ``B``, else and in
    inference ``x A``: the same numbers but for rounding. With ``n`` inputs, ``h`` inner units and ``u``
    units a batch of ``B`` examples costs ``n h u + B n u`` products instead of ``B n h + B h u``, a
    fraction where ``h`` and ``B`` are far larger than ``u``.

    Args:
        inner_units: ``h``, columns of ``A``.
        units: ``u``, columns of ``B``.
        activation: as for `keras.layers.Dense`.
        inner_initializer: initialiser of ``A``.
        kernel_initializer: initialiser of ``B``.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        values: ``[batch, n]``; the first call fixes ``n``.

    Returns:
        ``[batch, units]``.
    """

    def __init__(
        self,
        inner_units: int,
        units: int,
        activation: Any = None,
        *,
        inner_initializer: Any = "glorot_uniform",
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.inner_units, self.units = inner_units, units
        self.activation = keras.activations.get(activation)
        self.inner_initializer = keras.initializers.get(inner_initializer)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Any) -> None:
        """Create ``A``, ``B`` and ``b`` for inputs ``[batch, n]``."""
        self.inner_kernel = self.add_weight(
            shape=(input_shape[-1], self.inner_units), initializer=self.inner_initializer, name="inner_kernel"
        )
        self.kernel = self.add_weight(
            shape=(self.inner_units, self.units), initializer=self.kernel_initializer, name="kernel"
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, values: Any, training: bool = False) -> Any:
        """Multiply, add the bias and activate."""
        if training and self.inner_units >= 2 * self.units:
            product = ops.matmul(values, ops.matmul(self.inner_kernel, self.kernel))
        else:
            product = ops.matmul(ops.matmul(values, self.inner_kernel), self.kernel)
        return self.activation(product + self.bias)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "inner_units": self.inner_units,
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "inner_initializer": keras.initializers.serialize(self.inner_initializer),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
