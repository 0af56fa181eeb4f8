"""Next-item prediction in sessions: an event in, scores of all items for the next event out."""

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal

import keras
import numpy as np
import tensorflow as tf
from pydantic import Field, model_validator

from tfzoo.data.interactions import Interactions
from tfzoo.data.sessions import SessionLayout, Sessions
from tfzoo.data.splits import Split
from tfzoo.errors import DataError
from tfzoo.layers import session_losses
from tfzoo.tasks.base import Features, Scorer, State, Task, Tensors
from tfzoo.tasks.ranking import RankingSettings

METRICS = ("recall", "hr", "mrr")
HISTORY_EVENTS = 50


class NextItemSettings(RankingSettings):
    """Settings of the next-item task.

    Attributes:
        cutoffs: lengths K of the lists that are measured.
        monitor: validation metric by which the best epoch is chosen, ``mrr@K`` or ``recall@K``.
        loss: a loss of `tfzoo.layers.session_losses`. The authors recommend ``cross-entropy`` and
            ``bpr-max``.
        n_sample: extra negatives a step, shared by the whole batch, beside the other targets.
        sample_alpha: they are drawn in proportion to ``support ** sample_alpha``.
        logq: weight of the logQ correction of cross-entropy, which takes out of the training
            scores that popular items are proposed more often; 0 for none.
        bpreg: weight of the penalty of BPR-max.
    """

    cutoffs: tuple[Annotated[int, Field(ge=1)], ...] = (20,)
    monitor: str = "mrr@20"
    loss: Literal["cross-entropy", "bpr", "top1", "top1-max", "bpr-max"] = "cross-entropy"
    n_sample: Annotated[int, Field(ge=0)] = 2048
    sample_alpha: Annotated[float, Field(ge=0)] = 0.5
    logq: Annotated[float, Field(ge=0)] = 0.0
    bpreg: Annotated[float, Field(ge=0)] = 1.0

    @model_validator(mode="after")
    def _check(self) -> NextItemSettings:
        if self.logq and self.loss != "cross-entropy":
            raise ValueError(f"logq corrects cross-entropy only; the loss is {self.loss!r}")
        names = [f"{metric}@{cutoff}" for metric in METRICS for cutoff in self.cutoffs]
        if self.monitor not in names:
            raise ValueError(f"monitor must be one of {', '.join(names)}; it is {self.monitor!r}")
        return self


class NextItemTask(Task):
    """Learns from session-parallel mini-batches, in which every user is one session.

    A batch holds ``item_id`` int32 ``[B]`` (the current event of each slot), ``reset`` float32
    ``[B]`` (1 where a session begins), ``negatives`` int32 ``[N]`` unless ``n_sample`` is 0, and
    ``log_proposal`` float32 ``[B + N]`` where ``logq`` is used; the label is ``item_id`` int32
    ``[B]``, the next event. The states of the model go from step to step as constants.
    """

    name = "next-item"
    Settings = NextItemSettings
    evaluation = "next-item"
    settings: NextItemSettings

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
        self,
        features: NextItemFeatures,
        train: Interactions,
        *,
        batch_size: int,
        seed: int,
        first_epoch: int = 0,
        steps_per_block: int = 1,
    ) -> tf.data.Dataset:
        """Return endless epochs of session-parallel batches, see `Task.train_dataset`.

        All epochs have the same sessions in the same slots. The extra negatives of a step depend
        on seed, epoch and step alone.
        """
        layout = self._layout(train, batch_size)
        steps, settings = layout.steps, self.settings
        blocks = -(-steps // steps_per_block)

        def blocked(array: Any, dtype: tf.DType) -> tf.Tensor:
            padded = np.pad(array, [(0, blocks * steps_per_block - steps), (0, 0)])
            return tf.constant(padded.reshape(blocks, steps_per_block, batch_size), dtype)

        columns = {
            "item_id": blocked(layout.current, tf.int32),
            "reset": blocked(layout.reset, tf.float32),
            "target": blocked(layout.target, tf.int32),
            "weight": blocked(layout.active, tf.float32),
        }

        def batch(epoch: tf.Tensor, block: tf.Tensor) -> tuple[Tensors, Tensors, tf.Tensor]:
            inputs, target = {key: columns[key][block] for key in ("item_id", "reset")}, columns["target"][block]
            negatives = tf.zeros([steps_per_block, 0], tf.int32)
            if settings.n_sample:
                first = epoch * blocks * steps_per_block + block * steps_per_block
                negatives = features.draw(seed, first, steps_per_block, settings.n_sample)
                inputs["negatives"] = negatives
            if settings.logq:
                inputs["log_proposal"] = features.log_proposal(target, negatives)
            return inputs, {"item_id": target}, columns["weight"][block]

        epochs = tf.data.Dataset.range(first_epoch, tf.int64.max)
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
        after = step({"item_id": inputs["item_id"], **dict(zip(state_names(model), before, strict=True))}, training=True)
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


class NextItemFeatures(Features):
    """What the training part says of items: which there are, and how often.

    Args:
        train: the training part.
        sample_alpha: exponent of the support by which extra negatives are drawn.
    """

    def __init__(self, train: Interactions, sample_alpha: float) -> None:
        super().__init__()
        support = train.item_counts().astype(np.float64)
        support[0] = 0
        weights = np.where(support > 0, support**sample_alpha, 0)
        self.train, self.sample_alpha = train, sample_alpha
        self.num_items = train.num_items
        self.trained = np.flatnonzero(support).astype(np.int32)
        self._cumulative = tf.constant(np.cumsum(weights) / weights.sum())
        self._log_support = tf.constant(np.log(np.maximum(support, 1)), tf.float32)

    def draw(self, seed: int, first_step: tf.Tensor, steps: int, count: int) -> tf.Tensor:
        """Draw items for each of several steps, with replacement: int32 ``[steps, count]``.

        Args:
            seed: with the number of the step, fixes what is drawn.
            first_step: int64, number of the first step since training began.
            steps: number of steps.
            count: items a step.
        """

        def one_step(step: tf.Tensor) -> tf.Tensor:
            numbers = tf.random.stateless_uniform([count], [tf.constant(seed, tf.int64), step], dtype=tf.float64)
            return tf.searchsorted(self._cumulative, numbers, side="right")

        drawn = tf.map_fn(
            one_step,
            first_step + tf.range(steps, dtype=tf.int64),
            fn_output_signature=tf.TensorSpec([count], tf.int32),
        )
        return tf.ensure_shape(drawn, [steps, count])

    def log_proposal(self, target: tf.Tensor, negatives: tf.Tensor) -> tf.Tensor:
        """Return logarithms of support (targets) and support to the power of alpha (extra negatives).

        Args:
            target: int32 ``[S, B]``.
            negatives: int32 ``[S, N]``.

        Returns:
            float32 ``[S, B + N]``.
        """
        in_batch = tf.gather(self._log_support, target)
        extra = self.sample_alpha * tf.gather(self._log_support, negatives)
        return tf.concat([in_batch, extra], axis=1)


class NextItemScorer(Scorer):
    """Scores all items for the event after a session.

    Items that training lacks are passed over in a history, as if they were not there.

    Args:
        model: a next-item model, one event a step.
        features: from the task.
    """

    reads_history = True

    def __init__(self, model: keras.Model, features: NextItemFeatures) -> None:
        super().__init__()
        self.model, self._encoder = model, encoder(model)
        self._item_scores = model.get_layer("item_scores")
        self._names = state_names(model)
        self._widths = [model.input[name].shape[-1] for name in self._names]
        trained = np.zeros(features.num_items + 1, np.int32)
        trained[features.trained] = features.trained
        sessions = Sessions.of(features.train)
        histories = sessions.last_events(features.train.num_users, HISTORY_EVENTS)
        self.trained = tf.Variable(trained, trainable=False, name="trained_items")
        self.histories = tf.Variable(histories, trainable=False, name="histories")

    def score_items(self, user_id: tf.Tensor) -> tf.Tensor:
        """Return the scores after the last 50 training events of each user, int32 ``[B]``."""
        return self.score_history(tf.gather(self.histories, user_id))

    def score_history(self, history: tf.Tensor) -> tf.Tensor:
        """Return the scores after each history, int32 ``[B, L]``, from a hidden state of 0."""
        states = tuple(tf.zeros([tf.shape(history)[0], width]) for width in self._widths)
        _, states = tf.while_loop(
            lambda event, _: event < tf.shape(history)[1],
            lambda event, states: (event + 1, self.advance(history[:, event], states)),
            (tf.constant(0), states),
        )
        return self._item_scores(states[-1])

    def advance(self, item_id: tf.Tensor, states: State) -> State:
        """Return the states after one more event, int32 ``[B]``; item 0 changes nothing."""
        inputs = dict(zip(self._names, states, strict=True))
        after = self._encoder({"item_id": tf.gather(self.trained, item_id), **inputs}, training=False)
        return tuple(after[name] for name in self._names)


def state_names(model: keras.Model) -> list[str]:
    """Return the names of the states of a next-item model, from the first layer to the last."""
    names = [name for name in model.input if name.startswith("state_")]
    return sorted(names, key=lambda name: int(name.removeprefix("state_")))


def encoder(model: keras.Model) -> keras.Model:
    """Return the part of a next-item model without scores: an event and states to new states."""
    return keras.Model(model.input, {name: model.output[name] for name in state_names(model)})
