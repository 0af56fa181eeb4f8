"""User-based GRU: Sequential User-based Recurrent Neural Network Recommendations (Donkers et al. 2017)."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import layers, ops

from tfzoo.layers import IdEmbedding, ItemTable
from tfzoo.models.recurrent import PADDED
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Donkers, Loepp, Ziegler",
    title="Sequential User-based Recurrent Neural Network Recommendations",
    venue="RecSys, 152-160",
    year=2017,
    url="https://doi.org/10.1145/3109859.3109877",
)


class _Cell(keras.layers.Layer):
    """A GRU cell over what an event and the user give to it; the reset gate acts before the product."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = self.state_size = self.output_size = int(units)

    def _square(self, gates: int, name: str = "recurrent_kernel") -> Any:
        shape = (self.units, gates * self.units)
        return self.add_weight(shape=shape, initializer="orthogonal", name=name)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("tfzoo")
class AttentionalCell(_Cell):
    """A gate decides at each event how much the candidate reads of the item, and how much of the user.

    With ``a = sigmoid(. + h U_a)`` the candidate is
    ``tanh((1 - a) item + a user + (r h) U_c + b)``.

    Args:
        units: width h of the state.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        given: float ``[B, 5 h]``: update gate, reset gate and attention of event and user, then ``item`` and
            ``user``.
        states: one state ``[B, h]``.

    Returns:
        The new state ``[B, h]``, twice.
    """

    def build(self, given_shape: Any) -> None:
        """Make the recurrent matrices and the bias of the candidate."""
        self.recurrent_kernel = self._square(3)
        self.candidate_kernel = self._square(1, "candidate_kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, given: Any, states: Any, training: bool = False) -> Any:
        """Take one event."""
        (hidden,) = states if isinstance(states, (list, tuple)) else (states,)
        *gates, item, user = ops.split(given, 5, axis=-1)
        recurrent = ops.split(ops.matmul(hidden, self.recurrent_kernel), 3, axis=-1)
        update, reset, attention = (ops.sigmoid(x + h) for x, h in zip(gates, recurrent, strict=True))
        read = (1 - attention) * item + attention * user
        candidate = ops.tanh(read + ops.matmul(reset * hidden, self.candidate_kernel) + self.bias)
        hidden = update * hidden + (1 - update) * candidate
        return hidden, [hidden]


@keras.saving.register_keras_serializable("tfzoo")
class RectifiedCell(_Cell):
    """Components of the user's vector count where they reach a threshold, which event and state decide.

    With ``k = . + h A``, ``u' = u`` where ``u >= k`` and 0 elsewhere takes the place of the user. A step has
    no gradient for the threshold, which gets that of ``relu(u - k)``.

    Args:
        units: width h of the state.
        user_width: width of the user's vector.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        given: float ``[B, 3 h + 2 w]``: update gate, reset gate and candidate of the event, then threshold
        and
            vector of the user.
        states: one state ``[B, h]``.

    Returns:
        The new state ``[B, h]``, twice.
    """

    def __init__(self, units: int, user_width: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.user_width = int(user_width)

    def build(self, given_shape: Any) -> None:
        """Make the matrices of state and user."""
        self.recurrent_kernel = self._square(2)
        self.candidate_kernel = self._square(1, "candidate_kernel")
        self.user_kernel = self.add_weight(
            shape=(self.user_width, 3 * self.units), initializer="glorot_uniform", name="user_kernel"
        )
        self.threshold_kernel = self.add_weight(
            shape=(self.units, self.user_width), initializer="glorot_uniform", name="threshold_kernel"
        )

    def call(self, given: Any, states: Any, training: bool = False) -> Any:
        """Take one event."""
        (hidden,) = states if isinstance(states, (list, tuple)) else (states,)
        h, w = self.units, self.user_width
        event, threshold, user = given[:, : 3 * h], given[:, 3 * h : 3 * h + w], given[:, 3 * h + w :]
        threshold = threshold + ops.matmul(hidden, self.threshold_kernel)
        counted = event + ops.matmul(rectified(user, threshold), self.user_kernel)
        recurrent = ops.matmul(hidden, self.recurrent_kernel)
        update, reset = ops.split(ops.sigmoid(counted[:, : 2 * h] + recurrent), 2, axis=-1)
        candidate = ops.tanh(counted[:, 2 * h :] + ops.matmul(reset * hidden, self.candidate_kernel))
        hidden = update * hidden + (1 - update) * candidate
        return hidden, [hidden]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "user_width": self.user_width}


def rectified(values: Any, threshold: Any) -> Any:
    """Return values where they reach a threshold, else 0; gradients are of ``relu(values - threshold)``."""
    smooth = ops.relu(values - threshold)
    return smooth + ops.stop_gradient(ops.where(values >= threshold, values, ops.zeros_like(values)) - smooth)


@register_model(
    "user-gru",
    task="sequence",
    family="sequence",
    paper=PAPER,
    reconstruction=True,
    small={"history_length": 4, "embedding_dim": 6, "units": 5},
)
def UserGRU(
    num_users: int,
    num_items: int,
    *,
    history_length: int = 50,
    embedding_dim: int = 64,
    units: int = 128,
    user_input: Literal["linear", "rectified", "attentional"] = "attentional",
    dropout: float = 0.2,
) -> keras.Model:
    """GRU that reads the user beside each event, in one of three ways.

    Section 3. ``linear``: every gate and the candidate get a term of the user, as if the user's vector were
    part of the event's. ``rectified``: components of the user's vector below a threshold, which event and
    state decide, do not count. ``attentional``: a gate shifts the candidate between item and user at every
    event.

    Args:
        num_users: number of known users; user ids are ``1..num_users``, 0 is an unknown user.
        num_items: number of known items; item ids are ``1..num_items``, 0 is padding.
        history_length: L, events that are read, the last ones of a longer history.
        embedding_dim: width d of items and users.
        units: width h of the recurrent layer.
        user_input: how the user is read.
        dropout: rate on the vectors of items and users, and on the states.

    Returns:
        A functional model: ``{"history": int32 [B, L], "user_id": int32 [B]}`` to ``{"scores": float32
        [B, num_items + 1]}`` after the last event and ``{"states": float32 [B, L, d]}`` after each. For m
        users and n items it has ``(m + 1) d + (n + 1)(d + 1) + h d + d`` parameters and, of the recurrent
        layer, ``3 (2 d h + h^2 + h)`` where linear, ``2 d^2 + d + h d`` more where rectified, ``2 d h + h^2 +
        h`` more where attentional.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.UserGRU(943, 1682)
        >>> inputs = {"history": np.zeros((2, 50), int), "user_id": np.zeros(2, int)}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Differences from the paper:
        A reconstruction: the cells follow descriptions of the paper, whose code is not public. As in `gru`,
        states brought to the width of the items are scored against the vectors that are read, with a bias, so
        that what differs from it is the user alone; the paper has a layer of its own for that. Users without
        training data, and histories of nobody, have the mean of the trained users' vectors.

    Raises:
        ValueError: there is no such ``user_input``.
    """
    makers = {"linear": _linear, "rectified": _rectified, "attentional": _attentional}
    if user_input not in makers:
        raise ValueError(
            f"`user_input` must be one of {', '.join(makers)}. Received: user_input={user_input!r}"
        )
    history = keras.Input((history_length,), dtype="int32", name="history")
    user_id = keras.Input((), dtype="int32", name="user_id")
    table = ItemTable(num_items, embedding_dim, bias=True, name="items")
    events = layers.Dropout(dropout, name="embedding_dropout")(table(history, look_up=True))
    user = IdEmbedding(num_users + 1, embedding_dim, name="user_embedding")(user_id)
    user = layers.RepeatVector(history_length, name="user_at_each_event")(
        layers.Dropout(dropout, name="user_dropout")(user)
    )
    hidden = makers[user_input](events, user, units, ops.not_equal(history, 0))
    hidden = layers.Dropout(dropout, name="state_dropout")(hidden)
    states = layers.Dense(embedding_dim, name="to_items")(hidden)
    states = layers.Identity(dtype="float32", name="states")(states)
    return keras.Model(
        {"history": history, "user_id": user_id},
        {"scores": table(states[:, -1]), "states": states},
        name="user-gru",
    )


def _linear(events: Any, user: Any, units: int, known: Any) -> Any:
    both = layers.Concatenate(name="event_and_user")([events, user])
    return layers.GRU(units, reset_after=False, name="recurrent", **PADDED)(both, mask=known)


def _rectified(events: Any, user: Any, units: int, known: Any) -> Any:
    width = user.shape[-1]
    both = layers.Concatenate(name="event_and_user")([events, user])
    given = layers.Concatenate(name="given")(
        [layers.Dense(3 * units, name="event")(events), layers.Dense(width, name="threshold")(both), user]
    )
    cell = RectifiedCell(units, width, name="cell")
    return layers.RNN(cell, return_sequences=True, name="recurrent")(given, mask=known)


def _attentional(events: Any, user: Any, units: int, known: Any) -> Any:
    both = layers.Concatenate(name="event_and_user")([events, user])
    given = layers.Concatenate(name="given")(
        [
            layers.Dense(3 * units, name="gates")(both),
            layers.Dense(units, use_bias=False, name="item")(events),
            layers.Dense(units, use_bias=False, name="user")(user),
        ]
    )
    cell = AttentionalCell(units, name="cell")
    return layers.RNN(cell, return_sequences=True, name="recurrent")(given, mask=known)
