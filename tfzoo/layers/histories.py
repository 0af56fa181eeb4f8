"""What models of padded histories share: positions, masks, causal attention."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def masked(values: Any, history: Any) -> Any:
    """Return values ``[B, L, d]`` with zeros where a history int32 ``[B, L]`` holds no item."""
    return values * ops.expand_dims(ops.cast(ops.not_equal(history, 0), values.dtype), -1)


def log_hours(history_gaps: Any) -> Any:
    """Return ``log(1 + hours)`` of seconds float32 ``[B, L]``, as one number an event: ``[B, L, 1]``."""
    # Not log1p, which ONNX lacks.
    return ops.expand_dims(ops.log(1.0 + history_gaps / 3600.0), -1)


@keras.saving.register_keras_serializable("tfzoo")
class Positions(keras.layers.Layer):
    """Adds a trained vector to each place of a sequence.

    Args:
        embeddings_initializer: of the vectors.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        values: ``[B, L, d]``.

    Returns:
        ``[B, L, d]``.
    """

    def __init__(self, embeddings_initializer: Any = "glorot_uniform", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, input_shape: Any) -> None:
        """Make the vectors."""
        self.table = self.add_weight(
            shape=input_shape[1:], initializer=self.embeddings_initializer, name="table"
        )

    def call(self, values: Any) -> Any:
        """Add them."""
        return ops.add(values, self.table)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        initializer = keras.initializers.serialize(self.embeddings_initializer)
        return {**super().get_config(), "embeddings_initializer": initializer}


@keras.saving.register_keras_serializable("tfzoo")
class CausalAttention(keras.layers.Layer):
    """Multi-head attention of each event to itself and those before it, without an output projection.

    Padding is attended to by nobody. An event with nothing to attend to gets zeros.

    Args:
        heads: number of heads; they divide the width.
        dropout: rate on the attention weights.
        causal: False lets every event attend to all.
        kernel_initializer: of the three projections.
        seed: of the dropout.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        queries: ``[B, L, d]``.
        keys: ``[B, L, d]``, what keys and values are made of.
        history: int32 ``[B, L]``, 0 for padding.
        training: whether dropout is on.

    Returns:
        ``[B, L, d]``.

    Raises:
        ValueError: ``heads`` do not divide the width.
    """

    def __init__(
        self,
        heads: int = 1,
        *,
        dropout: float = 0.0,
        causal: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.heads, self.rate, self.causal, self.seed = int(heads), float(dropout), bool(causal), seed
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.dropout = keras.layers.Dropout(self.rate, seed=seed, name="dropout")

    def build(self, queries_shape: Any, keys_shape: Any, history_shape: Any) -> None:
        """Make the three projections."""
        width = queries_shape[-1]
        if width % self.heads:
            raise ValueError(f"`heads` must divide the width {width}. Received: heads={self.heads}")
        for name in ("query", "key", "value"):
            kernel = self.add_weight(
                shape=(width, width), initializer=self.kernel_initializer.clone(), name=f"{name}_kernel"
            )
            setattr(self, f"{name}_kernel", kernel)
            setattr(
                self,
                f"{name}_bias",
                self.add_weight(shape=(width,), initializer="zeros", name=f"{name}_bias"),
            )

    def call(self, queries: Any, keys: Any, history: Any, training: bool = False) -> Any:
        """Attend."""
        query, key, value = (
            self._heads(source, name) for source, name in ((queries, "query"), (keys, "key"), (keys, "value"))
        )
        # In float32: a masked score must stay far below all others.
        scores = ops.cast(ops.matmul(query, ops.swapaxes(key, -1, -2)), "float32")
        scores = scores * (query.shape[-1] ** -0.5)
        length = history.shape[1]
        allowed = ops.expand_dims(ops.expand_dims(ops.not_equal(history, 0), 1), 1)
        if self.causal:
            places = ops.arange(length)
            allowed = ops.logical_and(allowed, ops.expand_dims(places, 1) >= ops.expand_dims(places, 0))
        weights = ops.softmax(ops.where(allowed, scores, -1e9), axis=-1)
        weights = ops.cast(ops.where(allowed, weights, 0.0), self.compute_dtype)
        weights = self.dropout(weights, training=training)
        merged = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        return ops.reshape(merged, (-1, length, queries.shape[-1]))

    def _heads(self, values: Any, name: str) -> Any:
        """Return one projection, ``[B, heads, L, d / heads]``."""
        projected = ops.matmul(values, getattr(self, f"{name}_kernel"))
        projected = ops.add(projected, getattr(self, f"{name}_bias"))
        length, width = values.shape[1], values.shape[2]
        split = ops.reshape(projected, (-1, length, self.heads, width // self.heads))
        return ops.transpose(split, (0, 2, 1, 3))

    def compute_output_shape(self, queries_shape: Any, keys_shape: Any, history_shape: Any) -> Any:
        """Return the shape of the queries."""
        return queries_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "heads": self.heads,
            "dropout": self.rate,
            "causal": self.causal,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "seed": self.seed,
        }
