"""AutoRec: autoencoders over the columns or rows of the rating matrix (Sedhain et al. 2015)."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from tfzoo.layers import IdEmbedding, dot_head, two_tower_model
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Sedhain, Menon, Sanner, Xie",
    title="AutoRec: Autoencoders Meet Collaborative Filtering",
    venue="WWW Companion, 111-112",
    year=2015,
    url="https://doi.org/10.1145/2740908.2742726",
)


@register_model("i-autorec", task="rating", family="autoencoder", paper=PAPER, small={"hidden_units": 6})
def IAutoRec(
    num_users: int,
    num_items: int,
    *,
    hidden_units: int = 500,
    hidden_activation: str = "sigmoid",
    binary_hidden: bool = False,
    l2: float = 100.0,
    mean_rating: float = 0.0,
) -> keras.Model:
    """Reconstruct the column of an item: the ratings of all users for it.

    ``h(r) = W g(V r + mu) + b`` (eq. 2, with f the identity, the paper's best), of which the
    component of user ``u`` is ``W_u . g(V r_i + mu) + b_u``: an inner product of a user's row of W
    and the code of an item. Train it on whole columns (``task.examples: items``): the loss is then
    the paper's, the squared error of the observed ratings.

    Args:
        num_users: number of known users.
        num_items: number of known items.
        hidden_units: k, width of the code.
        hidden_activation: g.
        binary_hidden: threshold the code at 0.5, with the gradient of the smooth one, as the
            authors' code does on MovieLens and the paper does not say.
        l2: lambda of eq. 2, on W and V and no bias.
        mean_rating: where the output biases start.

    Returns:
        A functional model: ``{"user_id": int32 [B], "item_row": float32 [B, num_users + 1]}`` to
        ``{"rating": float32 [B]}``, with ``2 D k + k + D`` parameters, ``D = num_users + 1``
        (944,443 at k = 500 on ml-100k, and ``2 k + 1`` for the unknown user).

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.IAutoRec(943, 1682)
        >>> inputs = {"item_row": np.zeros((2, 944)), "user_id": np.array([1, 2])}
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Differences from the paper:
        Adam on batches of columns instead of resilient propagation or L-BFGS. The loss is divided
        by the number of items, and lambda with it. Ratings of users that training lacks are 3 in the
        authors' code; here they get the average row of W. A rating of 0 is taken for no rating in
        the input.
    """
    options = (hidden_units, hidden_activation, binary_hidden, l2 / (2 * num_items))
    coder = _coder("item", num_users + 1, *options)
    decoder = _decoder("user", num_users + 1, hidden_units, options[-1], mean_rating)
    return two_tower_model(decoder, coder, dot_head(hidden_units + 1), name="i-autorec")


@register_model("u-autorec", task="rating", family="autoencoder", paper=PAPER, small={"hidden_units": 6})
def UAutoRec(
    num_users: int,
    num_items: int,
    *,
    hidden_units: int = 500,
    hidden_activation: str = "sigmoid",
    binary_hidden: bool = False,
    l2: float = 100.0,
    mean_rating: float = 0.0,
) -> keras.Model:
    """Reconstruct the row of a user: the ratings of all items by them.

    As `IAutoRec` with users and items exchanged; train it with ``task.examples: users``.

    Args:
        num_users: number of known users.
        num_items: number of known items.
        hidden_units: k, width of the code.
        hidden_activation: g.
        binary_hidden: see `IAutoRec`.
        l2: lambda of eq. 2, on W and V and no bias.
        mean_rating: where the output biases start.

    Returns:
        A functional model: ``{"user_row": float32 [B, num_items + 1], "item_id": int32 [B]}`` to
        ``{"rating": float32 [B]}``, with ``2 D k + k + D`` parameters, ``D = num_items + 1``
        (1,684,182 at k = 500 on ml-100k, and ``2 k + 1`` for the unknown item).

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.UAutoRec(943, 1682)
        >>> inputs = {"item_id": np.array([50, 172]), "user_row": np.zeros((2, 1683))}
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Differences from the paper:
        See `IAutoRec`; the loss is divided by the number of users.
    """
    options = (hidden_units, hidden_activation, binary_hidden, l2 / (2 * num_users))
    coder = _coder("user", num_items + 1, *options)
    decoder = _decoder("item", num_items + 1, hidden_units, options[-1], mean_rating)
    return two_tower_model(coder, decoder, dot_head(hidden_units + 1), name="u-autorec")


def _coder(side: str, row_length: int, units: int, activation: str, binary: bool, l2: float) -> keras.Model:
    """Build row -> code, with a 1 at its end that the output bias is multiplied by."""
    row = keras.Input((row_length,), dtype="float32", name=f"{side}_row")
    code: Any = layers.Dense(
        units, activation=activation, kernel_regularizer=keras.regularizers.L2(l2), name="code"
    )(row)
    if binary:
        code = code + ops.stop_gradient(ops.cast(code > 0.5, code.dtype) - code)
    vector = ops.concatenate([code, ops.ones_like(code[:, :1])], axis=-1)
    vector = layers.Activation("linear", dtype="float32", name="vector")(vector)
    return keras.Model({f"{side}_row": row}, vector, name=f"{side}_tower")


def _decoder(side: str, num_rows: int, units: int, l2: float, mean_rating: float) -> keras.Model:
    """Build id -> row of W, with the output bias at its end."""
    ids = keras.Input((), dtype="int32", name=f"{side}_id")
    weights = IdEmbedding(
        num_rows,
        units,
        embeddings_initializer="glorot_uniform",
        # Of the whole table, as eq. 2 has it: every step reads all of it.
        embeddings_regularizer=keras.regularizers.L2(l2),
        name=f"{side}_weights",
    )(ids)
    start = keras.initializers.Constant(mean_rating)
    bias = IdEmbedding(num_rows, 1, embeddings_initializer=start, name=f"{side}_bias")(ids)
    vector = ops.concatenate([weights, bias], axis=-1)
    vector = layers.Activation("linear", dtype="float32", name="vector")(vector)
    return keras.Model({f"{side}_id": ids}, vector, name=f"{side}_tower")
