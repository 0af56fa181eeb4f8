"""Impressions of a click log: ``fields``, rows of categories, and ``dense``, numbers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.data.click_log import ClickLog
from tfzoo.data.encoders import Encoders
from tfzoo.errors import UsageError
from tfzoo.inputs.base import Input, Known, register_input


def fitted(known: Known) -> Encoders:
    """Return encoders of the training part; raises `UsageError` where that is no click log."""
    train: Any = known.train
    if not isinstance(train, ClickLog):
        raise UsageError(f"Fields are those of a click log, which '{train.name}' is not.")
    settings = known.settings
    return Encoders.fit(
        train, min_count=getattr(settings, "min_count", 1), scale=getattr(settings, "numbers", "standard")
    )


class EventInput(Input):
    """An input that is filled from an impression itself; its ids are rows of the training part."""

    own_side = "event"

    def __init__(self, name: str, side: str, known: Known, tensor: keras.KerasTensor | None = None) -> None:
        super().__init__(name, side, known, tensor)
        self.encoders = fitted(known)
        values = self.encode(known.train)
        if tensor is not None and tensor.shape[-1] != values.shape[1]:
            raise UsageError(
                f"The model was built for {tensor.shape[-1]} columns of '{name}', but '{known.train.name}' "
                f"has {values.shape[1]}. Build it with {self.arguments(name)[0]}=auto."
            )
        self._values = values

    def encode(self, log: Any) -> NDArray:
        """Return the input for all impressions of a part of the log, ``[n, columns]``."""
        raise TypeError(f"{type(self).__name__} reads no click log.")

    def of(self, ids: tf.Tensor) -> tf.Tensor:
        """Return the input for rows of the training part, int32 ``[...]``; zeros for row -1."""
        # A constant of the pipeline alone: exports read no impression of the log.
        values = tf.gather(tf.constant(self._values), tf.maximum(ids, 0))
        return tf.where(ids[..., tf.newaxis] >= 0, values, tf.zeros_like(values))


@register_input("fields")
class Fields(EventInput):
    """Rows of the categories, int32 ``[..., F]``; 0 for values that training has not seen."""

    @classmethod
    def sizes(cls, name: str, side: str, known: Known) -> dict[str, Any]:
        """Return the rows of each field."""
        return {"field_sizes": tuple(fitted(known).field_sizes)}

    def encode(self, log: ClickLog) -> NDArray[np.int32]:
        """Return the rows of all impressions of a part of the log."""
        return self.encoders.fields(log)


@register_input("dense")
class Dense(EventInput):
    """Numbers with mean 0 and deviation 1, float32 ``[..., D]``; 0 for missing ones, which are marked."""

    @classmethod
    def sizes(cls, name: str, side: str, known: Known) -> dict[str, Any]:
        """Return the number of columns."""
        return {"dense_size": fitted(known).dense_size}

    def encode(self, log: ClickLog) -> NDArray[np.float32]:
        """Return the numbers of all impressions of a part of the log."""
        return self.scaled(self.encoders.raw_numbers(log)).numpy()

    def scaled(self, raw: tf.Tensor) -> tf.Tensor:
        """Return the columns for numbers as they are, float32 ``[B, N]``; what is not finite is missing."""
        columns = []
        for number, encoder in enumerate(self.encoders.numbers.values()):
            values = raw[:, number]
            known = tf.math.is_finite(values)
            values = tf.where(known, values, 0.0)
            if encoder.logarithm:
                values = tf.sign(values) * tf.math.log1p(tf.abs(values))
            columns.append(tf.where(known, (values - encoder.mean) / encoder.deviation, 0.0))
            if encoder.marks_missing:
                columns.append(tf.cast(~known, tf.float32))
        return tf.stack(columns, axis=1)
