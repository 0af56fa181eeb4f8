"""Side features as zeros and ones: ``user_features`` and ``item_features``."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfzoo.data.side_features import multi_hot
from tfzoo.errors import UsageError
from tfzoo.inputs.base import Input, Known, register_input


@register_input("features")
class SideFeatures(Input):
    """The categories of a user or an item, float32 ``[..., columns]``, see `multi_hot`."""

    def __init__(self, name: str, side: str, known: Known, tensor: keras.KerasTensor | None = None) -> None:
        super().__init__(name, side, known, tensor)
        table = _table(side, known)
        if tensor is not None and table.shape[1] != tensor.shape[-1]:
            raise UsageError(
                f"The model was built for {tensor.shape[-1]} features of {side}s, but '{known.train.name}' "
                f"has {table.shape[1]}. Build it with {side}_features={table.shape[1]}."
            )
        self.table = tf.Variable(table, trainable=False, name=name)

    @classmethod
    def sizes(cls, name: str, side: str, known: Known) -> dict[str, Any]:
        """Return the number of columns."""
        return {name: _table(side, known).shape[1]}

    def of(self, ids: tf.Tensor) -> tf.Tensor:
        """Return the rows of the table."""
        return tf.gather(self.table, ids)


def _table(side: str, known: Known) -> Any:
    train = known.train
    described = train.user_features if side == "user" else train.item_features
    return multi_hot(described, (train.num_users if side == "user" else train.num_items) + 1)[1]
