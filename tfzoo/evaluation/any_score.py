"""Measures ranked lists of anything that scores, by the protocol of models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from tfzoo.data.splits import Split
from tfzoo.errors import DataError
from tfzoo.evaluation.ranking import RankingEvaluator, part_of
from tfzoo.problems.ranking import RankingSettings
from tfzoo.tasks.base import Scorer

Score = Callable[[NDArray[np.int32], NDArray[np.int32]], ArrayLike]

USERS_PER_CALL = 1024


def evaluate_ranking(
    score: Score, split: Split, cutoffs: Sequence[int] = (10,), *, part: str = "test"
) -> dict[str, float]:
    """Measure the ranked lists of any function that scores items for users.

    The candidates are those of `RankingEvaluator`, as for the models of tfzoo: each user's negatives where
    the split has some, else all items of the training part that the user is not known to have. Ties count
    against the function. The scores of all items for the users of the part are kept in memory.

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
    users = np.unique(part_of(split, part).user_id)
    scorer = _Table(users, _all_scores(score, users, split.train.num_items), split.train.num_users)
    task = _AnyTask(RankingSettings(cutoffs=tuple(cutoffs), monitor=f"ndcg@{cutoffs[0]}"), scorer)
    return RankingEvaluator(task, None, None, split).evaluate(part)  # type: ignore[arg-type]


def _all_scores(score: Score, users: NDArray, num_items: int) -> NDArray[np.float32]:
    """Return the scores of all items, float32 ``[users, num_items + 1]``, 0 for the unknown one."""
    items = np.arange(1, num_items + 1, dtype=np.int32)
    scores = np.zeros((len(users), num_items + 1), np.float32)
    for first in range(0, len(users), USERS_PER_CALL):
        asked = users[first : first + USERS_PER_CALL]
        candidates = np.broadcast_to(items, (len(asked), num_items))
        found = np.asarray(score(asked, candidates), np.float32)
        if found.shape != candidates.shape:
            raise DataError(f"score must return numbers {candidates.shape}. Received {found.shape}.")
        scores[first : first + USERS_PER_CALL, 1:] = found
    return scores


@dataclass(frozen=True)
class _AnyTask:
    """What `RankingEvaluator` asks a task for."""

    settings: RankingSettings
    of_any: _Table

    def scorer(self, model: None, features: None) -> _Table:
        return self.of_any


class _Table(Scorer):
    """Looks scores up that were worked out before, so that no graph has to call Python."""

    def __init__(self, users: NDArray, scores: NDArray[np.float32], num_users: int) -> None:
        super().__init__()
        place = np.zeros(num_users + 1, np.int32)
        place[users] = np.arange(len(users))
        self._place, self._scores = tf.constant(place), tf.constant(scores)

    def score_items(self, user_id: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._scores, tf.gather(self._place, user_id))
