"""From a trained model and a part of the data to the numbers of the protocol."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.interactions import Interactions
from tfzoo.evaluation.metrics import mae, rmse, rmse_user_mean

Predict = Callable[[Interactions], NDArray[np.float32]]

HEADLINE = "rmse and mae are of predictions clipped to the rating scale, pooled over all pairs"


def evaluate_ratings(
    predict: Predict, pairs: Interactions, rating_scale: tuple[float, float]
) -> dict[str, float]:
    """Measure rating predictions.

    Args:
        predict: from `RatingTask.predictor`.
        pairs: interactions with ratings.
        rating_scale: lowest and highest rating; the headline figures are of predictions
            clipped to it.

    Returns:
        ``rmse`` and ``mae`` (clipped), ``rmse_unclipped`` and ``mae_unclipped``,
        ``rmse_rounded`` and ``mae_rounded`` (to whole ratings) and ``rmse_user_mean``.

    Raises:
        DataError: ``pairs`` is empty or a prediction is not finite.
    """
    truth, raw = pairs.ratings, predict(pairs)
    clipped = np.clip(raw, *rating_scale)
    rounded = np.clip(np.rint(raw), *rating_scale)
    return {
        "rmse": rmse(truth, clipped),
        "mae": mae(truth, clipped),
        "rmse_unclipped": rmse(truth, raw),
        "mae_unclipped": mae(truth, raw),
        "rmse_rounded": rmse(truth, rounded),
        "mae_rounded": mae(truth, rounded),
        "rmse_user_mean": rmse_user_mean(truth, clipped, pairs.user_id),
    }


def validate_ratings(
    predict: Predict, pairs: Interactions, rating_scale: tuple[float, float]
) -> dict[str, float]:
    """Return only ``rmse`` and ``mae`` of `evaluate_ratings`, for every epoch of a training."""
    clipped = np.clip(predict(pairs), *rating_scale)
    return {"rmse": rmse(pairs.ratings, clipped), "mae": mae(pairs.ratings, clipped)}
