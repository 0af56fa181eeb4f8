"""SVD++ and Asymmetric-SVD: matrix factorisation that knows what a user has rated."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tfzoo.layers import (
    BaselineResiduals,
    SetEmbedding,
    dot_head,
    embedding_tower,
    set_counts,
    two_tower_model,
)
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Koren",
    title="Factorization Meets the Neighborhood: a Multifaceted Collaborative Filtering Model",
    venue="KDD 14, 426-434",
    year=2008,
    url="https://doi.org/10.1145/1401890.1401944",
)
# Section 2.1 of the paper: how many ratings of 0 the baselines of items and of users are damped with.
ITEM_DAMPING = 25.0
USER_DAMPING = 10.0


def solve_svdpp(model: keras.Model, matrix: Any) -> None:
    """Count ratings for the penalties, and give Asymmetric-SVD its fixed baselines of the items.

    Args:
        model: a model from `SVDPP`.
        matrix: `scipy.sparse.csr_matrix` float32 ``[num_users + 1, num_items + 1]`` of ratings.
    """
    set_counts(model, matrix)
    for layer in model.get_layer("user_tower").layers:
        if isinstance(layer, BaselineResiduals):
            counts = np.asarray(matrix.getnnz(axis=0), np.float64)
            sums = np.asarray(matrix.sum(axis=0), np.float64)[0] - layer.mean_rating * counts
            layer.item_baselines.assign((sums / (ITEM_DAMPING + counts)).astype(np.float32))


@register_model("svdpp", task="rating", family="matrix-factorisation", paper=PAPER, solve=solve_svdpp)
def SVDPP(
    num_users: int,
    num_items: int,
    *,
    embedding_dim: int = 20,
    user_factors: str = "free",
    implicit: str = "rated",
    lookup_l2: float = 0.02,
    bias_l2: float | None = None,
    implicit_l2: float | None = None,
    frequency_exponent: float = 0.0,
    initial_stddev: float = 0.1,
    embedding_dropout: float = 0.0,
    mean_rating: float = 0.0,
) -> keras.Model:
    """Biased matrix factorisation whose user vector has a part made of the items that the user has rated.

    Eq. 15 of section 4: ``r = mu + b_u + b_i + q_i . (p_u + |N(u)|^-1/2 sum_{j in N(u)} y_j)``. With
    ``user_factors="ratings"`` it is Asymmetric-SVD, eq. 13, which has no vector of the user at all:
    ``p_u`` is ``|R(u)|^-1/2 sum_{j in R(u)} (r_uj - b_uj) x_j``, so a user's new ratings count at once.

    Args:
        num_users: number of known users.
        num_items: number of known items.
        embedding_dim: number of factors.
        user_factors: ``"free"``, a trained ``p_u``, or ``"ratings"``, Asymmetric-SVD's.
        implicit: N(u): ``"rated"``, what the user has rated, or ``"none"``: no ``y``, which with
            free user factors is biased MF.
        lookup_l2: L2 on ``p_u`` (or all ``x_j`` of R(u)) and ``q_i``, per example.
        bias_l2: L2 on both biases, per example; None for ``lookup_l2``.
        implicit_l2: L2 on all ``y_j`` of N(u), per example; None for ``lookup_l2``.
        frequency_exponent: divide L2 of ``p_u``, ``q_i`` and the biases by the number of ratings of
            the id to this power; see `BiasedMF`. With ``task.examples: users`` an example is all
            ratings of a user, and the power is 1 less for the same effect.
        initial_stddev: standard deviation of the initial factors; biases start at 0.
        embedding_dropout: dropout rate on ``p_u`` and ``q_i``.
        mean_rating: the mean training rating, a constant.

    Returns:
        A functional model: ``{"user_id": int32 [B], "user_row": float32 [B, num_items + 1],
        "item_id": int32 [B]}`` to ``{"rating": float32 [B]}``. With ``m = num_users + 1`` and
        ``n = num_items + 1`` table rows it has ``k (m + 2 n) + m + n`` parameters; that is the
        paper's count with a row of the unknown id in each of the five tables, ``3 k + 2`` more.
        The vectors of user and item are ``[p_u + ..., mu + b_u, 1]`` and ``[q_i, 1, b_i]``, so the rating
        is their plain inner product, and ``task.examples: users`` can train on whole rows.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.SVDPP(943, 1682)
        >>> inputs = {
        ...     "item_id": np.array([50, 172]),
        ...     "user_id": np.array([1, 2]),
        ...     "user_row": np.zeros((2, 1683)),
        ... }
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Differences from the paper:
        N(u) is where the user's row is not 0: a rating of 0 cannot be told from none. With
        ``task.mask_target``, the default of the task, N(u) leaves the item to be predicted out in
        training, as it is left out in the test; the paper keeps it. Adam on mini-batches instead of
        a stochastic gradient step a rating with shrinking steps; the defaults are those of Surprise (20
        factors, lambda 0.02). Asymmetric-SVD's fixed ``b_uj`` are the damped averages of section 2.1.

    Raises:
        ValueError: ``user_factors`` or ``implicit`` is none of the values above.
    """
    for option, value, known in (
        ("user_factors", user_factors, ("free", "ratings")),
        ("implicit", implicit, ("rated", "none")),
    ):
        if value not in known:
            raise ValueError(f"`{option}` must be one of {known}. Received: {option}={value!r}")

    def normal() -> keras.Initializer:
        # One initialiser gives the same numbers to every table it starts.
        return keras.initializers.RandomNormal(stddev=initial_stddev)

    shared: dict[str, Any] = {
        "lookup_l2": lookup_l2,
        "bias_l2": bias_l2,
        "frequency_exponent": frequency_exponent,
        "embedding_dropout": embedding_dropout,
        "bias": True,
    }
    item = embedding_tower("item", num_items, embedding_dim, initializer=normal(), **shared)
    factors, bias = item.output[:, :-1], item.output[:, -1:]
    vector = ops.concatenate([factors, ops.ones_like(bias), bias], axis=-1)
    item_tower = keras.Model(item.input, vector, name="item_tower")

    free = user_factors == "free"
    # Without factors of its own the user's table has the bias alone.
    alone = {**shared, "bias": False, "embedding_dropout": 0.0}
    alone["lookup_l2"] = lookup_l2 if bias_l2 is None else bias_l2
    user = (
        embedding_tower("user", num_users, embedding_dim, initializer=normal(), **shared)
        if free
        else embedding_tower("user", num_users, 1, initializer="zeros", **alone)
    )
    inputs = dict(user.input)
    parts = [user.output[:, :-1]] if free else []
    if not free or implicit == "rated":
        inputs["user_row"] = keras.Input((num_items + 1,), dtype="float32", name="user_row")
        rated = ops.cast(ops.not_equal(inputs["user_row"], 0), "float32")
        # An empty set has the sum 0, whatever it is scaled by.
        scale = ops.rsqrt(ops.maximum(ops.sum(rated, axis=-1, keepdims=True), 1.0))
    if not free:
        residuals = BaselineResiduals(mean_rating, USER_DAMPING, dtype="float32", name="residuals")
        explicit = SetEmbedding(embedding_dim, lookup_l2, initializer=normal(), name="explicit")
        parts.append(scale * explicit(residuals(inputs["user_row"]), inputs["user_id"]))
    if implicit == "rated":
        implicit_l2 = lookup_l2 if implicit_l2 is None else implicit_l2
        feedback = SetEmbedding(embedding_dim, implicit_l2, initializer=normal(), name="implicit")
        parts.append(scale * feedback(rated, inputs["user_id"]))
    bias = user.output[:, -1:] + float(mean_rating)
    # Keras' sum of two tensors fails where a batch is empty.
    joined = ops.sum(ops.stack(parts, axis=1), axis=1)
    vector = ops.concatenate([joined, bias, ops.ones_like(bias)], axis=-1)
    vector = layers.Activation("linear", dtype="float32", name="joined")(vector)
    user_tower = keras.Model(inputs, vector, name="user_tower")
    return two_tower_model(user_tower, item_tower, dot_head(embedding_dim + 2), name="svdpp")
