"""Blocks of causal self-attention, as SASRec and its kin stack them."""

from __future__ import annotations

from typing import Any

from keras import layers

from tfzoo.layers.histories import CausalAttention, masked

EPSILON = 1e-8


def self_attentive_states(
    hidden: Any, history: Any, *, blocks: int, heads: int, dropout: float, residual: str
) -> Any:
    """Return what some blocks make of the vectors of a history, layer-normed, float32 ``[B, L, d]``.

    Args:
        hidden: vectors of the events with their positions, ``[B, L, d]``.
        history: int32 ``[B, L]``, 0 for padding.
        blocks: number of blocks, each one attention layer and a point-wise network of two layers.
        heads: attention heads; they divide ``d``.
        dropout: rate on attention weights and both layers of the point-wise networks.
        residual: ``normed``: queries and residuals are layer-normed, keys and values are not; ``plain``:
            ``x + Dropout(g(LayerNorm(x)))``.

    Raises:
        ValueError: ``heads`` do not divide the width.
    """
    for number in range(1, blocks + 1):
        hidden = _block(hidden, history, number, heads, dropout, residual)
    states = _norm("last_norm")(hidden)
    return layers.Identity(dtype="float32", name="states")(states)


def _block(hidden: Any, history: Any, number: int, heads: int, dropout: float, residual: str) -> Any:
    width = hidden.shape[-1]
    query = _norm(f"attention_norm_{number}")(hidden)
    attention = CausalAttention(heads, dropout=dropout, name=f"attention_{number}")
    if residual == "normed":
        hidden = query + attention(query, hidden, history)
    else:
        attended = attention(query, query, history)
        hidden = hidden + layers.Dropout(dropout, name=f"attention_dropout_{number}")(attended)
    normed = _norm(f"network_norm_{number}")(hidden)
    inner = layers.Dense(width, activation="relu", name=f"network_{number}_1")(normed)
    inner = layers.Dropout(dropout, name=f"network_dropout_{number}_1")(inner)
    outer = layers.Dense(width, name=f"network_{number}_2")(inner)
    outer = layers.Dropout(dropout, name=f"network_dropout_{number}_2")(outer)
    return masked((normed if residual == "normed" else hidden) + outer, history)


def _norm(name: str) -> layers.LayerNormalization:
    return layers.LayerNormalization(epsilon=EPSILON, dtype="float32", name=name)
