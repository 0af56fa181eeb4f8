"""DELCR: Deep Learning and Embedding Based Latent Factor Model (Tegene et al., 2023)."""

from __future__ import annotations

import keras

from tfzoo.layers import dot_head, embedding_tower, two_tower_model
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Tegene et al.",
    title="Deep Learning and Embedding Based Latent Factor Model for Collaborative Recommender Systems",
    venue="Applied Sciences 13(2), 726",
    year=2023,
    url="https://doi.org/10.3390/app13020726",
)


@register_model(
    "delcr",
    task="rating",
    family="towers",
    paper=PAPER,
    reconstruction=True,
    non_negative_by="last_activation",
)
def DELCR(
    num_users: int,
    num_items: int,
    *,
    embedding_dim: int = 10,
    tower_units: tuple[int, ...] = (80, 40),
    last_activation: str | None = "relu",
    dense_l2: float = 1e-6,
    lookup_l2: float = 0.0,
    output_l2: float = 0.0,
    embedding_dropout: float = 0.0,
    dropout: float = 0.0,
    biases: bool = False,
    mean_rating: float = 0.0,
) -> keras.Model:
    """Embeddings and a fully connected tower per side; the rating is their inner product.

    User and item embeddings are mapped by two separate fully connected networks, and the rating
    is the inner product of the two outputs (abstract; Eq. 5 and 10 of the EDRS paper, which
    compares itself with DELCR). It is EDRS with the prediction MLP replaced by the product.

    Args:
        num_users: number of known users.
        num_items: number of known items.
        embedding_dim: width of the embeddings.
        tower_units: widths of the layers of each tower.
        last_activation: activation of the last layer of each tower.
        dense_l2: L2 on the kernels and biases of all fully connected layers.
        lookup_l2: L2 on the embedding rows that a batch looks up.
        output_l2: L2 on the outputs of the towers.
        embedding_dropout: dropout rate on the embeddings.
        dropout: dropout rate after each layer.
        biases: add a trainable bias of the user and of the item to the rating.
        mean_rating: constant that is added to the rating.

    Returns:
        A functional model: ``{"user_id": int32 [B], "item_id": int32 [B]}`` to
        ``{"rating": float32 [B]}``. With ``m = num_users + 1`` and ``n = num_items + 1`` table
        rows the default sizes have ``10 (m + n) + 8,240`` parameters.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.DELCR(943, 1682)
        >>> inputs = {"item_id": np.array([50, 172]), "user_id": np.array([1, 2])}
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Differences from the paper:
        A reconstruction from the abstract and from the EDRS paper: layer sizes, embedding width
        and training settings of DELCR itself could not be read and are EDRS's. ReLU on the last
        layer keeps both vectors, hence the rating, non-negative; ``last_activation=None`` is
        the usual choice. Dropout, biases and the constant are off by default.
    """
    towers = {
        side: embedding_tower(
            side,
            num_ids,
            embedding_dim,
            units=tower_units,
            last_activation=last_activation,
            dense_l2=dense_l2,
            lookup_l2=lookup_l2,
            output_l2=output_l2,
            embedding_dropout=embedding_dropout,
            dropout=dropout,
            bias=biases,
        )
        for side, num_ids in (("user", num_users), ("item", num_items))
    }
    head = dot_head(towers["user"].output_shape[-1], biases=biases, mean_rating=mean_rating)
    return two_tower_model(towers["user"], towers["item"], head, name="delcr")
