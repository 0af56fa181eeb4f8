"""Rows of the interaction matrix: ``user_row`` and ``item_row``."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.rows import DenseRows, SparseRows
from tfzoo.inputs.base import Case, Input, Known, register_input


@register_input("row")
class Rows(Input):
    """What a user gave to every item, or an item got from every user, float32 ``[..., other ids + 1]``.

    Ratings fill the rows, or ones where the data has none or `Known.binary` says so. In training the cell
    of the example is left out.
    """

    reads_rows = True

    def __init__(self, name: str, side: str, known: Known, tensor: keras.KerasTensor | None = None) -> None:
        super().__init__(name, side, known, tensor)
        columns = [_columns(part, known.binary) for part in known.parts]
        user, item, value = (np.concatenate(each) for each in zip(*columns, strict=True))
        shape = (known.train.num_users + 1, known.train.num_items + 1)
        cells = (user, item, value, shape) if side == "user" else (item, user, value, shape[::-1])
        self.rows: SparseRows | DenseRows = SparseRows(*cells)

    def of(self, ids: tf.Tensor) -> tf.Tensor:
        """Return whole rows."""
        return self.rows.dense(ids)

    def train(self, case: Case) -> tf.Tensor:
        """Return rows without the cell that is to be predicted."""
        return self.rows.dense(case.ids(self.side), case.other(self.side))

    def in_memory(self) -> Input:
        """Return the same with rows written out, where they are small enough."""
        return _InMemory(self)


class _InMemory(Rows):
    def __init__(self, source: Rows) -> None:
        tf.Module.__init__(self)
        self.input_name, self.side = source.input_name, source.side
        self.rows = source.rows.in_memory() if isinstance(source.rows, SparseRows) else source.rows


def _columns(part: Interactions, binary: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ones = binary or part.rating is None
    return part.user_id, part.item_id, np.ones(len(part), np.float32) if ones else part.ratings
