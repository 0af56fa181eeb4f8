"""Metrics of scores: functions of arrays, and Keras metrics for `compile` and `evaluate`.

Labels and scores of ranked lists are ``[n, C]``, a row for each user and a column for each candidate: 1 marks
a relevant item, 0 another, and a negative number an item that is not ranked, such as the unknown one or one
that the user is known to have. A user without a relevant item does not count.

Ties count against the model: of equal scores relevant items come last. A model that gives one score to all
items thus finds nothing, where an order by columns would find what happens to stand first.

The figures of recommendations that `tfzoo train` reports are `ranking_metrics` of hits, and the same.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from tfzoo.errors import DataError
from tfzoo.evaluation.click_metrics import auc, log_loss
from tfzoo.evaluation.metrics import mae, rmse, rmse_user_mean
from tfzoo.evaluation.ranking_metrics import ranking_metrics, ranking_metrics_per_user

__all__ = [
    "NDCG",
    "HitRate",
    "MeanAveragePrecision",
    "Precision",
    "Recall",
    "ReciprocalRank",
    "auc",
    "hits_of",
    "log_loss",
    "mae",
    "metrics_of_scores",
    "ranking_metrics",
    "ranking_metrics_per_user",
    "rmse",
    "rmse_user_mean",
]


def metrics_of_scores(
    labels: ArrayLike, scores: ArrayLike, cutoffs: Iterable[int] = (10,)
) -> dict[str, float]:
    """Return every metric of ranked lists at every cutoff, means over users.

    Args:
        labels: ``[n, C]``: 1, 0, or negative, see above.
        scores: ``[n, C]``, finite.
        cutoffs: lengths of the list to look at, each in ``1..C``.

    Returns:
        ``{"hr@10": ..., "ndcg@10": ...}``: hit rate, NDCG, precision, recall, F1, average precision and
        reciprocal rank, see `ranking_metrics`.

    Raises:
        DataError: shapes do not fit, a score is not finite, or no user has a relevant item.
        UsageError: a cutoff is not a whole number in ``1..C``.
    """
    return ranking_metrics(*hits_of(labels, scores), cutoffs)


def hits_of(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return the lists that scores make, of the users with a relevant item.

    Args:
        labels: see `metrics_of_scores`.
        scores: see `metrics_of_scores`.

    Returns:
        Bool ``[m, C]``: is the item at this rank relevant? And int64 ``[m]``: how many items are.

    Raises:
        DataError: as `metrics_of_scores`.
    """
    label, score = np.asarray(labels), np.asarray(scores, np.float64)
    if label.shape != score.shape or label.ndim != 2:
        raise DataError(
            f"Metrics need labels and scores [n, C] of one shape. Received {label.shape} and {score.shape}."
        )
    if not np.isfinite(score).all():
        raise DataError("Metrics need finite scores.")
    relevant = label > 0
    # Last key first: what is not ranked comes last, then the score decides, then relevant ones wait.
    order = np.lexsort((relevant, -score, label < 0))
    counted = relevant.any(axis=1)
    return np.take_along_axis(relevant, order, axis=1)[counted], relevant.sum(axis=1)[counted]


class _OfLists(keras.metrics.Metric):
    """The mean over users of a metric of ranked lists.

    Args:
        cutoff: length of the list to look at, at most the number of candidates.
        name: of the metric, such as ``ndcg@10``.
        **kwargs: as for `keras.metrics.Metric`.
    """

    label = ""

    def __init__(self, cutoff: int = 10, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name or f"{self.label}@{cutoff}", **kwargs)
        if cutoff < 1:
            raise ValueError(f"`cutoff` must be at least 1. Received: cutoff={cutoff}")
        self.cutoff = int(cutoff)
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of labels and scores ``[B, C]``, with weights ``[B]`` of the users."""
        labels, scores = ops.convert_to_tensor(y_true), ops.cast(y_pred, "float32")
        relevant = ops.cast(labels > 0, "float32")
        weight = ops.max(relevant, axis=-1)
        if sample_weight is not None:
            weight = weight * ops.cast(sample_weight, "float32")
        # Sorted twice, and stably: relevant items come last among equal scores.
        relevance = ops.argsort(relevant, axis=-1)
        scores = ops.where(labels < 0, -np.inf, scores)
        by_score = ops.argsort(-ops.take_along_axis(scores, relevance, axis=-1), axis=-1)
        order = ops.take_along_axis(relevance, by_score, axis=-1)[:, : self.cutoff]
        hits = ops.take_along_axis(relevant, order, axis=-1)
        values = self.of(hits, ops.maximum(ops.sum(relevant, axis=-1), 1.0))
        self.total.assign_add(ops.sum(values * weight))
        self.count.assign_add(ops.sum(weight))

    @abstractmethod
    def of(self, hits: Any, relevant: Any) -> Any:
        """Return the values ``[B]`` for hits float32 ``[B, K]`` and numbers of relevant items ``[B]``."""

    def result(self) -> Any:
        """Return the mean over the users with a relevant item, 0 where there is none."""
        return ops.divide_no_nan(self.total, self.count)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "cutoff": self.cutoff}


@keras.saving.register_keras_serializable("tfzoo")
class HitRate(_OfLists):
    """Share of users with a relevant item in the list."""

    label = "hr"

    def of(self, hits: Any, relevant: Any) -> Any:
        """Return 1 where there is a hit."""
        return ops.max(hits, axis=-1)


@keras.saving.register_keras_serializable("tfzoo")
class Precision(_OfLists):
    """Share of relevant items in the list."""

    label = "precision"

    def of(self, hits: Any, relevant: Any) -> Any:
        """Return hits divided by the cutoff."""
        return ops.sum(hits, axis=-1) / self.cutoff


@keras.saving.register_keras_serializable("tfzoo")
class Recall(_OfLists):
    """Share of all relevant items that are in the list."""

    label = "recall"

    def of(self, hits: Any, relevant: Any) -> Any:
        """Return hits divided by the relevant items."""
        return ops.sum(hits, axis=-1) / relevant


@keras.saving.register_keras_serializable("tfzoo")
class NDCG(_OfLists):
    """Sum of ``1 / log2(rank + 1)`` over the hits, divided by that of a perfect list."""

    label = "ndcg"

    def of(self, hits: Any, relevant: Any) -> Any:
        """Return discounted hits, divided by those of ``min(cutoff, relevant)`` hits in front."""
        gain = (1 / np.log2(np.arange(2, self.cutoff + 2))).astype("float32")
        best = ops.take(np.cumsum(gain), ops.cast(ops.minimum(relevant, self.cutoff), "int32") - 1)
        return ops.sum(hits * gain[: hits.shape[-1]], axis=-1) / best


@keras.saving.register_keras_serializable("tfzoo")
class MeanAveragePrecision(_OfLists):
    """Sum of the precision at the rank of each hit, divided by all relevant items."""

    label = "map"

    def of(self, hits: Any, relevant: Any) -> Any:
        """Return average precisions."""
        ranks = np.arange(1, self.cutoff + 1, dtype="float32")[: hits.shape[-1]]
        return ops.sum(ops.cumsum(hits, axis=-1) / ranks * hits, axis=-1) / relevant


@keras.saving.register_keras_serializable("tfzoo")
class ReciprocalRank(_OfLists):
    """One over the rank of the first hit in the list, 0 where there is none."""

    label = "mrr"

    def of(self, hits: Any, relevant: Any) -> Any:
        """Return the largest of the hits' reciprocal ranks."""
        ranks = np.arange(1, self.cutoff + 1, dtype="float32")[: hits.shape[-1]]
        return ops.max(hits / ranks, axis=-1)
