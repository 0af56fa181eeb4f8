"""Partitions of item vectors for an inverted-file index: k-means for inner products."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy import sparse

from tfzoo.errors import UsageError

ITERATIONS = 10
SAMPLE_PER_PARTITION = 64
CELLS_PER_CALL = 1 << 24


def default_partitions(num_items: int) -> int:
    """Return the square root of the number of items: as many centroids to look at as items in each."""
    return max(1, math.isqrt(num_items))


def partition(
    vectors: NDArray[np.float32], listed: NDArray[np.int32], partitions: int, seed: int = 0
) -> dict[str, NDArray]:
    """Divide items by k-means on the directions of their vectors.

    One component is added to the vectors that gives all of them the same length, so that the largest
    inner product is the smallest angle (Bachrach et al., Speeding up the Xbox recommender system
    using a Euclidean transformation for inner-product spaces, RecSys 2014). The means are taken on a
    sample of 64 items a partition.

    Args:
        vectors: float32 ``[num_items + 1, d]`` by dense id.
        listed: dense ids of the items that may be recommended.
        partitions: how many; at least 1 and at most the number of listed items.
        seed: fixes the sample and the first means.

    Returns:
        ``centroids`` float32 ``[partitions, d]``, directions of the means without the added
        component, which queries lack; ``order`` int32, the listed ids partition by partition, rising
        in each; ``starts`` int32 ``[partitions + 1]``, where each begins in ``order``.

    Raises:
        UsageError: there are fewer items than partitions, or less than 1.
    """
    if not 1 <= partitions <= len(listed):
        raise UsageError(
            f"The number of partitions must be between 1 and the number of items, {len(listed)}. "
            f"Received {partitions}."
        )
    points = _equal_length(vectors[listed])
    random = np.random.default_rng(seed)
    size = min(len(points), SAMPLE_PER_PARTITION * partitions)
    sample = points[random.choice(len(points), size, replace=False)]
    centroids = sample[:partitions].copy()
    for _ in range(ITERATIONS):
        centroids = _means(sample, _nearest(sample, centroids), centroids)
    nearest = _nearest(points, centroids)
    order = np.argsort(nearest, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(nearest, minlength=partitions))])
    return {
        "centroids": centroids[:, :-1],
        "order": listed[order].astype(np.int32),
        "starts": starts.astype(np.int32),
    }


def _equal_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    squares = np.square(vectors).sum(axis=1)
    missing = np.sqrt(np.maximum(squares.max() - squares, 0))
    return np.concatenate([vectors, missing[:, np.newaxis]], axis=1)


def _nearest(points: NDArray[np.float32], centroids: NDArray[np.float32]) -> NDArray[np.int64]:
    step = max(1, CELLS_PER_CALL // len(centroids))
    table = tf.constant(centroids.T)
    parts = [
        tf.argmax(tf.matmul(points[first : first + step], table), axis=1).numpy()
        for first in range(0, len(points), step)
    ]
    return np.concatenate(parts)


def _means(
    points: NDArray[np.float32], nearest: NDArray[np.int64], before: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the mean direction of each partition; an empty one keeps the one before."""
    entries = np.ones(len(points), np.float32), (nearest, np.arange(len(points)))
    sums = sparse.csr_matrix(entries, (len(before), len(points))) @ points
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, lengths, out=before.copy(), where=lengths > 0)
