"""Rows and columns of the rating matrix: stored sparse, made dense one batch at a time."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.data.cells import first_of_cells

# Rows are written out for training up to so many cells: 128 MiB of float32.
DENSE_CELLS = 1 << 25


class SparseRows(tf.Module):
    """The rows of a sparse matrix in compressed form.

    The arrays are variables, so that an exported graph that reads rows carries them in its
    checkpoint and not as constants in the graph.

    Args:
        row: int ``[n]``, row number of each entry.
        column: int ``[n]``, column number of each entry.
        value: float ``[n]``; of several entries for one cell the first counts.
        shape: number of rows and columns.
        free_size: the variables may later hold another number of entries.
        name: stands before the names of the variables.
    """

    def __init__(
        self,
        row: NDArray,
        column: NDArray,
        value: NDArray,
        shape: tuple[int, int],
        *,
        free_size: bool = False,
        name: str = "rows",
    ) -> None:
        super().__init__()
        order = first_of_cells(row, column, shape[1])
        splits = np.concatenate([[0], np.cumsum(np.bincount(row[order], minlength=shape[0]))])
        self.num_columns = shape[1]
        self.splits = tf.Variable(splits.astype(np.int64), trainable=False, name=f"{name}_splits")
        size = tf.TensorShape([None]) if free_size else None
        self.columns = tf.Variable(column[order].astype(np.int32), False, name=f"{name}_columns", shape=size)
        self.values = tf.Variable(value[order].astype(np.float32), False, name=f"{name}_values", shape=size)

    def dense(self, rows: tf.Tensor, masked: tf.Tensor | None = None) -> tf.Tensor:
        """Return the given rows as a dense matrix.

        Args:
            rows: int32, any shape ``[...]``.
            masked: int32, same shape; one column a row whose entry is left out (the target
                cell of a training example, which the model must not see), -1 for none.

        Returns:
            float32 ``[..., num_columns]``, zero where there is no entry.
        """
        flat = tf.reshape(rows, [-1])
        at, column, value = self.entries(flat)
        if masked is not None:
            value = tf.where(column == tf.gather(tf.reshape(masked, [-1]), at), 0.0, value)
        count = tf.size(flat)
        matrix = tf.scatter_nd(tf.stack([at, column], axis=1), value, [count, self.num_columns])
        return tf.reshape(matrix, tf.concat([tf.shape(rows), [self.num_columns]], axis=0))

    def in_memory(self) -> SparseRows | DenseRows:
        """Return what gives the same rows sooner: all of them written out, where they are small enough.

        For pipelines alone; an exported graph should carry the entries and not the cells.
        """
        num_rows = self.splits.shape[0] - 1
        if num_rows * self.num_columns > DENSE_CELLS:
            return self
        matrix = np.zeros((num_rows, self.num_columns), np.float32)
        row = np.repeat(np.arange(num_rows), np.diff(self.splits.numpy()))
        matrix[row, self.columns.numpy()] = self.values.numpy()
        return DenseRows(matrix)

    def entries(self, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return the entries of the given rows (int32 ``[B]``).

        Returns:
            position in ``rows`` int32, column int32 and value float32, each ``[entries]``.
        """
        start = tf.gather(self.splits, rows)
        length = tf.gather(self.splits, rows + 1) - start
        before = tf.cumsum(length, exclusive=True)
        at = tf.repeat(tf.range(tf.size(rows)), length)
        entry = tf.range(tf.reduce_sum(length)) + tf.gather(start - before, at)
        return at, tf.gather(self.columns, entry), tf.gather(self.values, entry)


class DenseRows:
    """The rows of a matrix that lies in memory as it is, see `SparseRows.in_memory`.

    Args:
        matrix: float32 ``[rows, columns]``.
    """

    def __init__(self, matrix: NDArray[np.float32]) -> None:
        self.matrix = tf.constant(matrix)

    def dense(self, rows: tf.Tensor, masked: tf.Tensor | None = None) -> tf.Tensor:
        """Return the given rows, see `SparseRows.dense`."""
        found = tf.gather(self.matrix, rows)
        if masked is None:
            return found
        count = tf.size(rows)
        column = tf.reshape(masked, [-1])
        cells = tf.stack([tf.range(count), tf.maximum(column, 0)], axis=1)
        flat = tf.reshape(found, [count, self.matrix.shape[1]])
        values = tf.where(column < 0, tf.gather_nd(flat, cells), 0.0)
        return tf.reshape(tf.tensor_scatter_nd_update(flat, cells, values), tf.shape(found))
