"""DeepFM as its paper has it: the probability of a click from fields of categories and numbers."""

from __future__ import annotations

import keras

from tfzoo.layers import field_model
from tfzoo.models.deepfm import PAPER
from tfzoo.models.registry import register_model

# The fields user and item of ml-100k; a recipe says `auto`.
FIELD_SIZES = (944, 1683)


@register_model(
    "deepfm-click",
    task="click",
    family="click",
    paper=PAPER,
    small={"embedding_dim": 4, "hidden_units": (6, 5)},
)
def DeepFMClick(
    *,
    field_sizes: tuple[int, ...] = FIELD_SIZES,
    dense_size: int = 0,
    embedding_dim: int = 10,
    hidden_units: tuple[int, ...] = (400, 400, 400),
    dropout: float = 0.5,
    table_l2: float = 0.0,
    dense_l2: float = 0.0,
    initial_stddev: float = 0.01,
) -> keras.Model:
    """A factorisation machine plus a network over the same embeddings of fields, for clicks.

    Section 2.1: ``p = sigmoid(FM + DNN)`` (eq. 1), where the machine has a weight for each value of a field
    and the inner product of the vectors of each pair of them, ``w_0 + sum_i w_i x_i + sum_{i<j} <v_i, v_j>
    x_i x_j`` (eq. 2). The network (eq. 3 and 4) reads the same ``v``, one vector a
    field. Without hidden layers it is ``fm``.

    Args:
        field_sizes: rows of each field of categories, row 0 for unknown values included.
        dense_size: number of numbers, what marks missing ones included; 0 for none.
        embedding_dim: length k of the embeddings.
        hidden_units: widths of the relu layers; empty for no network.
        dropout: dropout rate after each hidden layer.
        table_l2: L2 on the whole tables of ``v`` and ``w``, at every step.
        dense_l2: L2 on the kernels of the network.
        initial_stddev: standard deviation of the initial ``v``; the weights ``w`` start at 0.

    Returns:
        A functional model: ``{"fields": int32 [B, F], "dense": float32 [B, dense_size]}``, each where
        there are such, to ``{"click": float32 [B], "logit": float32 [B]}``, ``click`` the sigmoid of
        ``logit``. With N rows and numbers, and f fields and numbers, it has ``N (k + 1) + f k h_1 + h_1 +
        h_1 h_2 + h_2 + ... + h_L + 1`` parameters.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.DeepFMClick(field_sizes=[7, 24, 12], dense_size=2)
        >>> inputs = {"dense": np.zeros((2, 2)), "fields": np.array([[1, 20, 3], [6, 0, 11]])}
        >>> model.predict(inputs, verbose=0)["click"].shape
        (2,)

    Differences from the paper:
        A number is a field of one vector, times the number, which the paper allows beside buckets; a
        missing one is 0, and a second number says that it is missing. Sizes, dropout and optimiser are
        those that libraries take from the paper.
    """
    return field_model(
        "deepfm-click",
        field_sizes,
        dense_size,
        linear=True,
        pairs=True,
        embedding_dim=embedding_dim,
        hidden_units=hidden_units,
        dropout=dropout,
        table_l2=table_l2,
        dense_l2=dense_l2,
        initial_stddev=initial_stddev,
    )
