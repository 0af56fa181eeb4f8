"""One table of item vectors that is read on the way in and scored against on the way out."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

# The id of a hidden event.
MASK = -1


@keras.saving.register_keras_serializable("tfzoo")
class ItemTable(keras.layers.Layer):
    """Looks up item vectors, or scores states by their inner products with all of them.

    Row 0 belongs to no item. Scores are float32 under mixed precision, since a softmax over thousands of
    items follows.

    Args:
        num_items: number of known items; the table has one row more.
        width: length of a vector.
        bias: add a trained bias of the item to its score.
        normalize: score by cosines instead, divided by ``temperature``.
        temperature: divisor of the scores.
        mask_row: the table has one more row, of the id `MASK`, which stands for a hidden event. It is looked
            up, and has no score.
        embeddings_initializer: of the table.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        inputs: ids int32 of any shape ``[...]`` where ``look_up``, else states float ``[..., width]``.
        look_up: return vectors instead of scores.

    Returns:
        Scores of all items float32 ``[..., num_items + 1]``, or vectors ``[..., width]``.
    """

    def __init__(
        self,
        num_items: int,
        width: int,
        *,
        bias: bool = False,
        normalize: bool = False,
        temperature: float = 1.0,
        mask_row: bool = False,
        embeddings_initializer: Any = "uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if temperature <= 0:
            raise ValueError(f"`temperature` must be above 0. Received: temperature={temperature}")
        self.num_items, self.width, self.use_bias = int(num_items), int(width), bool(bias)
        self.normalize, self.temperature = bool(normalize), float(temperature)
        self.mask_row = bool(mask_row)
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, inputs_shape: Any = None) -> None:
        """Make the weights."""
        rows = self.num_items + 1
        self.table = self.add_weight(
            shape=(rows + self.mask_row, self.width), initializer=self.embeddings_initializer, name="table"
        )
        self.bias = (
            self.add_weight(shape=(rows,), initializer="zeros", name="bias") if self.use_bias else None
        )

    def call(self, inputs: Any, look_up: bool = False) -> Any:
        """Return all scores, or vectors."""
        if look_up:
            if self.mask_row:
                inputs = ops.where(inputs < 0, self.num_items + 1, inputs)
            return ops.cast(self._rows(self.table, inputs), self.compute_dtype)
        table = self.table[: self.num_items + 1] if self.mask_row else self.table
        scores = ops.matmul(self.scored(inputs), ops.transpose(self.scored(table)))
        return scores / self.temperature + (ops.cast(self.bias, "float32") if self.use_bias else 0.0)

    def of(self, states: Any, item_id: Any) -> Any:
        """Return scores of chosen items.

        Args:
            states: float ``[B, P, width]``.
            item_id: int32 ``[C]``, the same for all states; ``[B, C]``, for all states of a row; or
                ``[B, P, C]``.

        Returns:
            float32 ``[B, P, C]``.
        """
        form = {1: "bpd,cd->bpc", 2: "bpd,bcd->bpc", 3: "bpd,bpcd->bpc"}[len(item_id.shape)]
        rows = self.scored(self._rows(self.table, item_id))
        scores = ops.einsum(form, self.scored(states), rows) / self.temperature
        if not self.use_bias:
            return scores
        bias = ops.cast(self._rows(self.bias, item_id), "float32")
        return scores + (ops.expand_dims(bias, 1) if len(item_id.shape) == 2 else bias)

    def _rows(self, table: Any, ids: Any) -> Any:
        # Picked from the variable itself: reading it whole first makes TensorFlow copy the table once an
        # optimizer has written single rows.
        return ops.take(getattr(table, "value", table), ids, axis=0)

    def scored(self, vectors: Any) -> Any:
        """Return states or rows of the table as their inner products are taken, in float32."""
        vectors = ops.cast(vectors, "float32")
        return ops.normalize(vectors, axis=-1, epsilon=1e-6) if self.normalize else vectors

    def compute_output_spec(self, inputs: Any, look_up: bool = False) -> Any:
        """Return shape and type of scores or vectors."""
        if look_up:
            return keras.KerasTensor((*inputs.shape, self.width), dtype=self.compute_dtype)
        return keras.KerasTensor((*inputs.shape[:-1], self.num_items + 1), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "num_items": self.num_items,
            "width": self.width,
            "bias": self.use_bias,
            "normalize": self.normalize,
            "temperature": self.temperature,
            "mask_row": self.mask_row,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }
