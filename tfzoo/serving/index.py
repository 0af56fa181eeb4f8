"""The items with the largest inner product, found with stock TensorFlow operations.

What must not be listed is given cell by cell: no array of users times items is ever made, so that
a request costs what it looks at.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.errors import UsageError
from tfzoo.serving.cells import Cells
from tfzoo.serving.partition import default_partitions, partition
from tfzoo.serving.recommender import BLANK_SCORE, item_variable

INDEXES = ("exact", "ivf")
Best = tuple[tf.Tensor, tf.Tensor]


@dataclass(frozen=True)
class IndexSettings:
    """Which index an export gets.

    Attributes:
        kind: ``exact`` or ``ivf`` (inverted file).
        partitions: of an inverted file; None for the square root of the number of items.
        probes: partitions that are looked at; more find more of the best items, and take longer.
    """

    kind: str
    partitions: int | None = None
    probes: int = 32

    def __post_init__(self) -> None:
        if self.kind not in INDEXES:
            raise UsageError(f"An index is one of {', '.join(INDEXES)}. Received '{self.kind}'.")
        if self.probes < 1:
            raise UsageError(f"The number of probes must be at least 1. Received {self.probes}.")

    def build(self, vectors: tf.Variable, hidden: tf.Variable) -> Index:
        """Return the index over ``vectors`` float32 ``[num_items + 1, d]`` without ``hidden`` items."""
        if self.kind == "exact":
            return ExactIndex(vectors, hidden)
        return InvertedFileIndex(vectors, self.arrays(vectors.numpy(), hidden.numpy()), self.probes)

    def arrays(self, vectors: NDArray[np.float32], hidden: NDArray[np.bool_]) -> dict[str, NDArray]:
        """Return what an inverted file stores beside the vectors; nothing for an exact index."""
        if self.kind == "exact":
            return {}
        listed = np.flatnonzero(~hidden).astype(np.int32)
        return partition(vectors, listed, self.partitions or default_partitions(len(listed)))


class Index(tf.Module):
    """Finds items by their vectors."""

    @abstractmethod
    def search(self, queries: tf.Tensor, barred: Cells, k: tf.Tensor) -> Best:
        """Return the best items of each query.

        Args:
            queries: float32 ``[B, d]``.
            barred: items not to be listed, by the number of the query.
            k: int32, how many items.

        Returns:
            Scores float32 ``[B, k]`` and dense ids int32 ``[B, k]``, best first; `BLANK_SCORE` and
            0 behind the last one.
        """


class ExactIndex(Index):
    """Scores all items, for so many queries at once as memory allows; ties go to the smaller id.

    Args:
        vectors: variable float32 ``[num_items + 1, d]`` by dense id.
        hidden: variable bool ``[num_items + 1]``, items never to be listed.
        cells: scores that are held at once.
    """

    def __init__(self, vectors: tf.Variable, hidden: tf.Variable, cells: int = 1 << 24) -> None:
        super().__init__()
        self.vectors, self.hidden, self._cells = vectors, hidden, cells

    def search(self, queries: tf.Tensor, barred: Cells, k: tf.Tensor) -> Best:
        """Return the best items of each query, see `Index.search`."""
        count, columns = tf.shape(queries)[0], tf.shape(self.vectors)[0]
        step = tf.maximum(1, self._cells // columns)

        def add_block(first: tf.Tensor, scores: tf.Tensor, items: tf.Tensor) -> tuple[tf.Tensor, ...]:
            # Blocks of queries, not of items: a part of the vectors would be a copy of them.
            last = tf.minimum(first + step, count)
            block = tf.matmul(queries[first:last], tf.convert_to_tensor(self.vectors), transpose_b=True)
            block = tf.where(self.hidden, BLANK_SCORE, block)
            here = (barred.row >= first) & (barred.row < last)
            cells = tf.stack([barred.row[here] - first, barred.item[here]], axis=1)
            block = tf.tensor_scatter_nd_update(block, cells, tf.fill([tf.shape(cells)[0]], BLANK_SCORE))
            best, found = tf.math.top_k(block, k=tf.minimum(k, columns))
            return last, tf.concat([scores, best], axis=0), tf.concat([items, found], axis=0)

        width = tf.minimum(k, columns)
        start = tf.constant(0), tf.zeros([0, width]), tf.zeros([0, width], tf.int32)
        shapes = tf.TensorShape([]), tf.TensorShape([None, None]), tf.TensorShape([None, None])
        _, scores, items = tf.while_loop(lambda first, *_: first < count, add_block, start, shapes)
        missing = [[0, 0], [0, k - width]]
        scores = tf.pad(scores, missing, constant_values=BLANK_SCORE)
        return scores, tf.where(scores > BLANK_SCORE, tf.pad(items, missing), 0)


class InvertedFileIndex(Index):
    """Scores the items of the partitions that lie nearest to the query: fast, and not exact.

    Args:
        vectors: variable float32 ``[num_items + 1, d]`` by dense id.
        arrays: from `partition`.
        probes: partitions that are looked at.
    """

    def __init__(self, vectors: tf.Variable, arrays: dict[str, NDArray], probes: int) -> None:
        super().__init__()
        self.vectors, self.probes = vectors, probes
        self.centroids, self.order, self.starts = (
            item_variable(arrays[name], name) for name in ("centroids", "order", "starts")
        )

    def search(self, queries: tf.Tensor, barred: Cells, k: tf.Tensor) -> Best:
        """Return the best items of each query among the partitions looked at, see `Index.search`."""
        at, items = self._candidates(queries)
        scores = tf.reduce_sum(tf.gather(queries, at) * tf.gather(self.vectors, items), axis=1)
        scores = tf.where(barred.hold(at, items), BLANK_SCORE, scores)

        def table(values: tf.Tensor, blank: float | int) -> tf.Tensor:
            """Return a row for each query, and at least ``k`` columns, which top_k asks for."""
            count = tf.cast(tf.shape(queries)[0], tf.int64)
            rows = tf.RaggedTensor.from_value_rowids(values, tf.cast(at, tf.int64), count).to_tensor(blank)
            return tf.pad(rows, [[0, 0], [0, k]], constant_values=blank)

        best, where = tf.math.top_k(table(scores, BLANK_SCORE), k=k)
        found = tf.gather(table(items, 0), where, batch_dims=1)
        return best, tf.where(best > BLANK_SCORE, found, 0)

    def _candidates(self, queries: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return, for each item of the partitions looked at, the number of its query and its id."""
        near = tf.matmul(queries, tf.convert_to_tensor(self.centroids), transpose_b=True)
        _, probed = tf.math.top_k(near, k=tf.minimum(self.probes, tf.shape(near)[1]))
        probed = tf.reshape(probed, [-1])
        start = tf.gather(self.starts, probed)
        length = tf.gather(self.starts, probed + 1) - start
        probe = tf.repeat(tf.range(tf.size(probed)), length)
        before = tf.cumsum(length, exclusive=True)
        entry = tf.range(tf.reduce_sum(length)) + tf.gather(start - before, probe)
        each = tf.maximum(1, tf.size(probed) // tf.maximum(1, tf.shape(queries)[0]))
        return probe // each, tf.gather(self.order, entry)
