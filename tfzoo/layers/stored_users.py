"""Scores of all items from the rows of the most similar stored users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfzoo.errors import UsageError

MAX_CELLS = 2**30
# Equal similarities come out of a matrix product with other last digits.
ROUNDING = 1e-5


@keras.saving.register_keras_serializable("tfzoo")
class StoredUsers(keras.layers.Layer):
    """Weighted mean of the rows of those stored users whose rows are most like the given ones.

    The similarity is a cosine of rows whose columns are weighted, ``q . v / (|q| |v| + shrinkage)``.
    Nothing here is changed by gradient descent: the stored rows, the weights of their columns, their
    lengths, the least similarity at which each stored user counts, and the scores where nobody does.

    Args:
        num_users: number of users whose rows are stored; row 0 stays empty.
        neighbours: how many users count at most; users as similar as the last one count too. None
            for all.
        threshold: similarities that are not above it do not count.
        shrinkage: is added to the denominator of the similarity.
        settings: what else the model's `solve` needs; kept in the configuration.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        rows: ``[B, n]``, 1 for what a user has.
        user_id: int32 ``[B]``; the stored row of that user does not count. 0 is a user without one.

    Returns:
        ``[B, n]``: ``sum_v s_v x_v / sum_v s_v`` over the neighbours v; where there is none, `fallback`.

    Raises:
        UsageError: the stored rows would take more than 4 GiB.
    """

    def __init__(
        self,
        num_users: int,
        *,
        neighbours: int | None = None,
        threshold: float = 0.0,
        shrinkage: float = 0.0,
        settings: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_users, self.neighbours = num_users, neighbours
        self.threshold, self.shrinkage = threshold, shrinkage
        self.settings = dict(settings or {})

    def build(self, rows_shape: Any, user_id_shape: Any = None) -> None:
        """Create the stored rows, all empty."""
        users, items = self.num_users + 1, rows_shape[-1]
        if users * items > MAX_CELLS:
            raise UsageError(
                f"The rows of {users - 1:,} users over {items - 1:,} items take "
                f"{4 * users * items / 2**30:.0f} GiB. At most 4 GiB are allowed: filter rare users and "
                "items first."
            )

        def solved(name: str, *shape: int, start: str = "zeros") -> Any:
            return self.add_weight(shape=shape, initializer=start, trainable=False, name=name)

        self.stored = solved("stored", users, items)
        self.column_weights = solved("column_weights", items, start="ones")
        self.lengths = solved("lengths", users)
        self.least = solved("least", users)
        self.fallback = solved("fallback", items)

    def call(self, rows: Any, user_id: Any) -> Any:
        """Score."""
        similarities = self.similarities(rows, user_id)
        if self.neighbours is not None and self.neighbours <= self.num_users:
            last = ops.top_k(similarities, self.neighbours)[0][:, -1:]
            similarities = ops.where(similarities >= last * (1 - ROUNDING), similarities, 0.0)
        total = ops.sum(similarities, axis=-1, keepdims=True)
        shares = similarities / ops.where(total > 0, total, 1.0)
        return ops.where(total > 0, ops.matmul(shares, self.stored), ops.convert_to_tensor(self.fallback))

    def similarities(self, rows: Any, user_id: Any) -> Any:
        """Return the similarity to every stored user that may count, ``[B, num_users + 1]``, else 0."""
        # JAX has no arithmetic between an array and a variable, nor variables as branches.
        weights = ops.convert_to_tensor(self.column_weights)
        weighted = rows * weights
        products = ops.matmul(weighted * weights, ops.transpose(self.stored))
        length = ops.sqrt(ops.sum(ops.square(weighted), axis=-1, keepdims=True))
        scale = length * ops.convert_to_tensor(self.lengths) + self.shrinkage
        found = ops.where(scale > 0, products / ops.where(scale > 0, scale, 1.0), 0.0)
        itself = ops.logical_and(
            ops.equal(ops.arange(self.num_users + 1, dtype="int32"), user_id[:, None]), user_id[:, None] > 0
        )
        near = ops.logical_and(found > self.threshold * (1 + ROUNDING), found >= self.least * (1 - ROUNDING))
        return ops.where(ops.logical_and(near, ops.logical_not(itself)), found, 0.0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "num_users": self.num_users,
            "neighbours": self.neighbours,
            "threshold": self.threshold,
            "shrinkage": self.shrinkage,
            "settings": self.settings,
        }
