"""Click prediction: the fields of an impression in, the probability of a click out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.data.click_log import ClickLog
from tfzoo.data.click_splits import check_labels
from tfzoo.data.encoders import Encoders
from tfzoo.data.interactions import Interactions
from tfzoo.data.pipelines import BatchPlan, gather, ordered_batches, shuffled_blocks
from tfzoo.data.splits import Split
from tfzoo.layers import FieldEmbedding
from tfzoo.problems.clicks import ClickProblem
from tfzoo.tasks.base import Needs, State, Task, Tensors, register_task
from tfzoo.tasks.click_features import ClickFeatures, FieldScorer

IMPRESSIONS_PER_CALL = 16384


@register_task
class ClickTask(ClickProblem, Task):
    """Learns the probability that an impression is clicked.

    Inputs of a batch are ``fields`` int32 ``[B, F]`` and ``dense`` float32 ``[B, D]``, as far as the model
    has them; the label is ``click`` float32 ``[B]``. Models give ``logit`` and its sigmoid ``click``, and the
    loss is the binary cross-entropy of the logit. All parts are click logs.
    """

    place = 70
    model_inputs = "(dense )?fields"
    model_outputs = "click logit"
    evaluation = "click"
    needs = Needs(clicks=True)
    settings: Any

    @property
    def reads_all_parts(self) -> bool:
        """Encoders are fitted on the training part alone."""
        return False

    @property
    def monitor(self) -> str:
        """Validation metric by which the best epoch is chosen."""
        return "auc"

    @property
    def headline(self) -> tuple[str, ...]:
        """Metrics that tables show."""
        return ("auc", "log_loss")

    def maximizes(self, metric: str) -> bool:
        """Tell whether more of a metric is better: of AUC alone."""
        return metric == "auc"

    def describe(self) -> str:
        """Return one line that says how the metrics are defined."""
        return (
            "auc and log_loss are over all impressions, ties count half; log_loss_constant is that of the "
            "training click rate for everyone"
        )

    def table(self, data: Interactions | ClickLog) -> ClickLog:
        """Return the click log, see `ClickLog.of` for ratings; raises `DataError` without a rating."""
        return data if isinstance(data, ClickLog) else ClickLog.of(data, self.settings.positive_from)

    def check_split(self, split: Split) -> None:
        """Raise `DataError` where a part has impressions of one kind alone, or a column tells nothing."""
        check_labels(split)
        self._encoders(split.train)

    def features(self, model: keras.Model, split: Split, interactions: Any) -> ClickFeatures:
        """Prepare what fills the inputs of ``model``; raises `UsageError` for a model of other data."""
        return ClickFeatures(model, split.train, self.settings)  # type: ignore[arg-type]

    def train_dataset(self, features: ClickFeatures, train: Any, plan: BatchPlan) -> tf.data.Dataset:
        """Return endless shuffled epochs of ``(inputs, {"click": [S, B]}, weight [S, B])``.

        The weight is 0 for the padding at the end of an epoch, else 1.
        """
        label = tf.constant(train.label)

        def batch(rows: tf.Tensor) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor], tf.Tensor]:
            weight = tf.cast(rows >= 0, tf.float32)
            return features.train_inputs(rows), {"click": gather(label, rows)}, weight

        blocks = shuffled_blocks(len(train), plan)
        return blocks.map(batch, num_parallel_calls=2, deterministic=True).prefetch(2)

    def compute_loss(
        self, model: keras.Model, inputs: Tensors, labels: Tensors, weight: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        """Return the mean binary cross-entropy of a batch, and penalties."""
        logit = model(inputs, training=True)["logit"]
        each = tf.nn.sigmoid_cross_entropy_with_logits(labels["click"], logit)
        mean = tf.reduce_sum(each * weight) / tf.maximum(tf.reduce_sum(weight), 1.0)
        return mean + sum(model.losses, tf.constant(0.0)), state

    def predictor(
        self, model: keras.Model, features: ClickFeatures
    ) -> Callable[[ClickLog], NDArray[np.float32]]:
        """Return a function that gives the logit of every impression of a part, float32 ``[n]``.

        It stays valid while the weights of ``model`` change.
        """
        logits = tf.function(lambda inputs: model(inputs, training=False)["logit"], reduce_retracing=True)

        def predict(log: ClickLog) -> NDArray[np.float32]:
            inputs = features.inputs_of(log)
            parts = []
            for rows in ordered_batches(len(log), min(IMPRESSIONS_PER_CALL, len(log))):
                chosen = np.maximum(rows.numpy(), 0)
                parts.append(logits({name: tf.constant(one[chosen]) for name, one in inputs.items()}).numpy())
            return np.concatenate(parts)[: len(log)]

        return predict

    def finish(self, model: keras.Model, train: Any) -> None:
        """Give rows that no training impression has, such as of unknown values, the mean of their field."""
        counts = [one.counts for one in self._encoders(train).categories.values()]
        for layer in model._flatten_layers():
            if isinstance(layer, FieldEmbedding):
                layer.fill_unseen(counts)

    def save_vocabularies(self, split: Split, interactions: Any, folder: Path) -> None:
        """Write the encoders of the training part, see `Encoders.save`."""
        self._encoders(split.train).save(folder)

    def scorer(self, model: keras.Model, features: ClickFeatures) -> FieldScorer:
        """Return what scores impressions."""
        return FieldScorer(model, features)

    def _encoders(self, train: Any) -> Encoders:
        return Encoders.fit(train, min_count=self.settings.min_count, scale=self.settings.numbers)
