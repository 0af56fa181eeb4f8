"""CDAE: Collaborative Denoising Auto-Encoders for Top-N Recommender Systems (Wu et al. 2016)."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from tfzoo.layers import Bias, Corruption, IdEmbedding, KnownIdPenalty, TiedProjection
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Wu, DuBois, Zheng, Ester",
    title="Collaborative Denoising Auto-Encoders for Top-N Recommender Systems",
    venue="WSDM 9, 153-162",
    year=2016,
    url="https://doi.org/10.1145/2835776.2835837",
)
ACTIVATIONS = ("sigmoid", "linear", "tanh")


@register_model("cdae", task="reconstruction", family="autoencoder", paper=PAPER, small={"embedding_dim": 6})
def CDAE(
    num_users: int,
    num_items: int,
    *,
    embedding_dim: int = 50,
    hidden_activation: str = "sigmoid",
    corruption: float = 0.5,
    scaled: bool = True,
    user_node: bool = True,
    user_scaling: bool = False,
    tied: bool = False,
    l2: float = 0.01,
) -> keras.Model:
    """Denoising auto-encoder of a user's row with a vector of the user beside it.

    Section 3: ``z = h(W^T x~ + V_u + b)`` and ``scores = W'^T z + b'``, where ``x~`` is the row
    after corruption. The loss, cross-entropy on these logits or squared error with sampled
    negatives, is the task's.

    Args:
        num_users: number of known users; user ids are ``1..num_users``, 0 is the unknown user.
        num_items: number of known items; item ids are ``1..num_items``, 0 is the unknown item.
        embedding_dim: width K of the hidden layer.
        hidden_activation: h: ``"sigmoid"``, ``"linear"`` or ``"tanh"``.
        corruption: q, the probability to lose an item of the row in training. With 1 the row is
            left out altogether, at inference too.
        scaled: multiply kept items by ``1 / (1 - q)`` in training.
        user_node: add the user's vector ``V_u``.
        user_scaling: multiply ``W^T x~`` by a vector of the user, at first 1, as the authors' code
            can do.
        tied: ``W' = W``.
        l2: lambda: ``lambda / 2`` times the squares of W, W', b, b', and of ``V_u``, mean over the
            known users of the batch, are added to the task's mean loss of a user.

    Returns:
        A functional model: ``{"user_row": float32 [B, num_items + 1], "user_id": int32 [B]}`` to
        ``{"scores": float32 [B, num_items + 1]}``, logits; ``user_id`` is an input only with
        ``user_node`` or ``user_scaling``. With ``m = num_users + 1``, ``n = num_items + 1`` and
        K = 50 it has ``2 n K + K + m K + n`` parameters (tied ``n K`` fewer).

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.CDAE(943, 1682)
        >>> inputs = {"user_id": np.array([1, 2]), "user_row": np.zeros((2, 1683))}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Differences from the paper:
        The authors' code takes a step for each user and penalises what that step touches: the
        user's vector, and of W and W' the rows of kept items and of sampled outputs. Here a step
        is a batch; the penalty on matrices and biases is the paper's objective as printed, that
        on V the code's. User scaling is not penalised. Optimiser and loss are the recipe's; the
        code has AdaGrad and 5 sampled negatives for each positive. A user without training data
        gets the mean vector of the others.

    Raises:
        ValueError: an option has no such value, or nothing of the user is left to learn from.
    """
    if hidden_activation not in ACTIVATIONS:
        raise ValueError(f"`hidden_activation` must be one of {ACTIVATIONS}. Received: {hidden_activation!r}")
    if corruption == 1 and not user_node:
        raise ValueError("`corruption=1` leaves the user's vector alone, so it needs `user_node=True`.")
    # Initialisers repeat themselves, so that each matrix needs one of its own.
    limit = 4 * math.sqrt(6 / (num_items + embedding_dim))

    def uniform() -> keras.Initializer:
        return keras.initializers.RandomUniform(-limit, limit)

    row = keras.Input((num_items + 1,), dtype="float32", name="user_row")
    user = keras.Input((), dtype="int32", name="user_id") if user_node or user_scaling else None

    def of_user(name: str, start: Any) -> Any:
        return IdEmbedding(num_users + 1, embedding_dim, embeddings_initializer=start, name=name)(user)

    corrupted = Corruption(corruption, scaled=scaled, name="corruption")(row)
    if tied:
        # One layer gives hidden values and scores, and the scores have to be float32.
        items = TiedProjection(
            embedding_dim, kernel_initializer=uniform(), l2=l2 / 2, dtype="float32", name="items"
        )
        hidden = items(corrupted)
    else:
        hidden = layers.Dense(
            embedding_dim,
            use_bias=False,
            kernel_initializer=uniform(),
            kernel_regularizer=_penalty(l2),
            name="encoder",
        )(corrupted)
    if user_scaling:
        hidden = ops.multiply(hidden, of_user("user_scaling", "ones"))
    if user_node:
        vector = of_user("user_node", uniform())
        hidden = ops.add(hidden, KnownIdPenalty(l2 / 2)(vector, user) if l2 else vector)
    hidden = layers.Activation(hidden_activation, name="hidden")(Bias(l2=l2 / 2, name="hidden_bias")(hidden))
    if tied:
        scores = Bias(l2=l2 / 2, dtype="float32", name="scores")(items(hidden, transposed=True))
    else:
        scores = layers.Dense(
            num_items + 1,
            kernel_initializer=uniform(),
            kernel_regularizer=_penalty(l2),
            bias_regularizer=_penalty(l2),
            dtype="float32",
            name="scores",
        )(hidden)
    inputs = {"user_row": row} if user is None else {"user_row": row, "user_id": user}
    return keras.Model(inputs, {"scores": scores}, name="cdae")


def _penalty(l2: float) -> keras.Regularizer | None:
    return keras.regularizers.L2(l2 / 2) if l2 else None
