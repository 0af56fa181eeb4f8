"""Wide & Deep: a linear model over crossed features and a network over embeddings."""

from __future__ import annotations

import keras

from tfzoo.layers import feature_head, feature_tower, two_tower_model
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Cheng et al.",
    title="Wide & Deep Learning for Recommender Systems",
    venue="DLRS at RecSys, 7-10",
    year=2016,
    url="https://arxiv.org/abs/1606.07792",
)


@register_model(
    "wide-deep",
    task="rating",
    family="side-features",
    paper=PAPER,
    small={"embedding_dim": 4, "hidden_units": (6, 5)},
)
def WideDeep(
    num_users: int,
    num_items: int,
    *,
    user_features: int = 0,
    item_features: int = 0,
    embedding_dim: int = 32,
    hidden_units: tuple[int, ...] = (1024, 512, 256),
    wide: bool = True,
    lookup_l2: float = 0.0,
    dense_l2: float = 0.0,
    dropout: float = 0.0,
    initial_stddev: float = 0.1,
    mean_rating: float = 0.0,
) -> keras.Model:
    """A linear model that memorises pairs of features, and a network over embeddings that generalises.

    Section 3: ``r = w_wide . [x, phi(x)] + w_deep . a_L + b`` (eq. 3 without the sigmoid), trained jointly.
    ``x`` are the ids and all side features, ``phi`` (eq. 1) the cross-products of every feature
    of the user with every one of the item, ``a_L`` the last of the relu layers over the embeddings.

    Args:
        num_users: number of known users.
        num_items: number of known items.
        user_features: number of feature columns of users; 0 for none.
        item_features: number of feature columns of items; 0 for none.
        embedding_dim: width of the embeddings; unused without hidden layers.
        hidden_units: widths of the relu layers; empty for the wide part alone.
        wide: add the wide part; without it the model is a plain network.
        lookup_l2: L2 on the looked-up embeddings and weights, per example.
        dense_l2: L2 on the kernels of the network and the weights of the crosses.
        dropout: dropout rate after each hidden layer.
        initial_stddev: standard deviation of the initial embeddings; wide weights start at 0.
        mean_rating: the mean training rating, a constant.

    Returns:
        A functional model: ``{"user_id": int32 [B], "item_id": int32 [B]}``, and ``user_features``,
        ``item_features`` float32 ``[B, columns]`` where there are columns, to ``{"rating": float32
        [B]}``. With N rows (both tables with their row of the unknown id, and all columns), f
        fields and c crosses it has ``N (k + 1) + c + f k h_1 + h_1 + h_1 h_2 + h_2 + ... + h_L + 1``
        parameters; crosses need features of both sides, and are ``user_features * item_features``.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.WideDeep(943, 1682, user_features=3, item_features=19)
        >>> inputs = {
        ...     "item_features": np.zeros((2, 19)),
        ...     "item_id": np.array([50, 172]),
        ...     "user_features": np.zeros((2, 3)),
        ...     "user_id": np.array([1, 2]),
        ... }
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Differences from the paper:
        It predicts app acquisitions; here the output is the rating, without the sigmoid, and
        the loss its squared error. It chooses some cross-products and hashes them; here are all between
        the two sides, each with a weight of its own, and none of two ids. One optimiser trains both
        parts, where the paper has FTRL with L1 for the wide and AdaGrad for the deep one. A field is one
        id or all features of a side, whose embeddings are summed; there are no continuous features.

    Raises:
        ValueError: neither a wide part nor hidden layers.
    """
    columns = (user_features, item_features)
    width = embedding_dim if hidden_units else 0
    crosses = wide and all(columns)
    if not wide and not hidden_units:
        raise ValueError("Without `wide` at least one hidden layer is needed. Received: hidden_units=()")
    user_tower, item_tower = (
        feature_tower(
            side,
            num_ids,
            num_features,
            width,
            linear=wide,
            keep_features=crosses,
            lookup_l2=lookup_l2,
            initial_stddev=initial_stddev,
        )
        for side, num_ids, num_features in zip(("user", "item"), (num_users, num_items), columns, strict=True)
    )
    head = feature_head(
        columns,
        width,
        linear=wide,
        crosses=crosses,
        units=hidden_units,
        dense_l2=dense_l2,
        dropout=dropout,
        mean_rating=mean_rating,
    )
    return two_tower_model(user_tower, item_tower, head, name="wide-deep")
