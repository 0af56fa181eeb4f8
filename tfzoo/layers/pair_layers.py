"""Layers on a user vector ``[B, 1, wu]`` and item vectors ``[B, M, wi]``, or ``[1, N, wi]`` for all users.

They never put the two next to each other: what depends on the user alone is computed once a
user, what depends on the item alone once an item.

Output shapes are worked out and not traced: where a model is called on symbolic inputs Keras traces
`call` without casting the inputs, which fails under mixed precision.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from tfzoo.layers.inner_product import Degrees, of_product, of_sum

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable("tfzoo")
class PairDense(layers.Layer):
    """A dense layer on the concatenation of a user and an item vector, without concatenating.

    ``activation([user; item] K + b)`` equals ``activation(user K[:wu] + item K[wu:] + b)``. The one
    kernel keeps the number of parameters and the initial values of the layer that papers write.

    Args:
        units: width of the output.
        activation: activation of the output.
        use_bias: add ``b``.
        kernel_initializer: initialiser of the kernel ``[wu + wi, units]``.
        bias_initializer: initialiser of ``b``.
        kernel_regularizer: penalty on the kernel.
        bias_regularizer: penalty on ``b``.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        user: ``[B, 1, wu]``.
        item: ``[B, M, wi]`` or ``[1, M, wi]``.

    Returns:
        ``[B, M, units]``.
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` must be at least 1. Received: units={units}")
        self.units = units
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)

    def build(self, user_shape: Shape, item_shape: Shape) -> None:
        """Create the weights."""
        self.user_width = int(user_shape[-1] or 0)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.user_width + int(item_shape[-1] or 0), self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
            )

    def call(self, user: Any, item: Any) -> Any:
        """Return the layer's output."""
        kernel = ops.convert_to_tensor(self.kernel)
        user_part = ops.matmul(user, kernel[: self.user_width])
        if self.bias is not None:
            user_part = user_part + self.bias
        return self.activation(user_part + ops.matmul(item, kernel[self.user_width :]))

    def compute_output_shape(self, user_shape: Shape, item_shape: Shape) -> Shape:
        """Return ``(B, M, units)``."""
        return (*_pairs(user_shape, item_shape), self.units)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
        }


@keras.saving.register_keras_serializable("tfzoo")
class PairDot(layers.Layer):
    """Inner product of a user vector with item vectors; one matrix product for a catalogue.

    Call arguments:
        user: ``[B, 1, w]``.
        item: ``[B, M, w]`` or ``[1, M, w]``.

    Returns:
        ``[B, M]``.
    """

    def call(self, user: Any, item: Any) -> Any:
        """Return the products."""
        return pair_dot(user, item)

    def degrees(self, user: Degrees, item: Degrees) -> Degrees:
        """Return those of a product."""
        return of_product(user, item)

    def compute_output_shape(self, user_shape: Shape, item_shape: Shape) -> Shape:
        """Return ``(B, M)``."""
        return _pairs(user_shape, item_shape)


@keras.saving.register_keras_serializable("tfzoo")
class PairOutput(layers.Layer):
    """The output unit of GMF and NeuMF: ``h . [user * item; hidden] + b``, without a sigmoid.

    Args:
        use_bias: add ``b``.
        kernel_initializer: initialiser of the one kernel ``h [w + hidden width, 1]``.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        user: ``[B, 1, w]``.
        item: ``[B, M, w]`` or ``[1, M, w]``.
        hidden: ``[B, M, units]`` or None.

    Returns:
        ``[B, M]``.
    """

    def __init__(
        self, use_bias: bool = True, kernel_initializer: Any = "lecun_uniform", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(
        self,
        user_shape: Shape,
        item_shape: Shape,
        hidden_shape: Shape | None = None,
    ) -> None:
        """Create the weights."""
        self.width = int(user_shape[-1] or 0)
        hidden_width = int(hidden_shape[-1] or 0) if hidden_shape else 0
        self.kernel = self.add_weight(
            name="kernel", shape=(self.width + hidden_width, 1), initializer=self.kernel_initializer
        )
        self.bias = self.add_weight(name="bias", shape=(1,), initializer="zeros") if self.use_bias else None

    def call(self, user: Any, item: Any, hidden: Any = None) -> Any:
        """Return the logits."""
        kernel = ops.convert_to_tensor(self.kernel)
        logit = pair_dot(user * kernel[: self.width, 0], item)
        if hidden is not None:
            logit = logit + ops.squeeze(ops.matmul(hidden, kernel[self.width :]), axis=-1)
        return logit if self.bias is None else logit + self.bias

    def degrees(self, user: Degrees, item: Degrees, *hidden: Degrees) -> Degrees:
        """Return those of a product and of the hidden layer."""
        return of_sum(of_product(user, item), *hidden)

    def compute_output_shape(
        self, user_shape: Shape, item_shape: Shape, hidden_shape: Shape | None = None
    ) -> Shape:
        """Return ``(B, M)``."""
        return _pairs(user_shape, item_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@keras.saving.register_keras_serializable("tfzoo")
class FrequencyPenalty(layers.Layer):
    """Adds ``mean_b l2 / (2 count_b^exponent) |v_b|^2`` over the examples whose id is known.

    Its gradient for one example is ``l2 / count^exponent v``. Summed over an epoch of ``count``
    examples an id is thus pulled to zero ``count^(1 - exponent)`` times as hard as one with a
    single example.

    Args:
        num_ids: number of known ids.
        l2: weight of the penalty for an id with one interaction.
        exponent: how fast the weight falls with the number of interactions; 0 for not at all. Where one
            example is all interactions of an id, ``e - 1`` charges an epoch as ``e`` does elsewhere.
        **kwargs: as for `keras.layers.Layer`.

    Attributes:
        counts: float32 ``[num_ids + 1]``, training interactions of each id, not trained; 1
            until it is assigned.

    Call arguments:
        vectors: ``[B, width]``.
        ids: int32 ``[B]``; rows with id 0 (unknown or padding) are not charged.

    Returns:
        ``vectors``, unchanged.
    """

    def __init__(self, num_ids: int, l2: float, exponent: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if l2 < 0:
            raise ValueError(f"`l2` must not be negative. Received: l2={l2}")
        self.num_ids = num_ids
        self.l2 = float(l2)
        self.exponent = float(exponent)

    def build(self, vectors_shape: Shape, ids_shape: Shape) -> None:
        """Create the counts."""
        # Half precision ends at 65,504, below the counts of real data.
        self.counts = self.add_weight(
            name="counts",
            shape=(self.num_ids + 1,),
            initializer="ones",
            dtype="float32",
            trainable=False,
            autocast=False,
        )

    def call(self, vectors: Any, ids: Any) -> Any:
        """Add the penalty."""
        known = ops.cast(ops.not_equal(ids, 0), "float32")
        counts = ops.maximum(ops.take(ops.convert_to_tensor(self.counts), ids), 1.0)
        squares = ops.sum(ops.square(ops.cast(vectors, "float32")), axis=-1)
        charged = ops.sum(squares * known / ops.power(counts, self.exponent))
        self.add_loss(0.5 * self.l2 * charged / ops.maximum(ops.sum(known), 1.0))
        return vectors

    def compute_output_shape(self, vectors_shape: Shape, ids_shape: Shape) -> Shape:
        """Return the shape of the vectors."""
        return vectors_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "num_ids": self.num_ids,
            "l2": self.l2,
            "exponent": self.exponent,
        }


def pair_dot(user: Any, item: Any) -> Any:
    """Return inner products ``[B, M]`` of user ``[B, 1, w]`` with item ``[B, M, w]`` or ``[1, M, w]``."""
    if item.shape[0] == 1 and user.shape[1] == 1:
        # Without this a catalogue would make a tensor of users times items times width.
        return ops.matmul(user[:, 0], ops.transpose(item[0]))
    return ops.sum(user * item, axis=-1)


def _pairs(user_shape: Shape, item_shape: Shape) -> Shape:
    return tuple(
        theirs if ours == 1 else ours for ours, theirs in zip(item_shape[:-1], user_shape[:-1], strict=True)
    )
