"""Evaluation of models of histories: users' lists, or every event of sessions from those before it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.data.interactions import Interactions
from tfzoo.data.pipelines import ordered_batches
from tfzoo.data.splits import Split
from tfzoo.data.windows import Sequences, histories_before
from tfzoo.errors import DataError
from tfzoo.evaluation.cases import Cases, mean_itself
from tfzoo.evaluation.evaluator import EVALUATORS, Evaluator
from tfzoo.evaluation.ranking import SCORES_PER_CALL, RankingEvaluator, part_of, part_of_training
from tfzoo.tasks.base import Scorer
from tfzoo.tasks.sequence_features import SequenceFeatures, SequenceScorer
from tfzoo.tasks.sequences import SequenceTask


@EVALUATORS.register("sequence")
def sequence_evaluator(task: SequenceTask, model: keras.Model, features: Any, split: Split) -> Evaluator:
    """Return what measures a model of histories as its task asks for."""
    if task.settings.measure == "events":
        return SequenceEvents(task, model, features, split)
    return SequenceLists(task, model, features, split)


class SequenceLists(RankingEvaluator):
    """Measures the lists of known users, from what was known when each part began."""

    def __init__(
        self, task: SequenceTask, model: keras.Model, features: SequenceFeatures, split: Split
    ) -> None:
        super().__init__(task, model, features, split)
        self._model, self._features = model, features

    def scorer_of(self, base: str) -> Scorer:
        """Return a scorer with the histories of the moment."""
        return SequenceScorer(self._model, self._features, base)


class SequenceEvents:
    """Measures every event but the first of each sequence of a part, given the events before it.

    All items that training has are ranked, those of the history too; equal scores rank before the target,
    and a target that training lacks is a miss.
    """

    protocol = "full ranking"

    def __init__(
        self, task: SequenceTask, model: keras.Model, features: SequenceFeatures, split: Split
    ) -> None:
        self._split, self._cutoffs, self._features = split, task.settings.cutoffs, features
        self._scorer = SequenceScorer(model, features, "validation")
        self._eligible = tf.constant(part_of_training(split.train))
        width = int(self._eligible.shape[0])
        self._batch = max(1, SCORES_PER_CALL // width)
        spec = tf.TensorSpec([None, None], tf.int32)
        self._ranks_of = tf.function(self._ranks, input_signature=[spec, tf.TensorSpec([None], tf.int32)])
        self._cases: dict[str, tuple[NDArray, NDArray, NDArray]] = {}

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what can be measured."""
        return ("validation", "test", *self._split.variants)

    def evaluate(self, part: str) -> dict[str, float]:
        """Return ``recall@K`` (with one target the hit rate), ``ndcg@K`` and ``mrr@K`` of one of `parts`."""
        values, _ = self._measured(part)
        return {name: float(np.mean(each)) for name, each in values.items()}

    def cases(self, part: str) -> Cases:
        """Return the metrics of every event."""
        values, keys = self._measured(part)
        metrics = {name: (each, mean_itself) for name, each in values.items()}
        return Cases("events", keys, keys[:, 0], metrics)

    def validate(self) -> dict[str, float]:
        """Return the metrics of the validation part."""
        return self.evaluate("validation")

    def _measured(self, part: str) -> tuple[dict[str, NDArray], NDArray]:
        ranks, keys = self.ranks(part)
        values: dict[str, NDArray] = {}
        for cutoff in self._cutoffs:
            hits = (ranks <= cutoff).astype(np.float64)
            values |= {f"hr@{cutoff}": hits, f"recall@{cutoff}": hits}
            values[f"ndcg@{cutoff}"] = hits / np.log2(ranks + 1)
            values[f"mrr@{cutoff}"] = hits / ranks
        return values, keys

    def ranks(self, part: str) -> tuple[NDArray[np.int64], NDArray]:
        """Return the rank of every case from 1, int64 ``[n]``, and what tells the cases apart."""
        if part not in self._cases:
            events = Sequences.of(_with_events(part_of(self._split, part)))
            place, history, target = histories_before(events, self._features.length)
            user = np.repeat(events.user_id, events.lengths)[place]
            self._cases[part] = history, target, np.stack([user, place, target], axis=1)
        history, target, keys = self._cases[part]
        found = []
        for rows in ordered_batches(len(target), min(self._batch, len(target))):
            chosen = np.maximum(rows.numpy(), 0)
            found.append(self._ranks_of(history[chosen], target[chosen]).numpy())
        ranks = np.concatenate(found)[: len(target)].astype(np.int64)
        if (ranks < 1).any():
            raise DataError("Metrics of sequences need finite scores.")
        return ranks, keys

    def _ranks(self, history: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Return ranks int32 ``[B]``; 0 where a score is not finite."""
        scores = self._scorer.score_history(history)
        sane = tf.reduce_all(tf.math.is_finite(scores) | ~self._eligible, axis=1)
        own = tf.gather(scores, target, batch_dims=1)[:, tf.newaxis]
        rank = tf.math.count_nonzero((scores >= own) & self._eligible, axis=1, dtype=tf.int32)
        missed = tf.reduce_sum(tf.cast(self._eligible, tf.int32)) + 1
        rank = tf.where(tf.gather(self._eligible, target), rank, missed)
        return tf.where(sane, rank, 0)


def _with_events(part: Interactions) -> Interactions:
    if part.user_counts()[1:].max(initial=0) < 2:
        raise DataError(f"The part '{part.name}' has no sequence of two events, so nothing to predict.")
    return part
