"""The test cases of a model, one value a case, for paired comparisons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Figure = Callable[[NDArray], NDArray]


@dataclass(frozen=True)
class Cases:
    """Values of single test cases, whose mean gives a metric.

    Attributes:
        unit: what a case is, in the plural: ``ratings``, ``users`` or ``events``.
        keys: identifies the cases and what is relevant in them; two models are compared where
            their keys are equal.
        metrics: metric name -> values ``[n]`` and the function from their mean to the metric.
    """

    unit: str
    keys: NDArray
    metrics: Mapping[str, tuple[NDArray, Figure]]


def mean_itself(means: NDArray) -> NDArray:
    """Return the means: the metric is the mean of its cases."""
    return means


def root(means: NDArray) -> NDArray:
    """Return the roots of the means: the metric is a root mean square."""
    roots: NDArray = np.sqrt(means)
    return roots
