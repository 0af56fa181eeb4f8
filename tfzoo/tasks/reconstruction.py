"""Reconstruction: the row of a user in, scores of all items out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfzoo.data.interactions import Interactions
from tfzoo.data.pipelines import BatchPlan, gather, shuffled_blocks
from tfzoo.data.splits import Split
from tfzoo.inputs import Input, Known, make_input
from tfzoo.layers import GaussianCode, IdEmbedding
from tfzoo.problems.reconstruction import ReconstructionProblem, ReconstructionSettings
from tfzoo.tasks.base import Features, Scorer, State, Tensors, register_task
from tfzoo.tasks.ranking import RankingTask


@register_task
class ReconstructionTask(ReconstructionProblem, RankingTask):
    """Learns to complete the rows of the interaction matrix, 1 where there is an interaction.

    A batch holds ``user_row`` float32 ``[B, num_items + 1]`` and, for models that ask for it,
    ``user_id`` int32 ``[B]``. The examples of an epoch are the users of the training part.
    """

    place = 40
    model_inputs = "(user_id )?user_row"
    model_outputs = "scores"
    reads_history = True
    settings: ReconstructionSettings

    @property
    def examples_of(self) -> str:
        """``user``: an example is a row."""
        return "user"

    def features(self, model: keras.Model, split: Split, interactions: Interactions) -> RowFeatures:
        """Return what makes rows; they hold training and fold-in interactions alone."""
        known = [split.train] if split.fold_in is None else [split.train, split.fold_in]
        return RowFeatures([tensor.name for tensor in model.inputs], known)

    def pilot(self) -> dict[str, Any]:
        """Return the cap 1 for the training that finds the cap."""
        return {"kl_cap": 1.0} if self.settings.find_kl_cap else {}

    def after_pilot(self, model: keras.Model) -> dict[str, Any]:
        """Return the beta that the best epoch had reached."""
        return {"kl_cap": next(float(one.beta) for one in model.layers if isinstance(one, GaussianCode))}

    def num_examples(self, features: RowFeatures, train: Interactions) -> int:
        """Number of users of the training part."""
        return len(np.unique(train.user_id))

    def train_dataset(self, features: RowFeatures, train: Interactions, plan: BatchPlan) -> tf.data.Dataset:
        """Return endless shuffled epochs of users' rows, see `Task.train_dataset`."""
        users = tf.constant(np.unique(train.user_id))
        blocks = shuffled_blocks(len(users), plan)
        offset = tf.constant(plan.first_epoch * -(-len(users) // (plan.batch_size * plan.block)), tf.int64)

        memory = features.in_memory()

        def batch(number: tf.Tensor, rows: tf.Tensor) -> tuple[Tensors, Tensors, tf.Tensor]:
            inputs = features.inputs(gather(users, rows), memory)
            draw = tf.stack([tf.constant(plan.seed + 1, tf.int64), number + offset])
            counts = self._counted(inputs["user_row"], draw)
            return inputs, {"counts": counts}, tf.cast(rows >= 0, tf.float32)

        return blocks.enumerate().map(batch, num_parallel_calls=2, deterministic=True).prefetch(2)

    def _counted(self, row: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
        """Return which cells count in the loss, as 1 and 0; one number where all of them do."""
        if self.settings.negatives is None:
            return tf.ones([*row.shape[:-1], 1])
        positives = tf.reduce_sum(row, axis=-1, keepdims=True)
        others = tf.cast(tf.shape(row)[-1] - 1, tf.float32) - positives
        share = self.settings.negatives * positives / tf.maximum(others, 1.0)
        drawn = tf.random.stateless_uniform(tf.shape(row), seed=draw) < share
        return tf.cast(drawn | (row > 0), tf.float32)

    def compute_loss(
        self, model: keras.Model, inputs: Tensors, labels: Tensors, weight: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        """Return the loss of the batch: over items a sum, over users a mean."""
        # Column 0 is the unknown item: nobody interacts with it, and it is never recommended.
        scores = model(inputs, training=True)["scores"][:, 1:]
        row = inputs["user_row"][:, 1:]
        counts = labels["counts"][:, 1:] if self.settings.negatives is not None else labels["counts"]
        if self.settings.loss == "multinomial":
            each = -row * ops.log_softmax(scores, axis=-1)
        elif self.settings.loss == "bce":
            each = counts * (ops.softplus(scores) - row * scores)
        else:
            each = counts * ops.square(row - scores)
        mean = tf.reduce_sum(ops.sum(each, axis=-1) * weight) / tf.maximum(tf.reduce_sum(weight), 1.0)
        return mean + sum(model.losses, tf.constant(0.0)), state

    def finish(self, model: keras.Model, train: Interactions) -> None:
        """Give users without training data the average row of their table, see `IdEmbedding`."""
        for layer in model.layers:
            if isinstance(layer, IdEmbedding):
                layer.fill_unseen(train.user_counts())

    def scorer(self, model: keras.Model, features: RowFeatures) -> RowScorer:
        """Return what scores catalogues for known users and for histories."""
        return RowScorer(model, features)


class RowFeatures(Features):
    """Turns user ids, or histories, into the inputs of a model.

    Args:
        names: input names of the model, ``user_row`` and perhaps ``user_id`` or others of the user.
        known: the parts whose interactions fill the rows.
    """

    reads_rows = True

    def __init__(self, names: Sequence[str], known: Sequence[Interactions]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.num_items = known[0].num_items
        parts = Known(tuple(known), binary=True)
        self.providers: dict[str, Input] = {name: make_input(name, parts) for name in names}

    def inputs(
        self, user_id: tf.Tensor, providers: Mapping[str, Input] | None = None
    ) -> dict[str, tf.Tensor]:
        """Return the model's inputs for known users, int32 of any shape."""
        return {name: one.of(user_id) for name, one in (providers or self.providers).items()}

    def in_memory(self) -> dict[str, Input]:
        """Return what fills the inputs in a pipeline, see `Input.in_memory`."""
        return {name: provider.in_memory() for name, provider in self.providers.items()}

    def history_inputs(self, history: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the model's inputs for unknown users with the given items, int32 ``[B, L]``."""
        count = tf.shape(history)[0]
        at = tf.repeat(tf.range(count), tf.shape(history)[1])
        cells = tf.stack([at, tf.reshape(history, [-1])], axis=1)
        known = tf.cast(tf.reshape(history, [-1]) > 0, tf.float32)
        row = tf.tensor_scatter_nd_max(tf.zeros([count, self.num_items + 1]), cells, known)
        nobody = tf.zeros([count], tf.int32)
        return {
            name: row if name == "user_row" else provider.of(nobody)
            for name, provider in self.providers.items()
        }


class RowScorer(Scorer):
    """Scores whole catalogues from rows.

    Args:
        model: a model from rows to scores of all items.
        features: turns users into rows.
    """

    reads_history = True

    def __init__(self, model: keras.Model, features: RowFeatures) -> None:
        super().__init__()
        self.model, self.features = model, features

    def score_items(self, user_id: tf.Tensor) -> tf.Tensor:
        """Return the score of every item: int32 ``[B]`` to float32 ``[B, num_items + 1]``."""
        return self.model(self.features.inputs(user_id), training=False)["scores"]

    def score_history(self, history: tf.Tensor) -> tf.Tensor:
        """Return the score of every item for histories, int32 ``[B, L]``, in any order."""
        return self.model(self.features.history_inputs(history), training=False)["scores"]
