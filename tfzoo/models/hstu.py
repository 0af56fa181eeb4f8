"""HSTU: Hierarchical Sequential Transduction Units (Zhai et al. 2024)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tfzoo.layers import ItemTable, Positions
from tfzoo.layers.histories import masked
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Zhai, Liao, Liu, Wang, Li, Cao, Gao, Gong, Gu, He, Lu, Shi",
    title="Actions Speak Louder than Words: Trillion-Parameter Sequential Transducers for Generative "
    "Recommendations",
    venue="ICML, PMLR 235, 58484-58509",
    year=2024,
    url="https://proceedings.mlr.press/v235/zhai24a.html",
)
EPSILON = 1e-6
# On the scale of natural logarithms, as in the authors' code: each bucket ends 1.35 times later.
BUCKET_WIDTH = 0.301


@keras.saving.register_keras_serializable("tfzoo")
class PointwiseAttention(keras.layers.Layer):
    """Attention whose weights are a SiLU of each score, not a softmax over them, gated by the event itself.

    With ``U, V, Q, K = SiLU(LayerNorm(x) W)``, the weight of event j for event i is
    ``SiLU(Q_i . K_j + p[i - j] + t[time from j to i]) / L`` for j up to i, and the answer
    ``(LayerNorm(weights V) * U) W_o + b_o``. The norms have no weights of their own. Padding is attended to
    by nobody.

    Args:
        heads: number of heads; they divide the width. All of them share the biases of place and time.
        time_buckets: number of biases of time; 0 for none.
        dropout: rate on the gated answer.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        hidden: float ``[B, L, d]``.
        history: int32 ``[B, L]``, 0 for padding.
        time_bucket: int32 ``[B, L, L]``, see `time_bucket_of`; None where there are no biases of time.
        training: whether dropout is on.

    Returns:
        float ``[B, L, d]``.

    Raises:
        ValueError: ``heads`` do not divide the width.
    """

    def __init__(self, heads: int = 1, *, time_buckets: int = 0, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads, self.time_buckets, self.rate = int(heads), int(time_buckets), float(dropout)
        self.dropout = layers.Dropout(self.rate, name="dropout")

    def build(self, hidden_shape: Any, history_shape: Any, time_bucket_shape: Any = None) -> None:
        """Make the two projections and the biases."""
        length, width = hidden_shape[1:]
        if width % self.heads:
            raise ValueError(f"`heads` must divide the width {width}. Received: heads={self.heads}")
        normal = keras.initializers.RandomNormal(stddev=0.02)
        self.kernel = self.add_weight(shape=(width, 4 * width), initializer=normal.clone(), name="kernel")
        self.place_bias = self.add_weight(shape=(length,), initializer=normal.clone(), name="place_bias")
        if self.time_buckets:
            self.time_bias = self.add_weight(
                shape=(self.time_buckets,), initializer=normal.clone(), name="time_bias"
            )
        self.output_kernel = self.add_weight(
            shape=(width, width), initializer="glorot_uniform", name="output_kernel"
        )
        self.output_bias = self.add_weight(shape=(width,), initializer="zeros", name="output_bias")
        self._distance, self._causal = distances(length)

    def call(self, hidden: Any, history: Any, time_bucket: Any = None, training: bool = False) -> Any:
        """Attend, gate and project."""
        projected = ops.silu(ops.matmul(_normed(hidden), self.kernel))
        gate, value, query, key = ops.split(projected, 4, axis=-1)
        query, key, value = (self._heads(one) for one in (query, key, value))
        scores = ops.cast(ops.matmul(query, ops.swapaxes(key, -1, -2)), "float32")
        scores = scores + ops.cast(ops.take(self.place_bias, self._distance, axis=0), "float32")
        if time_bucket is not None:
            bias = ops.cast(ops.take(self.time_bias, time_bucket, axis=0), "float32")
            scores = scores + ops.expand_dims(bias, 1)
        known = ops.expand_dims(ops.expand_dims(ops.not_equal(history, 0), 1), 1)
        allowed = ops.logical_and(known, ops.convert_to_tensor(self._causal, "bool"))
        weights = ops.cast(ops.where(allowed, ops.silu(scores), 0.0), self.compute_dtype)
        attended = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        # Divided at last: half precision has few digits for numbers as small.
        attended = ops.cast(ops.reshape(attended, (-1, *hidden.shape[1:])), "float32") / hidden.shape[1]
        gated = ops.cast(_normed(attended), self.compute_dtype) * gate
        gated = self.dropout(gated, training=training)
        return ops.matmul(gated, self.output_kernel) + self.output_bias

    def _heads(self, values: Any) -> Any:
        """Return ``[B, heads, L, d / heads]``."""
        length, width = values.shape[1], values.shape[2]
        split = ops.reshape(values, (-1, length, self.heads, width // self.heads))
        return ops.transpose(split, (0, 2, 1, 3))

    def compute_output_shape(
        self, hidden_shape: Any, history_shape: Any, time_bucket_shape: Any = None
    ) -> Any:
        """Return the shape of the events."""
        return hidden_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "heads": self.heads,
            "time_buckets": self.time_buckets,
            "dropout": self.rate,
        }


def distances(length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how far j lies before i, int32 ``[L, L]``, 0 where it does not, and whether i may read j."""
    back = np.subtract.outer(np.arange(length), np.arange(length))
    return np.maximum(back, 0).astype(np.int32), back >= 0


def time_bucket_of(history_gaps: Any, time_buckets: int) -> Any:
    """Return the bucket of the time from each event to each later one, int32 ``[B, L, L]``.

    Args:
        history_gaps: seconds from each event to the next, float32 ``[B, L]``; within a history of years times
            are told apart by some seconds, not by one.
        time_buckets: number of buckets; longer times share the last one.
    """
    # The time of each event since the first place.
    time = ops.cumsum(history_gaps, axis=1) - history_gaps
    apart = ops.abs(ops.expand_dims(time, 2) - ops.expand_dims(time, 1))
    bucket = ops.floor(ops.log(ops.maximum(apart, 1.0)) / BUCKET_WIDTH)
    return ops.cast(ops.minimum(bucket, time_buckets - 1), "int32")


@register_model(
    "hstu",
    task="sequence",
    family="sequence",
    paper=PAPER,
    # Cosines divided by a small temperature are too coarse in half precision to be compared.
    small={"history_length": 4, "embedding_dim": 8, "temperature": 1.0},
)
def HSTU(
    num_users: int,
    num_items: int,
    *,
    history_length: int = 200,
    embedding_dim: int = 50,
    blocks: int = 2,
    heads: int = 1,
    dropout: float = 0.2,
    time_buckets: int = 128,
    temperature: float = 0.05,
) -> keras.Model:
    """Gated attention without a softmax, with biases of how far and how long ago an event is.

    Section 3. The items of a history, times the root of the width, and learned positions pass through blocks
    of `PointwiseAttention`, each added to what it reads; there are no point-wise networks. The weights of
    events are not normalised, so that how often something happened is not lost. States are scored by cosines
    with the same item vectors, divided by a temperature.

    Args:
        num_users: number of known users; scores depend on the history alone.
        num_items: number of known items; item ids are ``1..num_items``, 0 is padding.
        history_length: L, events that are read, the last ones of a longer history.
        embedding_dim: width d of items and states.
        blocks: number of blocks.
        heads: attention heads; they divide ``embedding_dim``.
        dropout: rate on embeddings and on what each attention gives before its last projection.
        time_buckets: buckets T of the time between two events, each ending 1.35 times later than the one
            before; 0 for data without times, and ``history_gaps`` are not read.
        temperature: divisor of the cosines.

    Returns:
        A functional model: ``{"history": int32 [B, L], "history_gaps": float32 [B, L]}``, right-aligned, to
        ``{"scores": float32 [B, num_items + 1]}`` after the last event and ``{"states": float32 [B, L, d]}``
        after each. It has ``(n + 1) d + L d + b (5 d^2 + d + L + T)`` parameters for n items and b blocks.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.HSTU(943, 1682, history_length=50)
        >>> inputs = {"history": np.zeros((2, 50), int), "history_gaps": np.zeros((2, 50))}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Differences from the paper:
        In the authors' code the time of an event counts to the event after the one that asks, so that
        training knows when the next event will be, which is not known at the end of a history; here it counts
        to the one that asks. That code has one bucket more.

    Raises:
        ValueError: ``heads`` do not divide ``embedding_dim``, or ``temperature`` is not above 0.
    """
    inputs = {"history": keras.Input((history_length,), dtype="int32", name="history")}
    history, bucket = inputs["history"], None
    if time_buckets:
        inputs["history_gaps"] = keras.Input((history_length,), dtype="float32", name="history_gaps")
        bucket = time_bucket_of(inputs["history_gaps"], time_buckets)
    normal = keras.initializers.TruncatedNormal(stddev=0.02)
    table = ItemTable(
        num_items,
        embedding_dim,
        normalize=True,
        temperature=temperature,
        embeddings_initializer=normal.clone(),
        name="items",
    )
    vectors = table(history, look_up=True) * embedding_dim**0.5
    hidden = Positions(keras.initializers.TruncatedNormal(stddev=embedding_dim**-0.5), name="positions")(
        vectors
    )
    hidden = masked(layers.Dropout(dropout, name="embedding_dropout")(hidden), history)
    for number in range(1, blocks + 1):
        attention = PointwiseAttention(
            heads, time_buckets=time_buckets, dropout=dropout, name=f"attention_{number}"
        )
        hidden = masked(hidden + attention(hidden, history, bucket), history)
    states = layers.Identity(dtype="float32", name="states")(hidden)
    return keras.Model(inputs, {"scores": table(states[:, -1]), "states": states}, name="hstu")


def _normed(values: Any) -> Any:
    """Return values whose last axis has mean 0 and deviation 1, computed in float32."""
    exact = ops.cast(values, "float32")
    mean, variance = ops.moments(exact, axes=-1, keepdims=True)
    return ops.cast((exact - mean) * ops.rsqrt(variance + EPSILON), values.dtype)
