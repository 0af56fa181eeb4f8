"""Vectors of users and items whose inner products are a model's scores, for any index of nearest vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from tfzoo.errors import UsageError
from tfzoo.layers import IdEmbedding, ItemTable
from tfzoo.layers.inner_product import fold, pair_scores, why_no_inner_product
from tfzoo.layers.neighbours import IdTable

SIDES = ("user", "item")
PARTS = {*(f"{side}_tower" for side in SIDES), "head"}


class RetrievalVectors(NamedTuple):
    """Vectors whose inner products are scores.

    Attributes:
        users: float32 ``[n, w]``, one a row of what was asked for; row 0 is the unknown user where that
            was all ids.
        items: float32 ``[num_items + 1, w]``, row 0 the unknown item, which no list should hold.
    """

    users: NDArray[np.float32]
    items: NDArray[np.float32]


def retrieval_vectors(
    model: keras.Model, inputs: Mapping[str, ArrayLike] | None = None, *, batch_size: int = 1024
) -> RetrievalVectors:
    """Return vectors of users and items whose inner products are the scores of ``model``.

    What a model's own towers give is not enough: biases, weights of the product and scales are folded
    into these vectors, so that ``users @ items.T`` is the rating, or the score before a logistic function
    where the output is a probability, and the largest inner products are the model's best items.

    Args:
        model: a model of users and items whose head is an inner product, or a model of histories that
            scores by an `ItemTable`.
        inputs: arrays by the name of the input, one row for each user or item: histories, or rows of the
            matrix by dense id. Ids may be given for some users or items alone; all are taken where they
            are not.
        batch_size: users or items that are worked out at once.

    Returns:
        The vectors, one width for both.

    Raises:
        UsageError: the model's scores are no inner products, and the message says what makes them; or an
            input is not given that ids alone do not fill.
    """
    given = {name: np.asarray(values) for name, values in (inputs or {}).items()}
    if unknown := given.keys() - {tensor.name for tensor in model.inputs}:
        raise UsageError(
            f"'{model.name}' has no input {', '.join(sorted(unknown))}; its inputs are "
            f"{', '.join(sorted(tensor.name for tensor in model.inputs))}."
        )
    if {layer.name for layer in model.layers} >= PARTS:
        return _of_towers(model, given, batch_size)
    table = scoring_layer(model)
    if table is not None and {tensor.name for tensor in model.inputs} & {"history"}:
        return _of_histories(model, table, given, batch_size)
    raise UsageError(
        f"The scores of '{model.name}' are no inner products of a user's and an item's vector: it has "
        f"neither towers and a head nor a table of items at its end, and reads {', '.join(_names(model))}."
    )


def scoring_layer(model: keras.Model) -> ItemTable | None:
    """Return the layer that scores states against all items; None where another makes the scores."""
    if not isinstance(model.output, Mapping) or "scores" not in model.output:
        return None
    layer = model.output["scores"]._keras_history.operation
    return layer if isinstance(layer, ItemTable) else None


def _of_towers(model: keras.Model, given: Mapping[str, NDArray], batch_size: int) -> RetrievalVectors:
    head = model.get_layer("head")
    if reason := why_no_inner_product(head):
        raise UsageError(
            f"The scores of '{model.name}' are no inner products of a user's and an item's vector: {reason}."
        )
    users, items = (_tower_vectors(model, side, given, batch_size) for side in SIDES)
    folded = fold(head, items)
    if folded is None:
        raise UsageError(f"The weights of '{model.name}' are not finite.")
    nothing, nobody = np.zeros_like(items[:1]), np.zeros_like(users[:1])
    offset = _scores(head, users, np.repeat(nothing, len(users), axis=0)) - _scores(head, nobody, nothing)
    return RetrievalVectors(
        np.column_stack([users @ folded.matrix, np.ones_like(offset), offset]),
        np.column_stack([folded.vectors, np.ones(len(items), np.float32)]),
    )


def _scores(head: keras.Model, users: NDArray, items: NDArray) -> NDArray[np.float32]:
    pairs = ops.convert_to_tensor(users), ops.convert_to_tensor(items)
    scores: NDArray[np.float32] = ops.convert_to_numpy(pair_scores(head, *pairs))
    return scores


def _tower_vectors(
    model: keras.Model, side: str, given: Mapping[str, NDArray], batch_size: int
) -> NDArray[np.float32]:
    tower = model.get_layer(f"{side}_tower")
    values = {tensor.name: given[tensor.name] for tensor in tower.inputs if tensor.name in given}
    ids = f"{side}_id"
    if ids in _names(tower) and ids not in values:
        tables = [layer for layer in tower.layers if isinstance(layer, (IdEmbedding, IdTable))]
        values[ids] = np.arange(max(table.input_dim for table in tables))
    return _predicted(model, tower, values, batch_size)


def _of_histories(
    model: keras.Model, table: ItemTable, given: Mapping[str, NDArray], batch_size: int
) -> RetrievalVectors:
    states = keras.Model(model.input, table_input(model))
    users = ops.convert_to_numpy(table.scored(_predicted(model, states, given, batch_size)))
    items = ops.convert_to_numpy(table.scored(table.table))[: table.num_items + 1]
    columns = [items / table.temperature]
    if table.use_bias:
        columns.append(ops.convert_to_numpy(table.bias)[:, np.newaxis])
        users = np.column_stack([users, np.ones(len(users), np.float32)])
    return RetrievalVectors(users, np.column_stack(columns).astype(np.float32))


def table_input(model: keras.Model) -> Any:
    """Return the tensor of states that the scores of a model of histories are made of."""
    table, node, _ = model.output["scores"]._keras_history
    return table._inbound_nodes[node].input_tensors[0]


def _predicted(
    model: keras.Model, part: keras.Model, values: Mapping[str, NDArray], batch_size: int
) -> NDArray[np.float32]:
    """Return what a part of a model gives for its inputs, which all have one row for each vector."""
    if lacking := [name for name in _names(part) if name not in values]:
        raise UsageError(
            f"'{model.name}' reads {', '.join(lacking)}: give {lacking[0]} in `inputs`, one row a vector."
        )
    if len({len(array) for array in values.values()}) > 1:
        shapes = ", ".join(f"{name} {values[name].shape}" for name in _names(part))
        raise UsageError(f"Inputs of '{model.name}' must have equally many rows. Received: {shapes}.")
    rows, parts = len(next(iter(values.values()))), []
    for first in range(0, rows, batch_size):
        chosen = slice(first, first + batch_size)
        batch = {name: ops.convert_to_tensor(values[name][chosen]) for name in _names(part)}
        parts.append(ops.convert_to_numpy(part(batch, training=False)))
    return np.concatenate(parts).astype(np.float32)


def _names(model: keras.Model) -> list[str]:
    return sorted(tensor.name for tensor in model.inputs)
