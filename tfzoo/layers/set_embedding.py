"""Sums of embeddings over sets: the items that a user has rated, the categories of an item."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable("tfzoo")
class SetEmbedding(keras.layers.Layer):
    """``sum_j w_j v_j`` over a set that is given as one weight for each of its possible members.

    Args:
        output_dim: width of the rows ``v_j``.
        l2: adds ``l2 * mean_b sum_{j: w_bj != 0} |v_j|^2`` over the examples whose id is known to
            the loss: what an example looks up is charged once an example, as by `KnownIdPenalty`.
        squares: append ``sum_j w_j^2 |v_j|^2`` to the sum, as the last component. With it the sum
            over all pairs of members is ``0.5 (|sum|^2 - squares)``.
        initializer: initialiser of the rows.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        weights: float ``[B, n]``, zero for what is not in the set.
        ids: int32 ``[B]``; examples with id 0 (unknown or padding) are not charged.

    Returns:
        float ``[B, output_dim]``, or ``[B, output_dim + 1]`` with ``squares``.
    """

    def __init__(
        self,
        output_dim: int,
        l2: float = 0.0,
        squares: bool = False,
        initializer: Any = "uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if output_dim < 1 or l2 < 0:
            raise ValueError(
                f"`output_dim` must be at least 1 and `l2` not negative. "
                f"Received: output_dim={output_dim}, l2={l2}"
            )
        self.output_dim = output_dim
        self.l2 = float(l2)
        self.squares = squares
        self.initializer = keras.initializers.get(initializer)

    def build(self, weights_shape: Shape, ids_shape: Shape) -> None:
        """Create the rows."""
        self.embeddings = self.add_weight(
            name="embeddings", shape=(weights_shape[-1], self.output_dim), initializer=self.initializer
        )

    def call(self, weights: Any, ids: Any) -> Any:
        """Return the sums and add the penalty."""
        rows = ops.convert_to_tensor(self.embeddings)
        weights = ops.cast(weights, rows.dtype)
        total = ops.matmul(weights, rows)
        lengths = ops.sum(ops.square(rows), axis=-1, keepdims=True)
        if self.l2:
            member = ops.cast(ops.not_equal(weights, 0), "float32")
            charged = ops.matmul(member, ops.cast(lengths, "float32"))[:, 0]
            known = ops.cast(ops.not_equal(ids, 0), "float32")
            self.add_loss(self.l2 * ops.sum(charged * known) / ops.maximum(ops.sum(known), 1.0))
        if self.squares:
            total = ops.concatenate([total, ops.matmul(ops.square(weights), lengths)], axis=-1)
        return total

    def compute_output_shape(self, weights_shape: Shape, ids_shape: Shape) -> Shape:
        """Return ``(B, output_dim)``, with one more for the squares."""
        return (weights_shape[0], self.output_dim + self.squares)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "output_dim": self.output_dim,
            "l2": self.l2,
            "squares": self.squares,
            "initializer": keras.initializers.serialize(self.initializer),
        }


@keras.saving.register_keras_serializable("tfzoo")
class BaselineResiduals(keras.layers.Layer):
    """What is left of a user's ratings after fixed baselines: ``r_uj - b_uj`` where there is a rating.

    ``b_uj = mean_rating + b_u + b_j`` with the damped averages of section 2.1 of Koren, KDD 2008:
    ``b_j`` is assigned before training, and ``b_u = sum_j (r_uj - mean_rating - b_j) / (damping + n)``
    is worked out from the row itself, so that a row never seen in training has one as well.

    Args:
        mean_rating: the mean training rating.
        damping: ratings of 0 that are thought to be added to each user's.
        **kwargs: as for `keras.layers.Layer`.

    Attributes:
        item_baselines: float32 ``[n]``, ``b_j``, not trained; 0 until it is assigned.

    Call arguments:
        row: float32 ``[B, n]``, 0 where there is no rating.

    Returns:
        ``[B, n]``, 0 where there is no rating.
    """

    def __init__(self, mean_rating: float = 0.0, damping: float = 10.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean_rating = float(mean_rating)
        self.damping = float(damping)

    def build(self, row_shape: Shape) -> None:
        """Create the baselines of the items."""
        self.item_baselines = self.add_weight(
            name="item_baselines", shape=(row_shape[-1],), initializer="zeros", trainable=False
        )

    def call(self, row: Any) -> Any:
        """Return the residuals."""
        rated = ops.cast(ops.not_equal(row, 0), row.dtype)
        baselines = ops.cast(ops.convert_to_tensor(self.item_baselines), row.dtype)
        left = rated * (row - self.mean_rating - baselines)
        user = ops.sum(left, axis=-1, keepdims=True)
        user = user / (self.damping + ops.sum(rated, axis=-1, keepdims=True))
        return left - rated * user

    def compute_output_shape(self, row_shape: Shape) -> Shape:
        """Return the shape of the row."""
        return row_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "mean_rating": self.mean_rating, "damping": self.damping}
