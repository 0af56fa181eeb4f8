"""Evaluation of predicted clicks."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzoo.data.splits import Split
from tfzoo.evaluation.cases import Cases, mean_itself
from tfzoo.evaluation.click_metrics import auc, log_loss, log_losses
from tfzoo.evaluation.evaluator import EVALUATORS


@EVALUATORS.register("click")
class ClickEvaluator:
    """Measures the logits of impressions.

    Args:
        task: gives the predictor.
        model: the model to measure.
        features: from the task.
        split: the parts, click logs.
    """

    def __init__(self, task: Any, model: keras.Model, features: Any, split: Split) -> None:
        self._predict, self._split = task.predictor(model, features), split
        train: Any = split.train
        rate = float(train.label.mean(dtype=np.float64))
        self._constant = math.log(rate / (1 - rate))
        self.protocol = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what can be measured."""
        return ("train", "validation", "test", *self._split.variants)

    def evaluate(self, part: str) -> dict[str, float]:
        """Return ``auc``, ``log_loss`` and ``log_loss_constant``.

        The last one is the log loss of the training click rate for every impression: what a model must beat.
        """
        label, logit = self._measured(part)
        constant = log_loss(label, np.full(len(label), self._constant))
        return {"auc": auc(label, logit), "log_loss": log_loss(label, logit), "log_loss_constant": constant}

    def cases(self, part: str) -> Cases:
        """Return the log loss of every impression; AUC is of pairs, not of single ones."""
        label, logit = self._measured(part)
        # A click log need not say whose an impression is: each stands for itself.
        number = np.arange(len(label))
        keys = np.stack([number, label.astype(np.int64)], axis=1)
        return Cases("impressions", keys, number, {"log_loss": (log_losses(label, logit), mean_itself)})

    def validate(self) -> dict[str, float]:
        """Return ``auc`` and ``log_loss`` of the validation part."""
        label, logit = self._measured("validation")
        return {"auc": auc(label, logit), "log_loss": log_loss(label, logit)}

    def _measured(self, part: str) -> tuple[NDArray, NDArray]:
        variants: Any = self._split.variants
        log: Any = variants[part] if part in variants else getattr(self._split, part)
        return log.label, self._predict(log)
