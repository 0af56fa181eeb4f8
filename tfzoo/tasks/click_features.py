"""What models of clicks are asked with, and how they score: impressions of a log, and raw ones."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from numpy.typing import NDArray
from pydantic import BaseModel

from tfzoo.data.click_log import ClickLog
from tfzoo.data.encoders import Encoders
from tfzoo.errors import UsageError
from tfzoo.inputs import Known, make_input
from tfzoo.inputs.fields import Dense, EventInput, fitted
from tfzoo.layers import FieldEmbedding
from tfzoo.tasks.base import Features, Scorer


class ClickFeatures(Features):
    """Fills ``fields`` int32 ``[B, F]`` and ``dense`` float32 ``[B, D]``.

    Args:
        model: whose inputs they are.
        train: the training part, on which encoders are fitted.
        settings: of the task.

    Attributes:
        encoders: of the columns.

    Raises:
        UsageError: the model reads something else, or was built for other data.
    """

    def __init__(self, model: keras.Model, train: ClickLog, settings: BaseModel) -> None:
        super().__init__()
        known: Any = Known((train,), settings)  # type: ignore[arg-type]
        self.encoders: Encoders = fitted(known)
        for layer in model._flatten_layers():
            if isinstance(layer, FieldEmbedding) and layer.sizes != self.encoders.field_sizes:
                raise UsageError(
                    f"Model '{model.name}' was built for fields of {layer.sizes} rows, but '{train.name}' "
                    f"has {self.encoders.field_sizes}. Build it with field_sizes=auto, or give the data "
                    "it was built for."
                )
        self.inputs: dict[str, EventInput] = {}
        for tensor in model.inputs:
            found = make_input(tensor.name, known, tensor)
            if not isinstance(found, EventInput):
                raise UsageError(f"Models of clicks read fields and dense. This one reads {tensor.name}.")
            self.inputs[tensor.name] = found

    def train_inputs(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the model's inputs for rows of the training part, int32 ``[...]``; zeros for row -1."""
        return {name: one.of(rows) for name, one in self.inputs.items()}

    def inputs_of(self, log: ClickLog) -> dict[str, NDArray]:
        """Return the model's inputs for all impressions of a part, ``[n, columns]``."""
        return {name: one.encode(log) for name, one in self.inputs.items()}

    def scale_numbers(self, raw: tf.Tensor) -> tf.Tensor:
        """Return ``dense`` for numbers as they are, float32 ``[B, N]``, not finite where one is missing."""
        dense = self.inputs["dense"]
        assert isinstance(dense, Dense)
        return dense.scaled(raw)


class FieldScorer(Scorer):
    """Scores impressions.

    Args:
        model: from ``fields`` and ``dense`` to ``click``.
        features: fill its inputs.
    """

    output_name = "click"
    hides_untrained = False
    supports_jit = True

    def __init__(self, model: keras.Model, features: ClickFeatures) -> None:
        super().__init__()
        self.model, self.features = model, features

    def score_fields(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Return the probability of a click, float32 ``[B]``, for the inputs of the model."""
        return self.model({name: inputs[name] for name in self.model.input}, training=False)["click"]
