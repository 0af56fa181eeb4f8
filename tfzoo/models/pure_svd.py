"""PureSVD: truncated singular value decomposition of the interaction matrix (Cremonesi et al. 2010)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import linalg

from tfzoo.layers import ComputedModel, ItemFactors, known_columns
from tfzoo.models.neighbours import POPULARITY_PAPER
from tfzoo.models.registry import register_model


def solve_pure_svd(model: keras.Model, matrix: Any) -> None:
    """Set the item factors of a model from `PureSVD`.

    Args:
        model: a model from `PureSVD`.
        matrix: `scipy.sparse.csr_matrix` float32 ``[num_users + 1, num_items + 1]``, one entry
            for every training pair.

    Raises:
        UsageError: the matrix is of other items than the model.
    """
    layer = model.get_layer("item_factors")
    factors = np.zeros(layer.kernel.shape, np.float32)
    found = right_singular_vectors(known_columns(matrix, len(factors)), factors.shape[1])
    factors[1:, : found.shape[1]] = found
    layer.kernel.assign(factors)


def right_singular_vectors(interactions: Any, count: int) -> NDArray[np.float64]:
    """Return the right singular vectors of the largest singular values, largest first.

    Args:
        interactions: `scipy.sparse.csr_matrix` float64 ``[m, n]``.
        count: how many vectors are wanted.

    Returns:
        V, ``[n, k]`` with ``k = min(count, rank)`` orthonormal columns. The component of the largest
        magnitude in each is positive: the decomposition leaves the signs open.
    """
    smaller = min(interactions.shape)
    if count < smaller:
        # From a fixed vector, so that the same data gives the same digits.
        start = np.random.default_rng(0).standard_normal(smaller)
        _, values, vectors = linalg.svds(interactions, k=count, v0=start)
        order = np.argsort(-values, kind="stable")
        values, vectors = values[order], vectors[order]
    else:
        _, values, vectors = np.linalg.svd(interactions.toarray(), full_matrices=False)
    vectors = vectors[values > max(values[0], 1e-300) * 1e-9]
    largest = vectors[np.arange(len(vectors)), np.abs(vectors).argmax(axis=1)]
    turned: NDArray[np.float64] = (vectors * np.sign(largest)[:, None]).T
    return turned


@register_model(
    "pure-svd",
    task="reconstruction",
    family="closed-form",
    paper=POPULARITY_PAPER,
    solve=solve_pure_svd,
    small={"factors": 3},
)
def PureSVD(num_users: int, num_items: int, *, factors: int = 50) -> keras.Model:
    """Truncated singular value decomposition: a user's row projected on the strongest item factors.

    Section 3.3 of the paper: with ``R = U S V'`` cut after the largest singular values, the scores are
    ``R V V'``. Nothing is trained: `solve_pure_svd` computes V.

    Args:
        num_users: number of known users; the scores depend on the row alone.
        num_items: number of known items; item ids are ``1..num_items``, 0 is the unknown item.
        factors: how many singular values are kept; those above the rank of the data are 0.

    Returns:
        A functional model: ``{"user_row": float32 [B, num_items + 1]}`` to
        ``{"scores": float32 [B, num_items + 1]}``; column 0 is 0. Its ``factors (num_items + 1)``
        parameters are not trainable.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.PureSVD(943, 1682)
        >>> inputs = {"user_row": np.zeros((2, 1683))}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Raises:
        ValueError: ``factors`` is below 1.

    Differences from the paper:
        The matrix holds 1 for an interaction, not its rating. The paper reports 50 and 150 factors, as
        remembered; the decomposition is computed in float64 and stored in float32.
    """
    if factors < 1:
        raise ValueError(f"`factors` must be at least 1. Received: factors={factors}")
    row = keras.Input((num_items + 1,), dtype="float32", name="user_row")
    scores = ItemFactors(factors, dtype="float32", name="item_factors")(row)
    return ComputedModel({"user_row": row}, {"scores": scores}, name="pure-svd")
