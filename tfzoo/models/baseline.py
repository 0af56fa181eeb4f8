"""The mean rating plus a bias of the user and a bias of the item, in closed form."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzoo.errors import UsageError
from tfzoo.layers import IdTable, computed, dot_head, two_tower_model
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Koren",
    title="Factor in the Neighbors: Scalable and Accurate Collaborative Filtering",
    venue="ACM TKDD 4(1), 1:1-1:24",
    year=2010,
    url="https://doi.org/10.1145/1644873.1644874",
)


def solve_baseline(model: keras.Model, matrix: Any) -> None:
    """Set the biases of a model from `Baseline`.

    Args:
        model: a model from `Baseline`.
        matrix: `scipy.sparse.csr_matrix` float32 ``[num_users + 1, num_items + 1]``, a stored
            entry for every training rating.

    Raises:
        UsageError: the matrix is of other users or items than the model.
    """
    settings = model.get_layer("user_tower").get_layer("user_offset").settings
    mean, user_bias, item_bias = alternating_biases(matrix, **settings)
    assign_offsets(model, mean + user_bias, item_bias)


def alternating_biases(
    matrix: Any, *, l2_user: float, l2_item: float, alternations: int
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Minimise ``sum (r - mu - b_u - b_i)^2 + l2_user sum b_u^2 + l2_item sum b_i^2``.

    Items and users are solved for in turn, items first, from biases of 0.

    Args:
        matrix: `scipy.sparse.csr_matrix` ``[m, n]``, a stored entry for every rating.
        l2_user: penalty on the biases of users.
        l2_item: penalty on the biases of items.
        alternations: how often both are solved for.

    Returns:
        The mean rating, user biases ``[m]`` and item biases ``[n]``; 0 for who has no rating.
    """
    entries = matrix.tocoo()
    ratings = entries.data.astype(np.float64)
    mean = float(ratings.mean()) if len(ratings) else 0.0
    user_bias, item_bias = (np.zeros(size) for size in matrix.shape)
    for _ in range(alternations):
        rest = ratings - mean - user_bias[entries.row]
        item_bias = _shrunk_means(entries.col, rest, len(item_bias), l2_item)
        rest = ratings - mean - item_bias[entries.col]
        user_bias = _shrunk_means(entries.row, rest, len(user_bias), l2_user)
    return mean, user_bias, item_bias


def assign_offsets(model: keras.Model, user: NDArray, item: NDArray) -> None:
    """Set the tables ``user_offset`` and ``item_offset`` of a model's towers.

    Raises:
        UsageError: they are of other users or items than the model.
    """
    for side, values in (("user", user), ("item", item)):
        table = model.get_layer(f"{side}_tower").get_layer(f"{side}_offset").embeddings
        if len(values) != table.shape[0]:
            raise UsageError(
                f"The model has {table.shape[0] - 1} {side}s, the ratings {len(values) - 1}. "
                "Build the model for the data that it is computed from."
            )
        table.assign(values[:, None].astype(np.float32))


def check_penalties(l2_user: float, l2_item: float, alternations: int) -> None:
    """Raise `ValueError` unless the biases can be solved for with these settings."""
    for option, value in (("l2_user", l2_user), ("l2_item", l2_item)):
        if not value >= 0:
            raise ValueError(f"`{option}` must not be negative. Received: {option}={value}")
    if alternations < 1:
        raise ValueError(f"`alternations` must be at least 1. Received: alternations={alternations}")


@register_model("baseline", task="rating", family="baseline", paper=PAPER, solve=solve_baseline)
def Baseline(
    num_users: int,
    num_items: int,
    *,
    l2_user: float = 15.0,
    l2_item: float = 10.0,
    alternations: int = 10,
) -> keras.Model:
    """Mean rating plus a bias of the user plus a bias of the item, by alternating least squares.

    Section 2.1 of the paper: ``b_ui = mu + b_u + b_i``. Nothing is trained: `solve_baseline`
    minimises the regularised squared error, where every half step has a closed form,
    ``b_i = sum_u (r_ui - mu - b_u) / (l2_item + n_i)`` and the same for users.

    Args:
        num_users: number of known users; an unknown user, id 0, has the bias 0.
        num_items: number of known items; an unknown item, id 0, has the bias 0.
        l2_user: penalty on the biases of users.
        l2_item: penalty on the biases of items.
        alternations: how often items and then users are solved for.

    Returns:
        A functional model: ``{"user_id": int32 [B], "item_id": int32 [B]}`` to
        ``{"rating": float32 [B]}``. Its ``num_users + num_items + 2`` parameters are not trainable.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.Baseline(943, 1682)
        >>> inputs = {"item_id": np.array([50, 172]), "user_id": np.array([1, 2])}
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Raises:
        ValueError: a penalty is negative, or ``alternations`` is below 1.

    Differences from the paper:
        It finds the biases by gradient descent, or estimates those of items once and then those of
        users with penalties 25 and 10, as remembered; here both are alternated, with the penalties and
        the 10 rounds that Surprise's BaselineOnly has by default. The mean is stored with the users' biases.
    """
    check_penalties(l2_user, l2_item, alternations)
    settings = {"l2_user": float(l2_user), "l2_item": float(l2_item), "alternations": alternations}
    towers = []
    for side, num_ids in (("user", num_users), ("item", num_items)):
        ids = keras.Input((), dtype="int32", name=f"{side}_id")
        offset = IdTable(num_ids + 1, 1, settings=settings, name=f"{side}_offset")(ids)
        towers.append(keras.Model({f"{side}_id": ids}, offset, name=f"{side}_tower"))
    model = two_tower_model(towers[0], towers[1], dot_head(1, biases=True), name="baseline")
    return computed(model)


def _shrunk_means(ids: NDArray, values: NDArray, size: int, l2: float) -> NDArray[np.float64]:
    sums = np.bincount(ids, values, minlength=size)
    weights = np.bincount(ids, minlength=size) + l2
    return np.divide(sums, weights, out=np.zeros(size), where=weights > 0)
