"""Parts of GRU4Rec: one step of a GRU, and scores of items that may share their table with the input."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

ACTIVATIONS = ("linear", "elu", "tanh", "relu", "leaky_relu", "selu", "softplus")


@keras.saving.register_keras_serializable("tfzoo")
class BlockUniform(keras.Initializer):
    """Uniform numbers within ``sqrt(6 / (rows + columns))``, of each block of columns on its own.

    A matrix that holds the weights of several gates side by side starts as if each gate had a
    matrix of its own. Counting the columns of all gates makes the numbers too small.

    Args:
        blocks: number of gates side by side; 1 is Glorot's uniform initialiser.
        seed: as for Keras' initialisers.
    """

    def __init__(self, blocks: int = 1, seed: int | None = None) -> None:
        self.blocks = int(blocks)
        self.seed = seed
        self._random = keras.initializers.GlorotUniform(seed=seed)

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
        """Return the weights, ``shape`` being ``(rows, blocks * columns)``."""
        rows, columns = shape
        limit = (6.0 / (rows + columns / self.blocks)) ** 0.5
        glorot = (6.0 / (rows + columns)) ** 0.5
        return self._random((rows, columns), dtype=dtype) * (limit / glorot)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"blocks": self.blocks, "seed": self.seed}


@keras.saving.register_keras_serializable("tfzoo")
class GRUStep(keras.layers.Layer):
    """One step of a GRU; the reset gate acts before the recurrent product.

    With ``x`` the input, ``h`` the previous state and ``*`` elementwise,
    ``r = sigmoid(x Wr + h Ur + br)``, ``z = sigmoid(x Wz + h Uz + bz)``,
    ``c = tanh(x Wc + (r * h) Uc + bc)``, and the new state is ``(1 - z) * h + z * c``.

    Gradients do not flow into ``h``: the state of the step before is a constant, as in the
    public GRU4Rec. Where the item is the unknown one, the state stays as it is.

    Args:
        units: width of the state.
        projected: the inputs are the products ``x W`` of all gates already, in the order
            candidate, reset, update, as looked up for a one-hot ``x``.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        inputs: float ``[B, width]``, or ``[B, 3 * units]`` where ``projected``.
        state: float32 ``[B, units]``.
        item_id: int32 ``[B]``.

    Returns:
        The new state, float32 ``[B, units]``.
    """

    def __init__(self, units: int, *, projected: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = int(units)
        self.projected = bool(projected)

    def build(self, inputs_shape: Any, state_shape: Any = None, item_id_shape: Any = None) -> None:
        """Make the weights."""
        units = self.units
        if not self.projected:
            self.kernel = self.add_weight(
                shape=(inputs_shape[-1], 3 * units), initializer=BlockUniform(3), name="kernel"
            )
        self.gate_kernel = self.add_weight(
            shape=(units, 2 * units), initializer=BlockUniform(2), name="gate_kernel"
        )
        self.candidate_kernel = self.add_weight(
            shape=(units, units), initializer=BlockUniform(), name="candidate_kernel"
        )
        self.bias = self.add_weight(shape=(3 * units,), initializer="zeros", name="bias")

    def call(self, inputs: Any, state: Any, item_id: Any) -> Any:
        """Return the new state."""
        before = ops.cast(ops.stop_gradient(state), self.compute_dtype)
        inputs = inputs if self.projected else ops.matmul(inputs, self.kernel)
        candidate, reset, update = ops.split(inputs + self.bias, 3, axis=-1)
        from_reset, from_update = ops.split(ops.matmul(before, self.gate_kernel), 2, axis=-1)
        reset, update = ops.sigmoid(reset + from_reset), ops.sigmoid(update + from_update)
        candidate = ops.tanh(candidate + ops.matmul(reset * before, self.candidate_kernel))
        after = (1.0 - update) * before + update * candidate
        known = ops.expand_dims(ops.not_equal(item_id, 0), -1)
        return ops.cast(ops.where(known, after, before), "float32")

    def compute_output_spec(self, inputs: Any, state: Any, item_id: Any) -> Any:
        """Return shape and type of the new state."""
        return keras.KerasTensor((inputs.shape[0], self.units), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units, "projected": self.projected}


@keras.saving.register_keras_serializable("tfzoo")
class ItemScores(keras.layers.Layer):
    """Scores of items for a hidden state, ``activation(h . w_i + b_i)``, with a row ``w_i`` an item.

    The rows may be the input embedding too: ``look_up=True`` returns them for ids.

    Args:
        num_rows: number of items, the unknown one (row 0) included.
        width: width of the hidden state.
        activation: of the scores, one of `ACTIVATIONS`.
        elu_alpha: slope parameter of ``elu``; used by it alone.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        inputs: hidden states float ``[B, width]``, or int32 ids ``[B]`` where ``look_up``.
        look_up: return the rows of ids instead of scores.

    Returns:
        Scores of all items float32 ``[B, num_rows]``, or rows ``[B, width]``.

    Raises:
        ValueError: ``activation`` is unknown.
    """

    def __init__(
        self,
        num_rows: int,
        width: int,
        *,
        activation: str = "linear",
        elu_alpha: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"`activation` must be one of {ACTIVATIONS}. Received: activation={activation!r}"
            )
        self.num_rows, self.width = int(num_rows), int(width)
        self.activation, self.elu_alpha = activation, float(elu_alpha)

    def build(self, inputs_shape: Any) -> None:
        """Make the weights."""
        self.table = self.add_weight(
            shape=(self.num_rows, self.width), initializer=BlockUniform(), name="table"
        )
        self.bias = self.add_weight(shape=(self.num_rows,), initializer="zeros", name="bias")

    def call(self, inputs: Any, look_up: bool = False) -> Any:
        """Return all scores, or rows."""
        if look_up:
            return ops.cast(ops.take(self.table, inputs, axis=0), self.compute_dtype)
        return self._score(inputs, self.table, self.bias)

    def of(self, hidden: Any, item_id: Any) -> Any:
        """Return scores of chosen items, the same ones for every state.

        Args:
            hidden: float ``[B, width]``.
            item_id: int32 ``[C]``; an id may stand in it more than once.

        Returns:
            float32 ``[B, C]``.
        """
        return self._score(
            hidden, ops.take(self.table, item_id, axis=0), ops.take(self.bias, item_id, axis=0)
        )

    def compute_output_spec(self, inputs: Any, look_up: bool = False) -> Any:
        """Return shape and type of scores or rows."""
        if look_up:
            return keras.KerasTensor((*inputs.shape, self.width), dtype=self.compute_dtype)
        return keras.KerasTensor((*inputs.shape[:-1], self.num_rows), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "num_rows": self.num_rows,
            "width": self.width,
            "activation": self.activation,
            "elu_alpha": self.elu_alpha,
        }

    def _score(self, hidden: Any, rows: Any, bias: Any) -> Any:
        # Scores stay in float32 under mixed precision: a softmax over thousands of items follows.
        products = ops.matmul(ops.cast(hidden, "float32"), ops.transpose(ops.cast(rows, "float32")))
        scores = products + ops.cast(bias, "float32")
        if self.activation == "linear":
            return scores
        if self.activation == "elu":
            return ops.elu(scores, alpha=self.elu_alpha)
        return getattr(ops, self.activation)(scores)
