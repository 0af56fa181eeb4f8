"""Measures ranked lists of anything that scores, by the protocol of models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from tfzoo.data.splits import Split
from tfzoo.errors import DataError
from tfzoo.evaluation.ranking import RankingEvaluator
from tfzoo.problems.ranking import RankingSettings
from tfzoo.tasks.base import Scorer

Score = Callable[[NDArray[np.int32], NDArray[np.int32]], ArrayLike]


def evaluate_ranking(
    score: Score, split: Split, cutoffs: Sequence[int] = (10,), *, part: str = "test"
) -> dict[str, float]:
    """Measure the ranked lists of any function that scores items for users.

    The candidates are those of `RankingEvaluator`, as for the models of tfzoo: each user's negatives where
    the split has some, else all items of the training part that the user is not known to have. Ties count
    against the function.

    Args:
        score: called with dense user ids int32 ``[B]`` and dense item ids int32 ``[B, C]``, 1 and above;
            returns numbers ``[B, C]``, the higher the better.
        split: the parts of the data.
        cutoffs: lengths of the lists to look at.
        part: ``"test"`` or ``"validation"``.

    Returns:
        ``{"ndcg@10": ...}``, means over the users of the part, see `ranking_metrics`.

    Raises:
        DataError: the scores have another shape, or one is not a number.
    """
    scorer = _AnyScorer(score, split.train.num_items)
    task = _AnyTask(RankingSettings(cutoffs=tuple(cutoffs), monitor=f"ndcg@{cutoffs[0]}"), scorer)
    try:
        return RankingEvaluator(task, None, None, split).evaluate(part)  # type: ignore[arg-type]
    except tf.errors.OpError:
        # TensorFlow hides what went wrong in a function of Python.
        if scorer.error is None:
            raise
        raise scorer.error from None


@dataclass(frozen=True)
class _AnyTask:
    """What `RankingEvaluator` asks a task for."""

    settings: RankingSettings
    of_any: _AnyScorer

    def scorer(self, model: None, features: None) -> _AnyScorer:
        return self.of_any


class _AnyScorer(Scorer):
    """Calls a function of NumPy arrays from the graphs of the evaluator."""

    def __init__(self, score: Score, num_items: int) -> None:
        super().__init__()
        self._score, self._num_items = score, num_items
        self.error: Exception | None = None

    def score_items(self, user_id: tf.Tensor) -> tf.Tensor:
        items = tf.repeat(tf.range(self._num_items + 1)[tf.newaxis], tf.shape(user_id)[0], axis=0)
        return self.score_candidates(user_id, tf.ensure_shape(items, [user_id.shape[0], self._num_items + 1]))

    def score_candidates(self, user_id: tf.Tensor, item_id: tf.Tensor) -> tf.Tensor:
        # What is no item is never ranked, and asked as one that there is.
        scores = tf.numpy_function(self._called, [user_id, tf.maximum(item_id, 1)], tf.float32)
        return tf.ensure_shape(scores, item_id.shape)

    def _called(self, users: NDArray, items: NDArray) -> NDArray[np.float32]:
        try:
            scores: NDArray[np.float32] = np.asarray(self._score(users, items), np.float32)
            if scores.shape != items.shape:
                raise DataError(f"score must return numbers {items.shape}. Received {scores.shape}.")
        except Exception as error:
            self.error = error
            raise
        return scores
