"""Ratings from neighbours: tables that are solved, and the mean over the most similar of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfzoo.errors import UsageError
from tfzoo.layers.closed_form import computed
from tfzoo.layers.towers import two_tower_model

# Below any residual, if not the lowest of float32. A second row of zeros and ones would double what every
# pair costs.
UNRATED = -1e38
MAX_NEIGHBOURS = 20_000


@keras.saving.register_keras_serializable("tfzoo")
class IdTable(keras.layers.Embedding):
    """A row of numbers for each id that gradient descent does not change, all 0 at first.

    Args:
        input_dim: number of ids, the unknown id 0 included.
        output_dim: numbers an id.
        settings: what the model's `solve` needs to compute the table; kept in the configuration.
        **kwargs: as for `keras.layers.Embedding`.
    """

    def __init__(
        self, input_dim: int, output_dim: int, *, settings: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(
            input_dim,
            output_dim,
            **{**kwargs, "dtype": "float32", "trainable": False, "embeddings_initializer": "zeros"},
        )
        self.settings = dict(settings or {})

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "settings": self.settings}


@keras.saving.register_keras_serializable("tfzoo")
class RowResiduals(keras.layers.Layer):
    """What the ratings of a row are above what is expected of them.

    Call arguments:
        row: float32 ``[B, n]``, ratings by the other side's id, 0 where there is none.
        offset: ``[B, 1]``, the part of the expectation that is the row's own.

    Returns:
        float32 ``[B, n]``: ``row - offset - offsets``, the last being a weight ``[n]`` that gradient
        descent does not change; `UNRATED` where there is no rating.
    """

    def build(self, row_shape: Any, offset_shape: Any) -> None:
        """Create the other side's part of the expectation, at first 0."""
        self.offsets = self.add_weight(
            shape=(row_shape[-1],), initializer="zeros", trainable=False, name="offsets"
        )

    def call(self, row: Any, offset: Any) -> Any:
        """Subtract."""
        return ops.where(ops.not_equal(row, 0.0), row - offset - self.offsets, UNRATED)


@keras.saving.register_keras_serializable("tfzoo")
class NeighbourMean(keras.layers.Layer):
    """Weighted mean of what the most similar neighbours have rated: ``sum s_j e_j / sum s_j``.

    The sums are over the ``neighbours`` largest positive ``s_j`` among those with a rating.

    Args:
        neighbours: how many; None for all.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        similarities: ``s``, ``[B, n]``; negative ones count as 0.
        residuals: ``e``, ``[B, n]``, `UNRATED` where there is no rating.

    Returns:
        ``[B]``, 0 where no neighbour has a rating.
    """

    def __init__(self, neighbours: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.neighbours = neighbours

    def build(self, similarities_shape: Any, residuals_shape: Any) -> None:
        """Remember ``n``: callers may leave the width of their vectors open."""
        self.width = similarities_shape[-1]

    def call(self, similarities: Any, residuals: Any) -> Any:
        """Weigh."""
        rated = ops.logical_and(residuals > UNRATED / 2, similarities > 0)
        weights = ops.where(rated, similarities, 0.0)
        if self.neighbours is not None and self.neighbours < self.width:
            weights, nearest = ops.top_k(weights, self.neighbours)
            residuals = ops.take_along_axis(residuals, nearest, axis=-1)
        total = ops.sum(weights, axis=-1)
        # Of a neighbour without a rating the weight is 0, but 0 times UNRATED would be -0.
        known = ops.where(weights > 0, residuals, 0.0)
        return ops.sum(weights * known, axis=-1) / ops.where(total > 0, total, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "neighbours": self.neighbours}


def neighbour_model(
    side: str,
    num_users: int,
    num_items: int,
    *,
    neighbours: int | None,
    settings: Mapping[str, Any],
    name: str,
) -> keras.Model:
    """Build a rating model of neighbours of one side.

    With ``c_u`` and ``d_i`` the offsets of user and item, the rating by items as neighbours is
    ``c_u + d_i + sum_j s_ij (r_uj - c_u - d_j) / sum_j s_ij``; by users as neighbours, likewise,
    ``c_u + d_i + sum_v s_uv (r_vi - c_v - d_i) / sum_v s_uv``.

    Args:
        side: ``"user"`` or ``"item"``, whose neighbours count.
        num_users: number of known users.
        num_items: number of known items.
        neighbours: how many count at most, see `NeighbourMean`.
        settings: what `solve` needs; kept by the layer ``similarity``.
        name: name of the model.

    Returns:
        A functional model with sub-models ``user_tower``, ``item_tower`` and ``head``; layers
        ``user_offset``, ``item_offset``, ``<side>_similarity`` and ``residuals`` hold what is solved.

    Raises:
        UsageError: there are too many neighbours for a dense table of similarities.
    """
    sizes = {"user": num_users + 1, "item": num_items + 1}
    other = "item" if side == "user" else "user"
    size = sizes[side]
    if size - 1 > MAX_NEIGHBOURS:
        raise UsageError(
            f"A dense table of the similarities of {size - 1:,} {side}s takes {4 * size**2 / 2**30:.0f} GiB. "
            f"At most {MAX_NEIGHBOURS:,} {side}s are allowed: filter rare {side}s first."
        )
    ids = {which: keras.Input((), dtype="int32", name=f"{which}_id") for which in sizes}
    offset = {which: IdTable(sizes[which], 1, name=f"{which}_offset")(ids[which]) for which in sizes}
    similarities = IdTable(size, size, settings=settings, name=f"{side}_similarity")(ids[side])
    row = keras.Input((size,), dtype="float32", name=f"{other}_row")
    residuals = RowResiduals(dtype="float32", name="residuals")(row, offset[other])
    towers = {
        side: keras.Model(
            {f"{side}_id": ids[side]},
            ops.concatenate([similarities, offset[side]], axis=-1),
            name=f"{side}_tower",
        ),
        other: keras.Model(
            {f"{other}_id": ids[other], f"{other}_row": row},
            ops.concatenate([residuals, offset[other]], axis=-1),
            name=f"{other}_tower",
        ),
    }
    vectors = {
        which: keras.Input((size + 1,), dtype="float32", name=f"{which}_vector") for which in ("user", "item")
    }
    mean = NeighbourMean(neighbours, dtype="float32", name="neighbour_mean")(
        vectors[side][:, :-1], vectors[other][:, :-1]
    )
    rating = vectors["user"][:, -1] + vectors["item"][:, -1] + mean
    head = keras.Model({f"{which}_vector": vector for which, vector in vectors.items()}, rating, name="head")
    return computed(two_tower_model(towers["user"], towers["item"], head, name=name))
