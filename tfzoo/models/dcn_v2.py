"""DCN-V2: explicit products of fields, one degree more with each cross layer, beside or below a network."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from tfzoo.layers import click_model, click_term, embed_fields, field_inputs, relu_layers
from tfzoo.models.deepfm_click import FIELD_SIZES
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Wang, Shivanna, Cheng, Jain, Lin, Hong, Chi",
    title="DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank "
    "Systems",
    venue="WWW, 1785-1797",
    year=2021,
    url="https://arxiv.org/abs/2008.13535",
)


@keras.saving.register_keras_serializable("tfzoo")
class CrossLayer(layers.Layer):
    """``x_0 * (W x + b) + x``; with a rank r, ``W = U V^T`` (eq. 1 and 2).

    Args:
        rank: columns of ``U`` and ``V``; None for a full ``W``.
        l2: L2 on the matrices, at every step.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        first: ``x_0``, float ``[B, d]``.
        last: ``x`` of the layer before, ``[B, d]``.

    Returns:
        ``[B, d]``.
    """

    def __init__(self, rank: int | None = None, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if (rank is not None and rank < 1) or l2 < 0:
            raise ValueError(f"`rank` must be at least 1 or None, `l2` 0. Received: rank={rank}, l2={l2}")
        self.rank, self.l2 = rank, float(l2)

    def build(self, first_shape: Any, last_shape: Any = None) -> None:
        """Create the weights."""
        width = first_shape[-1]
        shapes = [(width, width)] if self.rank is None else [(width, self.rank), (self.rank, width)]
        self.kernels = [
            self.add_weight(
                shape=shape,
                initializer="glorot_uniform",
                regularizer=keras.regularizers.L2(self.l2) if self.l2 else None,
                name=f"kernel_{number}" if self.rank else "kernel",
            )
            for number, shape in enumerate(shapes, start=1)
        ]
        self.bias = self.add_weight(shape=(width,), initializer="zeros", name="bias")
        self.built = True

    def call(self, first: Any, last: Any) -> Any:
        """Return the crossed vectors."""
        mixed = last
        for kernel in self.kernels:
            mixed = ops.matmul(mixed, kernel)
        return first * (mixed + self.bias) + last

    def compute_output_shape(self, first_shape: Any, last_shape: Any = None) -> Any:
        """Return ``[B, d]``."""
        return first_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "rank": self.rank, "l2": self.l2}


@register_model(
    "dcn-v2",
    task="click",
    family="click",
    paper=PAPER,
    small={"embedding_dim": 4, "hidden_units": (6, 5), "cross_layers": 2},
)
def DCNV2(
    *,
    field_sizes: tuple[int, ...] = FIELD_SIZES,
    dense_size: int = 0,
    embedding_dim: int = 10,
    cross_layers: int = 3,
    rank: int | None = None,
    hidden_units: tuple[int, ...] = (400, 400, 400),
    stacked: bool = False,
    dropout: float = 0.0,
    table_l2: float = 0.0,
    dense_l2: float = 0.0,
    initial_stddev: float = 0.01,
) -> keras.Model:
    """A cross network and a deep one over fields and numbers.

    Section 3: ``x_0`` is the embeddings of the fields and the numbers side by side; a cross layer gives
    ``x_{l+1} = x_0 * (W_l x_l + b_l) + x_l`` (eq. 1), so that l layers hold products of up to l + 1 of its
    entries. The network reads ``x_0`` beside the cross layers, or what they end with (fig. 1); the
    probability is the sigmoid of a weighted sum of what comes out.

    Args:
        field_sizes: rows of each field of categories, row 0 for unknown values included.
        dense_size: number of numbers, what marks missing ones included; 0 for none.
        embedding_dim: length of the embeddings.
        cross_layers: number of cross layers.
        rank: of the matrices of the cross layers; None for full ones.
        hidden_units: widths of the relu layers; empty for no network.
        stacked: the network reads the last cross layer instead of ``x_0``.
        dropout: dropout rate after each hidden layer.
        table_l2: L2 on the whole table of embeddings, at every step.
        dense_l2: L2 on the kernels of the network and on the matrices of the cross layers.
        initial_stddev: standard deviation of the initial embeddings.

    Returns:
        A functional model: ``{"fields": int32 [B, F], "dense": float32 [B, dense_size]}``, each where
        there are such, to ``{"click": float32 [B], "logit": float32 [B]}``. With N rows, ``d = F k +
        dense_size`` and L cross layers it has ``N k + L (d^2 + d)`` parameters (``L (2 d r + d)`` with a
        rank), those of the network, and ``d + h + 1`` at the end (``h + 1`` where it is stacked).

    Raises:
        ValueError: neither fields nor numbers, or no cross layer.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.DCNV2(field_sizes=[7, 24, 12], dense_size=2, rank=8)
        >>> inputs = {"dense": np.zeros((2, 2)), "fields": np.array([[1, 20, 3], [6, 0, 11]])}
        >>> model.predict(inputs, verbose=0)["click"].shape
        (2,)

    Differences from the paper:
        Matrices of low rank have no mixture of experts and no gate. A missing number is 0, and a second
        number says that it is missing.
    """
    if cross_layers < 1:
        raise ValueError(f"cross_layers must be at least 1. Received {cross_layers}.")
    inputs = field_inputs(field_sizes, dense_size)
    parts = []
    if field_sizes:
        start = keras.initializers.RandomNormal(stddev=initial_stddev)
        categories = {"fields": inputs["fields"]}
        vectors = embed_fields(categories, field_sizes, "embeddings", embedding_dim, table_l2, start)
        parts.append(layers.Flatten()(vectors))
    if dense_size:
        parts.append(inputs["dense"])
    first = parts[0] if len(parts) == 1 else layers.Concatenate(axis=1)(parts)
    crossed = first
    for number in range(1, cross_layers + 1):
        crossed = CrossLayer(rank, dense_l2, name=f"cross_{number}")(first, crossed)
    ends = [] if stacked and hidden_units else [click_term(crossed, dense_l2, "crossed")]
    if hidden_units:
        hidden = relu_layers(crossed if stacked else first, hidden_units, dropout, dense_l2)
        ends.append(click_term(hidden, dense_l2))
    return click_model("dcn-v2", inputs, ends)
