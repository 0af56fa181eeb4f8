"""Embedding table over dense ids, and the penalty on the rows that a batch looks up."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray


@keras.saving.register_keras_serializable("tfzoo")
class IdEmbedding(keras.layers.Embedding):
    """An embedding table whose row 0 belongs to the unknown id and rows 1..n to the known ones.

    It does not check ids: compiled with XLA it could not. As the Keras table it is, it reads its last
    row for -1. All ids that reach it are checked before: `Interactions` refuses ids outside their
    vocabulary, pipelines pad with id 0, and exports look raw ids up, unknown ones as 0.
    """

    def call(self, inputs: Any) -> Any:
        """Return the rows of ids of any shape ``[...]`` as ``[..., width]``."""
        # Keras' own call reads the variable before it picks rows. Once an optimizer has written single
        # rows, each such read makes TensorFlow copy the whole table; picking from the variable does not.
        table = getattr(self.embeddings, "value", self.embeddings)
        return ops.cast(ops.take(table, inputs, axis=0), self.compute_dtype)

    def fill_unseen(self, counts: NDArray) -> None:
        """Give row 0 and every row without training data the mean of the trained rows.

        A new user or item is then scored as the average one, instead of by the random numbers
        that the table started from.

        Args:
            counts: training interactions of each id, shape ``[input_dim]``.
        """
        table = ops.convert_to_numpy(self.embeddings)
        unseen = np.asarray(counts) == 0
        unseen[0] = True
        if unseen.all():
            return
        mean = table[~unseen].mean(axis=0, dtype=np.float64).astype(table.dtype)
        self.embeddings.assign(np.where(unseen[:, None], mean, table))


@keras.saving.register_keras_serializable("tfzoo")
class KnownIdPenalty(keras.layers.Layer):
    """Adds ``l2 * mean_b |v_b|^2`` over the examples whose id is known to the loss.

    It charges what a batch looks up, once an example, as the matrix factorisation papers write
    their objective. An ``embeddings_regularizer`` would charge the whole table at every step.

    Args:
        l2: weight of the penalty.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        vectors: ``[B, width]``.
        ids: int32 ``[B]``; rows with id 0 (unknown or padding) are not charged.

    Returns:
        ``vectors``, unchanged.
    """

    def __init__(self, l2: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if l2 < 0:
            raise ValueError(f"`l2` must not be negative. Received: l2={l2}")
        self.l2 = float(l2)

    def call(self, vectors: Any, ids: Any) -> Any:
        """Add the penalty."""
        known = ops.cast(ops.not_equal(ids, 0), "float32")
        squares = ops.sum(ops.square(ops.cast(vectors, "float32")), axis=-1)
        self.add_loss(self.l2 * ops.sum(squares * known) / ops.maximum(ops.sum(known), 1.0))
        return vectors

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "l2": self.l2}
