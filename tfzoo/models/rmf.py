"""RMF: what comparisons call robust or regularised matrix factorisation."""

from __future__ import annotations

import math

import keras

from tfzoo.layers import dot_head, embedding_tower, two_tower_model
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Liu, Tao",
    title="On the Performance of Manhattan Nonnegative Matrix Factorization",
    venue="IEEE Transactions on Neural Networks and Learning Systems 27(9), 1851-1863",
    year=2016,
    url="https://doi.org/10.1109/TNNLS.2015.2458986",
)


@register_model(
    "rmf",
    task="rating",
    family="matrix-factorisation",
    paper=PAPER,
    reconstruction=True,
    non_negative_by="non_negative",
)
def RMF(
    num_users: int,
    num_items: int,
    *,
    embedding_dim: int = 10,
    non_negative: bool = True,
    lookup_l2: float = 0.01,
    mean_rating: float = 3.0,
) -> keras.Model:
    """Inner product of two vectors without negative components, for a fit to absolute errors.

    Manhattan non-negative matrix factorisation, ``min |X - W' H|_1`` with ``W, H >= 0``. The sum is
    over the known ratings alone, and the loss is the recipe's: ``mae`` in the recipe ``paper``, which is
    robust to outliers; ``mse``, with factors of any sign, in the recipe ``l2``, which is PMF.

    Args:
        num_users: number of known users.
        num_items: number of known items.
        embedding_dim: number of factors.
        non_negative: factors cannot become negative.
        lookup_l2: L2 on the looked-up rows of both tables, per example.
        mean_rating: the mean training rating. Factors without negative components start uniform
            between 0 and ``sqrt(2 mean_rating / embedding_dim)``. Those of any sign start normal with
            deviation 0.1, and it is added to their product.

    Returns:
        A functional model: ``{"user_id": int32 [B], "item_id": int32 [B]}`` to
        ``{"rating": float32 [B]}``, with ``embedding_dim (num_users + num_items + 2)``
        parameters in exactly two tables.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.RMF(943, 1682)
        >>> inputs = {"item_id": np.array([50, 172]), "user_id": np.array([1, 2])}
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Differences from the paper:
        A reconstruction of a row that comparisons print under this name: they describe it as *regularised*
        and as *robust*, and cite a theory of a factorisation of full matrices. Leaving out what is
        not known, the L2 on both factors, Adam on mini-batches, and every size are ours.

    Raises:
        ValueError: ``mean_rating`` is not positive, and factors without negative components would
            all start at 0.
    """
    if non_negative and mean_rating <= 0:
        raise ValueError(f"`mean_rating` must be positive. Received: mean_rating={mean_rating}")
    start: keras.Initializer = keras.initializers.RandomNormal(stddev=0.1)
    if non_negative:
        start = keras.initializers.RandomUniform(0.0, math.sqrt(2.0 * mean_rating / embedding_dim))
    user_tower, item_tower = (
        embedding_tower(
            side,
            num_ids,
            embedding_dim,
            # One initialiser gives the same numbers to every table it starts.
            initializer=start.clone(),
            constraint="non_neg" if non_negative else None,
            lookup_l2=lookup_l2,
        )
        for side, num_ids in (("user", num_users), ("item", num_items))
    )
    head = dot_head(embedding_dim, mean_rating=0.0 if non_negative else mean_rating)
    return two_tower_model(user_tower, item_tower, head, name="rmf")
