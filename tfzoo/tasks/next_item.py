"""Next-item prediction in sessions: an event in, scores of all items for the next event out."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.pipelines import BatchPlan
from tfzoo.data.sessions import SessionLayout, Sessions
from tfzoo.data.splits import Split
from tfzoo.errors import DataError
from tfzoo.layers import session_losses
from tfzoo.problems.next_item import NextItemProblem, NextItemSettings
from tfzoo.tasks.base import Needs, State, Task, Tensors, register_task
from tfzoo.tasks.next_item_scorer import NextItemFeatures, NextItemScorer, encoder, state_names


@register_task
class NextItemTask(NextItemProblem, Task):
    """Learns from session-parallel mini-batches, in which every user is one session.

    A batch holds ``item_id`` int32 ``[B]`` (the current event of each slot), ``reset`` float32
    ``[B]`` (1 where a session begins), ``negatives`` int32 ``[N]`` unless ``n_sample`` is 0, and
    ``log_proposal`` float32 ``[B + N]`` where ``logq`` is used; the label is ``item_id`` int32
    ``[B]``, the next event. The states of the model go from step to step as constants.
    """

    place = 50
    model_inputs = r"item_id( state_\d)+"
    model_outputs = r"scores( state_\d)+"
    reads_history = True
    needs = Needs(duplicates="keep")
    evaluation = "next-item"
    settings: NextItemSettings

    @property
    def examples_of(self) -> str:
        """``user``: an example is a session."""
        return "user"

    @property
    def asks_every_event(self) -> bool:
        """Whether each event of a history is a test case: those of held-out sessions are."""
        return True

    @property
    def monitor(self) -> str:
        """Validation metric by which the best epoch is chosen."""
        return self.settings.monitor

    @property
    def headline(self) -> tuple[str, ...]:
        """Metrics that tables show."""
        return tuple(f"{metric}@{cutoff}" for cutoff in self.settings.cutoffs for metric in ("recall", "mrr"))

    def describe(self) -> str:
        """Return one line that says how the metrics are defined."""
        return (
            "recall (hit rate) and mrr are means over all events but the first of each session, all "
            "training items ranked given the events before; ties count against the model, and an "
            "item that training lacks is a miss"
        )

    def check(self, interactions: Interactions) -> None:
        """Raise `DataError` where no session has a next event."""
        if interactions.user_counts()[1:].max(initial=0) < 2:
            raise DataError(
                f"'{interactions.name}' has no session of two events; next-item models learn from "
                "each user's events in order."
            )

    def check_split(self, split: Split) -> None:
        """Raise `DataError` where a part has no event that follows another one in its session."""
        parts = {"train": split.train, "validation": split.validation, "test": split.test, **split.variants}
        for name, part in parts.items():
            if part.user_counts()[1:].max(initial=0) < 2:
                raise DataError(
                    f"The {name} part has no session of two events, so nothing to predict "
                    f"({split.protocol}). Keep sessions whole, with split.kind=sessions."
                )

    def features(self, model: keras.Model, split: Split, interactions: Interactions) -> NextItemFeatures:
        """Return what the training part says of items and sessions."""
        return NextItemFeatures(split.train, self.settings.sample_alpha)

    def num_examples(self, features: NextItemFeatures, train: Interactions) -> int:
        """Number of events that have one before them in their session."""
        return int(np.maximum(Sessions.of(train).lengths - 1, 0).sum())

    def steps_per_epoch(self, features: NextItemFeatures, train: Interactions, batch_size: int) -> int:
        """Number of steps of the session-parallel layout; raises `DataError` where there is none."""
        return self._layout(train, batch_size).steps

    def train_dataset(
        self, features: NextItemFeatures, train: Interactions, plan: BatchPlan
    ) -> tf.data.Dataset:
        """Return endless epochs of session-parallel batches, see `Task.train_dataset`.

        All epochs have the same sessions in the same slots. The extra negatives of a step depend
        on seed, epoch and step alone.
        """
        layout = self._layout(train, plan.batch_size)
        steps, settings = layout.steps, self.settings
        blocks = -(-steps // plan.block)

        def blocked(array: Any, dtype: tf.DType) -> tf.Tensor:
            padded = np.pad(array, [(0, blocks * plan.block - steps), (0, 0)])
            return tf.constant(padded.reshape(blocks, plan.block, plan.batch_size), dtype)

        columns = {
            "item_id": blocked(layout.current, tf.int32),
            "reset": blocked(layout.reset, tf.float32),
            "target": blocked(layout.target, tf.int32),
            "weight": blocked(layout.active, tf.float32),
        }

        def batch(epoch: tf.Tensor, block: tf.Tensor) -> tuple[Tensors, Tensors, tf.Tensor]:
            inputs, target = (
                {key: columns[key][block] for key in ("item_id", "reset")},
                columns["target"][block],
            )
            negatives = tf.zeros([plan.block, 0], tf.int32)
            if settings.n_sample:
                first = epoch * steps + block * plan.block
                negatives = features.draw(plan.seed, first, plan.block, settings.n_sample)
                inputs["negatives"] = negatives
            if settings.logq:
                inputs["log_proposal"] = features.log_proposal(target, negatives)
            return inputs, {"item_id": target}, columns["weight"][block]

        epochs = tf.data.Dataset.range(plan.first_epoch, tf.int64.max)
        every = epochs.flat_map(lambda epoch: tf.data.Dataset.range(blocks).map(lambda block: (epoch, block)))
        return every.map(batch, num_parallel_calls=2, deterministic=True).prefetch(2)

    def initial_state(self, model: keras.Model, batch_size: int) -> State:
        """Return states of 0, one float32 ``[B, width]`` a recurrent layer."""
        return tuple(tf.zeros([batch_size, model.input[name].shape[-1]]) for name in state_names(model))

    def compute_loss(
        self, model: keras.Model, inputs: Tensors, labels: Tensors, weight: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        """Return the loss summed over the active slots and divided by the batch size, and the new states.

        Only the targets and the extra negatives are scored.
        """
        kept = 1.0 - inputs["reset"][:, tf.newaxis]
        before = tuple(tf.stop_gradient(part * kept) for part in state)
        step = encoder(model)
        after = step(
            {"item_id": inputs["item_id"], **dict(zip(state_names(model), before, strict=True))},
            training=True,
        )
        states = tuple(after[name] for name in state_names(model))
        columns = labels["item_id"]
        if "negatives" in inputs:
            columns = tf.concat([columns, inputs["negatives"]], axis=0)
        scores = model.get_layer("item_scores").of(states[-1], columns)
        each = self._losses(scores, weight, inputs.get("log_proposal"))
        total = tf.reduce_sum(each) / tf.cast(tf.size(weight), tf.float32)
        return total + sum(step.losses, tf.constant(0.0)), tuple(tf.stop_gradient(part) for part in states)

    def scorer(self, model: keras.Model, features: NextItemFeatures) -> NextItemScorer:
        """Return what scores catalogues after a session."""
        return NextItemScorer(model, features)

    def _layout(self, train: Interactions, batch_size: int) -> SessionLayout:
        # Without extra negatives a lone session has nothing to be told apart from.
        layout = _cached_layout(train, batch_size, 1 if self.settings.n_sample else 2)
        if layout.steps == 0:
            raise DataError(
                "The training part gives no step: it needs sessions of two events or more, and without "
                "extra negatives (task.n_sample: 0) at least two of them at a time."
            )
        return layout

    def _losses(self, scores: tf.Tensor, active: tf.Tensor, log_proposal: tf.Tensor | None) -> tf.Tensor:
        loss = self.settings.loss
        if loss == "cross-entropy":
            return session_losses.cross_entropy(
                scores, active, log_proposal=log_proposal, logq=self.settings.logq
            )
        if loss == "bpr-max":
            return session_losses.bpr_max(scores, active, bpreg=self.settings.bpreg)
        simple = {"bpr": session_losses.bpr, "top1": session_losses.top1, "top1-max": session_losses.top1_max}
        return simple[loss](scores, active)


@functools.lru_cache(maxsize=2)
def _cached_layout(train: Interactions, batch_size: int, fewest: int) -> SessionLayout:
    return SessionLayout.of(Sessions.of(train), batch_size, fewest=fewest)
