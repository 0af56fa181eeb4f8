"""SASRec: Self-Attentive Sequential Recommendation (Kang, McAuley 2018)."""

from __future__ import annotations

from typing import Literal

import keras
from keras import layers

from tfzoo.layers import ItemTable, Positions, self_attentive_states
from tfzoo.layers.histories import masked
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Kang, McAuley",
    title="Self-Attentive Sequential Recommendation",
    venue="ICDM, 197-206",
    year=2018,
    url="https://doi.org/10.1109/ICDM.2018.00035",
)


@register_model(
    "sasrec", task="sequence", family="sequence", paper=PAPER, small={"history_length": 4, "embedding_dim": 6}
)
def SASRec(
    num_users: int,
    num_items: int,
    *,
    history_length: int = 50,
    embedding_dim: int = 50,
    blocks: int = 2,
    heads: int = 1,
    dropout: float = 0.5,
    residual: Literal["normed", "plain"] = "normed",
) -> keras.Model:
    """Self-attention over the last events of a user, read causally.

    Section III. The items of a history, times the root of the width, and learned positions pass through
    blocks of one attention layer and a point-wise network of two layers; the last state is scored by its
    inner products with the same item vectors.

    Args:
        num_users: number of known users; scores depend on the history alone.
        num_items: number of known items; item ids are ``1..num_items``, 0 is padding.
        history_length: L, events that are read, the last ones of a longer history.
        embedding_dim: width d of items and states.
        blocks: number of blocks.
        heads: attention heads; they divide ``embedding_dim``.
        dropout: rate on embeddings, attention weights and both layers of the point-wise networks.
        residual: ``normed`` as in the authors' code, where queries and residuals are layer-normed, and keys
            and values are not; ``plain`` as in the paper's formula, ``x + Dropout(g(LayerNorm(x)))``.

    Returns:
        A functional model: ``{"history": int32 [B, L]}``, right-aligned, to ``{"scores": float32
        [B, num_items + 1]}`` after the last event and ``{"states": float32 [B, L, d]}`` after each. It has
        ``(n + 1) d + L d + b (5 d^2 + 9 d) + 2 d`` trainable parameters for n items and b blocks.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.SASRec(943, 1682)
        >>> inputs = {"history": np.zeros((2, 50), int)}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Differences from the paper:
        None in the model as the authors' code has it. There an epoch draws 128 users at a time with
        replacement; here it visits every user once.

    Raises:
        ValueError: ``heads`` do not divide ``embedding_dim``.
    """
    history = keras.Input((history_length,), dtype="int32", name="history")
    table = ItemTable(num_items, embedding_dim, embeddings_initializer="glorot_uniform", name="items")
    vectors = table(history, look_up=True) * embedding_dim**0.5
    hidden = Positions(name="positions")(vectors)
    hidden = masked(layers.Dropout(dropout, name="embedding_dropout")(hidden), history)
    states = self_attentive_states(
        hidden, history, blocks=blocks, heads=heads, dropout=dropout, residual=residual
    )
    return keras.Model(
        {"history": history}, {"scores": table(states[:, -1]), "states": states}, name="sasrec"
    )
