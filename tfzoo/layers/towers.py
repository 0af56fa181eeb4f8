"""The parts that the rating models are put together from: a tower per side, and a head.

A tower turns one user (or item) into one vector; a head turns a user vector and an item vector
into a rating. Keeping them apart lets item vectors be computed once and reused or indexed.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tfzoo.layers.id_embedding import IdEmbedding, KnownIdPenalty
from tfzoo.layers.pair_layers import FrequencyPenalty


def embedding_tower(
    side: str,
    num_ids: int,
    embedding_dim: int,
    *,
    units: tuple[int, ...] = (),
    activation: str | None = "relu",
    last_activation: str | None = "relu",
    use_bias: bool = True,
    initializer: str | keras.Initializer = "uniform",
    constraint: str | keras.constraints.Constraint | None = None,
    dense_l2: float = 0.0,
    lookup_l2: float = 0.0,
    bias_l2: float | None = None,
    frequency_exponent: float | None = None,
    output_l2: float = 0.0,
    embedding_dropout: float = 0.0,
    dropout: float = 0.0,
    bias: bool = False,
) -> keras.Model:
    """Build id -> embedding -> fully connected layers.

    Args:
        side: ``"user"`` or ``"item"``; the model is named ``<side>_tower``.
        num_ids: number of known ids; the table has one row more, row 0, for the unknown id.
        embedding_dim: width of the embedding.
        units: widths of the layers.
        activation: activation of all layers but the last.
        last_activation: activation of the last layer.
        use_bias: the layers have biases.
        initializer: initialiser of the table.
        constraint: what the table's rows must satisfy, such as ``"non_neg"``.
        dense_l2: L2 on kernels and biases of the layers.
        lookup_l2: L2 on the looked-up rows, mean over the batch.
        bias_l2: L2 on the looked-up biases of the ids; None for that of the rows.
        frequency_exponent: divide L2 by the id's number of ratings to this power; the numbers are
            assigned by `set_counts`. None and 0 leave it as it is.
        output_l2: L2 on the output of the last layer, mean over the batch.
        embedding_dropout: dropout rate on the embedding.
        dropout: dropout rate after each layer.
        bias: append a trainable bias of the id as the last component of the vector.

    Returns:
        A model from ``{"<side>_id": int32 [B]}`` to a vector float32 ``[B, width]``.
    """
    ids = keras.Input((), dtype="int32", name=f"{side}_id")

    def look_up(name: str, width: int, l2: float, **options: Any) -> Any:
        rows = IdEmbedding(num_ids + 1, width, name=f"{side}_{name}", **options)(ids)
        if not l2:
            return rows
        if not frequency_exponent:
            return KnownIdPenalty(l2)(rows, ids)
        # Its unit is half a square.
        penalty = FrequencyPenalty(num_ids, 2.0 * l2, frequency_exponent, name=f"{side}_{name}_penalty")
        return penalty(rows, ids)

    table = {"embeddings_initializer": initializer, "embeddings_constraint": constraint}
    vector = look_up("embedding", embedding_dim, lookup_l2, **table)
    if embedding_dropout:
        vector = layers.Dropout(embedding_dropout)(vector)
    vector = _dense_stack(vector, units, last_activation, dense_l2, dropout, activation, use_bias)
    if output_l2:
        vector = KnownIdPenalty(output_l2)(vector, ids)
    if bias:
        offset = look_up("bias", 1, lookup_l2 if bias_l2 is None else bias_l2, embeddings_initializer="zeros")
        vector = ops.concatenate([vector, offset], axis=-1)
    return keras.Model({f"{side}_id": ids}, _float32(vector), name=f"{side}_tower")


def row_tower(
    side: str,
    row_length: int,
    *,
    units: tuple[int, ...],
    last_activation: str | None = "relu",
    dense_l2: float = 0.0,
    input_dropout: float = 0.0,
    dropout: float = 0.0,
) -> keras.Model:
    """Build row of the rating matrix -> fully connected layers.

    Args:
        side: ``"user"`` (a row of the matrix) or ``"item"`` (a column).
        row_length: length of that row, column 0 for the unknown id included.
        units: widths of the layers, all relu but for the last.
        last_activation: activation of the last layer.
        dense_l2: L2 on kernels and biases of the layers.
        input_dropout: dropout rate on the row.
        dropout: dropout rate after each layer.

    Returns:
        A model from ``{"<side>_row": float32 [B, row_length]}`` to a vector float32 ``[B, width]``.

    Raises:
        ValueError: ``units`` is empty.
    """
    if not units:
        raise ValueError("`units` of a tower over rows needs at least one layer. Received: units=()")
    row = keras.Input((row_length,), dtype="float32", name=f"{side}_row")
    vector = layers.Dropout(input_dropout)(row) if input_dropout else row
    vector = _dense_stack(vector, units, last_activation, dense_l2, dropout)
    return keras.Model({f"{side}_row": row}, _float32(vector), name=f"{side}_tower")


def dot_head(
    width: int,
    *,
    biases: bool = False,
    mean_rating: float = 0.0,
    sigmoid_scale: tuple[float, float] | None = None,
) -> keras.Model:
    """Build the inner product of a user and an item vector, with the usual offsets.

    Args:
        width: width of both vectors.
        biases: the last component of each vector is a bias and is added, not multiplied.
        mean_rating: constant that is added to the score.
        sigmoid_scale: squash the score into this open interval with the logistic function.

    Returns:
        A model named ``head`` from ``user_vector`` and ``item_vector``, float32 ``[B, width]``,
        to a rating float32 ``[B]``.
    """
    user, item = _vectors(width, width)
    if biases and width == 1:
        # ONNX cannot sum over no components.
        score = user[:, 0] + item[:, 0]
    elif biases:
        score = ops.sum(user[:, :-1] * item[:, :-1], axis=-1) + user[:, -1] + item[:, -1]
    else:
        score = ops.sum(user * item, axis=-1)
    if mean_rating:
        score = score + float(mean_rating)
    if sigmoid_scale is not None:
        low, high = sigmoid_scale
        score = low + (high - low) * ops.sigmoid(score)
    return keras.Model({"user_vector": user, "item_vector": item}, score, name="head")


def mlp_head(
    user_width: int,
    item_width: int,
    *,
    units: tuple[int, ...],
    activation: str | None = "relu",
    dense_l2: float = 0.0,
    dropout: float = 0.0,
    biases: bool = False,
    mean_rating: float = 0.0,
) -> keras.Model:
    """Build fully connected layers on the concatenation of a user and an item vector.

    Args:
        user_width: width of the user vector.
        item_width: width of the item vector.
        units: widths of the hidden layers, all relu.
        activation: activation of the rating unit.
        dense_l2: L2 on kernels and biases.
        dropout: dropout rate after each hidden layer.
        biases: the last component of each vector is a bias that is added to the rating.
        mean_rating: constant that is added to the rating.

    Returns:
        A model named ``head`` from ``user_vector`` and ``item_vector``, float32 ``[B, width]``,
        to a rating float32 ``[B]``.
    """
    user, item = _vectors(user_width, item_width)
    merged = ops.concatenate([user[:, :-1], item[:, :-1]] if biases else [user, item], axis=-1)
    hidden = _dense_stack(merged, units, "relu", dense_l2, dropout)
    rating = layers.Dense(
        1, activation=activation, dtype="float32", name="rating_unit", **_penalties(dense_l2)
    )(hidden)
    rating = ops.squeeze(rating, axis=-1)
    if biases:
        rating = rating + user[:, -1] + item[:, -1]
    if mean_rating:
        rating = rating + float(mean_rating)
    return keras.Model({"user_vector": user, "item_vector": item}, rating, name="head")


def two_tower_model(
    user_tower: keras.Model, item_tower: keras.Model, head: keras.Model, *, name: str
) -> keras.Model:
    """Join two towers and a head into a rating model.

    Args:
        user_tower: model with one input, from `embedding_tower` or `row_tower`.
        item_tower: the same for items.
        head: model from `dot_head` or `mlp_head`.
        name: name of the model.

    Returns:
        A functional model from the towers' inputs to ``{"rating": float32 [B]}``.
    """
    inputs = {
        tensor.name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name)
        for tower in (user_tower, item_tower)
        for tensor in tower.inputs
    }
    vectors = {
        f"{side}_vector": tower({tensor.name: inputs[tensor.name] for tensor in tower.inputs})
        for side, tower in (("user", user_tower), ("item", item_tower))
    }
    return keras.Model(inputs, {"rating": head(vectors)}, name=name)


def set_counts(model: keras.Model, matrix: Any) -> None:
    """Give the penalties that fall with frequency the number of ratings of every user and item.

    Args:
        model: a model with a ``user_tower`` and an ``item_tower``.
        matrix: `scipy.sparse.csr_matrix` ``[num_users + 1, num_items + 1]``, one entry a rating.
    """
    for axis, side in ((1, "user"), (0, "item")):
        counts = np.asarray(matrix.getnnz(axis=axis), np.float32)
        for layer in model.get_layer(f"{side}_tower").layers:
            if isinstance(layer, FrequencyPenalty):
                layer.counts.assign(counts)


def _dense_stack(
    tensor: Any,
    units: tuple[int, ...],
    last_activation: str | None,
    l2: float,
    dropout: float,
    activation: str | None = "relu",
    use_bias: bool = True,
) -> Any:
    for position, width in enumerate(units, start=1):
        chosen = last_activation if position == len(units) else activation
        tensor = layers.Dense(width, chosen, use_bias=use_bias, **_penalties(l2))(tensor)
        if dropout:
            tensor = layers.Dropout(dropout)(tensor)
    return tensor


def _penalties(l2: float) -> dict[str, Any]:
    if not l2:
        return {}
    return {"kernel_regularizer": keras.regularizers.L2(l2), "bias_regularizer": keras.regularizers.L2(l2)}


def _vectors(user_width: int, item_width: int) -> tuple[Any, Any]:
    user = keras.Input((user_width,), dtype="float32", name="user_vector")
    item = keras.Input((item_width,), dtype="float32", name="item_vector")
    return user, item


def _float32(tensor: Any) -> Any:
    """Leave the towers in float32 under mixed precision: heads and losses are float32."""
    return layers.Activation("linear", dtype="float32", name="vector")(tensor)
