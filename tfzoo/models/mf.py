"""Matrix factorisation for ratings: PMF and biased MF."""

from __future__ import annotations

from typing import Any

import keras

from tfzoo.layers import dot_head, embedding_tower, set_counts, two_tower_model
from tfzoo.models.registry import Paper, register_model

PMF_PAPER = Paper(
    authors="Mnih, Salakhutdinov",
    title="Probabilistic Matrix Factorization",
    venue="NIPS 20",
    year=2007,
    url="https://papers.nips.cc/paper/3208-probabilistic-matrix-factorization",
)
BIASED_MF_PAPER = Paper(
    authors="Koren, Bell, Volinsky",
    title="Matrix Factorization Techniques for Recommender Systems",
    venue="Computer 42(8), 30-37",
    year=2009,
    url="https://doi.org/10.1109/MC.2009.263",
)


@register_model("pmf", task="rating", family="matrix-factorisation", paper=PMF_PAPER)
def PMF(
    num_users: int,
    num_items: int,
    *,
    embedding_dim: int = 10,
    lookup_l2: float = 0.01,
    initial_stddev: float = 0.1,
    embedding_dropout: float = 0.0,
    link: str = "linear",
    rating_scale: tuple[float, float] = (1.0, 5.0),
    mean_rating: float = 0.0,
) -> keras.Model:
    """Inner product of a user and an item vector with Gaussian priors, and no biases.

    The maximum a posteriori estimate of section 2: squared error plus L2 on both factors.

    Args:
        num_users: number of known users.
        num_items: number of known items.
        embedding_dim: number of factors.
        lookup_l2: L2 on the looked-up rows of both tables, per example.
        initial_stddev: standard deviation of the initial factors.
        embedding_dropout: dropout rate on the factors.
        link: ``"linear"``, or ``"sigmoid"`` as in section 2: ratings are mapped to [0, 1]. Mapping
            the prediction back instead, as here, multiplies the squared error by the square of the
            scale's length, and so must ``lookup_l2`` be multiplied for the same optimum.
        rating_scale: lowest and highest rating, for the sigmoid link.
        mean_rating: constant that is added to the product.

    Returns:
        A functional model: ``{"user_id": int32 [B], "item_id": int32 [B]}`` to
        ``{"rating": float32 [B]}``, with ``embedding_dim (num_users + num_items + 2)``
        parameters in exactly two tables.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.PMF(943, 1682)
        >>> inputs = {"item_id": np.array([50, 172]), "user_id": np.array([1, 2])}
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Differences from the paper:
        The paper trains on Netflix by mini-batch gradient descent with momentum; the recipes
        here use Adam on MovieLens. With the linear link they add the mean training rating,
        which the paper's linear model does not have. One lambda serves both sides.

    Raises:
        ValueError: ``link`` is neither ``"linear"`` nor ``"sigmoid"``.
    """
    if link not in ("linear", "sigmoid"):
        raise ValueError(f"`link` must be 'linear' or 'sigmoid'. Received: link={link!r}")
    towers = _factors(num_users, num_items, embedding_dim, lookup_l2, initial_stddev, embedding_dropout)
    head = dot_head(
        embedding_dim,
        mean_rating=mean_rating,
        sigmoid_scale=(rating_scale[0], rating_scale[1]) if link == "sigmoid" else None,
    )
    return two_tower_model(*towers, head, name="pmf")


@register_model(
    "biased-mf", task="rating", family="matrix-factorisation", paper=BIASED_MF_PAPER, solve=set_counts
)
def BiasedMF(
    num_users: int,
    num_items: int,
    *,
    embedding_dim: int = 100,
    lookup_l2: float = 0.02,
    bias_l2: float | None = None,
    frequency_exponent: float = 0.0,
    initial_stddev: float = 0.1,
    embedding_dropout: float = 0.0,
    mean_rating: float = 0.0,
) -> keras.Model:
    """Mean rating plus user bias plus item bias plus the inner product of two factor vectors.

    Eq. 4 and 5 of the paper. This is what libraries call SVD or FunkSVD: all factors are
    trained jointly (Funk's own procedure trains one factor at a time).

    Args:
        num_users: number of known users.
        num_items: number of known items.
        embedding_dim: number of factors.
        lookup_l2: L2 on the looked-up rows, per example.
        bias_l2: L2 on the looked-up biases, per example; None for ``lookup_l2``.
        frequency_exponent: divide both by the number of ratings of the id to this power
            (0.5 is the "frequency regularisation" of MyMediaLite); `set_counts` counts them.
        initial_stddev: standard deviation of the initial factors; biases start at 0.
        embedding_dropout: dropout rate on the factors.
        mean_rating: the mean training rating, a constant.

    Returns:
        A functional model: ``{"user_id": int32 [B], "item_id": int32 [B]}`` to
        ``{"rating": float32 [B]}``, with ``(embedding_dim + 1) (num_users + num_items + 2)``
        parameters.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.BiasedMF(943, 1682)
        >>> inputs = {"item_id": np.array([50, 172]), "user_id": np.array([1, 2])}
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Differences from the paper:
        Adam on mini-batches instead of one stochastic gradient step a rating. The defaults are
        those of Surprise's SVD (100 factors, lambda 0.02), the usual reference implementation.
        One lambda serves factors and biases in the paper, whatever the number of ratings.
    """
    towers = _factors(
        num_users,
        num_items,
        embedding_dim,
        lookup_l2,
        initial_stddev,
        embedding_dropout,
        bias=True,
        bias_l2=bias_l2,
        frequency_exponent=frequency_exponent,
    )
    head = dot_head(embedding_dim + 1, biases=True, mean_rating=mean_rating)
    return two_tower_model(*towers, head, name="biased-mf")


def _factors(
    num_users: int,
    num_items: int,
    embedding_dim: int,
    lookup_l2: float,
    initial_stddev: float,
    embedding_dropout: float,
    **options: Any,
) -> tuple[keras.Model, keras.Model]:
    user_tower, item_tower = (
        embedding_tower(
            side,
            num_ids,
            embedding_dim,
            initializer=keras.initializers.RandomNormal(stddev=initial_stddev),
            lookup_l2=lookup_l2,
            embedding_dropout=embedding_dropout,
            **options,
        )
        for side, num_ids in (("user", num_users), ("item", num_items))
    )
    return user_tower, item_tower
