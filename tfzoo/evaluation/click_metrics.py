"""Metrics of predicted clicks as pure functions of arrays. Empty input is an error, not a number."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfzoo.errors import DataError


def auc(label: ArrayLike, score: ArrayLike) -> float:
    """Area under the ROC curve: how often a click has the higher score of a pair with a non-click.

    Counted exactly over all pairs; equal scores count half.

    Args:
        label: 1 for a click and 0 for none, ``[n]``.
        score: any numbers that rise with the chance of a click, ``[n]``.

    Returns:
        A number from 0 to 1.

    Raises:
        DataError: the arrays differ in shape or hold a value that is not finite, or there are not both
            clicks and non-clicks.
    """
    clicked, scores = _checked(label, score)
    clicks = int(clicked.sum())
    others = len(clicked) - clicks
    if clicks == 0 or others == 0:
        raise DataError(f"AUC needs clicks and non-clicks. Received {clicks} and {others}.")
    # Whole numbers up to n squared are exact in Python; halves are avoided by counting twice.
    _, group = np.unique(scores, return_inverse=True)
    of_clicks = np.bincount(group, clicked).astype(np.int64)
    of_others = np.bincount(group).astype(np.int64) - of_clicks
    below = np.cumsum(of_others) - of_others
    twice = int(np.sum(of_clicks * (2 * below + of_others)))
    return twice / (2 * clicks * others)


def log_losses(label: ArrayLike, logit: ArrayLike) -> NDArray[np.float64]:
    """Return the binary cross-entropy of each impression, ``[n]``, of logits and not of probabilities.

    Args:
        label: 1 for a click and 0 for none, ``[n]``.
        logit: logarithm of the predicted odds, ``[n]``.

    Raises:
        DataError: the arrays are empty, differ in shape or hold a value that is not finite.
    """
    clicked, logits = _checked(label, logit)
    losses: NDArray[np.float64] = np.logaddexp(0.0, logits) - clicked * logits
    return losses


def log_loss(label: ArrayLike, logit: ArrayLike) -> float:
    """Return the mean of `log_losses`."""
    return float(np.mean(log_losses(label, logit)))


def _checked(label: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    clicked, scores = np.asarray(label, np.float64), np.asarray(score, np.float64)
    if clicked.shape != scores.shape or clicked.ndim != 1 or clicked.size == 0:
        raise DataError(
            "Metrics of clicks need as many scores as labels, and at least one. "
            f"Received shapes {scores.shape} and {clicked.shape}."
        )
    if not np.isin(clicked, (0, 1)).all():
        raise DataError("Labels of clicks must be 0 or 1.")
    if not np.isfinite(scores).all():
        raise DataError("Metrics of clicks need finite scores.")
    return clicked, scores
