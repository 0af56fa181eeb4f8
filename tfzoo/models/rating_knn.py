"""Ratings from neighbours: the most similar items that the user has rated, or users who have rated it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfzoo.layers import neighbour_model
from tfzoo.models.baseline import PAPER as ITEM_PAPER
from tfzoo.models.baseline import alternating_biases, assign_offsets, check_penalties
from tfzoo.models.rating_similarity import SIMILARITIES, rating_similarities
from tfzoo.models.registry import Paper, register_model

USER_PAPER = Paper(
    authors="Resnick, Iacovou, Suchak, Bergstrom, Riedl",
    title="GroupLens: An Open Architecture for Collaborative Filtering of Netnews",
    venue="CSCW, 175-186",
    year=1994,
    url="https://doi.org/10.1145/192844.192905",
)
CENTRES = ("baseline", "mean")


def solve_item_neighbours(model: keras.Model, matrix: Any) -> None:
    """Set offsets and similarities of a model from `ItemKNNRating`, see `solve_user_neighbours`."""
    _solve(model, matrix, "item")


def solve_user_neighbours(model: keras.Model, matrix: Any) -> None:
    """Set offsets and similarities of a model from `UserKNNRating`.

    Args:
        model: a model from `UserKNNRating`.
        matrix: `scipy.sparse.csr_matrix` float32 ``[num_users + 1, num_items + 1]``, a stored
            entry for every training rating.

    Raises:
        UsageError: the matrix is of other users or items than the model.
    """
    _solve(model, matrix, "user")


@register_model(
    "item-knn-rating", task="rating", family="neighbourhood", paper=ITEM_PAPER, solve=solve_item_neighbours
)
def ItemKNNRating(
    num_users: int,
    num_items: int,
    *,
    neighbours: int | None = 40,
    similarity: str = "pearson-baseline",
    shrinkage: float = 100.0,
    min_support: int = 1,
    threshold: float = 0.0,
    centre: str = "baseline",
    l2_user: float = 15.0,
    l2_item: float = 10.0,
    alternations: int = 10,
) -> keras.Model:
    """Item-based nearest neighbours on ratings: what the user made of the most similar items.

    Section 2.2 of the paper: ``b_ui + sum_j s_ij (r_uj - b_uj) / sum_j s_ij`` over the items j most
    similar to i among those that u has rated, with ``b_ui = mu + b_u + b_i`` as in `Baseline`.
    Nothing is trained: `solve_item_neighbours` computes biases and similarities.

    Args:
        num_users: number of known users; an unknown user is rated for by ``mu + b_i``.
        num_items: number of known items; an unknown item has no neighbours, and the bias 0.
        neighbours: how many items count at most; None for all.
        similarity: ``"pearson-baseline"``, ``"pearson"``, ``"cosine"``, ``"common-cosine"`` or
            ``"msd"``, see `rating_similarities`.
        shrinkage: how many common ratings halve a similarity.
        min_support: common ratings that a similarity needs.
        threshold: similarities that are not above it do not count.
        centre: what ratings are taken from: ``"baseline"``, or ``"mean"`` of the item.
        l2_user: penalty on the biases of users.
        l2_item: penalty on the biases of items.
        alternations: how often items and then users are solved for.

    Returns:
        A functional model: ``{"user_id": int32 [B], "user_row": float32 [B, num_items + 1],
        "item_id": int32 [B]}`` to ``{"rating": float32 [B]}``. No parameter is trainable; the
        similarities take ``(num_items + 1)^2``.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.ItemKNNRating(943, 1682)
        >>> inputs = {
        ...     "item_id": np.array([50, 172]),
        ...     "user_id": np.array([1, 2]),
        ...     "user_row": np.zeros((2, 1683)),
        ... }
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Raises:
        ValueError: an option has no such value.
        UsageError: there are too many items for a dense table of similarities.

    Differences from the paper:
        It shrinks by ``n / (n + 100)``, as remembered; here, as in Surprise's KNNBaseline, the
        correlation is of residuals and shrunk by ``(n - 1) / (n - 1 + 100)``. The biases are those of
        `Baseline`. Neighbours of a similarity of 0 or less do not
        count. A rating of 0 in a user's row cannot be told from none: it shapes biases and
        similarities, but is no neighbour's rating. Cosines, means and thresholds are not in the paper.
    """
    settings = _settings(locals())
    return neighbour_model(
        "item", num_users, num_items, neighbours=neighbours, settings=settings, name="item-knn-rating"
    )


@register_model(
    "user-knn-rating", task="rating", family="neighbourhood", paper=USER_PAPER, solve=solve_user_neighbours
)
def UserKNNRating(
    num_users: int,
    num_items: int,
    *,
    neighbours: int | None = None,
    similarity: str = "pearson",
    shrinkage: float = 0.0,
    min_support: int = 1,
    threshold: float = 0.0,
    centre: str = "mean",
    l2_user: float = 15.0,
    l2_item: float = 10.0,
    alternations: int = 10,
) -> keras.Model:
    """User-based nearest neighbours on ratings: what the most similar users made of the item.

    Section "Rating servers" of the paper: ``mu_u + sum_v s_uv (r_vi - mu_v) / sum_v s_uv`` over the
    users v who have rated the item, with the correlation of their ratings for s. Nothing is
    trained: `solve_user_neighbours` computes means and similarities.

    Args:
        num_users: number of known users; an unknown user has no neighbours, and the mean rating.
        num_items: number of known items.
        neighbours: how many users count at most; None for all.
        similarity: ``"pearson"``, ``"pearson-baseline"``, ``"cosine"``, ``"common-cosine"`` or
            ``"msd"``, see `rating_similarities`.
        shrinkage: how many common ratings halve a similarity.
        min_support: common ratings that a similarity needs.
        threshold: similarities that are not above it do not count.
        centre: what ratings are taken from: ``"mean"`` of the user, or ``"baseline"``, mean rating and
            biases of user and item as in `Baseline`.
        l2_user: penalty on the biases of users.
        l2_item: penalty on the biases of items.
        alternations: how often items and then users are solved for.

    Returns:
        A functional model: ``{"user_id": int32 [B], "item_id": int32 [B],
        "item_row": float32 [B, num_users + 1]}`` to ``{"rating": float32 [B]}``. No parameter is
        trainable; the similarities take ``(num_users + 1)^2``.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.UserKNNRating(943, 1682)
        >>> inputs = {
        ...     "item_id": np.array([50, 172]),
        ...     "item_row": np.zeros((2, 944)),
        ...     "user_id": np.array([1, 2]),
        ... }
        >>> model.predict(inputs, verbose=0)["rating"].shape
        (2,)

    Raises:
        ValueError: an option has no such value.
        UsageError: there are too many users for a dense table of similarities.

    Differences from the paper:
        It lets users of negative correlation count, and divides by the sum of magnitudes; here they do
        not count. The average that ratings are taken from is over all of a user's ratings; that
        of the correlation is over the common items.
        A rating of 0 in an item's column cannot be told from none: it shapes means and similarities,
        but is no neighbour's rating. Everything that the options change is not in the paper.
    """
    settings = _settings(locals())
    return neighbour_model(
        "user", num_users, num_items, neighbours=neighbours, settings=settings, name="user-knn-rating"
    )


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """Check a builder's options, and return those that the solution needs."""
    for option, choices in (("similarity", SIMILARITIES), ("centre", CENTRES)):
        if options[option] not in choices:
            raise ValueError(f"`{option}` must be one of {choices}. Received: {option}={options[option]!r}")
    if options["neighbours"] is not None and options["neighbours"] < 1:
        raise ValueError(
            f"`neighbours` must be at least 1, or None. Received: neighbours={options['neighbours']}"
        )
    for option, least in (("shrinkage", 0), ("min_support", 1), ("threshold", 0)):
        if not options[option] >= least:
            raise ValueError(f"`{option}` must be at least {least}. Received: {option}={options[option]}")
    check_penalties(options["l2_user"], options["l2_item"], options["alternations"])
    return {
        "similarity": options["similarity"],
        "shrinkage": float(options["shrinkage"]),
        "min_support": options["min_support"],
        "threshold": float(options["threshold"]),
        "centre": options["centre"],
        "l2_user": float(options["l2_user"]),
        "l2_item": float(options["l2_item"]),
        "alternations": options["alternations"],
    }


def _solve(model: keras.Model, matrix: Any, side: str) -> None:
    other = "item" if side == "user" else "user"
    layer = model.get_layer(f"{side}_tower").get_layer(f"{side}_similarity")
    settings = layer.settings
    penalties = {key: settings[key] for key in ("l2_user", "l2_item", "alternations")}
    mean, user_bias, item_bias = alternating_biases(matrix, **penalties)
    entries = matrix.tocoo()
    ratings = entries.data.astype(np.float64)
    residuals = ratings - mean - user_bias[entries.row] - item_bias[entries.col]
    if settings["centre"] == "baseline":
        offsets = {"user": mean + user_bias, "item": item_bias}
    else:
        own = entries.row if side == "user" else entries.col
        size, others = matrix.shape if side == "user" else matrix.shape[::-1]
        offsets = {side: _means(own, ratings, size, mean), other: np.zeros(others)}
    assign_offsets(model, offsets["user"], offsets["item"])
    towers = {which: model.get_layer(f"{which}_tower") for which in ("user", "item")}
    towers[other].get_layer("residuals").offsets.assign(offsets[side].astype(np.float32))

    def columns(values: NDArray) -> Any:
        found = sparse.csr_matrix((values, (entries.row, entries.col)), matrix.shape)
        return found.T.tocsr() if side == "user" else found

    table = np.zeros(layer.embeddings.shape, np.float32)
    blocks = rating_similarities(
        columns(ratings),
        columns(residuals),
        **{key: settings[key] for key in ("similarity", "shrinkage", "min_support")},
    )
    for block, similar in blocks:
        table[block] = np.where(similar > settings["threshold"], similar, 0.0)
    layer.embeddings.assign(table)


def _means(ids: NDArray, values: NDArray, size: int, otherwise: float) -> NDArray[np.float64]:
    """Return the mean value of each id, and ``otherwise`` of an id without any."""
    counts = np.bincount(ids, minlength=size)
    return np.divide(
        np.bincount(ids, values, minlength=size), counts, out=np.full(size, otherwise), where=counts > 0
    )
