"""User-based nearest neighbours on implicit feedback: what the most similar users have."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfzoo.errors import UsageError
from tfzoo.layers import ComputedModel, ItemOffset, StoredUsers, column_products
from tfzoo.models.implicit_mf import BMF_PAPER as PAPER
from tfzoo.models.neighbours import BM25_B, BM25_K1, TIEBREAK
from tfzoo.models.registry import register_model

WEIGHTINGS = ("none", "bm25")
LISTS = ("user", "neighbour")


def solve_user_knn(model: keras.Model, matrix: Any) -> None:
    """Store the users of the training part in a model from `UserKNN`.

    Args:
        model: a model from `UserKNN`.
        matrix: `scipy.sparse.csr_matrix` float32 ``[num_users + 1, num_items + 1]``, one entry
            for every training pair.

    Raises:
        UsageError: the matrix is of other users or items than the model.
    """
    layer = model.get_layer("stored_users")
    if matrix.shape != layer.stored.shape:
        users, items = (size - 1 for size in layer.stored.shape)
        raise UsageError(
            f"The model has {users} users and {items} items, the interactions {matrix.shape[0] - 1} and "
            f"{matrix.shape[1] - 1}. Build the model for the data that it is computed from."
        )
    counts = np.asarray(matrix.sum(axis=0), np.float64).ravel()
    weights = column_weights(counts, layer.settings["weighting"])
    weighted = (matrix @ sparse.diags(weights)).tocsr()
    lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    popularity = counts / max(counts.max(), 1.0)
    layer.stored.assign(matrix.toarray())
    layer.column_weights.assign(weights.astype(np.float32))
    layer.lengths.assign(lengths.astype(np.float32))
    layer.fallback.assign(popularity.astype(np.float32))
    if layer.settings["neighbours_of"] == "neighbour":
        least = last_similarities(weighted, lengths, layer.settings["neighbours"], layer.shrinkage)
        layer.least.assign(least.astype(np.float32))
    if layer.settings["popularity_tiebreak"]:
        model.get_layer("popularity").offset.assign((TIEBREAK * popularity).astype(np.float32))


def column_weights(counts: NDArray, weighting: str) -> NDArray[np.float64]:
    """Return the weight of each item in the similarity of users.

    Args:
        counts: interactions of each item ``[n + 1]``, the unknown item first.
        weighting: ``"none"``, or ``"bm25"``: ``(k1 + 1) / (k1 (1 - b + b count / mean count) + 1)``
            with k1 = 1.2 and b = 0.75, so that popular items tell less.

    Returns:
        ``[n + 1]``.
    """
    if weighting == "none":
        return np.ones(len(counts))
    relative = 1 - BM25_B + BM25_B * counts / max(counts[1:].mean(), 1e-12)
    found: NDArray[np.float64] = (BM25_K1 + 1) / (BM25_K1 * relative + 1)
    return found


def last_similarities(
    weighted: Any, lengths: NDArray, neighbours: int | None, shrinkage: float
) -> NDArray[np.float64]:
    """Return how similar the last of each row's ``neighbours`` most similar other rows is to it.

    Args:
        weighted: `scipy.sparse.csr_matrix` ``[m, n]``.
        lengths: Euclidean length of each row ``[m]``.
        neighbours: how many; None for all.
        shrinkage: is added to the denominator of the similarity.

    Returns:
        ``[m]``, 0 where there are not that many others.
    """
    least = np.zeros(len(lengths))
    if neighbours is None or neighbours >= len(lengths):
        return least
    for rows, products in column_products(weighted.T.tocsr().astype(np.float64)):
        scale = np.outer(lengths[rows], lengths) + shrinkage
        similar = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
        similar[np.arange(len(similar)), np.arange(rows.start, rows.stop)] = 0.0
        least[rows] = np.partition(similar, -neighbours, axis=1)[:, -neighbours]
    return least


@register_model("user-knn", task="reconstruction", family="neighbourhood", paper=PAPER, solve=solve_user_knn)
def UserKNN(
    num_users: int,
    num_items: int,
    *,
    neighbours: int | None = 9,
    threshold: float = 0.3,
    shrinkage: float = 0.0,
    weighting: str = "none",
    neighbours_of: str = "user",
    popularity_tiebreak: bool = False,
) -> keras.Model:
    """User-based nearest neighbours: the mean of what the most similar users have.

    Section 2.1 of the paper: ``score(i) = sum_v s_v x_vi / sum_v s_v`` over the neighbours v, the
    users whose rows have the largest cosines ``s_v`` with the user's own, above a threshold. Nothing
    is trained: `solve_user_knn` stores the rows of the training users.

    Args:
        num_users: number of known users, whose rows are stored.
        num_items: number of known items; item ids are ``1..num_items``, 0 is the unknown item.
        neighbours: how many users count at most, without the user; those as similar as the last one
            count too. None for all.
        threshold: similarities that are not above it do not count.
        shrinkage: is added to the denominator of the similarity.
        weighting: ``"none"`` or ``"bm25"``, see `column_weights`.
        neighbours_of: whose neighbours are meant: the ``"user"``'s own, or each stored ``"neighbour"``'s:
            then whoever has the user among their own nearest counts.
        popularity_tiebreak: add up to 1e-6 to the scores, in proportion to popularity, so that
            among equal scores the more popular item is first.

    Returns:
        A functional model: ``{"user_row": float32 [B, num_items + 1], "user_id": int32 [B]}`` to
        ``{"scores": float32 [B, num_items + 1]}``; column 0 is 0. The id says which stored row is the
        user's own and does not count; with id 0 any new history can be scored. Who has no
        neighbour gets the share of each item's popularity in the largest. No parameter is
        trainable; the stored rows take ``(num_users + 1) (num_items + 1)``.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.UserKNN(943, 1682)
        >>> inputs = {"user_id": np.array([1, 2]), "user_row": np.zeros((2, 1683))}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Raises:
        ValueError: an option has no such value.
        UsageError: there are too many users and items for dense rows.

    Differences from the paper:
        Rows hold 1 for an interaction; the paper's notebook has ratings, 0 where there is none. Its 10
        neighbours count the user, who is always the first: 9 here. Where nobody is above the threshold
        it divides 0 by 0. Shrinkage, weights, `neighbours_of` and the tie-break are not in it.
    """
    for option, value, choices in (
        ("weighting", weighting, WEIGHTINGS),
        ("neighbours_of", neighbours_of, LISTS),
    ):
        if value not in choices:
            raise ValueError(f"`{option}` must be one of {choices}. Received: {option}={value!r}")
    if neighbours is not None and neighbours < 1:
        raise ValueError(f"`neighbours` must be at least 1, or None. Received: neighbours={neighbours}")
    for option, least in (("threshold", threshold), ("shrinkage", shrinkage)):
        if not least >= 0:
            raise ValueError(f"`{option}` must not be negative. Received: {option}={least}")
    row = keras.Input((num_items + 1,), dtype="float32", name="user_row")
    user_id = keras.Input((), dtype="int32", name="user_id")
    settings = {
        "neighbours": neighbours,
        "weighting": weighting,
        "neighbours_of": neighbours_of,
        "popularity_tiebreak": popularity_tiebreak,
    }
    stored = StoredUsers(
        num_users,
        neighbours=neighbours if neighbours_of == "user" else None,
        threshold=float(threshold),
        shrinkage=float(shrinkage),
        settings=settings,
        dtype="float32",
        name="stored_users",
    )
    scores = stored(row, user_id)
    if popularity_tiebreak:
        scores = ItemOffset(dtype="float32", name="popularity")(scores)
    return ComputedModel({"user_row": row, "user_id": user_id}, {"scores": scores}, name="user-knn")
