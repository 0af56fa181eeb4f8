"""Factorisation machine of second order over a dense vector."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfzoo.layers.inner_product import Degrees, of_square, of_sum


@keras.saving.register_keras_serializable("tfzoo")
class FactorizationMachine(keras.layers.Layer):
    """``w0 + sum_i w_i z_i + sum_{i<j} <v_i, v_j> z_i z_j``, one number an example.

    Rendle, Factorization Machines, ICDM 2010, eq. 1. The pairwise sum is worked out in linear
    time, ``0.5 sum_f ((sum_i v_if z_i)^2 - sum_i v_if^2 z_i^2)`` (lemma 3.1).

    Args:
        factors: length of the vectors ``v_i``.
        dropout: rate of dropout on the ``factors`` terms of the pairwise sum.
        initializer: initialiser of ``w`` and ``v``; ``w0`` starts at 0.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        vector: float ``[B, n]``.
        training: whether dropout acts.

    Returns:
        float ``[B]``.
    """

    def __init__(
        self,
        factors: int = 8,
        dropout: float = 0.0,
        initializer: str | keras.Initializer = "uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if factors < 1:
            raise ValueError(f"`factors` must be at least 1. Received: factors={factors}")
        self.factors = factors
        self.initializer = keras.initializers.get(initializer)
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights."""
        width = input_shape[-1]
        self.bias = self.add_weight(shape=(), initializer="zeros", name="bias")
        self.linear = self.add_weight(shape=(width,), initializer=self.initializer, name="linear")
        # An initialiser with a fixed seed would start both weights alike.
        pairwise = self.initializer.clone()
        self.pairwise = self.add_weight(shape=(width, self.factors), initializer=pairwise, name="pairwise")
        self.built = True

    def call(self, vector: Any, training: bool | None = None) -> Any:
        """Return the score of each vector."""
        sums = ops.square(ops.matmul(vector, self.pairwise))
        squares = ops.matmul(ops.square(vector), ops.square(self.pairwise))
        pairs = self.dropout(0.5 * (sums - squares), training=training)
        return self.bias + ops.matmul(vector, self.linear) + ops.sum(pairs, axis=-1)

    def degrees(self, vector: Degrees) -> Degrees:
        """Return those of the vector and of the products of its components."""
        return of_sum(vector, of_square(vector))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "factors": self.factors,
            "dropout": self.dropout.rate,
            "initializer": keras.initializers.serialize(self.initializer),
        }
