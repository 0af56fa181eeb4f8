"""ADRS: attentive pooling over two review documents, and the importance of each side."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from tfzoo.layers import (
    AttentivePooling,
    IdEmbedding,
    KnownIdPenalty,
    TextWindows,
    WordTable,
    two_tower_model,
)
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Da'u, Salim, Idris",
    title="An adaptive deep learning method for item recommendation system",
    venue="Knowledge-Based Systems 213, 106681",
    year=2021,
    url="https://doi.org/10.1016/j.knosys.2020.106681",
)


@register_model(
    "adrs",
    task="review-rating",
    family="text",
    paper=PAPER,
    reconstruction=True,
    small={"document_length": 8, "embedding_dim": 6, "filters": 8, "hidden_units": 5},
)
def ADRS(
    num_users: int,
    num_items: int,
    *,
    vocabulary_size: int = 20_002,
    embedding_dim: int = 300,
    document_length: int = 300,
    filters: int = 100,
    kernel_size: int = 3,
    hidden_units: int = 100,
    dropout: float = 0.5,
    tower_dropout: float = 0.0,
    bias_l2: float = 0.0,
    train_words: bool = True,
    initial_range: float = 0.05,
    mean_rating: float = 0.0,
) -> keras.Model:
    """Rating from two review documents that attend to each other.

    Word vectors and a convolution with relu give a vector for each place of either document.
    `AttentivePooling` makes ``r_u`` and ``r_v`` of them. The importance of each side is a number,
    ``b_u = sigmoid(w_u . [r_u; r_v; r_u * r_v])`` and ``b_i`` likewise, and the rating is
    ``mean_rating + bias_user + bias_item + h . relu(W [(b_u r_u) * (b_i r_v)])``.

    Args:
        num_users: number of known users.
        num_items: number of known items.
        vocabulary_size: number of word ids, 0 for padding and 1 for unknown words included.
        embedding_dim: width of the word vectors.
        document_length: words that are read of a document, ``T``.
        filters: filters of each convolution, ``F``.
        kernel_size: words that a filter sees at once.
        hidden_units: rows of ``W``.
        dropout: dropout rate on the hidden layer.
        tower_dropout: dropout rate on what the convolutions give.
        bias_l2: L2 on the looked-up biases of users and items, mean over the batch.
        train_words: the word vectors are trained too; ``False`` keeps them as they were loaded.
        initial_range: word vectors start uniform between minus this and this.
        mean_rating: the mean training rating, a constant that is added.

    Returns:
        A functional model: ``{"user_tokens": int32 [B, T], "user_id": int32 [B], "item_tokens":
        int32 [B, T], "item_id": int32 [B]}`` to ``{"rating": float32 [B]}``. Beside the word vectors
        it has ``2 (kernel_size embedding_dim F + F) + F F + 6 F + (F + 1) hidden_units +
        num_users + num_items + 2`` parameters. A tower's vector holds all places of the document and
        the bias, ``T F + 1`` numbers, since a pair's attention needs them.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.ADRS(943, 1682)
        >>> inputs = {
        ...     "item_id": np.array([50, 172]),
        ...     "item_tokens": np.zeros((2, 300), int),
        ...     "user_id": np.array([1, 2]),
        ...     "user_tokens": np.zeros((2, 300), int),
        ... }
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Differences from the paper:
        Abstract and a summary of the paper could be read, no formula and no setting. The attention is
        that of dos Santos et al. (2016), which the name *attentive pooling* stands for; importance,
        predictor, sizes, the place of dropout and the biases of users and items are chosen here. A
        place of a document where every filter gives 0 counts as padding. Two empty documents are
        rated by the biases alone.

    Raises:
        ValueError: a size is below 1, or the vocabulary has no word.
    """
    sizes = {
        "embedding_dim": embedding_dim,
        "document_length": document_length,
        "hidden_units": hidden_units,
    }
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
        _tower(
            side,
            num_ids,
            WordTable(
                vocabulary_size, embedding_dim, start.clone(), trainable=train_words, name=f"{side}_words"
            ),
            TextWindows(
                filters,
                kernel_size,
                bias_initializer=keras.initializers.Constant(0.1),
                name=f"{side}_convolution",
            ),
            document_length,
            tower_dropout,
            bias_l2,
        )
        for side, num_ids in (("user", num_users), ("item", num_items))
    )
    head = _head(document_length, filters, hidden_units, dropout, mean_rating)
    return two_tower_model(user_tower, item_tower, head, name="adrs")


def _tower(
    side: str,
    num_ids: int,
    words: WordTable,
    convolution: TextWindows,
    length: int,
    dropout: float,
    bias_l2: float,
) -> keras.Model:
    tokens = keras.Input((length,), dtype="int32", name=f"{side}_tokens")
    ids = keras.Input((), dtype="int32", name=f"{side}_id")
    places: Any = convolution(tokens, words(tokens))
    if dropout:
        places = layers.Dropout(dropout)(places)
    flat = layers.Reshape((length * convolution.filters,))(places)
    bias: Any = IdEmbedding(num_ids + 1, 1, embeddings_initializer="zeros", name=f"{side}_bias")(ids)
    if bias_l2:
        bias = KnownIdPenalty(bias_l2)(bias, ids)
    vector = ops.concatenate([flat, bias], axis=-1)
    vector = layers.Activation("linear", dtype="float32", name="vector")(vector)
    return keras.Model({tokens.name: tokens, ids.name: ids}, vector, name=f"{side}_tower")


def _head(length: int, filters: int, hidden_units: int, dropout: float, mean_rating: float) -> keras.Model:
    vectors = {
        side: keras.Input((length * filters + 1,), dtype="float32", name=f"{side}_vector")
        for side in ("user", "item")
    }
    places = [layers.Reshape((length, filters))(vector[:, :-1]) for vector in vectors.values()]
    user, item = AttentivePooling(dtype="float32", name="attentive_pooling")(*places)
    both = ops.concatenate([user, item, user * item], axis=-1)
    user, item = (
        pooled * layers.Dense(1, "sigmoid", use_bias=False, dtype="float32", name=f"{side}_importance")(both)
        for side, pooled in (("user", user), ("item", item))
    )
    hidden = layers.Dense(hidden_units, "relu", use_bias=False, dtype="float32", name="interaction")(
        user * item
    )
    if dropout:
        hidden = layers.Dropout(dropout, dtype="float32")(hidden)
    rating = layers.Dense(1, use_bias=False, dtype="float32", name="rating_unit")(hidden)[:, 0]
    rating = rating + vectors["user"][:, -1] + vectors["item"][:, -1] + float(mean_rating)
    return keras.Model({f"{side}_vector": vector for side, vector in vectors.items()}, rating, name="head")
