"""Baselines without training: popularity and item-based nearest neighbours."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from scipy import sparse

from tfzoo.layers import ComputedModel, ItemOffset, ItemWeights, column_products, known_columns
from tfzoo.models.registry import Paper, register_model

ITEM_KNN_PAPER = Paper(
    authors="Deshpande, Karypis",
    title="Item-Based Top-N Recommendation Algorithms",
    venue="ACM TOIS 22(1), 143-177",
    year=2004,
    url="https://doi.org/10.1145/963770.963776",
)
POPULARITY_PAPER = Paper(
    authors="Cremonesi, Koren, Turrin",
    title="Performance of Recommender Algorithms on Top-N Recommendation Tasks",
    venue="RecSys 4, 39-46",
    year=2010,
    url="https://doi.org/10.1145/1864708.1864721",
)

SIMILARITIES = ("cosine", "jaccard", "dice")
WEIGHTINGS = ("none", "bm25", "tfidf")
LISTS = ("candidate", "history")
# Small beside a similarity; in float32 it is lost in scores above 8 or so.
TIEBREAK = 1e-6
BM25_K1, BM25_B = 1.2, 0.75


def count_popularity(model: keras.Model, matrix: Any) -> None:
    """Set the scores of a model from `Popularity`.

    Args:
        model: a model from `Popularity`.
        matrix: `scipy.sparse.csr_matrix` float32 ``[num_users + 1, num_items + 1]``, one entry
            for every training pair.

    Raises:
        UsageError: the matrix is of other items than the model.
    """
    layer = model.get_layer("popularity")
    layer.offset.assign(_popularity(matrix, layer.offset.shape[0]))


def solve_item_knn(model: keras.Model, matrix: Any) -> None:
    """Set the similarities of a model from `ItemKNN`, a block of items at a time.

    Args:
        model: a model from `ItemKNN`.
        matrix: `scipy.sparse.csr_matrix` float32 ``[num_users + 1, num_items + 1]``, one entry
            for every training pair.

    Raises:
        UsageError: the matrix is of other items than the model.
    """
    layer = model.get_layer("item_weights")
    settings = layer.settings
    weights = np.zeros(layer.kernel.shape, np.float32)
    interactions = weigh(known_columns(matrix, len(weights)), settings["weighting"])
    squares = np.asarray(interactions.multiply(interactions).sum(axis=0)).ravel()
    for rows, products in column_products(interactions):
        similar = similarities(
            products, squares[rows, None], squares, settings["similarity"], settings["shrinkage"]
        )
        similar[np.arange(len(similar)), np.arange(rows.start, rows.stop)] = 0.0
        kept = keep_largest(similar, settings["neighbours"])
        block = slice(rows.start + 1, rows.stop + 1)
        if settings["neighbours_of"] == "candidate":
            weights[1:, block] = kept.T
        else:
            weights[block, 1:] = kept
    layer.kernel.assign(weights)
    if settings["popularity_tiebreak"]:
        popularity = _popularity(matrix, len(weights))
        model.get_layer("popularity").offset.assign(TIEBREAK * popularity / max(popularity.max(), 1.0))


def weigh(interactions: Any, weighting: str) -> Any:
    """Replace the ones of an interaction matrix by weights, items being the documents.

    With I items, a user of ``n`` interactions has the inverse frequency ``max(0, log(I / (1 + n)))``,
    so that users who interact with everything tell little about what is similar.

    Args:
        interactions: `scipy.sparse.csr_matrix` float64 ``[m, I]``.
        weighting: ``"none"``; ``"tfidf"``: the user's inverse frequency; ``"bm25"``: that times
            ``(k1 + 1) / (k1 (1 - b + b length / mean length) + 1)``, where the length of an item
            is its number of interactions, k1 = 1.2 and b = 0.75.

    Returns:
        A matrix of the same shape.
    """
    if weighting == "none":
        return interactions
    per_user = np.asarray(interactions.sum(axis=1)).ravel()
    inverse = np.maximum(0.0, np.log(interactions.shape[1] / (1 + per_user)))
    weighted = sparse.diags(inverse) @ interactions
    if weighting == "bm25":
        length = np.asarray(interactions.sum(axis=0)).ravel()
        relative = 1 - BM25_B + BM25_B * length / max(length.mean(), 1e-12)
        weighted = weighted @ sparse.diags((BM25_K1 + 1) / (BM25_K1 * relative + 1))
    return weighted.tocsr()


def similarities(
    products: NDArray, row_squares: NDArray, squares: NDArray, similarity: str, shrinkage: float
) -> NDArray:
    """Turn inner products of columns into similarities.

    Args:
        products: ``[b, n]``.
        row_squares: inner product of each row's item with itself, ``[b, 1]``.
        squares: the same for the columns, ``[n]``.
        similarity: ``"cosine"``, or ``"jaccard"`` or ``"dice"`` for columns of ones.
        shrinkage: is added to the denominator.

    Returns:
        Similarities ``[b, n]``, 0 where the denominator is 0.
    """
    if similarity == "cosine":
        denominator = np.sqrt(row_squares) * np.sqrt(squares)
    elif similarity == "jaccard":
        denominator = row_squares + squares - products
    else:
        denominator = (row_squares + squares) / 2
    denominator = denominator + shrinkage
    return np.divide(products, denominator, out=np.zeros_like(products), where=denominator > 0)


def keep_largest(values: NDArray, count: int | None) -> NDArray:
    """Set all but the ``count`` largest values of each row to 0; among equals the first ones stay.

    Args:
        values: ``[b, n]``, not negative.
        count: how many to keep; None for all.

    Returns:
        ``[b, n]``.
    """
    if count is None or count >= values.shape[1]:
        return values
    bound = np.partition(values, -count, axis=1)[:, [-count]]
    above, equal = values > bound, values == bound
    room = count - above.sum(axis=1, keepdims=True)
    return np.where(above | (equal & (np.cumsum(equal, axis=1) <= room)), values, 0.0)


@register_model(
    "item-knn", task="reconstruction", family="neighbourhood", paper=ITEM_KNN_PAPER, solve=solve_item_knn
)
def ItemKNN(
    num_users: int,
    num_items: int,
    *,
    neighbours: int | None = 100,
    similarity: str = "cosine",
    shrinkage: float = 0.0,
    weighting: str = "none",
    neighbours_of: str = "candidate",
    popularity_tiebreak: bool = False,
) -> keras.Model:
    """Item-based nearest neighbours: the sum of an item's similarities to the items of the history.

    Section 4 of the paper. Nothing is trained: `solve_item_knn` computes the similarities of the
    items' columns in the training matrix.

    Args:
        num_users: number of known users; the scores depend on the row alone.
        num_items: number of known items; item ids are ``1..num_items``, 0 is the unknown item.
        neighbours: similarities to keep for each item, the largest; None keeps all.
        similarity: ``"cosine"``, ``"jaccard"`` or ``"dice"``.
        shrinkage: is added to the denominator of the similarity; large values make similarities
            that rest on few users small.
        weighting: ``"none"``, ``"bm25"`` or ``"tfidf"``, see `weigh`; for the cosine only.
        neighbours_of: whose neighbours are kept: those of the ``"candidate"`` that is scored, or,
            as in the paper, those of each item of the ``"history"``.
        popularity_tiebreak: add up to 1e-6 to the scores, in proportion to popularity, so that
            among equal scores the more popular item is first.

    Returns:
        A functional model: ``{"user_row": float32 [B, num_items + 1]}`` to
        ``{"scores": float32 [B, num_items + 1]}``; column 0 is 0. No parameter is trainable.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.ItemKNN(943, 1682)
        >>> inputs = {"user_row": np.zeros((2, 1683))}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Raises:
        ValueError: an option has no such value, or a weighting is given for sets.
        UsageError: there are too many items for a dense matrix.

    Differences from the paper:
        It also studies rows of unit length and kept similarities that sum to 1 for each item;
        here neither is done. By default the neighbours of the candidate are kept, as in most of
        today's evaluations. The paper's similarity by conditional probability is left out;
        Jaccard, Dice, shrinkage, weightings and the tie-break are not in it. The default of 100
        neighbours is ours: tune it on validation data.
    """
    for option, value, choices in (
        ("similarity", similarity, SIMILARITIES),
        ("weighting", weighting, WEIGHTINGS),
        ("neighbours_of", neighbours_of, LISTS),
    ):
        if value not in choices:
            raise ValueError(f"`{option}` must be one of {choices}. Received: {option}={value!r}")
    if neighbours is not None and neighbours < 1:
        raise ValueError(f"`neighbours` must be at least 1, or None. Received: neighbours={neighbours}")
    if not shrinkage >= 0:
        raise ValueError(f"`shrinkage` must not be negative. Received: shrinkage={shrinkage}")
    if weighting != "none" and similarity != "cosine":
        raise ValueError(
            f"similarity='{similarity}' compares sets: it needs weighting='none', not '{weighting}'."
        )
    settings = {
        "neighbours": neighbours,
        "similarity": similarity,
        "shrinkage": float(shrinkage),
        "weighting": weighting,
        "neighbours_of": neighbours_of,
        "popularity_tiebreak": popularity_tiebreak,
    }
    row = keras.Input((num_items + 1,), dtype="float32", name="user_row")
    scores = ItemWeights(settings, dtype="float32", name="item_weights")(row)
    if popularity_tiebreak:
        scores = ItemOffset(dtype="float32", name="popularity")(scores)
    return ComputedModel({"user_row": row}, {"scores": scores}, name="item-knn")


@register_model(
    "popularity", task="reconstruction", family="baseline", paper=POPULARITY_PAPER, solve=count_popularity
)
def Popularity(num_users: int, num_items: int) -> keras.Model:
    """The same for everyone: the number of training interactions of each item.

    TopPop in section 3.1 of the paper, the baseline that every model has to beat.

    Args:
        num_users: number of known users; the scores do not depend on them.
        num_items: number of known items; item ids are ``1..num_items``, 0 is the unknown item.

    Returns:
        A functional model: ``{"user_row": float32 [B, num_items + 1]}`` to
        ``{"scores": float32 [B, num_items + 1]}``, of which the row gives the batch size alone.
        No parameter is trainable.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.Popularity(943, 1682)
        >>> inputs = {"user_row": np.zeros((2, 1683))}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Differences from the paper:
        None. Distinct pairs of user and item are counted.
    """
    row = keras.Input((num_items + 1,), dtype="float32", name="user_row")
    scores = ItemOffset(dtype="float32", name="popularity")(ops.zeros_like(row))
    return ComputedModel({"user_row": row}, {"scores": scores}, name="popularity")


def _popularity(matrix: Any, size: int) -> NDArray[np.float32]:
    counts = np.asarray(known_columns(matrix, size).sum(axis=0)).ravel()
    return np.concatenate([[0.0], counts]).astype(np.float32)
