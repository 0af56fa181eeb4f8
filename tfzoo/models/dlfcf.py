"""DLFCF: matrix factorisation with more than two factors."""

from __future__ import annotations

import keras

from tfzoo.layers import dot_head, embedding_tower, two_tower_model
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Mongia, Jhamb, Chouzenoux, Majumdar",
    title="Deep latent factor model for collaborative filtering",
    venue="Signal Processing 169, 107366",
    year=2020,
    url="https://doi.org/10.1016/j.sigpro.2019.107366",
)


@register_model("dlfcf", task="rating", family="matrix-factorisation", paper=PAPER, reconstruction=True)
def DLFCF(
    num_users: int,
    num_items: int,
    *,
    embedding_dim: int = 40,
    factor_units: tuple[int, ...] = (20,),
    activation: str | None = "relu",
    lookup_l2: float = 0.01,
    dense_l2: float = 0.0,
    initial_stddev: float = 0.1,
    mean_rating: float = 0.0,
) -> keras.Model:
    """A product of several factor matrices: the user's vector, layers in between, the item's vector.

    The abstract deepens ``Y = U V`` into several layers of factors of users and items. Here
    ``r = p_u . phi(W_1 phi(W_2 q_i))``, the chain ``Y = U_1 phi(U_2 phi(U_3 V))`` read as a model of one
    rating: no layer has a bias, and the last one is as wide as ``p_u``.

    Args:
        num_users: number of known users.
        num_items: number of known items.
        embedding_dim: width of ``p_u`` and ``q_i``.
        factor_units: widths between the factors, from the item's side; empty for a single
            product, which is PMF.
        activation: phi, or None for a linear chain, whose rank is that of its narrowest factor.
        lookup_l2: L2 on the looked-up rows of both tables, per example.
        dense_l2: L2 on the factors in between.
        initial_stddev: standard deviation of the initial vectors.
        mean_rating: constant that is added to the product.

    Returns:
        A functional model: ``{"user_id": int32 [B], "item_id": int32 [B]}`` to
        ``{"rating": float32 [B]}``. With ``m = num_users + 1`` and ``n = num_items + 1`` table rows the
        default sizes have ``40 (m + n) + 1,600`` parameters.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.DLFCF(943, 1682)
        >>> inputs = {"item_id": np.array([50, 172]), "user_id": np.array([1, 2])}
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Differences from the paper:
        A reconstruction from the abstract: number and widths of the factors, penalties and
        activation are not known and are ours. The paper learns by majorisation-minimisation with
        alternating least squares; here all factors are trained together by gradient descent.
    """
    user_tower = embedding_tower(
        "user",
        num_users,
        embedding_dim,
        initializer=keras.initializers.RandomNormal(stddev=initial_stddev),
        lookup_l2=lookup_l2,
    )
    item_tower = embedding_tower(
        "item",
        num_items,
        embedding_dim,
        units=(*factor_units, embedding_dim) if factor_units else (),
        activation=activation,
        last_activation=activation,
        use_bias=False,
        initializer=keras.initializers.RandomNormal(stddev=initial_stddev),
        lookup_l2=lookup_l2,
        dense_l2=dense_l2,
    )
    head = dot_head(embedding_dim, mean_rating=mean_rating)
    return two_tower_model(user_tower, item_tower, head, name="dlfcf")
