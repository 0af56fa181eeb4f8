"""Next-item prediction from padded histories: the last events of a user in, scores of all items out."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.negatives import NegativeSampler
from tfzoo.data.pipelines import BatchPlan, gather, shuffled_blocks
from tfzoo.data.splits import Split
from tfzoo.data.windows import Sequences, Windows, windows_of
from tfzoo.errors import DataError
from tfzoo.layers import IdEmbedding, ItemTable, item_losses
from tfzoo.layers.item_table import MASK
from tfzoo.problems.sequences import SequenceProblem, SequenceSettings
from tfzoo.tasks.base import Needs, State, Tensors, register_task
from tfzoo.tasks.ranking import RankingTask
from tfzoo.tasks.sequence_checks import check_examples
from tfzoo.tasks.sequence_features import SequenceFeatures, SequenceScorer, scoring_table


@register_task
class SequenceTask(SequenceProblem, RankingTask):
    """Learns which item follows a history.

    A batch holds ``history`` int32 ``[B, L]``, right-aligned, and what else the model reads; ``target``
    int32 ``[B, P, T]``, 0 for none, of the ``P`` states of the model; and ``negative`` int32 ``[N]``,
    ``[B, N]`` or ``[B, P, T N]`` (those of the first target, then of the next) where the loss draws any. The
    weight of an example is the number of its targets, so that every target counts alike.
    """

    place = 60
    model_inputs = "history( history_gaps)?( user_id)?"
    model_outputs = "scores states"
    reads_history = True
    evaluation = "sequence"
    ranks_lists = False
    needs = Needs(duplicates="keep")
    settings: SequenceSettings

    @property
    def examples_of(self) -> str:
        """``user``: an example is a part of a history."""
        return "user"

    @property
    def asks_every_event(self) -> bool:
        """Whether each event of a history is a test case, items that occurred before among the ranked."""
        return self.settings.measure == "events"

    def check(self, interactions: Interactions) -> None:
        """Raise `DataError` where no user has two events."""
        if interactions.user_counts()[1:].max(initial=0) < 2:
            raise DataError(
                f"'{interactions.name}' has no user with two events; models of histories learn from each "
                "user's events in order."
            )

    def features(self, model: keras.Model, split: Split, interactions: Interactions) -> SequenceFeatures:
        """Return what fills the inputs of ``model``."""
        return SequenceFeatures(model.inputs, split)

    def prepare(self, model: keras.Model, split: Split, interactions: Interactions) -> None:
        """Raise `UsageError` where the model cannot be trained on such examples, see `check_examples`."""
        check_examples(model, self.settings.examples)

    def num_examples(self, features: SequenceFeatures, train: Interactions) -> int:
        """Number of windows of an epoch."""
        return len(self._windows(features, Sequences.of(train)))

    def floats_per_example(self, model: keras.Model) -> int:
        """Numbers of an example: inputs, targets and negatives."""
        positions = model.output["states"].shape[1]
        targets = positions * self.settings.targets
        drawn = {"target": targets * self.settings.negatives, "sequence": self.settings.negatives}
        more = 0 if self.settings.loss == "softmax" else drawn.get(self.settings.shared, 0)
        return super().floats_per_example(model) + targets + more

    @property
    def shared_inputs(self) -> frozenset[str]:
        """Negatives that a whole batch shares."""
        return frozenset({"negative", "log_negative"} if self.settings.shared == "batch" else ())

    def _windows(self, features: SequenceFeatures, sequences: Sequences) -> Windows:
        settings = self.settings
        return windows_of(
            sequences, settings.examples, features.length, targets=settings.targets, stride=settings.stride
        )

    def train_dataset(
        self, features: SequenceFeatures, train: Interactions, plan: BatchPlan
    ) -> tf.data.Dataset:
        """Return endless shuffled epochs of windows, see `Task.train_dataset`."""
        sequences = Sequences.of(train)
        windows = self._windows(features, sequences)
        events = _Events(sequences, windows, features)
        sampler = self._sampler(features.train)
        log_expected = self._log_expected(features.train)
        blocks_an_epoch = -(-len(windows) // (plan.batch_size * plan.block))

        def batch(number: tf.Tensor, rows: tf.Tensor) -> tuple[Tensors, Tensors, tf.Tensor]:
            first = (number + plan.first_epoch * blocks_an_epoch) * plan.block
            inputs, target = self._example(events, rows, plan.seed, first)
            if sampler is not None:
                negative = self._draw(sampler, events.user(rows), target.shape[2], plan.seed + 1, first)
                inputs["negative"] = negative
                if log_expected is not None:
                    inputs["log_target"] = tf.gather(log_expected, target)
                    inputs["log_negative"] = tf.gather(log_expected, negative)
            weight = tf.reduce_sum(tf.cast(target > 0, tf.float32), axis=[2, 3])
            return inputs, {"target": target}, weight

        blocks = shuffled_blocks(len(windows), plan).enumerate()
        return blocks.map(batch, num_parallel_calls=2, deterministic=True).prefetch(2)

    def _example(
        self, events: _Events, rows: tf.Tensor, seed: int, first: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Return inputs, and targets int32 ``[S, B, P, T]``, of examples int32 ``[S, B]``."""
        inputs, place, known = events.inputs(rows)
        if self.settings.examples == "positions":
            target = tf.where(known, events.item(place + 1), 0)[..., tf.newaxis]
        elif self.settings.examples == "cloze":
            masked = self._masked(known, seed, first)
            target = tf.where(masked, inputs["history"], 0)[..., tf.newaxis]
            inputs["history"] = tf.where(masked, MASK, inputs["history"])
        else:
            target = events.after(rows, self.settings.targets)[..., tf.newaxis, :]
        return inputs, target

    def _masked(self, known: tf.Tensor, seed: int, first: tf.Tensor) -> tf.Tensor:
        """Choose the events to mask, at least one of each example that has any: bool ``[S, B, L]``."""
        shape, length = tf.shape(known)[1:], known.shape[-1]

        def one_step(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            key = tf.stack([tf.constant(seed + 2, tf.int64), step])
            numbers = tf.random.stateless_uniform(tf.stack([shape[0], length + 1]), key)
            return numbers[:, :length], numbers[:, length]

        steps = first + tf.range(tf.shape(known)[0], dtype=tf.int64)
        chances, alone = tf.map_fn(one_step, steps, fn_output_signature=(tf.float32, tf.float32))
        chances = tf.where(known, chances, 2.0)
        lowest = tf.reduce_min(chances, axis=-1, keepdims=True)
        masked = known & ((chances < self.settings.mask) | (chances == lowest))
        last = tf.range(length) == length - 1
        return tf.where((alone < self.settings.last_alone)[..., tf.newaxis], known & last, masked)

    def _sampler(self, train: Interactions) -> NegativeSampler | None:
        settings = self.settings
        if settings.loss == "softmax":
            return None
        reject = settings.reject_known and settings.shared == "target"
        return NegativeSampler(train, weighting=settings.weighting, alpha=settings.alpha, reject_known=reject)

    def _log_expected(self, train: Interactions) -> tf.Tensor | None:
        """Return the logarithm of each item's share of the draws, float32 ``[num_items + 1]``."""
        if not self.settings.logq:
            return None
        exponent = self.settings.alpha if self.settings.weighting == "popularity" else 0.0
        weights = np.power(train.item_counts(), exponent, dtype=np.float64)
        weights[0] = 0
        return tf.constant(np.log(np.maximum(weights / weights.sum(), 1e-12)), tf.float32)

    def _draw(
        self, sampler: NegativeSampler, users: tf.Tensor, positions: int, seed: int, first: tf.Tensor
    ) -> tf.Tensor:
        """Draw the negatives of a block of batches by the numbers of its steps.

        Args:
            sampler: draws them.
            users: int32 ``[S, B]``.
            positions: P, targets of an example.
            seed: with the number of the step, fixes what is drawn.
            first: number of the first step since training began.

        Returns:
            int32 ``[S, N]``, ``[S, B, N]`` or ``[S, B, P, T N]``.
        """
        steps, batch = users.shape
        count, shared = self.settings.negatives, self.settings.shared
        own = [batch, positions, self.settings.targets * count]
        shape = {"batch": [count], "sequence": [batch, count], "target": own}[shared]

        def one_step(inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            step, own = inputs
            own = tf.reshape(own, [-1, 1, 1]) if shared == "target" else tf.zeros([1] * len(shape), tf.int32)
            key = tf.stack([tf.constant(seed, tf.int64), step])
            return sampler.sample(tf.broadcast_to(own, shape), key)

        numbers = first + tf.range(steps, dtype=tf.int64)
        return tf.map_fn(one_step, (numbers, users), fn_output_signature=tf.TensorSpec(shape, tf.int32))

    def compute_loss(
        self, model: keras.Model, inputs: Tensors, labels: Tensors, weight: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        """Return the mean loss of all targets of the batch, and the penalties of the model."""
        encoder, table = keras.Model(model.input, model.output["states"]), scoring_table(model)
        states = encoder({name: inputs[name] for name in model.input}, training=True)
        target = labels["target"]
        # With one target an example the state after the last event predicts it.
        states = states[:, -target.shape[1] :]
        if self.settings.loss == "softmax":
            total = self._softmax(states, target, table)
        else:
            total = self._against(states, target, inputs, table)
        mean = total / tf.maximum(tf.reduce_sum(weight), 1.0)
        return mean + sum(encoder.losses, tf.constant(0.0)), state

    def _softmax(self, states: tf.Tensor, target: tf.Tensor, table: ItemTable) -> tf.Tensor:
        """Return the sum over targets of ``-log softmax``, computed for positions that have one alone."""
        at = tf.where(target > 0)
        items = tf.gather_nd(target, at)
        # Column 0 is no item.
        scores = table(tf.gather_nd(states, at[:, :2]))[:, 1:]
        right = tf.gather(scores, items - 1, batch_dims=1)
        error = tf.reduce_logsumexp(scores, axis=-1) - right
        if self.settings.label_smoothing:
            error += self.settings.label_smoothing * (right - tf.reduce_mean(scores, axis=-1))
        return tf.reduce_sum(error)

    def _against(self, states: tf.Tensor, target: tf.Tensor, inputs: Tensors, table: ItemTable) -> tf.Tensor:
        """Return the sum over targets of the loss of each against its negatives."""
        settings = self.settings
        positive, drawn = table.of(states, target), table.of(states, inputs["negative"])
        negative = _by_position(inputs["negative"])
        if settings.logq:
            positive -= settings.logq * inputs["log_target"]
            drawn -= settings.logq * _by_position(inputs["log_negative"])
        total, count = tf.constant(0.0), settings.negatives
        for number in range(settings.targets):
            right, items = positive[..., number], target[..., number]
            own = slice(number * count, (number + 1) * count) if settings.shared == "target" else slice(None)
            against = drawn[..., own]
            # A drawn target is no negative of itself.
            mask = tf.cast(negative[..., own] != items[..., tf.newaxis], tf.float32)
            each = self._loss(right, against, tf.broadcast_to(mask, tf.shape(against)), table.num_items)
            total += tf.reduce_sum(each * tf.cast(items > 0, tf.float32))
        return total

    def _loss(self, right: tf.Tensor, drawn: tf.Tensor, mask: tf.Tensor, num_items: int) -> tf.Tensor:
        settings = self.settings
        if settings.loss == "gbce":
            beta = item_losses.calibrated_beta(settings.negatives, num_items, settings.calibration)
            return item_losses.generalised_binary_cross_entropy(right, drawn, mask, beta)
        if settings.loss == "bpr-max":
            return item_losses.bpr_max(right, drawn, mask, settings.bpreg)
        simple = {
            "bce": item_losses.binary_cross_entropy,
            "sampled-softmax": item_losses.sampled_softmax,
            "bpr": item_losses.bpr,
        }
        return simple[settings.loss](right, drawn, mask)

    def finish(self, model: keras.Model, train: Interactions) -> None:
        """Give users without training data the average row of their table, see `IdEmbedding`."""
        for layer in model._flatten_layers():
            if isinstance(layer, IdEmbedding) and layer.name.startswith("user"):
                layer.fill_unseen(train.user_counts())

    def scorer(self, model: keras.Model, features: SequenceFeatures) -> SequenceScorer:
        """Return what scores catalogues for known users and for histories, with all that is known."""
        return SequenceScorer(model, features)


def _by_position(values: tf.Tensor) -> tf.Tensor:
    """Return values ``[N]``, ``[B, N]`` or ``[B, P, N]`` with three dimensions, to go with ``[B, P, N]``."""
    while len(values.shape) < 3:
        values = tf.expand_dims(values, -2)
    return values


class _Events:
    """The events of a training part as tensors, read by windows.

    Args:
        sequences: the events.
        windows: the examples.
        features: names and length of the inputs.
    """

    def __init__(self, sequences: Sequences, windows: Windows, features: SequenceFeatures) -> None:
        self._items, self._length = tf.constant(sequences.item_id), features.length
        self._begin, self._end, self._limit = (
            tf.constant(one, tf.int64) for one in (windows.begin, windows.end, windows.limit)
        )
        self._users = tf.constant(sequences.user_id[windows.sequence])
        self._gaps = tf.constant(sequences.gaps(features.usual_gap)) if features.reads_gaps else None
        self._names = features.names

    def user(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the users of examples, 0 for padding."""
        return gather(self._users, rows)

    def item(self, place: tf.Tensor) -> tf.Tensor:
        """Return the items at places among all events."""
        return tf.gather(self._items, tf.clip_by_value(place, 0, len(self._items) - 1))

    def inputs(self, rows: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        """Return the model's inputs ``[..., L]``, the places of their events, and which there are."""
        place = (
            gather(self._end, rows)[..., tf.newaxis] - self._length + tf.range(self._length, dtype=tf.int64)
        )
        known = (place >= gather(self._begin, rows)[..., tf.newaxis]) & (rows >= 0)[..., tf.newaxis]
        inputs = {"history": tf.where(known, self.item(place), 0), "user_id": self.user(rows)}
        if self._gaps is not None:
            gaps = tf.gather(self._gaps, tf.clip_by_value(place, 0, len(self._items) - 1))
            inputs["history_gaps"] = tf.where(known, gaps, 0.0)
        return {name: inputs[name] for name in self._names}, place, known

    def after(self, rows: tf.Tensor, targets: int) -> tf.Tensor:
        """Return the events after the inputs, int32 ``[..., targets]``, 0 past the last one."""
        place = gather(self._end, rows)[..., tf.newaxis] + tf.range(targets, dtype=tf.int64)
        known = (place < gather(self._limit, rows)[..., tf.newaxis]) & (rows >= 0)[..., tf.newaxis]
        return tf.where(known, self.item(place), 0)
