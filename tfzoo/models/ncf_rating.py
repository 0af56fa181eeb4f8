"""Neural collaborative filtering for ratings: NeuMF (He et al. 2017) with a linear output."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from tfzoo.layers import embedding_tower, two_tower_model
from tfzoo.models import ncf
from tfzoo.models.registry import register_model


@register_model("ncf-rating", task="rating", family="perceptron", paper=ncf.PAPER, reconstruction=True)
def NCFRating(
    num_users: int,
    num_items: int,
    *,
    factors: int = 8,
    units: tuple[int, ...] = (64, 32, 16, 8),
    lookup_l2: float = 0.0,
    dropout: float = 0.0,
    mean_rating: float = 0.0,
) -> keras.Model:
    """NeuMF's product and hidden layers on two embeddings a side, with a rating as output.

    Papers that print rating errors of NCF do not say how; the sigmoid and the sampled negatives of the
    original make no ratings, so the output here is linear and the loss the squared error.

    Args:
        num_users: number of known users.
        num_items: number of known items.
        factors: width of the embeddings that are multiplied.
        units: the width of both MLP embeddings together, then the widths of the hidden layers.
        lookup_l2: L2 on the looked-up rows of both embeddings.
        dropout: dropout rate after each hidden layer.
        mean_rating: constant that is added to the output.

    Returns:
        A functional model: ``{"user_id": int32 [B], "item_id": int32 [B]}`` to
        ``{"rating": float32 [B]}``, with ``(factors + units[0] / 2) (num_users + num_items + 2)``
        parameters in the tables.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.NCFRating(943, 1682)
        >>> inputs = {"item_id": np.array([50, 172]), "user_id": np.array([1, 2])}
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Raises:
        ValueError: ``units`` has fewer than two widths, or an odd first one.

    Differences from the paper:
        Output, loss and data, see above. A side's two embeddings are columns of one table. The mean
        rating is added.
    """
    if len(units) < 2 or units[0] % 2:
        raise ValueError(
            f"`units` needs an even first width and a hidden layer at least. Received: units={tuple(units)}"
        )
    width = factors + units[0] // 2
    towers = [
        embedding_tower(
            side,
            num_ids,
            width,
            # An initialiser gives the same numbers whenever it is used again: one for each table.
            initializer=keras.initializers.RandomNormal(stddev=0.01),
            lookup_l2=lookup_l2,
        )
        for side, num_ids in (("user", num_users), ("item", num_items))
    ]
    user = keras.Input((width,), dtype="float32", name="user_vector")
    item = keras.Input((width,), dtype="float32", name="item_vector")
    hidden: Any = ops.concatenate([user[:, factors:], item[:, factors:]], axis=-1)
    for number, size in enumerate(units[1:], start=1):
        hidden = layers.Dense(size, activation="relu", name=f"hidden_{number}")(hidden)
        if dropout:
            hidden = layers.Dropout(dropout)(hidden)
    both = ops.concatenate([user[:, :factors] * item[:, :factors], hidden], axis=-1)
    rating = layers.Dense(1, dtype="float32", name="rating_unit")(both)[:, 0] + float(mean_rating)
    head = keras.Model({"user_vector": user, "item_vector": item}, rating, name="head")
    return two_tower_model(towers[0], towers[1], head, name="ncf-rating")
