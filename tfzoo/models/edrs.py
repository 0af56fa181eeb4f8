"""EDRS: An End-to-End Deep Learning Model for Recommender Systems (Tegene et al.)."""

from __future__ import annotations

import keras

from tfzoo.layers import embedding_tower, mlp_head, row_tower, two_tower_model
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Tegene, Marivate, Banda, Modupe, Rakotonarivo, Nchabeleng",
    title="An End-to-End Deep Learning Model for Recommender Systems",
    venue="University of Pretoria (venue and year not printed)",
    year=None,
)


@register_model("edrs", task="rating", family="towers", paper=PAPER, non_negative_by="rating_activation")
def EDRS(
    num_users: int,
    num_items: int,
    *,
    embedding_dim: int = 10,
    tower_units: tuple[int, ...] = (80, 40),
    head_units: tuple[int, ...] = (80, 40),
    last_activation: str | None = "relu",
    rating_activation: str | None = "relu",
    dense_l2: float = 1e-6,
    lookup_l2: float = 0.0,
    output_l2: float = 0.0,
    embedding_dropout: float = 0.0,
    dropout: float = 0.0,
    biases: bool = False,
    mean_rating: float = 0.0,
) -> keras.Model:
    """Embeddings, a fully connected tower per side, and an MLP that predicts the rating.

    Section 3.2 of the paper: user and item embeddings go through two separate fully connected
    networks (Eq. 4); their outputs are merged and a multi-layer perceptron predicts the rating
    (Eq. 8 and 9). Sizes are those of section 4.4.

    Args:
        num_users: number of known users; user ids are ``1..num_users``, 0 is the unknown user.
        num_items: number of known items; item ids are ``1..num_items``, 0 is the unknown item.
        embedding_dim: width of the embeddings.
        tower_units: widths of the layers of each tower.
        head_units: widths of the hidden layers of the prediction MLP.
        last_activation: activation of the last layer of each tower.
        rating_activation: activation of the rating unit.
        dense_l2: L2 on the kernels and biases of all fully connected layers.
        lookup_l2: L2 on the embedding rows that a batch looks up.
        output_l2: L2 on the outputs of the towers.
        embedding_dropout: dropout rate on the embeddings.
        dropout: dropout rate after each hidden layer.
        biases: add a trainable bias of the user and of the item to the rating.
        mean_rating: constant that is added to the rating.

    Returns:
        A functional model: ``{"user_id": int32 [B], "item_id": int32 [B]}`` to
        ``{"rating": float32 [B]}``, with sub-models ``user_tower``, ``item_tower`` and ``head``.
        With ``m = num_users + 1`` and ``n = num_items + 1`` table rows the paper's sizes have
        ``10 (m + n) + 18,001`` parameters.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.EDRS(943, 1682)
        >>> inputs = {"item_id": np.array([50, 172]), "user_id": np.array([1, 2])}
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Differences from the paper:
        The paper leaves open whether "80, 40" are the sizes of the towers or of the MLP: here
        of both. The two vectors are concatenated ("merged"). It prints one regularisation
        coefficient for weights and biases and none for embeddings. ReLU on the rating unit
        follows "ReLU activation function in the output layers". Initialisers are Keras'
        defaults. Dropout, penalties on vectors, biases
        and the constant are not in the paper and are off by default.
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
    head = mlp_head(
        towers["user"].output_shape[-1],
        towers["item"].output_shape[-1],
        units=head_units,
        activation=rating_activation,
        dense_l2=dense_l2,
        dropout=dropout,
        biases=biases,
        mean_rating=mean_rating,
    )
    return two_tower_model(towers["user"], towers["item"], head, name="edrs")


@register_model("edrs-woe", task="rating", family="towers", paper=PAPER, non_negative_by="rating_activation")
def EDRSWithoutEmbedding(
    num_users: int,
    num_items: int,
    *,
    tower_units: tuple[int, ...] = (80, 40),
    head_units: tuple[int, ...] = (80, 40),
    rating_activation: str | None = "relu",
    dense_l2: float = 1e-6,
    input_dropout: float = 0.0,
    dropout: float = 0.0,
    mean_rating: float = 0.0,
) -> keras.Model:
    """EDRS without embeddings: the towers read rows and columns of the rating matrix.

    The ablation EDRS-WOE of section 5.4: the embedding is left out and each tower reads the raw
    row (user) or column (item) of the matrix, zero where there is no rating.

    Args:
        num_users: number of known users.
        num_items: number of known items.
        tower_units: widths of the layers of each tower.
        head_units: widths of the hidden layers of the prediction MLP.
        rating_activation: activation of the rating unit.
        dense_l2: L2 on the kernels and biases of all fully connected layers.
        input_dropout: dropout rate on the rows.
        dropout: dropout rate after each hidden layer.
        mean_rating: constant that is added to the rating.

    Returns:
        A functional model: ``{"user_row": float32 [B, num_items + 1],
        "item_row": float32 [B, num_users + 1]}`` to ``{"rating": float32 [B]}``. With
        ``m = num_users + 1`` and ``n = num_items + 1`` the paper's sizes have
        ``80 (m + n) + 16,401`` parameters.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.EDRSWithoutEmbedding(943, 1682)
        >>> inputs = {"item_row": np.zeros((2, 944)), "user_row": np.zeros((2, 1683))}
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Differences from the paper:
        It does not say whether the matrix holds test ratings: here it holds training ratings
        only, unless the recipe's ``task.rows_from`` says otherwise to measure that leak.
        Dropout and the constant are not in the paper and are off by default.
    """
    towers = {
        side: row_tower(
            side,
            length + 1,
            units=tower_units,
            dense_l2=dense_l2,
            input_dropout=input_dropout,
            dropout=dropout,
        )
        for side, length in (("user", num_items), ("item", num_users))
    }
    head = mlp_head(
        towers["user"].output_shape[-1],
        towers["item"].output_shape[-1],
        units=head_units,
        activation=rating_activation,
        dense_l2=dense_l2,
        dropout=dropout,
        mean_rating=mean_rating,
    )
    return two_tower_model(towers["user"], towers["item"], head, name="edrs-woe")
