"""BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations (Sun et al. 2019)."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from tfzoo.layers import CausalAttention, ItemTable, Positions
from tfzoo.layers.activations import gelu
from tfzoo.layers.item_table import MASK
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Sun, Liu, Wu, Pei, Lin, Ou, Jiang",
    title="BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations from Transformer",
    venue="CIKM, 1441-1450",
    year=2019,
    url="https://doi.org/10.1145/3357384.3357895",
)
EPSILON = 1e-12


@keras.saving.register_keras_serializable("tfzoo")
class BidirectionalBlock(keras.layers.Layer):
    """A transformer block that is normed after each of its two parts, as in BERT.

    Every event attends to all events of the history but padding.

    Args:
        heads: number of heads; they divide the width.
        dropout: rate on what attention and network give.
        attention_dropout: rate on the attention weights.
        initial_stddev: of the kernels, from a truncated normal distribution.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        hidden: float ``[B, L, d]``.
        history: int32 ``[B, L]``, 0 for padding.
        training: whether dropout is on.

    Returns:
        float ``[B, L, d]``.

    Raises:
        ValueError: ``heads`` do not divide the width.
    """

    def __init__(
        self,
        heads: int,
        *,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        initial_stddev: float = 0.02,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.heads, self.initial_stddev = int(heads), float(initial_stddev)
        self.rate, self.attention_rate = float(dropout), float(attention_dropout)

    def build(self, hidden_shape: Any, history_shape: Any) -> None:
        """Make attention, network, and the norms after them."""
        width, dtype = hidden_shape[-1], self.dtype_policy
        self.attention = CausalAttention(
            self.heads,
            dropout=self.attention_rate,
            causal=False,
            kernel_initializer=_normal(self.initial_stddev),
            dtype=dtype,
            name="attention",
        )
        self.attention.build(hidden_shape, hidden_shape, history_shape)
        self.merge, self.inner, self.outer = (
            layers.Dense(
                units,
                activation=activation,
                kernel_initializer=_normal(self.initial_stddev),
                dtype=dtype,
                name=name,
            )
            for name, units, activation in (
                ("merge", width, None),
                ("inner", 4 * width, gelu),
                ("outer", width, None),
            )
        )
        for dense in (self.merge, self.inner):
            dense.build(hidden_shape)
        self.outer.build((*hidden_shape[:-1], 4 * width))
        self.attention_norm, self.network_norm = _norm("attention_norm"), _norm("network_norm")
        for norm in (self.attention_norm, self.network_norm):
            norm.build(hidden_shape)
        self.attention_dropout = layers.Dropout(self.rate, dtype=dtype, name="attention_dropout")
        self.network_dropout = layers.Dropout(self.rate, dtype=dtype, name="network_dropout")

    def call(self, hidden: Any, history: Any, training: bool = False) -> Any:
        """Attend, then transform each event on its own."""
        attended = self.merge(self.attention(hidden, hidden, history, training=training))
        hidden = self.attention_norm(hidden + self.attention_dropout(attended, training=training))
        hidden = ops.cast(hidden, self.compute_dtype)
        network = self.network_dropout(self.outer(self.inner(hidden)), training=training)
        return ops.cast(self.network_norm(hidden + network), self.compute_dtype)

    def compute_output_shape(self, hidden_shape: Any, history_shape: Any) -> Any:
        """Return the shape of the events."""
        return hidden_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "heads": self.heads,
            "dropout": self.rate,
            "attention_dropout": self.attention_rate,
            "initial_stddev": self.initial_stddev,
        }


@register_model(
    "bert4rec",
    task="sequence",
    family="sequence",
    paper=PAPER,
    small={"history_length": 4, "embedding_dim": 6},
)
def BERT4Rec(
    num_users: int,
    num_items: int,
    *,
    history_length: int = 200,
    embedding_dim: int = 64,
    blocks: int = 2,
    heads: int = 2,
    dropout: float = 0.2,
    attention_dropout: float = 0.2,
    initial_stddev: float = 0.02,
) -> keras.Model:
    """Self-attention that looks both ways, trained to find hidden events.

    Section 3. Some events of a history are replaced by a token that stands for a hidden one, and each is to
    be found from those before and after it. What comes next is asked by one more hidden event at the end,
    for which the oldest event gives way: ``scores`` are those of that place, while ``states`` are of the
    history as it is given, hidden events (-1) and all.

    Args:
        num_users: number of known users; scores depend on the history alone.
        num_items: number of known items; item ids are ``1..num_items``, 0 is padding, -1 a hidden event.
        history_length: L, places of events, one of which is that of the event that is asked for.
        embedding_dim: width d of items and states.
        blocks: number of blocks.
        heads: attention heads; they divide ``embedding_dim``.
        dropout: rate on embeddings, and on what attention and networks give.
        attention_dropout: rate on the attention weights.
        initial_stddev: of all tables and kernels, from a truncated normal distribution.

    Returns:
        A functional model: ``{"history": int32 [B, L]}``, right-aligned, to ``{"scores": float32
        [B, num_items + 1]}`` of the event after the last one and ``{"states": float32 [B, L, d]}`` of each
        place. It has ``(n + 2) d + L d + 2 d + b (12 d^2 + 13 d) + d^2 + 3 d + n + 1`` parameters for n items
        and b blocks.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.BERT4Rec(943, 1682, history_length=50)
        >>> inputs = {"history": np.zeros((2, 50), int)}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Differences from the paper:
        The authors' code pads at the right, so that an event's position counts from the start of its window;
        here histories are right-aligned, and the place that is asked for is always the last one. A table of
        two token types, of which only one is ever used, is left out.

    Raises:
        ValueError: ``heads`` do not divide ``embedding_dim``.
    """
    history = keras.Input((history_length,), dtype="int32", name="history")
    table = ItemTable(
        num_items,
        embedding_dim,
        bias=True,
        mask_row=True,
        embeddings_initializer=_normal(initial_stddev),
        name="items",
    )
    places = Positions(_normal(initial_stddev), name="positions")
    steps: list[Any] = [_norm("embedding_norm"), layers.Dropout(dropout, name="embedding_dropout")]
    encoder = [
        BidirectionalBlock(
            heads,
            dropout=dropout,
            attention_dropout=attention_dropout,
            initial_stddev=initial_stddev,
            name=f"block_{number}",
        )
        for number in range(1, blocks + 1)
    ]
    head = [
        layers.Dense(
            embedding_dim, activation=gelu, kernel_initializer=_normal(initial_stddev), name="to_items"
        ),
        _norm("state_norm"),
    ]

    def states_of(events: Any) -> Any:
        hidden = places(table(events, look_up=True))
        for step in steps:
            hidden = step(hidden)
        for block in encoder:
            hidden = block(hidden, events)
        for step in head:
            hidden = step(hidden)
        return hidden

    states = layers.Identity(dtype="float32", name="states")(states_of(history))
    hidden_event = ops.full_like(history[:, :1], MASK)
    asked = states_of(ops.concatenate([history[:, 1:], hidden_event], axis=1))[:, -1]
    return keras.Model({"history": history}, {"scores": table(asked), "states": states}, name="bert4rec")


def _norm(name: str) -> layers.LayerNormalization:
    return layers.LayerNormalization(epsilon=EPSILON, dtype="float32", name=name)


def _normal(stddev: float) -> keras.Initializer:
    return keras.initializers.TruncatedNormal(stddev=stddev)
