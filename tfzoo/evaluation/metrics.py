"""Rating metrics as pure functions of arrays. Empty input is an error, not a number."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfzoo.errors import DataError


def rmse(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Root of the mean squared error over all pairs (not a mean over batches or users).

    Args:
        truth: ratings ``[n]``.
        predicted: predictions ``[n]``.

    Returns:
        The error in units of the rating.

    Raises:
        DataError: the arrays are empty, differ in shape, or hold a value that is not finite.
    """
    return float(np.sqrt(np.mean(np.square(_errors(truth, predicted)))))


def mae(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Mean absolute error over all pairs; arguments and errors as for `rmse`."""
    return float(np.mean(np.abs(_errors(truth, predicted))))


def rmse_user_mean(truth: ArrayLike, predicted: ArrayLike, user_id: ArrayLike) -> float:
    """Mean over users of each user's own RMSE, as some libraries report.

    It is lower than `rmse` by about 0.025 on MovieLens and must not be compared with it.

    Args:
        truth: ratings ``[n]``.
        predicted: predictions ``[n]``.
        user_id: int ``[n]``.

    Returns:
        The mean over the users that occur.
    """
    squares = np.square(_errors(truth, predicted))
    users, index = np.unique(np.asarray(user_id), return_inverse=True)
    means = np.bincount(index, squares, len(users)) / np.bincount(index, minlength=len(users))
    return float(np.mean(np.sqrt(means)))


def _errors(truth: ArrayLike, predicted: ArrayLike) -> NDArray[np.float64]:
    actual = np.asarray(truth, np.float64)
    estimate = np.asarray(predicted, np.float64)
    if actual.shape != estimate.shape or actual.size == 0:
        raise DataError(
            "Metrics need as many predictions as ratings, and at least one. "
            f"Received shapes {estimate.shape} and {actual.shape}."
        )
    if not (np.isfinite(actual).all() and np.isfinite(estimate).all()):
        raise DataError("Metrics need finite ratings and predictions.")
    return estimate - actual
