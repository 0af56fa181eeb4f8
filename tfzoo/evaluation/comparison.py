"""Whether two models differ by more than the choice of the test cases would explain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfzoo.errors import DataError
from tfzoo.evaluation.cases import Cases

RESAMPLES = 2000
DRAWS_PER_CALL = 2**22


@dataclass(frozen=True)
class Difference:
    """A figure of two models on the same test cases.

    Attributes:
        first: the figure of the first model, mean over the runs.
        second: the figure of the second model.
        low: lower end of the 95 % interval of first - second.
        high: its upper end.
        p_value: two-sided, that the difference is 0; from the same resamples.
        cases: number of test cases, of all runs together.
        clusters: number of what was drawn, such as users.
    """

    first: float
    second: float
    low: float
    high: float
    p_value: float
    cases: int
    clusters: int


def paired_bootstrap(
    first: ArrayLike,
    second: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    runs: ArrayLike | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    figure: Callable[[NDArray], NDArray] = lambda means: means,
) -> Difference:
    """Compare two models case by case with the paired bootstrap (Efron, Tibshirani 1993, chapter 16).

    Clusters of cases are drawn anew with replacement, the same ones for both models and all runs, with
    all their cases (Davison, Hinkley 1997, section 3.8). The figure of each model is computed from its
    mean over the cases drawn, run by run, and averaged over the runs. The seeds of the runs are not
    drawn: the interval says what another choice of users would give.

    Args:
        first: value of each test case for the first model, ``[n]``, such as squared errors.
        second: the same for the second model.
        clusters: whose case it is, such as the user, ``[n]``; None where each case stands for itself.
        runs: which run, such as the seed, a case is of, ``[n]``; None where there is one.
        seed: fixes the resamples.
        resamples: how many.
        figure: from means to figures, such as ``np.sqrt`` from squared errors to the RMSE.

    Returns:
        Both figures, and the interval of their difference between the 2.5 % and 97.5 %
        percentiles.

    Raises:
        DataError: the arrays are empty, differ in shape, or hold a value that is not finite.
    """
    values = np.stack(_same_shape(first, second)).astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError("A comparison needs finite values.")
    count = values.shape[1]
    whose = np.arange(count) if clusters is None else _same_shape(first, clusters)[1]
    which = np.zeros(count, np.int64) if runs is None else _same_shape(first, runs)[1]
    totals, counts = _by_cluster(values, whose, which)
    drawn = np.concatenate([_figures(totals, counts, w, figure) for w in _draws(counts, seed, resamples)], 1)
    whole = _figures(totals, counts, np.ones((1, counts.shape[1])), figure)[:, 0]
    gaps = drawn[0] - drawn[1]
    low, high = np.percentile(gaps, [2.5, 97.5])
    # One is added to both counts: with 2,000 resamples no p value below 0.001 can be claimed.
    tail = min((gaps <= 0).sum(), (gaps >= 0).sum())
    p_value = min(1.0, 2 * (tail + 1) / (resamples + 1))
    return Difference(
        float(whole[0]), float(whole[1]), float(low), float(high), float(p_value), count, counts.shape[1]
    )


def compare_cases(
    first: Sequence[Cases],
    second: Sequence[Cases],
    metric: str,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Difference:
    """Compare two models over several runs each, by a bootstrap of users or sessions.

    Args:
        first: cases of the runs of the first model, one a seed.
        second: of the second model, with the same seeds in the same order.
        metric: that both have.
        seed: fixes the resamples.
        resamples: how many.

    Raises:
        DataError: the runs do not pair: there are not as many, or two were not tested on the same cases.
    """
    if len(first) != len(second) or not first:
        raise DataError(f"A comparison needs as many runs of both. Received {len(first)} and {len(second)}.")
    for one, other in zip(first, second, strict=True):
        if not np.array_equal(one.keys, other.keys):
            raise DataError(
                "The runs were not tested on the same cases; train both with the same data, split and seed."
            )
    sizes = [len(cases.clusters) for cases in first]
    return paired_bootstrap(
        *(np.concatenate([cases.metrics[metric][0] for cases in side]) for side in (first, second)),
        clusters=np.concatenate([cases.clusters for cases in first]),
        runs=np.repeat(np.arange(len(first)), sizes),
        seed=seed,
        resamples=resamples,
        figure=first[0].metrics[metric][1],
    )


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Correct p values for there being several (Holm 1979).

    Rejecting what lies below a level then rejects a true hypothesis, of all of them, with no more
    probability than the level, however they depend on each other.

    Args:
        p_values: ``[m]``, in any order.

    Returns:
        ``[m]``, in the same order: of the i-th smallest ``(m - i + 1) p``, at least the one before it
        and at most 1.
    """
    given = np.asarray(p_values, np.float64)
    order = np.argsort(given, kind="stable")
    corrected = np.empty_like(given)
    corrected[order] = np.minimum(np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1)), 1.0)
    return corrected


def _same_shape(first: ArrayLike, other: ArrayLike) -> tuple[NDArray, NDArray]:
    pair = np.asarray(first), np.asarray(other)
    if pair[0].ndim != 1 or pair[0].shape != pair[1].shape or len(pair[0]) == 0:
        raise DataError(
            f"A comparison needs the same test cases of both models. Received shapes {pair[0].shape} and "
            f"{pair[1].shape}."
        )
    return pair


def _by_cluster(values: NDArray, clusters: NDArray, runs: NDArray) -> tuple[NDArray, NDArray]:
    """Return the sums of both models' values ``[2, R, C]`` by run and cluster, and how many ``[R, C]``."""
    cluster, run = (np.unique(ids, return_inverse=True)[1] for ids in (clusters, runs))
    shape = int(run.max()) + 1, int(cluster.max()) + 1
    cell = run * shape[1] + cluster
    sums = [np.bincount(cell, each, minlength=shape[0] * shape[1]).reshape(shape) for each in values]
    return np.stack(sums), np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)


def _draws(counts: NDArray, seed: int, resamples: int) -> Iterator[NDArray]:
    """Yield how often each resample has drawn each cluster, in blocks ``[block, C]``."""
    size = counts.shape[1]
    random = np.random.default_rng([seed])
    block = max(1, DRAWS_PER_CALL // size)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = random.integers(0, size, (rows, size)) + size * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)


def _figures(
    totals: NDArray, counts: NDArray, weights: NDArray, figure: Callable[[NDArray], NDArray]
) -> NDArray:
    """Return both models' figures with clusters weighted, ``[2, resamples]``, mean over the runs."""
    size = counts @ weights.T
    # With few clusters a resample may have none that a run tested: it counts without that run.
    present = size > 0
    each = figure((totals @ weights.T) / np.where(present, size, 1.0)) * present
    found: NDArray = each.sum(axis=1) / present.sum(axis=0)
    return found
