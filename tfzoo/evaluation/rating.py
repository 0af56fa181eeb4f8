"""Errors of predicted ratings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Split
from tfzoo.evaluation.cases import Cases, mean_itself, root
from tfzoo.evaluation.evaluator import EVALUATORS
from tfzoo.evaluation.metrics import mae, rmse, rmse_user_mean

Predict = Callable[[Interactions], NDArray[np.float32]]


@EVALUATORS.register("rating")
class RatingEvaluator:
    """Measures predicted ratings, clipped to the scale of the training part.

    Args:
        task: gives the predictor and the scale.
        model: the model to measure.
        features: from the task.
        split: the parts.
    """

    def __init__(self, task: Any, model: keras.Model, features: Any, split: Split) -> None:
        self._predict: Predict = task.predictor(model, features)
        train = split.train
        observed = (float(train.ratings.min()), float(train.ratings.max()))
        self._scale, self._split = train.rating_scale or observed, split
        self.protocol = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what can be measured."""
        return ("train", "validation", "test", *self._split.variants)

    def evaluate(self, part: str) -> dict[str, float]:
        """Return the metrics of one of `parts`, see `evaluate_ratings`."""
        return evaluate_ratings(self._predict, self._pairs(part), self._scale)

    def cases(self, part: str) -> Cases:
        """Return squared and absolute errors of the clipped predictions."""
        pairs = self._pairs(part)
        errors = np.clip(self._predict(pairs), *self._scale).astype(np.float64) - pairs.ratings
        keys = np.stack([pairs.user_id, pairs.item_id], axis=1)
        metrics = {"rmse": (np.square(errors), root), "mae": (np.abs(errors), mean_itself)}
        return Cases("ratings", keys, pairs.user_id, metrics)

    def _pairs(self, part: str) -> Interactions:
        variants = self._split.variants
        pairs: Interactions = variants[part] if part in variants else getattr(self._split, part)
        return pairs

    def validate(self) -> dict[str, float]:
        """Return ``rmse`` and ``mae`` of the validation part."""
        return validate_ratings(self._predict, self._split.validation, self._scale)


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
