"""What a model of clicks has to beat: logistic regression, a factorisation machine, a plain network."""

from __future__ import annotations

import keras

from tfzoo.layers import field_model
from tfzoo.models.deepfm_click import FIELD_SIZES
from tfzoo.models.registry import Paper, register_model

LR_PAPER = Paper(
    authors="Richardson, Dominowska, Ragno",
    title="Predicting Clicks: Estimating the Click-Through Rate for New Ads",
    venue="WWW, 521-530",
    year=2007,
    url="https://doi.org/10.1145/1242572.1242643",
)
FM_PAPER = Paper(
    authors="Rendle",
    title="Factorization Machines",
    venue="ICDM, 995-1000",
    year=2010,
    url="https://doi.org/10.1109/ICDM.2010.127",
)
DNN_PAPER = Paper(
    authors="Zhang, Du, Wang",
    title="Deep Learning over Multi-field Categorical Data: A Case Study on User Response Prediction",
    venue="ECIR, 45-57",
    year=2016,
    url="https://arxiv.org/abs/1601.02376",
)


@register_model("lr", task="click", family="click", paper=LR_PAPER)
def LogisticRegression(
    *,
    field_sizes: tuple[int, ...] = FIELD_SIZES,
    dense_size: int = 0,
    table_l2: float = 0.0,
) -> keras.Model:
    """Logistic regression over fields: a weight for each value, and no pair of values.

    ``p = sigmoid(w_0 + sum_i w_i x_i)``, section 4.

    Args:
        field_sizes: rows of each field of categories, row 0 for unknown values included.
        dense_size: number of numbers, what marks missing ones included; 0 for none.
        table_l2: L2 on all weights but ``w_0``, at every step.

    Returns:
        A functional model: ``{"fields": int32 [B, F], "dense": float32 [B, dense_size]}``, each where
        there are such, to ``{"click": float32 [B], "logit": float32 [B]}``. With N rows and numbers it has
        ``N + 1`` parameters.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.LogisticRegression(field_sizes=[7, 24, 12])
        >>> inputs = {"fields": np.array([[1, 20, 3], [6, 0, 11]])}
        >>> model.predict(inputs, verbose=0)["click"].shape
        (2,)

    Differences from the paper:
        It has features of ads and their texts made by hand; here they are the fields of the data, and the
        optimiser is Adam.
    """
    return field_model("lr", field_sizes, dense_size, linear=True, pairs=False, table_l2=table_l2)


@register_model("fm", task="click", family="click", paper=FM_PAPER)
def FactorizationMachineClick(
    *,
    field_sizes: tuple[int, ...] = FIELD_SIZES,
    dense_size: int = 0,
    embedding_dim: int = 10,
    table_l2: float = 0.0,
    initial_stddev: float = 0.01,
) -> keras.Model:
    """A factorisation machine of second order over fields: weights of values and of all pairs of values.

    ``p = sigmoid(w_0 + sum_i w_i x_i + sum_{i<j} <v_i, v_j> x_i x_j)``, eq. 1 with a logistic link. With the
    fields user and item alone it is biased MF.

    Args:
        field_sizes: rows of each field of categories, row 0 for unknown values included.
        dense_size: number of numbers, what marks missing ones included; 0 for none.
        embedding_dim: length k of the vectors ``v``.
        table_l2: L2 on the whole tables of ``v`` and ``w``, at every step.
        initial_stddev: standard deviation of the initial ``v``; the weights ``w`` start at 0.

    Returns:
        A functional model: ``{"fields": int32 [B, F], "dense": float32 [B, dense_size]}``, each where
        there are such, to ``{"click": float32 [B], "logit": float32 [B]}``. With N rows and numbers it has
        ``N (k + 1) + 1`` parameters.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.FactorizationMachineClick(field_sizes=[7, 24, 12])
        >>> inputs = {"fields": np.array([[1, 20, 3], [6, 0, 11]])}
        >>> model.predict(inputs, verbose=0)["click"].shape
        (2,)

    Differences from the paper:
        The optimiser is Adam; one strength of L2 holds for ``v`` and ``w``.
    """
    return field_model(
        "fm",
        field_sizes,
        dense_size,
        linear=True,
        pairs=True,
        embedding_dim=embedding_dim,
        table_l2=table_l2,
        initial_stddev=initial_stddev,
    )


@register_model(
    "dnn", task="click", family="click", paper=DNN_PAPER, small={"embedding_dim": 4, "hidden_units": (6, 5)}
)
def FieldNetwork(
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
    """A network over embeddings of fields: DeepFM without its factorisation machine.

    The embeddings of all fields stand side by side before the first relu layer; ``p`` is the sigmoid of
    the last unit.

    Args:
        field_sizes: rows of each field of categories, row 0 for unknown values included.
        dense_size: number of numbers, what marks missing ones included; 0 for none.
        embedding_dim: length k of the embeddings.
        hidden_units: widths of the relu layers, at least one.
        dropout: dropout rate after each hidden layer.
        table_l2: L2 on the whole table of embeddings, at every step.
        dense_l2: L2 on the kernels of the network.
        initial_stddev: standard deviation of the initial embeddings.

    Returns:
        A functional model: ``{"fields": int32 [B, F], "dense": float32 [B, dense_size]}``, each where
        there are such, to ``{"click": float32 [B], "logit": float32 [B]}``. With N rows and numbers, and f
        fields and numbers, it has ``N k + f k h_1 + h_1 + h_1 h_2 + h_2 + ... + h_L + 1`` parameters.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.FieldNetwork(field_sizes=[7, 24, 12])
        >>> inputs = {"fields": np.array([[1, 20, 3], [6, 0, 11]])}
        >>> model.predict(inputs, verbose=0)["click"].shape
        (2,)

    Differences from the paper:
        The embeddings start at random, not from a factorisation machine (FNN) or products (SNN), and are
        trained with the network; layers are relu, not tanh.
    """
    if not hidden_units:
        raise ValueError("hidden_units must name one layer at least")
    return field_model(
        "dnn",
        field_sizes,
        dense_size,
        linear=False,
        pairs=False,
        embedding_dim=embedding_dim,
        hidden_units=hidden_units,
        dropout=dropout,
        table_l2=table_l2,
        dense_l2=dense_l2,
        initial_stddev=initial_stddev,
    )
