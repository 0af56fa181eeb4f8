"""DMF: Deep Matrix Factorization Models for Recommender Systems (Xue et al. 2017)."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from tfzoo.layers import (
    ProductDense,
    cosine_pair_head,
    cosine_rating_head,
    implicit_model,
    two_tower_model,
    unit_length,
)
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Xue, Dai, Zhang, Huang, Chen",
    title="Deep Matrix Factorization Models for Recommender Systems",
    venue="IJCAI, 3203-3209",
    year=2017,
    url="https://doi.org/10.24963/ijcai.2017/447",
)


@register_model(
    "dmf", task="implicit", family="towers", paper=PAPER, small={"user_units": (6, 4), "item_units": (5, 4)}
)
def DMF(
    num_users: int,
    num_items: int,
    *,
    user_units: tuple[int, ...] = (512, 64),
    item_units: tuple[int, ...] = (1024, 64),
    initial_stddev: float = 0.01,
    logit_scale: float | None = None,
    logit_offset: float = 0.0,
) -> keras.Model:
    """Cosine of a tower over a user's row and a tower over an item's column of the rating matrix.

    Eq. 4 to 7: the first layer of each tower is linear without a bias, so that it and the second one
    are trained as a product, see `ProductDense`; from the second on they are relu. The cosine is kept
    above 1e-6 and taken for a probability, but see ``logit_scale``. The task's ``labels: rating`` makes
    the paper's normalised cross-entropy of it, ``labels: binary`` plain cross-entropy.

    Args:
        num_users: number of known users.
        num_items: number of known items.
        user_units: widths of the layers over a user's row.
        item_units: widths of the layers over an item's column; the last one is that of the user.
        initial_stddev: standard deviation of the initial kernels.
        logit_scale: with a number above 0 the probability is the logistic function of a learned factor,
            which starts there, times the cosine, plus a learned offset. None is the paper: the cosine
            itself.
        logit_offset: initial value of that offset; unused without ``logit_scale``.

    Returns:
        A functional model: ``{"user_row": float32 [B, num_items + 1], "item_row": float32
        [B, num_users + 1]}``, ratings with 0 where there is none, to ``{"score": float32 [B]}``, the
        probability. 1,925,248 parameters on ml-100k with the default sizes, and 1,536 for the unknown
        ids; two more with ``logit_scale``.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.DMF(943, 1682)
        >>> inputs = {"item_row": np.zeros((2, 944)), "user_row": np.zeros((2, 1683))}
        >>> model.predict(inputs, verbose=0)["score"].shape
        (2,)

    Raises:
        ValueError: a tower has no layer, their last widths differ, or ``logit_scale`` is not above 0.

    Differences from the paper:
        The sizes are those of a third party's code, the paper's first layers being unknown to us.
        In training the recipes here leave the rating to be predicted out of both rows
        (``mask_target``), in which the paper keeps it: at test time it is never there. The epoch is
        chosen on validation, not on the test part. The cosine is also kept below 1 - 1e-6.
    """
    towers = _towers(num_users, num_items, user_units, item_units, initial_stddev)
    head = cosine_pair_head(user_units[-1], scale=logit_scale, offset=logit_offset)
    return implicit_model(*towers, head, name="dmf", probability=True)


@register_model(
    "dmf-rating",
    task="rating",
    family="towers",
    paper=PAPER,
    reconstruction=True,
    small={"user_units": (6, 4), "item_units": (5, 4)},
)
def DMFRating(
    num_users: int,
    num_items: int,
    *,
    user_units: tuple[int, ...] = (512, 64),
    item_units: tuple[int, ...] = (1024, 64),
    initial_stddev: float = 0.01,
    rating_scale: tuple[float, float] = (1.0, 5.0),
) -> keras.Model:
    """DMF's towers for ratings: the highest rating times the cosine.

    Papers that print rating errors of DMF do not say how they got a rating from it; the cosine is
    trained towards the rating divided by the highest one, so this product is the natural reading.

    Args:
        num_users: number of known users.
        num_items: number of known items.
        user_units: see `DMF`.
        item_units: see `DMF`.
        initial_stddev: see `DMF`.
        rating_scale: lowest and highest rating. Where the lowest is below 0, a cosine of 0, which no
            pair falls below, stands for it instead of for a rating of 0.

    Returns:
        A functional model: ``{"user_row": float32 [B, num_items + 1], "item_row": float32
        [B, num_users + 1]}`` to ``{"rating": float32 [B]}``.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.DMFRating(943, 1682)
        >>> inputs = {"item_row": np.zeros((2, 944)), "user_row": np.zeros((2, 1683))}
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Raises:
        ValueError: see `DMF`.

    Differences from the paper:
        It ranks; here ratings are predicted, with the squared error on observed ratings alone and no
        negatives.
    """
    towers = _towers(num_users, num_items, user_units, item_units, initial_stddev)
    head = cosine_rating_head(user_units[-1], float(rating_scale[1]), lowest=min(0.0, float(rating_scale[0])))
    return two_tower_model(*towers, head, name="dmf-rating")


def _towers(
    num_users: int,
    num_items: int,
    user_units: tuple[int, ...],
    item_units: tuple[int, ...],
    initial_stddev: float,
) -> tuple[keras.Model, keras.Model]:
    if not user_units or not item_units or user_units[-1] != item_units[-1]:
        raise ValueError(
            "`user_units` and `item_units` need at least one layer each, and the same last width. Received: "
            f"user_units={tuple(user_units)}, item_units={tuple(item_units)}"
        )
    return (
        _tower("user", num_items + 1, user_units, initial_stddev),
        _tower("item", num_users + 1, item_units, initial_stddev),
    )


def _tower(side: str, row_length: int, units: tuple[int, ...], initial_stddev: float) -> keras.Model:
    row = keras.Input((row_length,), dtype="float32", name=f"{side}_row")
    # An initialiser gives the same numbers whenever it is used again: one for each layer.
    starts = [keras.initializers.RandomNormal(stddev=initial_stddev) for _ in units]
    if len(units) == 1:
        vector: Any = layers.Dense(units[0], use_bias=False, kernel_initializer=starts[0])(row)
    else:
        first = {"inner_initializer": starts[0], "kernel_initializer": starts[1]}
        vector = ProductDense(units[0], units[1], "relu", **first)(row)
    for width, start in zip(units[2:], starts[2:], strict=True):
        vector = layers.Dense(width, "relu", kernel_initializer=start)(vector)
    vector = layers.Activation("linear", dtype="float32", name="vector")(vector)
    return keras.Model({f"{side}_row": row}, unit_length(vector), name=f"{side}_tower")
