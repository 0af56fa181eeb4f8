"""Layers over fields: embeddings of categories and numbers, and what is made of pairs of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray


@keras.saving.register_keras_serializable("tfzoo")
class FieldEmbedding(layers.Layer):
    """One table for the rows of all fields; row 0 of each field belongs to what is unknown there.

    It does not check ids: one past the end of its field would read a row of the next field. All ids come
    from encoders, which give unknown values row 0.

    Args:
        sizes: rows of each field, row 0 included.
        width: length of the embeddings.
        l2: L2 on the whole table, at every step.
        initializer: of the table.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        ids: int32 ``[B, F]``.

    Returns:
        ``[B, F, width]``.
    """

    def __init__(
        self, sizes: Sequence[int], width: int, l2: float = 0.0, initializer: Any = "zeros", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.sizes = [int(size) for size in sizes]
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(f"`sizes` must be numbers of at least 1. Received: sizes={self.sizes}")
        if width < 1 or l2 < 0:
            raise ValueError(f"`width` must be at least 1, `l2` 0. Received: width={width}, l2={l2}")
        self.width, self.l2 = width, float(l2)
        self.initializer = keras.initializers.get(initializer)
        self._starts = np.cumsum([0, *self.sizes[:-1]]).astype(np.int32)

    def build(self, input_shape: Any) -> None:
        """Create the table."""
        self.embeddings = self.add_weight(
            shape=(sum(self.sizes), self.width),
            initializer=self.initializer,
            regularizer=keras.regularizers.L2(self.l2) if self.l2 else None,
            name="embeddings",
        )
        self.built = True

    def call(self, ids: Any) -> Any:
        """Return the rows."""
        # As for `IdEmbedding`: reading the variable first would copy the table.
        table = getattr(self.embeddings, "value", self.embeddings)
        return ops.cast(ops.take(table, ids + self._starts, axis=0), self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return ``[B, F, width]``."""
        return (*input_shape, self.width)

    def fill_unseen(self, counts: Sequence[NDArray]) -> None:
        """Give rows without training data the mean of the trained rows of their field.

        Args:
            counts: training examples of each row, an array a field.
        """
        table = ops.convert_to_numpy(self.embeddings).copy()
        for start, size, seen in zip(self._starts, self.sizes, counts, strict=True):
            rows, trained = table[start : start + size], np.asarray(seen) > 0
            if trained.any():
                rows[~trained] = rows[trained].mean(axis=0, dtype=np.float64)
        self.embeddings.assign(table)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "sizes": self.sizes,
            "width": self.width,
            "l2": self.l2,
            "initializer": keras.initializers.serialize(self.initializer),
        }


@keras.saving.register_keras_serializable("tfzoo")
class NumberEmbedding(layers.Layer):
    """A vector for each number, times the number.

    Args:
        width: length of the vectors.
        l2: L2 on the vectors, at every step.
        initializer: of the vectors.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        numbers: float ``[B, D]``.

    Returns:
        ``[B, D, width]``.
    """

    def __init__(self, width: int, l2: float = 0.0, initializer: Any = "zeros", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if width < 1 or l2 < 0:
            raise ValueError(f"`width` must be at least 1, `l2` 0. Received: width={width}, l2={l2}")
        self.width, self.l2 = width, float(l2)
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape: Any) -> None:
        """Create the vectors."""
        self.vectors = self.add_weight(
            shape=(input_shape[-1], self.width),
            initializer=self.initializer,
            regularizer=keras.regularizers.L2(self.l2) if self.l2 else None,
            name="vectors",
        )
        self.built = True

    def call(self, numbers: Any) -> Any:
        """Return the products."""
        return ops.expand_dims(numbers, -1) * self.vectors

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return ``[B, D, width]``."""
        return (*input_shape, self.width)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "width": self.width,
            "l2": self.l2,
            "initializer": keras.initializers.serialize(self.initializer),
        }


@keras.saving.register_keras_serializable("tfzoo")
class PairProducts(layers.Layer):
    """The sum of the inner products of all pairs of vectors, in linear time.

    ``0.5 sum_k ((sum_i v_ik)^2 - sum_i v_ik^2)``: a difference of large numbers, so it is worked out in
    float32 whatever the precision of the model.

    Args:
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        vectors: ``[B, F, k]``.

    Returns:
        float32 ``[B, 1]``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, vectors: Any) -> Any:
        """Return the sums."""
        of_sum = ops.square(ops.sum(vectors, axis=1))
        sum_of = ops.sum(ops.square(vectors), axis=1)
        return 0.5 * ops.sum(of_sum - sum_of, axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return ``[B, 1]``."""
        return (input_shape[0], 1)
