"""Cells of a matrix of users and items, such as what must not be listed for whom."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Cells:
    """Some cells of a matrix, each named by its row and column.

    Attributes:
        row: int32 ``[n]``, number of a row of a request.
        item: int32 ``[n]``, dense id.
        num_columns: int32, number of items and 1.
    """

    row: tf.Tensor
    item: tf.Tensor
    num_columns: tf.Tensor

    def mask(self, rows: tf.Tensor) -> tf.Tensor:
        """Return bool ``[rows, num_columns]``, true in the cells."""
        cells = tf.stack([self.row, self.item], axis=1)
        return tf.scatter_nd(cells, tf.ones_like(self.row), tf.stack([rows, self.num_columns])) > 0

    def hold(self, row: tf.Tensor, item: tf.Tensor) -> tf.Tensor:
        """Return whether each of other cells is among them, without a mask.

        Args:
            row: int32, any shape.
            item: int32, the same shape.
        """
        ordered = tf.concat([tf.sort(self._number(self.row, self.item)), [tf.int64.max]], axis=0)
        asked = tf.reshape(self._number(row, item), [-1])
        found = tf.gather(ordered, tf.searchsorted(ordered, asked)) == asked
        return tf.reshape(found, tf.shape(item))

    def _number(self, row: tf.Tensor, item: tf.Tensor) -> tf.Tensor:
        width = tf.cast(self.num_columns, tf.int64)
        return tf.cast(row, tf.int64) * width + tf.cast(item, tf.int64)
