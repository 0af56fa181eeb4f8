"""DCF: Deep Learning Based Matrix Factorization for Collaborative Filtering (Tegene et al., 2021)."""

from __future__ import annotations

import keras

from tfzoo.layers import dot_head, row_tower, two_tower_model
from tfzoo.models import delcr
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Tegene, Liu, Muhammed, Leka",
    title="Deep Learning Based Matrix Factorization for Collaborative Filtering",
    venue="ICCWAMTIP, IEEE, 165-170",
    year=2021,
    url="https://doi.org/10.1109/ICCWAMTIP53232.2021.9674157",
)


@register_model(
    "dcf", task="rating", family="towers", paper=PAPER, reconstruction=True, non_negative_by="last_activation"
)
@register_model(
    "delcr-woe",
    task="rating",
    family="towers",
    paper=delcr.PAPER,
    reconstruction=True,
    non_negative_by="last_activation",
)
def DCF(
    num_users: int,
    num_items: int,
    *,
    tower_units: tuple[int, ...] = (80, 40),
    last_activation: str | None = "relu",
    dense_l2: float = 1e-6,
    input_dropout: float = 0.0,
    dropout: float = 0.0,
    mean_rating: float = 0.0,
) -> keras.Model:
    """Towers over rows and columns of the rating matrix; the rating is their inner product.

    The user's row and the item's column of the matrix, zero where there is no rating, are
    mapped by two separate fully connected networks, and the inner product of their outputs
    predicts the rating (abstract). The ablation DELCR-WOE of the EDRS paper (section 5.4,
    "without embedding") is the same model and is registered on this builder.

    Args:
        num_users: number of known users.
        num_items: number of known items.
        tower_units: widths of the layers of each tower.
        last_activation: activation of the last layer of each tower.
        dense_l2: L2 on the kernels and biases of all layers.
        input_dropout: dropout rate on the rows.
        dropout: dropout rate after each layer.
        mean_rating: constant that is added to the rating.

    Returns:
        A functional model: ``{"user_row": float32 [B, num_items + 1],
        "item_row": float32 [B, num_users + 1]}`` to ``{"rating": float32 [B]}``. With
        ``m = num_users + 1`` and ``n = num_items + 1`` the default sizes have
        ``80 (m + n) + 6,640`` parameters.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.DCF(943, 1682)
        >>> inputs = {"item_row": np.zeros((2, 944)), "user_row": np.zeros((2, 1683))}
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Differences from the paper:
        A reconstruction from the abstract: sizes and training settings are EDRS's. In training
        the rating to be predicted is part of both input rows; ``task.mask_target`` takes it out.
        Dropout and the constant are off by default.
    """
    towers = {
        side: row_tower(
            side,
            length + 1,
            units=tower_units,
            last_activation=last_activation,
            dense_l2=dense_l2,
            input_dropout=input_dropout,
            dropout=dropout,
        )
        for side, length in (("user", num_items), ("item", num_users))
    }
    head = dot_head(towers["user"].output_shape[-1], mean_rating=mean_rating)
    return two_tower_model(towers["user"], towers["item"], head, name="dcf")
