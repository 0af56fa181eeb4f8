"""States of a session that nothing is trained for: what it has had, and what goes together with that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfzoo.errors import UsageError
from tfzoo.layers.closed_form import MAX_ITEMS


@keras.saving.register_keras_serializable("tfzoo")
class SessionCounts(keras.layers.Layer):
    """Counts the events of each item in a session.

    Call arguments:
        item_id: int32 ``[B]``, the next event; item 0 changes nothing.
        state: float32 ``[B, n]``, the counts before it.

    Returns:
        float32 ``[B, n]``, the counts after it.
    """

    def call(self, item_id: Any, state: Any) -> Any:
        """Count."""
        event = ops.one_hot(item_id, state.shape[-1], dtype=state.dtype)
        return state + event * ops.cast(ops.expand_dims(item_id, -1) > 0, state.dtype)

    def compute_output_shape(self, item_id_shape: Any, state_shape: Any) -> Any:
        """Return the shape of the state; the NumPy backend would find it by ids that there are not."""
        return state_shape


@keras.saving.register_keras_serializable("tfzoo")
class SessionNeighbours(keras.layers.Layer):
    """Adds up the neighbours of the events of a session, those of earlier ones less and less.

    Args:
        decay: factor of the sum before the next event; 0 for the last event alone.
        settings: what `solve` needs to compute the neighbours; kept in the model's configuration.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        item_id: int32 ``[B]``, the next event; item 0 changes nothing.
        state: float32 ``[B, n]``, the sum before it.

    Returns:
        float32 ``[B, n]``: ``decay * state + N[item_id]``, with a square matrix N that gradient descent
        does not change.

    Raises:
        ValueError: ``decay`` is not in 0..1.
        UsageError: more than `MAX_ITEMS` items; the matrix would not fit into memory.
    """

    def __init__(self, decay: float = 0.0, settings: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= decay <= 1:
            raise ValueError(f"`decay` must lie in 0..1. Received: decay={decay}")
        self.decay, self.settings = float(decay), dict(settings or {})

    def build(self, item_id_shape: Any, state_shape: Any) -> None:
        """Create the matrix, all zero."""
        size = state_shape[-1]
        if size - 1 > MAX_ITEMS:
            raise UsageError(
                f"A dense item-item matrix of {size - 1:,} items takes {4 * size**2 / 2**30:.0f} GiB. "
                f"At most {MAX_ITEMS:,} items are allowed: filter rare items first."
            )
        self.kernel = self.add_weight(shape=(size, size), initializer="zeros", trainable=False, name="kernel")

    def call(self, item_id: Any, state: Any) -> Any:
        """Add."""
        # Picked from the variable itself: reading it whole first may copy the matrix.
        own = ops.take(getattr(self.kernel, "value", self.kernel), item_id, axis=0)
        return ops.where(ops.expand_dims(item_id, -1) > 0, self.decay * state + own, state)

    def compute_output_shape(self, item_id_shape: Any, state_shape: Any) -> Any:
        """Return the shape of the state; the NumPy backend would find it by ids that there are not."""
        return state_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "decay": self.decay, "settings": self.settings}


@keras.saving.register_keras_serializable("tfzoo")
class StateScores(keras.layers.Layer):
    """The state itself as scores, and a number of each item that gradient descent does not change.

    Call arguments:
        state: float32 ``[B, n]``.

    Returns:
        float32 ``[B, n]``.
    """

    def build(self, state_shape: Any) -> None:
        """Create the vector, all zero."""
        self.offset = self.add_weight(
            shape=(state_shape[-1],), initializer="zeros", trainable=False, name="offset"
        )

    def call(self, state: Any) -> Any:
        """Add."""
        return state + self.offset

    def of(self, state: Any, item_id: Any) -> Any:
        """Return scores of chosen items, the same ones for every state.

        Args:
            state: float32 ``[B, n]``.
            item_id: int32 ``[C]``.

        Returns:
            float32 ``[B, C]``.
        """
        return ops.take(state, item_id, axis=1) + ops.take(self.offset, item_id, axis=0)
