"""Parts of models for implicit feedback: towers of embeddings, heads, and how they are joined.

A head reads a user vector ``[B, 1, wu]`` and item vectors ``[B, M, wi]``, or ``[1, N, wi]`` to
score one catalogue for every user.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers, ops

from tfzoo.layers.id_embedding import IdEmbedding, KnownIdPenalty
from tfzoo.layers.pair_layers import FrequencyPenalty, PairDense, PairDot, PairOutput


def factor_tower(
    side: str,
    num_ids: int,
    widths: Mapping[str, int],
    *,
    initial_stddev: float,
    embedding_l2: float = 0.0,
    frequency_exponent: float | None = None,
    embedding_dropout: float = 0.0,
    bias: bool = False,
) -> keras.Model:
    """Build id -> one or more embeddings side by side, normally distributed at first.

    Args:
        side: ``"user"`` or ``"item"``; the model is named ``<side>_tower``.
        num_ids: number of known ids; tables have one row more, row 0, for the unknown id.
        widths: name and width of each table; its layer is named ``<side>_<name>``.
        initial_stddev: standard deviation of the initial embeddings.
        embedding_l2: L2 on the looked-up rows, mean over the batch.
        frequency_exponent: let L2 fall with the id's interactions, see `FrequencyPenalty`, whose
            layer is then named ``<side>_penalty``.
        embedding_dropout: dropout rate on the embeddings.
        bias: append a trainable bias of the id as the last component of the vector, zero at first.

    Returns:
        A model from ``{"<side>_id": int32 [B]}`` to a vector float32 ``[B, width]``.
    """
    ids = keras.Input((), dtype="int32", name=f"{side}_id")
    penalty: Any = None
    if frequency_exponent is not None:
        penalty = FrequencyPenalty(num_ids, embedding_l2, frequency_exponent, name=f"{side}_penalty")
    elif embedding_l2:
        penalty = KnownIdPenalty(embedding_l2, name=f"{side}_penalty")

    def look_up(name: str, width: int, start: Any) -> Any:
        vectors = IdEmbedding(num_ids + 1, width, embeddings_initializer=start, name=f"{side}_{name}")(ids)
        return vectors if penalty is None else penalty(vectors, ids)

    # An initialiser gives the same numbers whenever it is used again: one for each table.
    parts = [
        look_up(name, width, keras.initializers.RandomNormal(stddev=initial_stddev))
        for name, width in widths.items()
    ]
    if embedding_dropout:
        parts = [layers.Dropout(embedding_dropout)(part) for part in parts]
    if bias:
        parts.append(look_up("bias", 1, "zeros"))
    vector = _side_by_side(parts) if len(parts) > 1 else parts[0]
    vector = layers.Activation("linear", dtype="float32", name="vector")(vector)
    return keras.Model({f"{side}_id": ids}, vector, name=f"{side}_tower")


def dot_pair_head(width: int, *, biases: bool = False, item_bias: bool = False) -> keras.Model:
    """Build the inner product of a user vector and item vectors.

    Args:
        width: width of both vectors.
        biases: the last component of each vector is a bias and is added, not multiplied.
        item_bias: the last component of the item vector alone is a bias; the user vector is
            ``width - 1`` wide.

    Returns:
        A model named ``head`` from ``user_vector`` and ``item_vector`` to logits.

    Raises:
        ValueError: both ``biases`` and ``item_bias``.
    """
    if biases and item_bias:
        raise ValueError("Only one of `biases` and `item_bias` can be set.")
    user, item = _vectors(width - 1 if item_bias else width, width)
    user_factors = user[..., :-1] if biases else user
    item_factors = item[..., :-1] if biases or item_bias else item
    logit = PairDot(dtype="float32", name="output")(user_factors, item_factors)
    if item_bias:
        logit = logit + item[..., -1]
    return _head(user, item, logit, biases)


def gmf_head(width: int, *, output_bias: bool = True, biases: bool = False) -> keras.Model:
    """Build a weighted inner product: generalised matrix factorisation.

    Args:
        width: width of both vectors.
        output_bias: the output unit has a bias.
        biases: the last component of each vector is a bias and is added, not multiplied.

    Returns:
        A model named ``head`` from ``user_vector`` and ``item_vector`` to logits.
    """
    user, item = _vectors(width, width)
    factors = (user[..., :-1], item[..., :-1]) if biases else (user, item)
    logit = PairOutput(output_bias, dtype="float32", name="output")(*factors)
    return _head(user, item, logit, biases)


def mlp_pair_head(
    user_width: int,
    item_width: int,
    *,
    units: tuple[int, ...],
    dense_l2: float = 0.0,
    dropout: float = 0.0,
    output_bias: bool = True,
    biases: bool = False,
) -> keras.Model:
    """Build fully connected layers on a user and an item vector, as if concatenated.

    Args:
        user_width: width of the user vector.
        item_width: width of the item vector.
        units: widths of the hidden layers, all relu; without any the head is linear.
        dense_l2: L2 on the kernels of the hidden layers.
        dropout: dropout rate after each hidden layer.
        output_bias: the output unit has a bias.
        biases: the last component of each vector is a bias that is added to the logit.

    Returns:
        A model named ``head`` from ``user_vector`` and ``item_vector`` to logits.
    """
    user, item = _vectors(user_width, item_width)
    parts = (user[..., :-1], item[..., :-1]) if biases else (user, item)
    output: dict[str, Any] = {
        "use_bias": output_bias,
        "kernel_initializer": "lecun_uniform",
        "dtype": "float32",
    }
    if units:
        logit = layers.Dense(1, name="output", **output)(_hidden(*parts, units, dense_l2, dropout))
    else:
        logit = PairDense(1, name="output", **output)(*parts)
    return _head(user, item, ops.squeeze(logit, axis=-1), biases)


def neumf_head(
    factors: int,
    mlp_width: int,
    *,
    units: tuple[int, ...],
    dense_l2: float = 0.0,
    dropout: float = 0.0,
    output_bias: bool = True,
    biases: bool = False,
) -> keras.Model:
    """Build NeuMF's head: one output unit over a product and the last hidden layer.

    Args:
        factors: the first components of both vectors, which are multiplied.
        mlp_width: the next components of both vectors, which the hidden layers read.
        units: widths of the hidden layers, all relu.
        dense_l2: L2 on the kernels of the hidden layers.
        dropout: dropout rate after each hidden layer.
        output_bias: the output unit has a bias.
        biases: each vector has one component more, a bias that is added to the logit.

    Returns:
        A model named ``head`` from ``user_vector`` and ``item_vector`` to logits.

    Raises:
        ValueError: ``units`` is empty.
    """
    if not units:
        raise ValueError("NeuMF needs at least one hidden layer. Received: units=()")
    width = factors + mlp_width
    user, item = _vectors(width + biases, width + biases)
    ends = [factors, width] if biases else [factors]
    user_parts, item_parts = (ops.split(vector, ends, axis=-1) for vector in (user, item))
    hidden = _hidden(user_parts[1], item_parts[1], units, dense_l2, dropout)
    output = PairOutput(output_bias, dtype="float32", name="output")
    return _head(user, item, output(user_parts[0], item_parts[0], hidden), biases)


def implicit_model(
    user_tower: keras.Model, item_tower: keras.Model, head: keras.Model, *, name: str, probability: bool
) -> keras.Model:
    """Join two towers and a head into a model for implicit feedback.

    Args:
        user_tower: model with one input, from a user to a vector ``[B, wu]``.
        item_tower: the same for items.
        head: model from ``user_vector`` ``[B, 1, wu]`` and ``item_vector`` ``[B, M, wi]`` to
            logits ``[B, M]``.
        name: name of the model.
        probability: squash the logit with the logistic function; else it is the score.

    Returns:
        A functional model from the towers' inputs to ``{"score": float32 [B]}``.
    """
    inputs = {
        tensor.name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name)
        for tower in (user_tower, item_tower)
        for tensor in tower.inputs
    }
    vectors = {
        f"{side}_vector": ops.expand_dims(tower({key.name: inputs[key.name] for key in tower.inputs}), 1)
        for side, tower in (("user", user_tower), ("item", item_tower))
    }
    score = head(vectors)[:, 0]
    if probability:
        score = layers.Activation("sigmoid", dtype="float32", name="probability")(score)
    return keras.Model(inputs, {"score": score}, name=name)


def catalogue_scores(head: keras.Model, users: Any, items: Any) -> Any:
    """Return the logit of every item for every user.

    A product costs one matrix product; hidden layers need memory for ``B N`` times their width.

    Args:
        head: a head of this module.
        users: user vectors float32 ``[B, wu]``.
        items: item vectors float32 ``[N, wi]``.

    Returns:
        float32 ``[B, N]``.
    """
    vectors = {"user_vector": ops.expand_dims(users, 1), "item_vector": ops.expand_dims(items, 0)}
    return head(vectors, training=False)


def _side_by_side(parts: list[Any]) -> Any:
    # With the axis that heads add and take apart again XLA sees that nothing needs to be copied.
    return ops.squeeze(ops.concatenate([ops.expand_dims(part, 1) for part in parts], axis=-1), 1)


def _hidden(user: Any, item: Any, units: tuple[int, ...], dense_l2: float, dropout: float) -> Any:
    hidden = None
    for number, width in enumerate(units, start=1):
        options: dict[str, Any] = {
            "activation": "relu",
            "kernel_regularizer": keras.regularizers.L2(dense_l2) if dense_l2 else None,
            "name": f"hidden_{number}",
        }
        if hidden is None:
            hidden = PairDense(width, **options)(user, item)
        else:
            hidden = layers.Dense(width, **options)(hidden)
        if dropout:
            hidden = layers.Dropout(dropout)(hidden)
    return hidden


def _vectors(user_width: int, item_width: int) -> tuple[Any, Any]:
    user = keras.Input((None, user_width), dtype="float32", name="user_vector")
    item = keras.Input((None, item_width), dtype="float32", name="item_vector")
    return user, item


def _head(user: Any, item: Any, logit: Any, biases: bool) -> keras.Model:
    if biases:
        logit = logit + user[..., -1] + item[..., -1]
    return keras.Model({"user_vector": user, "item_vector": item}, logit, name="head")
