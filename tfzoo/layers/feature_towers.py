"""Towers and heads of models that read ids and side features: Wide & Deep, DeepFM.

A tower's vector is ``[v, s, b, x]``: the embedding ``v`` of the id, the sum ``s`` of the embeddings of
its features, a number ``b`` that is added to the rating, and the features ``x`` themselves where asked for.
What is left out has width 0.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from tfzoo.layers.id_embedding import IdEmbedding, KnownIdPenalty
from tfzoo.layers.set_embedding import SetEmbedding


def feature_tower(
    side: str,
    num_ids: int,
    num_features: int,
    embedding_dim: int,
    *,
    linear: bool = True,
    pairs: bool = False,
    keep_features: bool = False,
    lookup_l2: float = 0.0,
    initial_stddev: float = 0.01,
) -> keras.Model:
    """Build an id and its features -> one vector.

    Args:
        side: ``"user"`` or ``"item"``; the model is named ``<side>_tower``.
        num_ids: number of known ids; the table has one row more, row 0, for the unknown id.
        num_features: number of feature columns; 0 for none, and then there is no such input.
        embedding_dim: width ``k`` of the embeddings; 0 for none.
        linear: ``b`` has a weight of the id and one of each feature.
        pairs: ``b`` has the inner products of all pairs of embeddings of this side.
        keep_features: append the features.
        lookup_l2: L2 on looked-up embeddings and weights, mean over the batch.
        initial_stddev: standard deviation of the initial embeddings; the weights start at 0.

    Returns:
        A model from ``{"<side>_id": int32 [B], "<side>_features": float32 [B, num_features]}`` to a
        vector float32 ``[B, width]``.
    """
    ids = keras.Input((), dtype="int32", name=f"{side}_id")
    features = (
        keras.Input((num_features,), dtype="float32", name=f"{side}_features") if num_features else None
    )

    def look_up(name: str, width: int, start: Any) -> Any:
        rows = IdEmbedding(num_ids + 1, width, embeddings_initializer=start, name=f"{side}_{name}")(ids)
        if lookup_l2:
            rows = KnownIdPenalty(lookup_l2)(rows, ids)
        # Sums over pairs are differences of large numbers in half precision.
        return layers.Activation("linear", dtype="float32")(rows)

    def sum_up(name: str, width: int, start: Any, squares: bool = False) -> Any:
        name = f"{side}_features_{name}"
        return SetEmbedding(width, lookup_l2, squares, start, dtype="float32", name=name)(features, ids)

    parts: list[Any] = []
    numbers: list[Any] = []
    if embedding_dim:
        parts.append(look_up("embedding", embedding_dim, _normal(initial_stddev)))
        if features is not None:
            sums = sum_up("embedding", embedding_dim, _normal(initial_stddev), squares=pairs)
            within = sums[:, :embedding_dim]
            parts.append(within)
            if pairs:
                # Every pair of features once, and each of them with the id.
                twice = ops.sum(ops.square(within), axis=-1, keepdims=True) - sums[:, embedding_dim:]
                numbers += [ops.sum(parts[0] * within, axis=-1, keepdims=True), 0.5 * twice]
    if linear:
        numbers.append(look_up("bias", 1, "zeros"))
        if features is not None:
            numbers.append(sum_up("bias", 1, "zeros"))
    if numbers:
        parts.append(ops.sum(ops.concatenate(numbers, axis=-1), axis=-1, keepdims=True))
    if keep_features and features is not None:
        parts.append(features)
    vector = ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]
    vector = layers.Activation("linear", dtype="float32", name="vector")(vector)
    inputs = {f"{side}_id": ids}
    if features is not None:
        inputs[f"{side}_features"] = features
    return keras.Model(inputs, vector, name=f"{side}_tower")


def feature_head(
    num_features: tuple[int, int],
    embedding_dim: int,
    *,
    linear: bool = True,
    pairs: bool = False,
    crosses: bool = False,
    units: tuple[int, ...] = (),
    dense_l2: float = 0.0,
    dropout: float = 0.0,
    mean_rating: float = 0.0,
) -> keras.Model:
    """Build the rating of two vectors of `feature_tower`, a sum of the parts that are asked for.

    Args:
        num_features: numbers of feature columns of users and of items.
        embedding_dim: width of the embeddings.
        linear: the vectors have a number to be added, and so it is.
        pairs: add the inner products of all embeddings of one side with all of the other.
        crosses: the vectors end with the features; add a weight for every pair of a feature of the
            user and one of the item that occur together.
        units: widths of the relu layers over all embeddings, and a linear unit on them; empty for none.
        dense_l2: L2 on the kernels of the layers and on the weights of the crosses.
        dropout: dropout rate after each layer.
        mean_rating: constant that is added.

    Returns:
        A model named ``head`` from ``user_vector`` and ``item_vector``, float32 ``[B, width]``, to
        a rating float32 ``[B]``.

    Raises:
        ValueError: nothing is asked for, or crosses without features of both sides.
    """
    if crosses and not all(num_features):
        raise ValueError(f"Crosses need features of both sides. Received: num_features={num_features}")
    penalty = keras.regularizers.L2(dense_l2) if dense_l2 else None
    vectors: list[Any] = []
    fields: list[Any] = []
    numbers: list[Any] = []
    features: list[Any] = []
    sums: list[Any] = []
    for side, columns in zip(("user", "item"), num_features, strict=True):
        width = embedding_dim * (2 if columns else 1)
        vector = keras.Input((width + linear + crosses * columns,), dtype="float32", name=f"{side}_vector")
        vectors.append(vector)
        fields.append(vector[:, :width])
        if linear:
            numbers.append(vector[:, width : width + 1])
        if crosses:
            features.append(vector[:, width + 1 :] if linear else vector[:, width:])
        if pairs:
            each = ops.reshape(fields[-1], (-1, 2 if columns else 1, embedding_dim))
            sums.append(ops.sum(each, axis=1))
    if pairs:
        numbers.append(ops.sum(sums[0] * sums[1], axis=-1, keepdims=True))
    if crosses:
        cross = layers.Dense(
            num_features[1],
            use_bias=False,
            kernel_initializer="zeros",
            kernel_regularizer=penalty,
            dtype="float32",
            name="crosses",
        )
        numbers.append(ops.sum(cross(features[0]) * features[1], axis=-1, keepdims=True))
    if units:
        hidden = ops.concatenate(fields, axis=-1)
        for width in units:
            hidden = layers.Dense(width, "relu", kernel_regularizer=penalty)(hidden)
            if dropout:
                hidden = layers.Dropout(dropout)(hidden)
        numbers.append(layers.Dense(1, dtype="float32", name="deep_unit")(hidden))
    if not numbers:
        raise ValueError("A rating needs a linear part, pairs, crosses or hidden layers. There are none.")
    rating = ops.sum(ops.concatenate(numbers, axis=-1), axis=-1) + float(mean_rating)
    return keras.Model(dict(zip(("user_vector", "item_vector"), vectors, strict=True)), rating, name="head")


def _normal(stddev: float) -> keras.Initializer:
    # One initialiser gives the same numbers to every table it starts.
    return keras.initializers.RandomNormal(stddev=stddev)
