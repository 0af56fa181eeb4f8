"""DeepCoNN: two convolutional networks over reviews and a factorisation machine."""

from __future__ import annotations

import keras
from keras import ops

from tfzoo.layers import FactorizationMachine, WordTable, text_tower, two_tower_model
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Zheng, Noroozi, Yu",
    title="Joint Deep Modeling of Users and Items Using Reviews for Recommendation",
    venue="WSDM, 425-434",
    year=2017,
    url="https://doi.org/10.1145/3018661.3018665",
)


@register_model(
    "deepconn",
    task="review-rating",
    family="text",
    paper=PAPER,
    small={"document_length": 8, "embedding_dim": 6, "filters": 8, "latent_dim": 5, "fm_factors": 3},
)
def DeepCoNN(
    num_users: int,
    num_items: int,
    *,
    vocabulary_size: int = 20_002,
    embedding_dim: int = 300,
    document_length: int = 500,
    filters: int = 100,
    kernel_size: int = 3,
    latent_dim: int = 32,
    fm_factors: int = 8,
    dropout: float = 0.5,
    tower_dropout: float = 0.0,
    latent_activation: str | None = "relu",
    train_words: bool = True,
    initial_range: float = 0.05,
    mean_rating: float = 0.0,
) -> keras.Model:
    """Rating from the words of the user's and of the item's reviews.

    Sections 3.2 to 3.4 of the paper: word vectors, a convolution with relu, the maximum over
    time and a fully connected layer, for user and item with weights of their own; then a
    factorisation machine on both vectors side by side.

    Args:
        num_users: number of known users; no weight depends on it.
        num_items: number of known items; no weight depends on it.
        vocabulary_size: number of word ids, 0 for padding and 1 for unknown words included.
        embedding_dim: width of the word vectors.
        document_length: words that are read of a document, ``T``.
        filters: filters of each convolution.
        kernel_size: words that a filter sees at once.
        latent_dim: width of a user's and of an item's vector.
        fm_factors: factors of the factorisation machine.
        dropout: dropout rate on the terms of its pairwise part.
        tower_dropout: dropout rate on the largest values of the filters.
        latent_activation: activation of the user's and item's vector; null for none.
        train_words: the word vectors are trained too; ``False`` keeps them as they were loaded.
        initial_range: word vectors start uniform between minus this and this.
        mean_rating: the mean training rating, a constant that is added.

    Returns:
        A functional model: ``{"user_tokens": int32 [B, T], "item_tokens": int32 [B, T]}`` to
        ``{"rating": float32 [B]}``. Beside the word vectors it has ``2 (kernel_size
        embedding_dim filters + filters) + 2 (filters latent_dim + latent_dim) + 2 latent_dim
        (fm_factors + 1) + 1`` parameters: 187,241 by default.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.DeepCoNN(943, 1682)
        >>> inputs = {"item_tokens": np.zeros((2, 500), int), "user_tokens": np.zeros((2, 500), int)}
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Differences from the paper:
        Latent width 32, 8 factors, biases starting at 0.1 and dropout in the factorisation
        machine are those of the TensorFlow port by the author of NARRE. A window stands over
        each word of a document, also over the first and the last one, where the port only has
        windows that lie inside; padding takes no part in the maximum, so a document's
        vector does not depend on how much padding follows. The mean rating is added. Each side
        has a table of word vectors of its own, as in the port.

    Raises:
        ValueError: a size is below 1, or the vocabulary has no word.
    """
    sizes = {"embedding_dim": embedding_dim, "document_length": document_length, "latent_dim": latent_dim}
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={size}")
    if vocabulary_size < 3:
        raise ValueError(
            "`vocabulary_size` counts padding, the unknown word and at least one word. "
            f"Received: vocabulary_size={vocabulary_size}"
        )

    start = keras.initializers.RandomUniform(-initial_range, initial_range)
    user_tower, item_tower = (
        text_tower(
            side,
            WordTable(
                vocabulary_size, embedding_dim, start.clone(), trainable=train_words, name=f"{side}_words"
            ),
            document_length,
            filters=filters,
            kernel_size=kernel_size,
            latent_dim=latent_dim,
            dropout=tower_dropout,
            activation=latent_activation,
        )
        for side in ("user", "item")
    )
    head = _head(latent_dim, fm_factors, dropout, mean_rating)
    return two_tower_model(user_tower, item_tower, head, name="deepconn")


def _head(width: int, factors: int, dropout: float, mean_rating: float) -> keras.Model:
    user, item = (keras.Input((width,), dtype="float32", name=f"{side}_vector") for side in ("user", "item"))
    machine = FactorizationMachine(
        factors,
        dropout,
        initializer=keras.initializers.RandomUniform(-0.1, 0.1),
        dtype="float32",
        name="factorization_machine",
    )
    rating = machine(ops.concatenate([user, item], axis=-1)) + float(mean_rating)
    return keras.Model({"user_vector": user, "item_vector": item}, rating, name="head")
