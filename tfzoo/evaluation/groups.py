"""Where a model errs: its figures by how much training knows of the user or of the item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Split
from tfzoo.errors import DataError
from tfzoo.evaluation.cases import Figure, mean_itself
from tfzoo.evaluation.ranking import SCORES_PER_CALL, interaction_rows, part_of_training

GROUPS = 6
# Half the width of a 95 % interval, in standard errors.
NORMAL = 1.96


@dataclass(frozen=True)
class Groups:
    """Test cases by a count, such as the number of training ratings of their item.

    Attributes:
        low: smallest count of each group, int64 ``[G]``, rising.
        high: largest count of each group, int64 ``[G]``.
        sizes: cases of each group, int64 ``[G]``.
        index: group of each case, int64 ``[n]``.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    sizes: NDArray[np.int64]
    index: NDArray[np.int64]

    @property
    def labels(self) -> list[str]:
        """What to write at an axis: the counts of each group, and its number of cases."""
        return [
            f"{low:,}{'' if low == high else f'-{high:,}'}\n({size:,})"
            for low, high, size in zip(self.low, self.high, self.sizes, strict=True)
        ]

    def of(self, counts: ArrayLike) -> NDArray[np.int64]:
        """Return the groups of other counts, int64; one between two groups goes to the upper one."""
        return np.searchsorted(self.high, counts).clip(max=len(self.high) - 1)


@dataclass(frozen=True)
class GroupFigures:
    """A figure of each group, float64 ``[G]``, and the ends of its 95 % interval (nan for one case)."""

    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def equal_groups(counts: ArrayLike, groups: int = GROUPS) -> Groups:
    """Divide cases into groups of about as many cases each; equal counts are never divided.

    Args:
        counts: int ``[n]``, one a case.
        groups: how many at most; where many counts are equal there are fewer.

    Returns:
        The groups, by rising count.

    Raises:
        DataError: there is no case.
    """
    counts = np.asarray(counts, np.int64)
    if counts.ndim != 1 or len(counts) == 0:
        raise DataError(f"Groups need at least one case, one count a case. Received shape {counts.shape}.")
    values, inverse, sizes = np.unique(counts, return_inverse=True, return_counts=True)
    # The middle of all cases of one count decides where they all go.
    middle = np.cumsum(sizes) - sizes / 2
    _, group = np.unique((middle * groups / len(counts)).astype(np.int64), return_inverse=True)
    first = np.searchsorted(group, np.arange(group[-1] + 1))
    last = np.append(first[1:], len(values)) - 1
    index = group[inverse]
    return Groups(values[first], values[last], np.bincount(index), index)


def group_figures(values: ArrayLike, groups: Groups, figure: Figure = mean_itself) -> GroupFigures:
    """Return a figure of each group with its 95 % interval.

    The interval is that of the mean by its standard error, the cases taken as independent, with
    ``figure`` applied to its ends.

    Args:
        values: float ``[n]``, one a case, such as squared errors; not negative.
        groups: of the same cases.
        figure: from the mean to the figure, such as the root.

    Raises:
        DataError: there are not as many values as cases, or one is not finite.
    """
    values = np.asarray(values, np.float64)
    if values.shape != groups.index.shape or not np.isfinite(values).all():
        raise DataError(
            f"Figures of groups need one finite value a case. Received shape {values.shape}, expected "
            f"{groups.index.shape}."
        )
    means = np.bincount(groups.index, values) / groups.sizes
    squares = np.bincount(groups.index, np.square(values - means[groups.index]))
    with np.errstate(invalid="ignore"):
        errors = NORMAL * np.sqrt(squares / (groups.sizes - 1) / groups.sizes)
    return GroupFigures(figure(means), figure(np.maximum(means - errors, 0.0)), figure(means + errors))


def group_shares(counts: ArrayLike, weights: ArrayLike, groups: Groups) -> NDArray[np.float64]:
    """Return which share of something falls on each group, float64 ``[G]``.

    Args:
        counts: int ``[n]``, such as the training interactions of each item.
        weights: ``[n]``, such as how often each item was recommended.
        groups: by the same kind of count.
    """
    weights = np.asarray(weights, np.float64)
    return np.bincount(groups.of(counts), weights, len(groups.sizes)) / weights.sum()


def known_counts(split: Split) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how often the model has seen each user, ``[num_users + 1]``, and each item, ``[num_items + 1]``.

    Users are counted with what they are folded in by; items in the training part alone.
    """
    folded = 0 if split.fold_in is None else split.fold_in.user_counts()
    return split.train.user_counts() + folded, split.train.item_counts()


def recommendation_counts(
    scorer: Any, users: NDArray[np.int32], known: list[Interactions], k: int, *, rank_known: bool = False
) -> NDArray[np.int64]:
    """Count how often each item stands in the users' lists of ``k``, items they are known to have left out.

    Args:
        scorer: from the task.
        users: dense user ids, int32 ``[n]``.
        known: what is not recommended again; of the first part, the training part, items are
            recommended at all.
        k: length of the lists.
        rank_known: recommend known items too.

    Returns:
        int64 ``[num_items + 1]``, 0 for the unknown item.
    """
    eligible, seen = part_of_training(known[0]), interaction_rows(known)
    score, counts = tf.function(scorer.score_items), np.zeros(len(eligible), np.int64)
    size = int(np.clip(SCORES_PER_CALL // len(eligible), 1, len(users)))
    for first in range(0, len(users), size):
        chosen = tf.constant(users[first : first + size], tf.int32)
        allowed = eligible & (rank_known | (seen.dense(chosen).numpy() == 0))
        scores = np.where(allowed, score(chosen).numpy(), -np.inf)
        top = np.argpartition(-scores, min(k, scores.shape[1] - 1), axis=1)[:, :k]
        counts += np.bincount(top[np.take_along_axis(allowed, top, axis=1)], minlength=len(eligible))
    return counts
