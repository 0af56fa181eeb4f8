"""NARM: Neural Attentive Session-based Recommendation (Li et al. 2017)."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from tfzoo.layers import ItemTable
from tfzoo.models.recurrent import PADDED
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Li, Ren, Chen, Ren, Lian, Ma",
    title="Neural Attentive Session-based Recommendation",
    venue="CIKM, 1419-1428",
    year=2017,
    url="https://doi.org/10.1145/3132847.3132926",
)


@keras.saving.register_keras_serializable("tfzoo")
class LastStateAttention(keras.layers.Layer):
    """Sums the states of a sequence by how well each goes with the last one.

    A state ``h_j`` has the score ``v . sigmoid(A h_j + B h_L)``. Padding takes no part; a history without any
    event gives zeros.

    Args:
        normalized: the weights are a softmax of the scores, as in the authors' code; else the scores
            themselves, as in the paper's formula.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        states: float ``[B, L, h]``.
        history: int32 ``[B, L]``, 0 for padding, right-aligned.

    Returns:
        float ``[B, h]``.
    """

    def __init__(self, normalized: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.normalized = bool(normalized)
        # It masks by the history itself, which is the mask that comes with the states.
        self.supports_masking = True

    def build(self, states_shape: Any, history_shape: Any) -> None:
        """Make A, B and v."""
        width = states_shape[-1]
        for name, shape in (("each", (width, width)), ("last", (width, width)), ("score", (width, 1))):
            setattr(self, name, self.add_weight(shape=shape, initializer="glorot_uniform", name=name))

    def call(self, states: Any, history: Any) -> Any:
        """Weigh and sum."""
        together = ops.matmul(states, self.each) + ops.matmul(states[:, -1:], self.last)
        scores = ops.cast(ops.matmul(ops.sigmoid(together), self.score), "float32")
        known = ops.expand_dims(ops.not_equal(history, 0), -1)
        if self.normalized:
            scores = ops.softmax(ops.where(known, scores, -1e9), axis=1)
        weights = ops.cast(ops.where(known, scores, 0.0), self.compute_dtype)
        return ops.sum(weights * states, axis=1)

    def compute_output_shape(self, states_shape: Any, history_shape: Any) -> Any:
        """Return the shape of the sum."""
        return (states_shape[0], states_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "normalized": self.normalized}


@register_model(
    "narm",
    task="sequence",
    family="sequence",
    paper=PAPER,
    small={"history_length": 4, "embedding_dim": 6, "units": 5},
)
def NARM(
    num_users: int,
    num_items: int,
    *,
    history_length: int = 19,
    embedding_dim: int = 50,
    units: int = 100,
    embedding_dropout: float = 0.25,
    dropout: float = 0.5,
    normalized: bool = True,
    first: int | None = None,
) -> keras.Model:
    """Recurrent network over a session, with attention from its last state to all of them.

    Section 3. The last state of a GRU says what the session has come to, and a sum of all its states,
    weighted by how well they go with the last one, what it is for. Both together are scored against the item
    vectors that are read, through one matrix, the paper's bilinear decoder.

    Args:
        num_users: number of known users; scores depend on the history alone.
        num_items: number of known items; item ids are ``1..num_items``, 0 is padding.
        history_length: L, events that are read, the last ones of a longer history.
        embedding_dim: width e of the items.
        units: width h of the recurrent layer.
        embedding_dropout: rate on the item vectors.
        dropout: rate on the two states.
        normalized: weights of the states are a softmax; else their plain scores, as the paper prints.
        first: of these L, only so many of the oldest count, as in the authors' code, which reads the first 19
            clicks of a longer session; None for all.

    Returns:
        A functional model: ``{"history": int32 [B, L]}``, right-aligned, to ``{"scores": float32
        [B, num_items + 1]}`` and ``{"states": float32 [B, 1, e]}``, both after the last event. It has
        ``(n + 1) e + 3 (e h + h^2 + h) + 2 h^2 + h + 2 e h`` parameters for n items.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.NARM(943, 1682)
        >>> inputs = {"history": np.zeros((2, 19), int)}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Differences from the paper:
        Weights of states are normalised, as in the authors' code. That code takes the first 19 events of a
        longer session, see ``first``, and gates with a piecewise linear sigmoid; here the last 19 count, and
        the sigmoid is the usual one.

    Raises:
        ValueError: ``first`` is not between 1 and ``history_length``.
    """
    if first is not None and not 1 <= first <= history_length:
        raise ValueError(f"`first` must be between 1 and {history_length}. Received: first={first}")
    given = keras.Input((history_length,), dtype="int32", name="history")
    history = given if first is None else oldest(given, first)
    table = ItemTable(num_items, embedding_dim, name="items")
    vectors = layers.Dropout(embedding_dropout, name="embedding_dropout")(table(history, look_up=True))
    recurrent = layers.GRU(units, reset_after=False, name="recurrent", **PADDED)
    hidden = recurrent(vectors, mask=ops.not_equal(history, 0))
    local = LastStateAttention(normalized, name="attention")(hidden, history)
    both = layers.Concatenate(name="both")([local, hidden[:, -1]])
    both = layers.Dropout(dropout, name="dropout")(both)
    state = layers.Dense(embedding_dim, use_bias=False, name="decoder")(both)
    states = layers.Identity(dtype="float32", name="states")(ops.expand_dims(state, 1))
    return keras.Model({"history": given}, {"scores": table(states[:, -1]), "states": states}, name="narm")


def oldest(history: Any, count: int) -> Any:
    """Return the first events of right-aligned histories int32 ``[B, L]``: int32 ``[B, count]``."""
    length = history.shape[1]
    begin = ops.sum(ops.cast(ops.equal(history, 0), "int32"), axis=1, keepdims=True)
    # One that has fewer events keeps its padding.
    begin = ops.minimum(begin, length - count)
    return ops.take_along_axis(history, begin + ops.arange(count, dtype="int32"), axis=1)
