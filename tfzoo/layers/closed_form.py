"""Scores of all items from weights that are computed, not trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tfzoo.errors import UsageError

MAX_ITEMS = 40_000
ITEMS_PER_BLOCK = 512


@keras.saving.register_keras_serializable("tfzoo")
class ComputedModel(keras.Model):
    """A functional model whose weights are computed from the data, none of them by gradient descent."""

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: Keras would run its epochs, change nothing, and leave a model that answers zeros.

        Raises:
            UsageError: always; `tfzoo.fit_closed_form` computes the weights.
        """
        raise UsageError(
            f"Nothing of '{self.name}' is trained by gradient descent: its weights are computed. Call "
            "tfzoo.fit_closed_form(model, data), or tfzoo.fit."
        )


@keras.saving.register_keras_serializable("tfzoo")
class ItemWeights(keras.layers.Layer):
    """Multiplies rows by a square item-item matrix that gradient descent does not change.

    Args:
        settings: what `solve` needs to compute the matrix; kept in the model's configuration.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        rows: ``[B, n]``.

    Returns:
        Scores ``[B, n]``: ``rows @ B``, where ``B[i, j]`` is what item i in the row adds to the
        score of item j.

    Raises:
        UsageError: more than `MAX_ITEMS` items; the matrix would not fit into memory.
    """

    def __init__(self, settings: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = dict(settings or {})

    def build(self, input_shape: Any) -> None:
        """Create the matrix for rows ``[B, n]``, all zero."""
        size = input_shape[-1]
        if size - 1 > MAX_ITEMS:
            raise UsageError(
                f"A dense item-item matrix of {size - 1:,} items takes {4 * size**2 / 2**30:.0f} GiB, and "
                f"computing it up to {20 * size**2 / 2**30:.0f} GiB. At most {MAX_ITEMS:,} items are "
                "allowed: filter rare items first."
            )
        self.kernel = self.add_weight(shape=(size, size), initializer="zeros", trainable=False, name="kernel")

    def call(self, rows: Any) -> Any:
        """Score."""
        return ops.matmul(rows, self.kernel)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "settings": self.settings}


@keras.saving.register_keras_serializable("tfzoo")
class ItemFactors(keras.layers.Layer):
    """Multiplies rows by ``V V'``, with a V that gradient descent does not change.

    Args:
        factors: number of columns of V.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        rows: ``[B, n]``.

    Returns:
        Scores ``[B, n]``.
    """

    def __init__(self, factors: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factors = factors

    def build(self, input_shape: Any) -> None:
        """Create V for rows ``[B, n]``, all zero."""
        shape = (input_shape[-1], self.factors)
        self.kernel = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="kernel")

    def call(self, rows: Any) -> Any:
        """Score."""
        return ops.matmul(ops.matmul(rows, self.kernel), ops.transpose(self.kernel))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "factors": self.factors}


@keras.saving.register_keras_serializable("tfzoo")
class ItemOffset(keras.layers.Layer):
    """Adds a number of each item that gradient descent does not change, at first 0.

    Call arguments:
        scores: ``[B, n]``.

    Returns:
        Scores ``[B, n]``.
    """

    def build(self, input_shape: Any) -> None:
        """Create the vector for scores ``[B, n]``."""
        self.offset = self.add_weight(
            shape=(input_shape[-1],), initializer="zeros", trainable=False, name="offset"
        )

    def call(self, scores: Any) -> Any:
        """Add."""
        return scores + self.offset


def computed(model: keras.Model) -> ComputedModel:
    """Return a functional model as one whose weights are all computed; layers and weights are shared."""
    return ComputedModel(model.input, model.output, name=model.name)


def known_columns(matrix: Any, size: int) -> Any:
    """Return the columns of the known items in float64, in which counts and sums are exact.

    Args:
        matrix: `scipy.sparse.csr_matrix` ``[num_users + 1, num_items + 1]``.
        size: ``num_items + 1`` of the model.

    Returns:
        A `scipy.sparse.csr_matrix` float64 ``[num_users + 1, num_items]``; column j is item j + 1.

    Raises:
        UsageError: the matrix is of other items than the model.
    """
    if matrix.shape[1] != size:
        raise UsageError(
            f"The model has {size - 1} items, the interactions {matrix.shape[1] - 1}. "
            "Build the model for the data that it is computed from."
        )
    return matrix.tocsr()[:, 1:].astype(np.float64)


def column_products(matrix: Any) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield ``M^T M`` in blocks of rows, so that one block alone has to fit into memory.

    Args:
        matrix: `scipy.sparse.csr_matrix` float64 ``[m, n]``.

    Yields:
        A slice of the rows and these rows, ``[b, n]``.
    """
    transposed = matrix.T.tocsr()
    for first in range(0, matrix.shape[1], ITEMS_PER_BLOCK):
        rows = slice(first, min(first + ITEMS_PER_BLOCK, matrix.shape[1]))
        yield rows, (transposed[rows] @ matrix).toarray()
