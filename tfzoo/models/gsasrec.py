"""gSASRec: Reducing Overconfidence in Sequential Recommendation (Petrov, Macdonald 2023)."""

from __future__ import annotations

from typing import Literal

import keras
from keras import layers

from tfzoo.layers import ItemTable, Positions, self_attentive_states
from tfzoo.layers.histories import masked
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Petrov, Macdonald",
    title="gSASRec: Reducing Overconfidence in Sequential Recommendation Trained with Negative Sampling",
    venue="RecSys, 116-128",
    year=2023,
    url="https://doi.org/10.1145/3604915.3608783",
)


@register_model(
    "gsasrec",
    task="sequence",
    family="sequence",
    paper=PAPER,
    small={"history_length": 4, "embedding_dim": 6},
)
def GSASRec(
    num_users: int,
    num_items: int,
    *,
    history_length: int = 200,
    embedding_dim: int = 128,
    blocks: int = 2,
    heads: int = 1,
    dropout: float = 0.5,
    residual: Literal["normed", "plain"] = "normed",
    tied: bool = False,
    initial_stddev: float = 1.0,
) -> keras.Model:
    """SASRec for many negatives and a calibrated loss.

    Section 5. The network is that of SASRec; what is new is the loss of the recipes, ``gbce``: with K
    negatives a position the probability of the right item is raised to a power ``beta``, so that scores are
    no longer as overconfident as plain cross-entropy of few negatives makes them. ``task.calibration`` is the
    paper's t, from 0 for plain cross-entropy to 1 for scores that estimate probabilities.

    Args:
        num_users: number of known users; scores depend on the history alone.
        num_items: number of known items; item ids are ``1..num_items``, 0 is padding.
        history_length: L, events that are read, the last ones of a longer history.
        embedding_dim: width d of items and states.
        blocks: number of blocks.
        heads: attention heads; they divide ``embedding_dim``.
        dropout: rate on embeddings, attention weights and both layers of the point-wise networks.
        residual: see `tfzoo.models.SASRec`.
        tied: score with the vectors that are read; else with a second table, as the authors' code does.
        initial_stddev: of item vectors and positions, 1 in the authors' code. Item vectors much smaller than
            positions are slow to be told apart.

    Returns:
        A functional model: ``{"history": int32 [B, L]}``, right-aligned, to ``{"scores": float32
        [B, num_items + 1]}`` after the last event and ``{"states": float32 [B, L, d]}`` after each. It has
        ``2 (n + 1) d + L d + b (5 d^2 + 9 d) + 2 d`` trainable parameters for n items and b blocks,
        ``(n + 1) d`` fewer where tied.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.GSASRec(943, 1682, history_length=50)
        >>> inputs = {"history": np.zeros((2, 50), int)}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Differences from the paper:
        None in the model as the authors' code has it. There an epoch is at most 100 batches; here it visits
        every user once.

    Raises:
        ValueError: ``heads`` do not divide ``embedding_dim``.
    """
    history = keras.Input((history_length,), dtype="int32", name="history")
    normal = keras.initializers.RandomNormal(stddev=initial_stddev)
    table = ItemTable(num_items, embedding_dim, embeddings_initializer=normal.clone(), name="items")
    hidden = Positions(normal.clone(), name="positions")(table(history, look_up=True))
    hidden = masked(layers.Dropout(dropout, name="embedding_dropout")(hidden), history)
    states = self_attentive_states(
        hidden, history, blocks=blocks, heads=heads, dropout=dropout, residual=residual
    )
    scored = table
    if not tied:
        scored = ItemTable(
            num_items, embedding_dim, embeddings_initializer=normal.clone(), name="scored_items"
        )
    return keras.Model(
        {"history": history}, {"scores": scored(states[:, -1]), "states": states}, name="gsasrec"
    )
