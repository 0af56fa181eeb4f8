"""Caser: convolutional sequence embedding (Tang, Wang 2018)."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from tfzoo.layers import IdEmbedding, ItemTable
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Tang, Wang",
    title="Personalized Top-N Sequential Recommendation via Convolutional Sequence Embedding",
    venue="WSDM, 565-573",
    year=2018,
    url="https://doi.org/10.1145/3159652.3159656",
)


@keras.saving.register_keras_serializable("tfzoo")
class VerticalConvolution(keras.layers.Layer):
    """Sums of the vectors of a sequence with trained weights of their places.

    Args:
        filters: number V of sums.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        values: float ``[B, L, d]``.

    Returns:
        float ``[B, V d]``, one sum after the other.
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = int(filters)

    def build(self, input_shape: Any) -> None:
        """Make a weight for each place and a bias, of each sum."""
        self.kernel = self.add_weight(
            shape=(self.filters, input_shape[1]), initializer="glorot_uniform", name="kernel"
        )
        self.bias = self.add_weight(shape=(self.filters, 1), initializer="zeros", name="bias")

    def call(self, values: Any) -> Any:
        """Sum."""
        sums = ops.matmul(self.kernel, values) + self.bias
        return ops.reshape(sums, (-1, self.filters * values.shape[-1]))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the sums."""
        return (input_shape[0], self.filters * input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable("tfzoo")
class HorizontalConvolution(keras.layers.Layer):
    """The largest answer of each filter to any run of events that follow one another.

    Not `keras.layers.Conv1D`, which TensorFlow gives another shape where a batch has no rows, as a request
    to a server may have none.

    Args:
        filters: number H of filters.
        height: number h of events that a filter sees at once.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        values: float ``[B, L, d]`` with L of at least h.

    Returns:
        float ``[B, H]``.
    """

    def __init__(self, filters: int, height: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = int(filters)
        self.height = int(height)

    def build(self, input_shape: Any) -> None:
        """Make the filters and their biases."""
        self.kernel = self.add_weight(
            shape=(self.height, input_shape[-1], self.filters), initializer="glorot_uniform", name="kernel"
        )
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, values: Any) -> Any:
        """Lay the events of each run side by side, and multiply all runs at once."""
        runs = values.shape[1] - self.height + 1
        side_by_side = ops.concatenate([values[:, at : at + runs] for at in range(self.height)], axis=-1)
        kernel = ops.reshape(self.kernel, (self.height * values.shape[-1], self.filters))
        return ops.max(ops.relu(ops.matmul(side_by_side, kernel) + self.bias), axis=1, initial=0)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the largest answers."""
        return (input_shape[0], self.filters)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "filters": self.filters, "height": self.height}


@register_model(
    "caser",
    task="sequence",
    family="sequence",
    paper=PAPER,
    small={"history_length": 4, "embedding_dim": 6, "horizontal_filters": 2, "vertical_filters": 2},
)
def Caser(
    num_users: int,
    num_items: int,
    *,
    history_length: int = 5,
    embedding_dim: int = 50,
    horizontal_filters: int = 16,
    vertical_filters: int = 4,
    dropout: float = 0.5,
) -> keras.Model:
    """Convolutions over the last few events as over an image, beside a vector of the user.

    Section 3. Of the L last items' vectors, a matrix of L rows, horizontal filters of every height slide over
    the events, of which the largest answer counts; vertical filters sum the events with weights of their
    places. One layer makes a vector of all that, which with the user's vector is scored against a second
    table of item vectors, with a bias.

    Args:
        num_users: number of known users; user ids are ``1..num_users``, 0 is an unknown user.
        num_items: number of known items; item ids are ``1..num_items``, 0 is padding, whose vector is trained
            as in the authors' code.
        history_length: L, events that are read, the last ones of a longer history. There are filters of every
            height up to it, so that it should stay small.
        embedding_dim: width d of items and users.
        horizontal_filters: H, filters of each height.
        vertical_filters: V.
        dropout: rate on what the filters found.

    Returns:
        A functional model: ``{"history": int32 [B, L], "user_id": int32 [B]}`` to ``{"scores": float32
        [B, num_items + 1]}`` and ``{"states": float32 [B, 1, 2 d]}``, both after the last event. For m users
        and n items it has ``(m + 1) d + (n + 1) d + V (L + 1) + sum_h H (h d + 1) + (V d + H L + 1) d +
        (n + 1)(2 d + 1)`` parameters.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.Caser(943, 1682)
        >>> inputs = {"history": np.zeros((2, 5), int), "user_id": np.zeros(2, int)}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Differences from the paper:
        As in the authors' code, vertical filters have no activation, and padding has a trained vector.
        Filters start from Glorot's numbers. Users without training data, and histories of nobody, have the
        mean of the trained users' vectors.

    Raises:
        ValueError: there are no filters of either kind.
    """
    if horizontal_filters < 0 or vertical_filters < 0 or horizontal_filters + vertical_filters == 0:
        raise ValueError(
            "`horizontal_filters` and `vertical_filters` must not be negative, nor both 0. Received: "
            f"{horizontal_filters} and {vertical_filters}"
        )
    history = keras.Input((history_length,), dtype="int32", name="history")
    user_id = keras.Input((), dtype="int32", name="user_id")
    table = ItemTable(
        num_items, embedding_dim, embeddings_initializer=_normal(embedding_dim), name="read_items"
    )
    events = table(history, look_up=True)
    found = []
    if vertical_filters:
        found.append(VerticalConvolution(vertical_filters, name="vertical")(events))
    if horizontal_filters:
        for height in range(1, history_length + 1):
            slid = HorizontalConvolution(horizontal_filters, height, name=f"horizontal_{height}")
            found.append(slid(events))
    together = layers.Concatenate(name="filters")(found) if len(found) > 1 else found[0]
    together = layers.Dropout(dropout, name="dropout")(together)
    sequence = layers.Dense(embedding_dim, activation="relu", name="sequence")(together)
    user = IdEmbedding(
        num_users + 1, embedding_dim, embeddings_initializer=_normal(embedding_dim), name="user_embedding"
    )(user_id)
    state = layers.Concatenate(dtype="float32", name="state")([sequence, user])
    items = ItemTable(
        num_items,
        2 * embedding_dim,
        bias=True,
        embeddings_initializer=_normal(2 * embedding_dim),
        name="items",
    )
    return keras.Model(
        {"history": history, "user_id": user_id},
        {"scores": items(state), "states": ops.expand_dims(state, 1)},
        name="caser",
    )


def _normal(width: int) -> keras.Initializer:
    return keras.initializers.RandomNormal(stddev=1 / width)
