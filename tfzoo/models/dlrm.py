"""DLRM: a network over the numbers, embeddings of the fields, and a network over the products of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from tfzoo.layers import click_model, click_term, embed_fields, field_inputs
from tfzoo.models.deepfm_click import FIELD_SIZES
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Naumov, Mudigere, Shi, Huang, Sundaraman, Park, Wang, Gupta, Wu, Azzolini, et al.",
    title="Deep Learning Recommendation Model for Personalization and Recommendation Systems",
    venue="arXiv 1906.00091",
    year=2019,
    url="https://arxiv.org/abs/1906.00091",
)


@keras.saving.register_keras_serializable("tfzoo")
class DotInteraction(layers.Layer):
    """The inner products of all pairs of vectors, each pair once.

    Args:
        with_itself: the product of each vector with itself, too.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        vectors: float ``[B, F, k]``.

    Returns:
        ``[B, F (F - 1) / 2]``, or ``F (F + 1) / 2`` with those of vectors with themselves: the lower
        triangle of the matrix of products, row by row.
    """

    def __init__(self, with_itself: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.with_itself = bool(with_itself)

    def _places(self, count: int) -> np.ndarray:
        rows, columns = np.tril_indices(count, 0 if self.with_itself else -1)
        return (rows * count + columns).astype(np.int32)

    def call(self, vectors: Any) -> Any:
        """Return the products."""
        count = vectors.shape[1]
        products = ops.matmul(vectors, ops.swapaxes(vectors, 1, 2))
        return ops.take(ops.reshape(products, (-1, count * count)), self._places(count), axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return ``[B, number of pairs]``."""
        return (input_shape[0], len(self._places(input_shape[1])))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "with_itself": self.with_itself}


@keras.saving.register_keras_serializable("tfzoo")
class UniformByRows(keras.Initializer):
    """Uniform between plus and minus ``1 / sqrt(rows)``, for the rows of several tables in one.

    Args:
        rows: of each table.
        seed: as for Keras' initialisers.
    """

    def __init__(self, rows: Sequence[int], seed: int | None = None) -> None:
        self.rows, self.seed = [int(count) for count in rows], seed
        self._random = keras.initializers.RandomUniform(-1.0, 1.0, seed=seed)

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
        """Return the initial table, ``shape`` being ``(sum of rows, width)``."""
        bounds = np.repeat(1 / np.sqrt(self.rows), self.rows)[:, None]
        drawn = self._random(shape, dtype=dtype)
        return drawn * ops.cast(bounds, drawn.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"rows": self.rows, "seed": self.seed}


@register_model(
    "dlrm",
    task="click",
    family="click",
    paper=PAPER,
    small={"embedding_dim": 4, "bottom_units": (), "hidden_units": (32,)},
)
def DLRM(
    *,
    field_sizes: tuple[int, ...] = FIELD_SIZES,
    dense_size: int = 0,
    embedding_dim: int = 16,
    bottom_units: tuple[int, ...] = (512, 256, 64),
    hidden_units: tuple[int, ...] = (512, 256),
    interaction: Literal["dot", "concat"] = "dot",
    with_itself: bool = False,
    dropout: float = 0.0,
    table_l2: float = 0.0,
) -> keras.Model:
    """Products of the embeddings of fields and of a vector of the numbers, and a network over them.

    Section 2: a network over the numbers ends, with a relu, in a vector ``z`` as long as the embeddings; the
    inner products of ``z`` and the embeddings, each pair once, stand behind ``z`` itself in what the last
    network reads. Its last unit is the logit.

    Args:
        field_sizes: rows of each field of categories, row 0 for unknown values included.
        dense_size: number of numbers, what marks missing ones included; 0 for none, and then no ``z``.
        embedding_dim: length k of the embeddings and of ``z``.
        bottom_units: widths of the relu layers over the numbers, before the one of ``embedding_dim``.
        hidden_units: widths of the relu layers over the products.
        interaction: ``dot`` for the inner products, ``concat`` for the vectors side by side without them.
        with_itself: the product of each vector with itself, too, where there are products.
        dropout: dropout rate after each hidden layer over the products; the paper has none.
        table_l2: L2 on the whole table of embeddings, at every step; the paper has none.

    Returns:
        A functional model: ``{"fields": int32 [B, F], "dense": float32 [B, dense_size]}``, each where
        there are such, to ``{"click": float32 [B], "logit": float32 [B]}``. The last network reads ``k +
        F (F + 1) / 2`` numbers, or ``F (F - 1) / 2`` where there is no ``z``.

    Raises:
        ValueError: neither fields nor numbers, or a single vector where products of pairs are asked for.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.DLRM(field_sizes=[7, 24, 12], dense_size=2)
        >>> inputs = {"dense": np.zeros((2, 2)), "fields": np.array([[1, 20, 3], [6, 0, 11]])}
        >>> model.predict(inputs, verbose=0)["click"].shape
        (2,)

    Differences from the paper:
        A field has one value in an example; the sum over a bag of them is not there. Dropout and L2 are
        options of ours.
    """
    inputs = field_inputs(field_sizes, dense_size)
    vectors, ends = [], []
    if dense_size:
        numbers = _relu_layers(inputs["dense"], (*bottom_units, embedding_dim), "bottom")
        ends.append(numbers)
        vectors.append(layers.Reshape((1, embedding_dim))(numbers))
    if field_sizes:
        categories = {"fields": inputs["fields"]}
        start = UniformByRows(field_sizes)
        vectors.append(embed_fields(categories, field_sizes, "embeddings", embedding_dim, table_l2, start))
    joined = vectors[0] if len(vectors) == 1 else layers.Concatenate(axis=1)(vectors)
    if interaction == "concat":
        ends = [layers.Flatten()(joined)]
    elif joined.shape[1] > 1 or with_itself:
        ends.append(DotInteraction(with_itself, name="products")(joined))
    else:
        raise ValueError(
            "products of pairs need two vectors: two fields, or a field and a number. Received "
            f"field_sizes={tuple(field_sizes)}, dense_size={dense_size}; interaction='concat' takes one"
        )
    read = ends[0] if len(ends) == 1 else layers.Concatenate(axis=1)(ends)
    hidden = _relu_layers(read, hidden_units, "hidden", dropout)
    return click_model("dlrm", inputs, [click_term(hidden)])


def _relu_layers(hidden: Any, units: Sequence[int], name: str, dropout: float = 0.0) -> Any:
    """Return what is left after relu layers that start as the authors' code starts them."""
    for number, width in enumerate(units, start=1):
        kernel = keras.initializers.VarianceScaling(mode="fan_avg", distribution="untruncated_normal")
        bias = keras.initializers.RandomNormal(stddev=width**-0.5)
        hidden = layers.Dense(width, "relu", True, kernel, bias, name=f"{name}_{number}")(hidden)
        if dropout:
            hidden = layers.Dropout(dropout)(hidden)
    return hidden
