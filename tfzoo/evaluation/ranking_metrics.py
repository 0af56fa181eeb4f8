"""Ranking metrics as pure functions of hits in ranked lists. Empty input is an error, not a number.

Every metric of one user list is a number in [0, 1], float64; `ranking_metrics` takes their mean
over users. Where definitions differ, the name says which one: `recall` and `average_precision`
divide by all relevant items, their ``_min`` forms by no more than the list can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfzoo.errors import DataError, UsageError

Metric = Callable[[ArrayLike, ArrayLike, int], NDArray[np.float64]]


def ranking_metrics(hits: ArrayLike, num_relevant: ArrayLike, cutoffs: Iterable[int]) -> dict[str, float]:
    """Return the mean over users of every metric at every cutoff.

    Args:
        hits: bool ``[n, K]``: is the item at this rank of the user's list, best first, relevant?
        num_relevant: int ``[n]``: number of relevant items of the user, in the list or not;
            at least 1.
        cutoffs: lengths of the list to look at, each in ``1..K``.

    Returns:
        ``{"hr@10": ..., "ndcg@10": ...}`` with the names of `METRICS`.

    Raises:
        DataError: there is no user, a user has no relevant item or fewer than hits, or the
            shapes do not fit.
        UsageError: a cutoff is not a whole number in ``1..K``.
    """
    each = ranking_metrics_per_user(hits, num_relevant, cutoffs)
    return {name: float(np.mean(values)) for name, values in each.items()}


def ranking_metrics_per_user(
    hits: ArrayLike, num_relevant: ArrayLike, cutoffs: Iterable[int]
) -> dict[str, NDArray[np.float64]]:
    """Return the values ``[n]`` that `ranking_metrics` averages; same arguments and errors."""
    at = list(dict.fromkeys(cutoffs))
    return {f"{name}@{k}": metric(hits, num_relevant, k) for name, metric in METRICS.items() for k in at}


def hit_rate(hits: ArrayLike, num_relevant: ArrayLike, cutoff: int) -> NDArray[np.float64]:
    """Is there a relevant item among the first ``cutoff``?

    Arguments and errors of this and all following functions are those of `ranking_metrics`,
    for one cutoff.

    Returns:
        float64 ``[n]``, one value a user.
    """
    head, _ = _checked(hits, num_relevant, cutoff)
    return np.asarray(head.any(axis=1), np.float64)


def ndcg(hits: ArrayLike, num_relevant: ArrayLike, cutoff: int) -> NDArray[np.float64]:
    """Sum of ``1 / log2(rank + 1)`` over the hits, divided by that of a perfect list.

    A perfect list of length ``cutoff`` holds ``min(cutoff, num_relevant)`` relevant items.
    """
    head, relevant = _checked(hits, num_relevant, cutoff)
    gain = 1 / np.log2(np.arange(2, cutoff + 2))
    # A running sum, in one order for both, so that a perfect list gives exactly 1.
    best = np.cumsum(gain)[np.minimum(relevant, cutoff) - 1]
    return np.cumsum(head * gain, axis=1)[:, -1] / best


def precision(hits: ArrayLike, num_relevant: ArrayLike, cutoff: int) -> NDArray[np.float64]:
    """Share of relevant items among the first ``cutoff``."""
    head, _ = _checked(hits, num_relevant, cutoff)
    return head.sum(axis=1) / cutoff


def recall(hits: ArrayLike, num_relevant: ArrayLike, cutoff: int) -> NDArray[np.float64]:
    """Share of all relevant items that are among the first ``cutoff``."""
    head, relevant = _checked(hits, num_relevant, cutoff)
    return head.sum(axis=1) / relevant


def recall_min(hits: ArrayLike, num_relevant: ArrayLike, cutoff: int) -> NDArray[np.float64]:
    """Relevant items among the first ``cutoff``, divided by ``min(cutoff, num_relevant)``."""
    head, relevant = _checked(hits, num_relevant, cutoff)
    return head.sum(axis=1) / np.minimum(relevant, cutoff)


def f1(hits: ArrayLike, num_relevant: ArrayLike, cutoff: int) -> NDArray[np.float64]:
    """Harmonic mean of `precision` and `recall` of the list, 0 where it has no hit."""
    head, relevant = _checked(hits, num_relevant, cutoff)
    # 2 p r / (p + r) with p = hits / K and r = hits / relevant.
    return 2 * head.sum(axis=1) / (cutoff + relevant)


def average_precision(hits: ArrayLike, num_relevant: ArrayLike, cutoff: int) -> NDArray[np.float64]:
    """Sum of the precision at the rank of each hit, divided by ``num_relevant``."""
    head, relevant = _checked(hits, num_relevant, cutoff)
    return _precision_at_hits(head) / relevant


def average_precision_min(hits: ArrayLike, num_relevant: ArrayLike, cutoff: int) -> NDArray[np.float64]:
    """Sum of the precision at the rank of each hit, divided by ``min(cutoff, num_relevant)``."""
    head, relevant = _checked(hits, num_relevant, cutoff)
    return _precision_at_hits(head) / np.minimum(relevant, cutoff)


def reciprocal_rank(hits: ArrayLike, num_relevant: ArrayLike, cutoff: int) -> NDArray[np.float64]:
    """One over the rank of the first hit among the first ``cutoff``, 0 where there is none."""
    head, _ = _checked(hits, num_relevant, cutoff)
    return np.where(head.any(axis=1), 1 / (head.argmax(axis=1) + 1), 0.0)


METRICS: dict[str, Metric] = {
    "hr": hit_rate,
    "ndcg": ndcg,
    "precision": precision,
    "recall": recall,
    "recall_min": recall_min,
    "f1": f1,
    "map": average_precision,
    "map_min": average_precision_min,
    "mrr": reciprocal_rank,
}


def _precision_at_hits(head: NDArray[np.bool_]) -> NDArray[np.float64]:
    precisions = np.cumsum(head, axis=1) / np.arange(1, head.shape[1] + 1)
    return np.sum(precisions * head, axis=1)


def _checked(
    hits: ArrayLike, num_relevant: ArrayLike, cutoff: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return the first ``cutoff`` columns of ``hits``, and ``num_relevant``."""
    lists, relevant = np.asarray(hits), np.asarray(num_relevant)
    if lists.ndim != 2 or lists.dtype != np.bool_ or relevant.shape != lists.shape[:1]:
        raise DataError(
            "Ranking metrics need hits bool [n, K] and num_relevant [n]. "
            f"Received {lists.dtype} {lists.shape} and {relevant.shape}."
        )
    if len(lists) == 0:
        raise DataError("Ranking metrics need at least one user. Received none.")
    if relevant.dtype.kind not in "iu" or (relevant < np.maximum(lists.sum(axis=1), 1)).any():
        raise DataError(
            "Every user needs at least one relevant item, and no fewer than hits. "
            f"Received num_relevant from {relevant.min()} to {relevant.max()}."
        )
    if not isinstance(cutoff, (int, np.integer)) or not 1 <= cutoff <= lists.shape[1]:
        raise UsageError(
            f"A cutoff must be a whole number from 1 to {lists.shape[1]}, the length of the ranked lists. "
            f"Received {cutoff}."
        )
    return lists[:, :cutoff], relevant.astype(np.int64)
