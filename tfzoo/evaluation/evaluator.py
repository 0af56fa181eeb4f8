"""From a trained model and a part of the data to the numbers of the protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import keras

from tfzoo.data.splits import Split
from tfzoo.discovery import Registry
from tfzoo.evaluation.cases import Cases


class Evaluator(Protocol):
    """Measures a model on parts of the data; its weights may change between two calls."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what can be measured."""

    @property
    def protocol(self) -> str:
        """How candidates are ranked, for the protocol line; empty where nothing is ranked."""

    def evaluate(self, part: str) -> dict[str, float]:
        """Return the metrics of one of `parts`; raises `DataError` where a score is no number."""

    def cases(self, part: str) -> Cases:
        """Return the single test cases of a part, for paired comparisons."""

    def validate(self) -> dict[str, float]:
        """Return what every epoch of a training is judged by, on the validation part."""


EVALUATORS: Registry[Callable[..., Evaluator]] = Registry("evaluator", "tfzoo.evaluation")


def build_evaluator(task: Any, model: keras.Model, features: Any, split: Split) -> Evaluator:
    """Return the evaluator that the task asks for.

    Args:
        task: the learning problem, with its settings.
        model: the model to measure.
        features: from the task.
        split: the parts.
    """
    return EVALUATORS[task.evaluation](task, model, features, split)
