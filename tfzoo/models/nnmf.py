"""NNMF: matrix factorisation whose inner product is replaced by a network."""

from __future__ import annotations

import keras
from keras import layers, ops

from tfzoo.layers import factor_tower, set_counts, two_tower_model
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Dziugaite, Roy",
    title="Neural Network Matrix Factorization",
    venue="arXiv 1511.06443",
    year=2015,
    url="https://arxiv.org/abs/1511.06443",
)


@register_model("nnmf", task="rating", family="perceptron", paper=PAPER, solve=set_counts)
def NNMF(
    num_users: int,
    num_items: int,
    *,
    embedding_dim: int = 10,
    product_dim: int = 60,
    hidden_units: tuple[int, ...] = (50, 50, 50),
    lookup_l2: float = 30.0,
    frequency_exponent: float = 1.0,
    initial_stddev: float = 0.1,
    mean_rating: float = 0.0,
) -> keras.Model:
    """A network that reads two vectors of the user, two of the item, and the product of one pair of them.

    Section 2: ``r = f([u; v; u' * v'])`` with ``u, v`` of D components, ``u', v'`` of D' components, their
    elementwise product, and ``f`` a network of sigmoid layers with a linear output. With D = 0 and ``f``
    a sum it is PMF.

    Args:
        num_users: number of known users.
        num_items: number of known items.
        embedding_dim: D; 0 for none.
        product_dim: D'.
        hidden_units: widths of the sigmoid layers of ``f``; three as in the paper's figures with 3
            hidden layers. Empty for a linear ``f``.
        lookup_l2: the paper's lambda, on all latent vectors and never on the network.
        frequency_exponent: an example is charged ``lookup_l2`` times the squares of its vectors,
            divided by the number of ratings of the id to this power. With 1 an epoch charges each vector
            once, and the whole is the paper's ``sum (r - f)^2 + lambda (|U|^2 + |U'|^2 + ...)``, divided
            by the number of ratings.
        initial_stddev: standard deviation of the initial vectors.
        mean_rating: where the bias of the output starts.

    Returns:
        A functional model: ``{"user_id": int32 [B], "item_id": int32 [B]}`` to
        ``{"rating": float32 [B]}``. With ``m = num_users + 1`` and ``n = num_items + 1`` table rows the
        default sizes have ``70 (m + n) + 9,201`` trained parameters, and the numbers of ratings, which
        `set_counts` sets before training.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.NNMF(943, 1682)
        >>> inputs = {"item_id": np.array([50, 172]), "user_id": np.array([1, 2])}
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Differences from the paper:
        Network and vectors are trained together by Adam instead of in turns by RMSProp, on batches whose
        penalty is that of the vectors they look up. The output bias starts at the mean rating
        where the recipe says so. Initial vectors are normal, those of a public implementation
        truncated normal; hidden kernels are uniform in ``+-4 sqrt(6 / (in + out))``, the usual rule for
        sigmoids, and the output's a quarter of it. Lambda is chosen on validation, as in the paper, which
        prints none.
    """
    widths = {"embedding": embedding_dim} if embedding_dim else {}
    user_tower, item_tower = (
        factor_tower(
            side,
            num_ids,
            {**widths, "product": product_dim},
            initial_stddev=initial_stddev,
            # The unit of `FrequencyPenalty` is half a square.
            embedding_l2=2.0 * lookup_l2,
            frequency_exponent=frequency_exponent if lookup_l2 else None,
        )
        for side, num_ids in (("user", num_users), ("item", num_items))
    )
    user = keras.Input((embedding_dim + product_dim,), dtype="float32", name="user_vector")
    item = keras.Input((embedding_dim + product_dim,), dtype="float32", name="item_vector")
    product = user[:, embedding_dim:] * item[:, embedding_dim:]
    parts = [user[:, :embedding_dim], item[:, :embedding_dim]] if embedding_dim else []
    hidden = ops.concatenate([*parts, product], axis=-1)
    for width in hidden_units:
        start = keras.initializers.VarianceScaling(16.0, mode="fan_avg", distribution="uniform")
        hidden = layers.Dense(width, "sigmoid", kernel_initializer=start)(hidden)
    mean = keras.initializers.Constant(mean_rating)
    rating = layers.Dense(1, bias_initializer=mean, dtype="float32", name="rating_unit")(hidden)
    rating = ops.squeeze(rating, axis=-1)
    head = keras.Model({"user_vector": user, "item_vector": item}, rating, name="head")
    return two_tower_model(user_tower, item_tower, head, name="nnmf")
