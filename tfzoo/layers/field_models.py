"""Models of fields: inputs, vectors of categories and numbers, a network, one logit as the sum of parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from tfzoo.layers.fields import FieldEmbedding, NumberEmbedding, PairProducts
from tfzoo.layers.tied import Bias


def field_inputs(field_sizes: Sequence[int], dense_size: int) -> dict[str, Any]:
    """Return the inputs of a model of clicks.

    Args:
        field_sizes: rows of each field of categories, row 0 for the unknown value included.
        dense_size: number of numbers; 0 for none, and then there is no such input.

    Returns:
        ``{"fields": int32 [B, F], "dense": float32 [B, dense_size]}``, each where there are such.

    Raises:
        ValueError: there are neither fields nor numbers.
    """
    if not field_sizes and not dense_size:
        raise ValueError("a model of clicks needs fields or numbers: field_sizes is empty and dense_size 0")
    inputs = {}
    if field_sizes:
        inputs["fields"] = keras.Input((len(field_sizes),), dtype="int32", name="fields")
    if dense_size:
        inputs["dense"] = keras.Input((dense_size,), dtype="float32", name="dense")
    return inputs


def embed_fields(
    inputs: dict[str, Any], field_sizes: Sequence[int], kind: str, width: int, l2: float, initializer: Any
) -> Any:
    """Return a vector of each field and each number, ``[B, F + D, width]``.

    Args:
        inputs: as `field_inputs` gives them.
        field_sizes: rows of each field of categories.
        kind: what the layers are called after ``field_`` and ``number_``.
        width: length of the vectors.
        l2: L2 on the whole tables, at every step.
        initializer: of the tables.
    """
    found = []
    if "fields" in inputs:
        table = FieldEmbedding(field_sizes, width, l2, initializer, name=f"field_{kind}")
        found.append(table(inputs["fields"]))
    if "dense" in inputs:
        vectors = NumberEmbedding(width, l2, initializer, name=f"number_{kind}")
        found.append(vectors(inputs["dense"]))
    return found[0] if len(found) == 1 else layers.Concatenate(axis=1)(found)


def l2_or_none(l2: float) -> Any:
    """Return a regularizer, or None where its strength is 0."""
    return keras.regularizers.L2(l2) if l2 else None


def relu_layers(hidden: Any, units: Sequence[int], dropout: float = 0.0, l2: float = 0.0) -> Any:
    """Return what is left of ``hidden`` after relu layers of these widths, each followed by dropout."""
    for number, width in enumerate(units, start=1):
        name = f"hidden_{number}"
        hidden = layers.Dense(width, "relu", kernel_regularizer=l2_or_none(l2), name=name)(hidden)
        if dropout:
            hidden = layers.Dropout(dropout)(hidden)
    return hidden


def click_term(hidden: Any, l2: float = 0.0, name: str = "network") -> Any:
    """Return a term of the logit, float32 ``[B, 1]``; the bias is one for all terms."""
    last = layers.Dense(1, use_bias=False, kernel_regularizer=l2_or_none(l2), name=name)
    return layers.Activation("linear", dtype="float32")(last(hidden))


def click_model(name: str, inputs: dict[str, Any], terms: Sequence[Any]) -> keras.Model:
    """Build the model whose logit is the sum of terms and a bias.

    Args:
        name: of the model.
        inputs: as `field_inputs` gives them.
        terms: float32 ``[B, 1]`` each.

    Returns:
        The inputs to ``{"click": float32 [B], "logit": float32 [B]}``, ``click`` the sigmoid of ``logit``.
    """
    total = terms[0] if len(terms) == 1 else layers.Add(dtype="float32")(list(terms))
    logit = ops.squeeze(Bias(dtype="float32", name="bias")(total), axis=-1)
    logit = layers.Activation("linear", dtype="float32", name="logit")(logit)
    click = layers.Activation("sigmoid", dtype="float32", name="click")(logit)
    return keras.Model(inputs, {"click": click, "logit": logit}, name=name)


def field_model(
    name: str,
    field_sizes: Sequence[int],
    dense_size: int,
    *,
    linear: bool,
    pairs: bool,
    embedding_dim: int = 0,
    hidden_units: Sequence[int] = (),
    dropout: float = 0.0,
    table_l2: float = 0.0,
    dense_l2: float = 0.0,
    initial_stddev: float = 0.01,
) -> keras.Model:
    """Build fields and numbers -> the probability of a click, a sum of parts in its logit.

    Args:
        name: of the model.
        field_sizes: rows of each field of categories, row 0 for the unknown value included.
        dense_size: number of numbers; 0 for none, and then there is no such input.
        linear: a weight for each row and each number.
        pairs: the inner products of all pairs of embeddings, as in a factorisation machine.
        embedding_dim: length of the embeddings.
        hidden_units: widths of the relu layers over all embeddings; empty for no network.
        dropout: rate after each hidden layer.
        table_l2: L2 on the whole tables of embeddings and weights, at every step.
        dense_l2: L2 on the kernels of the network.
        initial_stddev: standard deviation of the initial embeddings; the weights start at 0.

    Returns:
        ``{"fields": int32 [B, F], "dense": float32 [B, dense_size]}`` to ``{"click": float32 [B],
        "logit": float32 [B]}``.
    """
    inputs = field_inputs(field_sizes, dense_size)
    terms = []
    if linear:
        weights = embed_fields(inputs, field_sizes, "weights", 1, table_l2, "zeros")
        terms.append(ops.sum(layers.Activation("linear", dtype="float32")(weights), axis=1))
    if pairs or hidden_units:
        start = keras.initializers.RandomNormal(stddev=initial_stddev)
        vectors = embed_fields(inputs, field_sizes, "embeddings", embedding_dim, table_l2, start)
        if pairs:
            terms.append(PairProducts(name="pairs")(vectors))
        if hidden_units:
            hidden = relu_layers(layers.Flatten()(vectors), hidden_units, dropout, dense_l2)
            terms.append(click_term(hidden, dense_l2))
    return click_model(name, inputs, terms)
