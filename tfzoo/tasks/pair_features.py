"""What models of a user and an item are asked with: ids, rows of the matrix, side features."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping

import keras
import numpy as np
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.rows import DenseRows, SparseRows
from tfzoo.data.side_features import multi_hot
from tfzoo.errors import UsageError
from tfzoo.layers import IdEmbedding
from tfzoo.tasks.base import Features, Tensors

SIDES = ("user", "item")

# Stands before the names of inputs that several pairs of a batch share.
SHARED = "shared_"

Rows = Mapping[str, SparseRows | DenseRows]


class PairFeatures(Features):
    """Turns user and item ids into the inputs that a model asks for by name.

    Args:
        names: input names of the model, among ``user_id``, ``item_id`` (int32 ``[B]``),
            ``user_row``, ``item_row`` (float32, ratings by the other side's id, or ones where the
            data has no ratings) and ``user_features``, ``item_features`` (float32, see `multi_hot`).
        source: what fills rows and features; unused where the model reads ids only.

    Attributes:
        ids_per_call: for how many ids a tower is applied at once, which bounds the memory.
        row_sides: sides whose tower reads rows and no ids, so that pairs can share its vectors.
        shared_from: batches of so many pairs should hold a row that several pairs read once; infinite
            without `row_sides`.
    """

    ids_per_call = 2048

    def __init__(self, names: Collection[str], source: Interactions) -> None:
        super().__init__()
        self.names = tuple(names)
        self.num_ids = {"user": source.num_users, "item": source.num_items}
        self.reads_rows = "user_row" in names or "item_row" in names
        self.row_sides = tuple(side for side in SIDES if f"{side}_row" in names and f"{side}_id" not in names)
        # In smaller batches few pairs share a row, and one call can run several steps.
        self.shared_from = min((self.num_ids[side] for side in self.row_sides), default=math.inf)
        shape = (source.num_users + 1, source.num_items + 1)
        self.rows: dict[str, SparseRows] = {}
        self.tables: dict[str, tf.Variable] = {}
        values = source.rating if source.rating is not None else np.ones(len(source), np.float32)
        if "user_row" in names:
            self.rows["user"] = SparseRows(source.user_id, source.item_id, values, shape)
        if "item_row" in names:
            self.rows["item"] = SparseRows(source.item_id, source.user_id, values, shape[::-1])
        described = {"user": source.user_features, "item": source.item_features}
        for side in SIDES:
            if f"{side}_features" in names:
                table = multi_hot(described[side], self.num_ids[side] + 1)[1]
                self.tables[side] = tf.Variable(table, trainable=False, name=f"{side}_features")

    @classmethod
    def of(cls, model: keras.Model, source: Interactions) -> PairFeatures:
        """Return the features that ``model`` asks for.

        Raises:
            UsageError: the model was built for other side features than ``source`` has.
        """
        features = cls([tensor.name for tensor in model.inputs], source)
        for side, table in features.tables.items():
            expected = model.input[f"{side}_features"].shape[-1]
            if table.shape[1] != expected:
                raise UsageError(
                    f"Model '{model.name}' was built for {expected} features of {side}s, but "
                    f"'{source.name}' has {table.shape[1]}. Build it with {side}_features={table.shape[1]}."
                )
        return features

    def rows_in_memory(self) -> Rows:
        """Return the rows for a pipeline to read from, see `SparseRows.in_memory`."""
        return {side: rows.in_memory() for side, rows in self.rows.items()}

    def inputs(
        self, user_id: tf.Tensor, item_id: tf.Tensor, *, mask_target: bool = False, rows: Rows | None = None
    ) -> dict[str, tf.Tensor]:
        """Return the model's inputs for pairs of ids, int32 of any one shape; see `side`."""
        ids = {"user": user_id, "item": item_id}
        other = {"user": item_id, "item": user_id}
        inputs: dict[str, tf.Tensor] = {}
        for side in SIDES:
            masked = other[side] if mask_target else None
            inputs.update(self.side(side, ids[side], masked=masked, rows=rows))
        return inputs

    def distinct_inputs(
        self, user_id: tf.Tensor, item_id: tf.Tensor, *, alone: tf.Tensor | None, rows: Rows | None = None
    ) -> dict[str, tf.Tensor]:
        """Return the model's inputs for pairs of ids, with a row that several pairs share once.

        A tower over rows costs far more than a look-up of its vector; see `pair_vectors`.

        Args:
            user_id: int32 ``[B]``.
            item_id: int32 ``[B]``.
            alone: bool ``[B]``, the pairs that are left out of their own two rows, which nobody
                shares then; None for none.
            rows: what rows are read from, `rows_in_memory`; None for the sparse ones.

        Returns:
            For each of `row_sides` its inputs ``[R, ...]``, `SHARED` before their names, and
            ``<side>_place`` int32 ``[B]``, which of them is the pair's. For another side its inputs
            ``[B, ...]``.
        """
        ids = {"user": user_id, "item": item_id}
        other = {"user": item_id, "item": user_id}
        inputs: dict[str, tf.Tensor] = {}
        for side in SIDES:
            masked = None if alone is None else tf.where(alone, other[side], -1)
            if side not in self.row_sides:
                inputs.update(self.side(side, ids[side], masked=masked, rows=rows))
                continue
            key, count = ids[side], self.num_ids[side] + 1
            if alone is not None:
                # Its place among the pairs, above all ids: nobody has the same key.
                key = tf.where(alone, count + tf.range(tf.size(key)), key)
            distinct, place = tf.unique(key)
            first = tf.math.unsorted_segment_min(tf.range(tf.size(key)), place, tf.size(distinct))
            masked = None if masked is None else tf.gather(masked, first)
            found = self.side(side, tf.gather(ids[side], first), masked=masked, rows=rows)
            inputs.update({f"{SHARED}{name}": value for name, value in found.items()})
            inputs[f"{side}_place"] = place
        return inputs

    def side(
        self, side: str, ids: tf.Tensor, masked: tf.Tensor | None = None, rows: Rows | None = None
    ) -> dict[str, tf.Tensor]:
        """Return the inputs of one tower.

        Args:
            side: ``"user"`` or ``"item"``.
            ids: int32 of any shape.
            masked: the same shape, the cell of each row that is left out, -1 for none.
            rows: what rows are read from, `rows_in_memory`; None for the sparse ones.
        """
        rows = self.rows if rows is None else rows
        inputs = {}
        if f"{side}_id" in self.names:
            inputs[f"{side}_id"] = ids
        if side in rows:
            inputs[f"{side}_row"] = rows[side].dense(ids, masked)
        if side in self.tables:
            inputs[f"{side}_features"] = tf.gather(self.tables[side], ids)
        return inputs


def shares_rows(inputs: Collection[str]) -> bool:
    """Whether inputs of these names are those of `PairFeatures.distinct_inputs`."""
    return any(f"{side}_place" in inputs for side in SIDES)


def pair_vectors(model: keras.Model, inputs: Tensors, *, training: bool) -> dict[str, tf.Tensor]:
    """Return the vectors of pairs whose rows are shared.

    Args:
        model: a model with a ``user_tower`` and an ``item_tower``.
        inputs: of `PairFeatures.distinct_inputs`.
        training: whether dropout is on.

    Returns:
        ``user_vector`` and ``item_vector``, float32 ``[B, w]``.
    """
    vectors = {}
    for side in SIDES:
        tower, place = model.get_layer(f"{side}_tower"), inputs.get(f"{side}_place")
        before = "" if place is None else SHARED
        own = {tensor.name: inputs[f"{before}{tensor.name}"] for tensor in tower.inputs}
        vector = tower(own, training=training)
        vectors[f"{side}_vector"] = vector if place is None else tf.gather(vector, place)
    return vectors


def compiled_tower(model: keras.Model, features: PairFeatures, side: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the tower of one side as a compiled function of dense ids, int32 ``[B]``."""
    tower = model.get_layer(f"{side}_tower")
    function = tf.function(lambda ids: tower(features.side(side, ids), training=False))
    return function.get_concrete_function(tf.TensorSpec([None], tf.int32))


def all_vectors(tower: Callable[[tf.Tensor], tf.Tensor], features: PairFeatures, side: str) -> tf.Tensor:
    """Return the vector of every id, row 0 included."""
    rows, step = features.num_ids[side] + 1, features.ids_per_call
    parts = [tower(tf.range(first, min(first + step, rows))) for first in range(0, rows, step)]
    return tf.concat(parts, axis=0)


def fill_unseen_ids(model: keras.Model, train: Interactions) -> None:
    """Give ids without training data the average row of each table in the towers, see `IdEmbedding`."""
    counts = {"user": train.user_counts(), "item": train.item_counts()}
    for side in SIDES:
        for layer in model.get_layer(f"{side}_tower").layers:
            if isinstance(layer, IdEmbedding):
                layer.fill_unseen(counts[side])
