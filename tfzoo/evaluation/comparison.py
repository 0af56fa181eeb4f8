"""Whether two models differ by more than the choice of the test cases would explain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfzoo.errors import DataError

RESAMPLES = 2000
CASES_PER_CALL = 2**22


@dataclass(frozen=True)
class Difference:
    """A figure of two models on the same test cases.

    Attributes:
        first: the figure of the first model.
        second: the figure of the second model.
        low: lower end of the 95 % interval of first - second.
        high: its upper end.
        p_value: two-sided, that the difference is 0; from the same resamples.
        cases: number of test cases.
    """

    first: float
    second: float
    low: float
    high: float
    p_value: float
    cases: int


def paired_bootstrap(
    first: ArrayLike,
    second: ArrayLike,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    figure: Callable[[NDArray], NDArray] = lambda means: means,
) -> Difference:
    """Compare two models case by case with the paired bootstrap (Efron, Tibshirani 1993, chapter 16).

    The cases are drawn anew with replacement, the same ones for both models, and the figure of
    each model is computed from its mean over them.

    Args:
        first: value of each test case for the first model, ``[n]``, such as squared errors.
        second: the same for the second model.
        seed: fixes the resamples.
        resamples: how many.
        figure: from the mean to the figure, such as ``np.sqrt`` from squared errors to the RMSE.

    Returns:
        Both figures, and the interval of their difference between the 2.5 % and 97.5 %
        percentiles.

    Raises:
        DataError: the arrays are empty, differ in shape, or hold a value that is not finite.
    """
    pair = [np.asarray(values, np.float64) for values in (first, second)]
    if pair[0].ndim != 1 or pair[0].shape != pair[1].shape or len(pair[0]) == 0:
        raise DataError(
            f"A comparison needs the same test cases of both models. Received shapes {pair[0].shape} and "
            f"{pair[1].shape}."
        )
    values = np.stack(pair)
    if not np.isfinite(values).all():
        raise DataError("A comparison needs finite values.")
    count = values.shape[1]
    random = np.random.default_rng([seed])
    size = max(1, CASES_PER_CALL // count)
    means = []
    for start in range(0, resamples, size):
        rows = random.integers(0, count, (min(size, resamples - start), count))
        means.append(values[:, rows].mean(axis=2))
    drawn = figure(np.concatenate(means, axis=1))
    gaps = drawn[0] - drawn[1]
    low, high = np.percentile(gaps, [2.5, 97.5])
    # One is added to both counts: with 2,000 resamples no p value below 0.001 can be claimed.
    tail = min((gaps <= 0).sum(), (gaps >= 0).sum())
    p_value = min(1.0, 2 * (tail + 1) / (resamples + 1))
    whole = figure(values.mean(axis=1))
    return Difference(float(whole[0]), float(whole[1]), float(low), float(high), float(p_value), count)
