"""Time-LSTM: What to Do Next: Modeling User Behaviors by Time-LSTM (Zhu et al. 2017)."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import layers, ops

from tfzoo.layers import ItemTable
from tfzoo.layers.histories import log_hours
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Zhu, Li, Liao, Wang, Guan, Liu, Cai",
    title="What to Do Next: Modeling User Behaviors by Time-LSTM",
    venue="IJCAI, 3602-3608",
    year=2017,
    url="https://doi.org/10.24963/ijcai.2017/504",
)
# By variant, what an event gives to the cell, each as wide as the state: input, forget, candidate and output,
# and the time gates, which are ready-made.
GATES = {1: ("i", "f", "g", "o", "t1"), 2: ("i", "f", "g", "o", "t1", "t2"), 3: ("i", "g", "o", "t1", "t2")}


@keras.saving.register_keras_serializable("tfzoo")
class NotPositive(keras.constraints.Constraint):
    """Keeps weights at 0 or below: ``min(w, 0)`` after every step."""

    def __call__(self, w: Any) -> Any:
        """Return the nearest weights that are allowed."""
        return ops.minimum(w, 0.0)


@keras.saving.register_keras_serializable("tfzoo")
class TimeGates(keras.layers.Layer):
    """What an event and the time after it give to each gate of a `TimeLSTMCell`.

    All gates but those of time get ``x W + b``, the output gate ``dt w_o`` besides; a time gate is
    ``sigmoid(x W + tanh(dt w) + b)``. ``w`` of the first one is 0 or below in variants 2 and 3: the longer
    the time, the less an event counts for what comes next.

    Args:
        units: width h of the state.
        variant: 1, 2 or 3.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        vectors: float ``[B, L, e]``.
        time: float ``[B, L, 1]``, dt.

    Returns:
        float ``[B, L, g h]``, for the g `GATES` of the variant.
    """

    def __init__(self, units: int, variant: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.variant = int(units), int(variant)

    def build(self, vectors_shape: Any, time_shape: Any) -> None:
        """Make the weights."""
        width = len(GATES[self.variant]) * self.units
        self.kernel = self.add_weight(
            shape=(vectors_shape[-1], width), initializer="glorot_uniform", name="kernel"
        )
        self.bias = self.add_weight(shape=(width,), initializer="zeros", name="bias")
        self.output_time = self._of_time("output_time", -0.1, 0.1)
        self.time_1 = (
            self._of_time("time_1", -0.1, 0.1)
            if self.variant == 1
            else self._of_time("time_1", -0.1, 0.0, constraint=NotPositive())
        )
        self.time_2 = self._of_time("time_2", -0.1, 0.1) if self.variant > 1 else None

    def _of_time(self, name: str, low: float, high: float, **options: Any) -> Any:
        initializer = keras.initializers.RandomUniform(low, high)
        return self.add_weight(shape=(self.units,), initializer=initializer, name=name, **options)

    def call(self, vectors: Any, time: Any) -> Any:
        """Return all gates, one after the other."""
        given = ops.matmul(vectors, self.kernel) + self.bias
        names = GATES[self.variant]
        parts = dict(zip(names, ops.split(given, len(names), axis=-1), strict=True))
        parts["o"] = parts["o"] + time * self.output_time
        parts["t1"] = ops.sigmoid(parts["t1"] + ops.tanh(time * self.time_1))
        if self.time_2 is not None:
            parts["t2"] = ops.sigmoid(parts["t2"] + ops.tanh(time * self.time_2))
        return ops.concatenate([parts[name] for name in names], axis=-1)

    def compute_output_shape(self, vectors_shape: Any, time_shape: Any) -> Any:
        """Return the shape of the gates."""
        return (*vectors_shape[:-1], len(GATES[self.variant]) * self.units)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units, "variant": self.variant}


@keras.saving.register_keras_serializable("tfzoo")
class TimeLSTMCell(keras.layers.Layer):
    """One step of an LSTM with peepholes, in which time gates weigh the event.

    Variant 1 has one time gate. Variant 2 has one for what is recommended next and one for what is carried
    on. Variant 3 is that without a forget gate: what comes in displaces what was there.

    Args:
        units: width h of the state.
        variant: 1, 2 or 3.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        gates: float ``[B, g h]``, see `TimeGates`.
        states: output and memory of the event before, each ``[B, h]``.

    Returns:
        The output ``[B, h]``, and the new states.
    """

    def __init__(self, units: int, variant: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.variant = int(units), int(variant)
        self.state_size, self.output_size = [self.units, self.units], self.units

    def build(self, gates_shape: Any) -> None:
        """Make the recurrent matrices and the peepholes."""
        self._gates = [name for name in GATES[self.variant] if not name.startswith("t")]
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, len(self._gates) * self.units),
            initializer="orthogonal",
            name="recurrent_kernel",
        )
        self.peepholes = {
            name: self.add_weight(shape=(self.units,), initializer="zeros", name=f"peephole_{name}")
            for name in self._gates
            if name != "g"
        }

    def call(self, gates: Any, states: Any, training: bool = False) -> Any:
        """Take one event."""
        hidden, memory = states
        names = GATES[self.variant]
        x = dict(zip(names, ops.split(gates, len(names), axis=-1), strict=True))
        recurrent = ops.split(ops.matmul(hidden, self.recurrent_kernel), len(self._gates), axis=-1)
        x |= {name: x[name] + more for name, more in zip(self._gates, recurrent, strict=True)}
        new = ops.sigmoid(x["i"] + self.peepholes["i"] * memory) * ops.tanh(x["g"])
        if self.variant == 3:
            entered = ops.sigmoid(x["i"] + self.peepholes["i"] * memory)
            shown = (1 - entered * x["t1"]) * memory + new * x["t1"]
            carried = (1 - entered) * memory + new * x["t2"]
        else:
            kept = ops.sigmoid(x["f"] + self.peepholes["f"] * memory) * memory
            shown = kept + new * x["t1"]
            carried = shown if self.variant == 1 else kept + new * x["t2"]
        output = ops.sigmoid(x["o"] + self.peepholes["o"] * shown) * ops.tanh(shown)
        return output, [output, carried]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units, "variant": self.variant}


@register_model(
    "time-lstm",
    task="sequence",
    family="sequence",
    paper=PAPER,
    small={"history_length": 4, "embedding_dim": 6, "units": 5},
)
def TimeLSTM(
    num_users: int,
    num_items: int,
    *,
    history_length: int = 50,
    embedding_dim: int = 64,
    units: int = 128,
    variant: Literal[1, 2, 3] = 3,
    dropout: float = 0.2,
) -> keras.Model:
    """LSTM with peepholes and gates of time, scored against the item vectors that it reads.

    Section 4. Time gates weigh an event by itself and by the time until the next one: variant 1 has one of
    them; variant 2 has another for what is carried on, so that after a long time an event may say little of
    what comes next and still be remembered; variant 3 is that without a forget gate. Time is the logarithm of
    1 and the hours; of the last event it is not known when the next will be, and counts as the median of
    training.

    Args:
        num_users: number of known users; scores depend on the history alone.
        num_items: number of known items; item ids are ``1..num_items``, 0 is padding.
        history_length: L, events that are read, the last ones of a longer history.
        embedding_dim: width d of the items.
        units: width h of the recurrent layer.
        variant: 1, 2 or 3.
        dropout: rate on the item vectors and on the states.

    Returns:
        A functional model: ``{"history": int32 [B, L], "history_gaps": float32 [B, L]}``, right-aligned, to
        ``{"scores": float32 [B, num_items + 1]}`` after the last event and ``{"states": float32 [B, L, d]}``
        after each. With ``q = d h + h^2 + h`` the cell has ``4 q + 3 h`` parameters and ``d h + 3 h`` of time
        in variant 1; ``d h + 2 h`` more in variant 2, and ``q + h`` fewer than that in variant 3. Beside it
        there are ``(n + 1)(d + 1) + h d + d`` for n items.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.TimeLSTM(943, 1682)
        >>> inputs = {"history": np.zeros((2, 50), int), "history_gaps": np.zeros((2, 50))}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Differences from the paper:
        Items have vectors, which the paper's one-hot inputs amount to; states, brought to their width, are
        scored against the same vectors with a bias of the item. The authors' code keeps the weight of the
        first time gate at 0 or above, where the paper asks for 0 or below, as here. There the time until the
        target is read in testing, too.

    Raises:
        ValueError: ``variant`` is none of 1, 2 and 3.
    """
    if variant not in GATES:
        raise ValueError(f"`variant` must be 1, 2 or 3. Received: variant={variant}")
    history = keras.Input((history_length,), dtype="int32", name="history")
    gaps = keras.Input((history_length,), dtype="float32", name="history_gaps")
    table = ItemTable(num_items, embedding_dim, bias=True, name="items")
    vectors = layers.Dropout(dropout, name="embedding_dropout")(table(history, look_up=True))
    gates = TimeGates(units, variant, name="gates")(vectors, log_hours(gaps))
    cell = TimeLSTMCell(units, variant, name="cell")
    hidden = layers.RNN(cell, return_sequences=True, name="recurrent")(gates, mask=ops.not_equal(history, 0))
    hidden = layers.Dropout(dropout, name="state_dropout")(hidden)
    states = layers.Dense(embedding_dim, name="to_items")(hidden)
    states = layers.Identity(dtype="float32", name="states")(states)
    return keras.Model(
        {"history": history, "history_gaps": gaps},
        {"scores": table(states[:, -1]), "states": states},
        name="time-lstm",
    )
