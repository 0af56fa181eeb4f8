"""DeepFM: a factorisation machine and a network over the same embeddings."""

from __future__ import annotations

import keras

from tfzoo.layers import feature_head, feature_tower, two_tower_model
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Guo, Tang, Ye, Li, He",
    title="DeepFM: A Factorization-Machine based Neural Network for CTR Prediction",
    venue="IJCAI 26, 1725-1731",
    year=2017,
    url="https://arxiv.org/abs/1703.04247",
)


@register_model(
    "deepfm",
    task="rating",
    family="side-features",
    paper=PAPER,
    small={"embedding_dim": 4, "hidden_units": (6, 5)},
)
def DeepFM(
    num_users: int,
    num_items: int,
    *,
    user_features: int = 0,
    item_features: int = 0,
    embedding_dim: int = 10,
    hidden_units: tuple[int, ...] = (400, 400, 400),
    lookup_l2: float = 0.0,
    dense_l2: float = 0.0,
    dropout: float = 0.5,
    initial_stddev: float = 0.01,
    mean_rating: float = 0.0,
) -> keras.Model:
    """A factorisation machine plus a network, both over one table of embeddings of ids and side features.

    Section 2.1: ``r = FM + DNN`` (eq. 1 without the sigmoid), ``FM = sum_i w_i x_i + sum_{i<j} <v_i, v_j>
    x_i x_j`` over the user's id, the item's id and all their features (eq. 2). The network (eq. 3 and 4)
    reads the same ``v``, one vector a field. Without hidden layers it is a factorisation machine, and without
    features as well it is biased MF.

    Args:
        num_users: number of known users.
        num_items: number of known items.
        user_features: number of feature columns of users; 0 for none.
        item_features: number of feature columns of items; 0 for none.
        embedding_dim: length k of the embeddings.
        hidden_units: widths of the relu layers; empty for no network.
        lookup_l2: L2 on the looked-up embeddings and weights, per example.
        dense_l2: L2 on the kernels of the network.
        dropout: dropout rate after each hidden layer.
        initial_stddev: standard deviation of the initial embeddings; the weights ``w`` start at 0.
        mean_rating: the mean training rating, a constant.

    Returns:
        A functional model: ``{"user_id": int32 [B], "item_id": int32 [B]}``, and ``user_features``,
        ``item_features`` float32 ``[B, columns]`` where there are columns, to ``{"rating": float32
        [B]}``. With N rows (both tables with their row of the unknown id, and all columns) and f
        fields it has ``N (k + 1) + f k h_1 + h_1 + h_1 h_2 + h_2 + ... + h_L + 1`` parameters.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.DeepFM(943, 1682, user_features=3, item_features=19)
        >>> inputs = {
        ...     "item_features": np.zeros((2, 19)),
        ...     "item_id": np.array([50, 172]),
        ...     "user_features": np.zeros((2, 3)),
        ...     "user_id": np.array([1, 2]),
        ... }
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Differences from the paper:
        It predicts clicks; here the output is the rating, without the sigmoid, and the loss its
        squared error. The fields are the user's id, the item's id, all features of the user and all of the
        item: the network reads the sum of the embeddings of a field, the factorisation machine has every
        pair of single features. Sizes, dropout and optimiser are those that libraries take from it;
        it has no figures on ratings.
    """
    columns = (user_features, item_features)
    user_tower, item_tower = (
        feature_tower(
            side,
            num_ids,
            num_features,
            embedding_dim,
            pairs=True,
            lookup_l2=lookup_l2,
            initial_stddev=initial_stddev,
        )
        for side, num_ids, num_features in zip(("user", "item"), (num_users, num_items), columns, strict=True)
    )
    head = feature_head(
        columns,
        embedding_dim,
        pairs=True,
        units=hidden_units,
        dense_l2=dense_l2,
        dropout=dropout,
        mean_rating=mean_rating,
    )
    return two_tower_model(user_tower, item_tower, head, name="deepfm")
