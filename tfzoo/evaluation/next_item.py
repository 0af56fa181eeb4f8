"""Next-item evaluation: every event of a session from those before it, all items ranked."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.data.interactions import Interactions
from tfzoo.data.sessions import SessionLayout, Sessions
from tfzoo.data.splits import Split
from tfzoo.errors import DataError
from tfzoo.evaluation.cases import Cases, Figure, mean_itself
from tfzoo.evaluation.evaluator import EVALUATORS
from tfzoo.tasks.base import State
from tfzoo.tasks.next_item import NextItemTask
from tfzoo.tasks.next_item_scorer import state_names

SLOTS = 512
SCORES_PER_STEP = 2**24


@EVALUATORS.register("next-item")
class NextItemEvaluator:
    """Measures next-item models by recall@K and MRR@K over the events of sessions.

    Every event but the first of its session is a case. All items that occur in the training part
    are ranked by their scores given the events before, the hidden state starting from 0. Items of
    equal score rank before the target. A target that training lacks is a miss; as a past event it
    is passed over.

    Args:
        task: gives cutoffs.
        model: the model to measure; its weights may change between two calls.
        features: from the task.
        split: the parts.
    """

    protocol = "full ranking"

    def __init__(self, task: NextItemTask, model: keras.Model, features: Any, split: Split) -> None:
        self._split, self._cutoffs = split, task.settings.cutoffs
        self._scorer = task.scorer(model, features)
        self._item_scores = model.get_layer("item_scores")
        self._widths = [model.input[name].shape[-1] for name in state_names(model)]
        self._eligible = features.trained
        # Column of each item among the eligible ones; one past the last where it is none of them.
        self._column = np.full(features.num_items + 1, len(self._eligible), np.int32)
        self._column[self._eligible] = np.arange(len(self._eligible))
        self._layouts: dict[str, SessionLayout] = {}
        steps = tf.TensorSpec([None, None], tf.int32)
        self._rank_all = tf.function(
            self._rank_steps, input_signature=[steps, steps, tf.TensorSpec([None, None], tf.bool)]
        )

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what can be measured."""
        return ("validation", "test", *self._split.variants)

    def evaluate(self, part: str) -> dict[str, float]:
        """Return ``recall@K``, the same number as ``hr@K``, and ``mrr@K`` of one of `parts`.

        Raises:
            DataError: the part has no session of two events, or a score is not a number.
        """
        ranks = self.ranks(part)
        metrics: dict[str, float] = {}
        for cutoff in self._cutoffs:
            hits = ranks <= cutoff
            recall = float(np.mean(hits))
            metrics |= {f"recall@{cutoff}": recall, f"hr@{cutoff}": recall}
            metrics[f"mrr@{cutoff}"] = float(np.mean(np.where(hits, 1.0 / ranks, 0.0)))
        return metrics

    def cases(self, part: str) -> Cases:
        """Return the metrics of every event, in the order of the evaluator's own steps."""
        ranks = self.ranks(part)
        metrics: dict[str, tuple[NDArray, Figure]] = {}
        for cutoff in self._cutoffs:
            hits = (ranks <= cutoff).astype(np.float64)
            metrics |= {f"recall@{cutoff}": (hits, mean_itself), f"mrr@{cutoff}": (hits / ranks, mean_itself)}
        variants = self._split.variants
        events = variants[part] if part in variants else getattr(self._split, part)
        keys = np.stack([events.user_id, events.item_id], axis=1)
        return Cases("events", keys, _sessions(self._layouts[part]), metrics)

    def validate(self) -> dict[str, float]:
        """Return the metrics of the validation part."""
        return self.evaluate("validation")

    def ranks(self, part: str) -> NDArray[np.int64]:
        """Return the rank of every case of a part, from 1, int64 ``[n]``, in no particular order."""
        if part not in self._layouts:
            variants = self._split.variants
            # With very many items, fewer sessions at a time keep the scores small in memory.
            slots = int(np.clip(SCORES_PER_STEP // max(1, len(self._eligible)), 1, SLOTS))
            self._layouts[part] = _layout(
                variants[part] if part in variants else getattr(self._split, part), slots
            )
        layout = self._layouts[part]
        ranks = self._rank_all(layout.current, self._column[layout.target], layout.reset).numpy()
        ranks = ranks[layout.active].astype(np.int64)
        if (ranks < 1).any():
            raise DataError("Next-item metrics need finite scores.")
        return ranks

    def _rank_steps(self, current: tf.Tensor, column: tf.Tensor, reset: tf.Tensor) -> tf.Tensor:
        """Return ranks int32 ``[T, B]`` of the targets, given by column; 0 where a score is not finite."""
        steps = tf.shape(current)[0]
        states = tuple(tf.zeros([tf.shape(current)[1], width]) for width in self._widths)
        ranks = tf.TensorArray(tf.int32, size=steps)

        def one_step(step: tf.Tensor, states: State, ranks: tf.TensorArray) -> Any:
            kept = tf.cast(~reset[step], tf.float32)[:, tf.newaxis]
            states = self._scorer.advance(current[step], tuple(state * kept for state in states))
            scores = self._item_scores.of(states[-1], tf.constant(self._eligible))
            return step + 1, states, ranks.write(step, _ranks(scores, column[step]))

        _, _, ranks = tf.while_loop(lambda step, *_: step < steps, one_step, (tf.constant(0), states, ranks))
        return ranks.stack()


def _ranks(scores: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
    """Return the rank of one column a row, equal scores before it; past all others if it is no column."""
    width = tf.shape(scores)[1]
    target = tf.gather(scores, tf.minimum(column, width - 1), axis=1, batch_dims=1)
    rank = tf.math.count_nonzero(scores >= target[:, tf.newaxis], axis=1, dtype=tf.int32)
    finite = tf.math.is_finite(tf.reduce_sum(scores, axis=1))
    return tf.where(finite, tf.where(column < width, rank, width + 1), 0)


def _sessions(layout: SessionLayout) -> NDArray[np.int64]:
    """Return a number for the session of every case, int64 ``[n]``, in the order of the steps."""
    slots = layout.reset.shape[1]
    number = np.cumsum(layout.reset, axis=0) * slots + np.arange(slots)
    found: NDArray[np.int64] = number[layout.active]
    return found


def _layout(part: Interactions, slots: int) -> SessionLayout:
    sessions = Sessions.of(part)
    if not (sessions.lengths > 1).any():
        raise DataError(f"The part '{part.name}' has no session of two events, so nothing to predict.")
    # The longest first, so that no slot is left alone with a long session at the end.
    longest = np.argsort(-sessions.lengths, kind="stable")
    return SessionLayout.of(sessions.take(longest), min(slots, len(sessions)))
