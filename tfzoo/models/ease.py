"""EASE: Embarrassingly Shallow Autoencoders for Sparse Data (Steck 2019)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from tfzoo.errors import UsageError
from tfzoo.layers import ComputedModel, ItemWeights, column_products, known_columns
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Steck",
    title="Embarrassingly Shallow Autoencoders for Sparse Data",
    venue="WWW, 3251-3257",
    year=2019,
    url="https://arxiv.org/abs/1905.03375",
)


def solve_ease(model: keras.Model, matrix: Any) -> None:
    """Set the item-item weights of a model from `EASE`.

    Takes about 20 bytes a pair of items at its peak, and time that grows with their number cubed.

    Args:
        model: a model from `EASE`.
        matrix: `scipy.sparse.csr_matrix` float32 ``[num_users + 1, num_items + 1]``, one entry
            for every training pair.

    Raises:
        UsageError: the matrix is of other items than the model, or ``l2`` is too small for it.
    """
    layer = model.get_layer("item_weights")
    weights = np.zeros(layer.kernel.shape, np.float32)
    weights[1:, 1:] = ease_weights(known_columns(matrix, len(weights)), layer.settings["l2"])
    layer.kernel.assign(weights)


def ease_weights(interactions: Any, l2: float) -> NDArray[np.float64]:
    """Solve ``min_B |X - X B|^2 + l2 |B|^2`` with ``diag(B) = 0`` (section 3).

    Args:
        interactions: X, `scipy.sparse.csr_matrix` float64 ``[m, n]``.
        l2: weight of the penalty, above 0.

    Returns:
        B, ``[n, n]``: ``-P_ij / P_jj`` off the diagonal, with ``P = (X^T X + l2 I)^-1``.

    Raises:
        UsageError: ``l2`` is so small that the matrix cannot be inverted.
    """
    size = interactions.shape[1]
    gram = np.empty((size, size))
    for rows, products in column_products(interactions):
        gram[rows] = products
    gram[np.diag_indices(size)] += l2
    # The transpose of the symmetric matrix is in Fortran's order, so that LAPACK works in place.
    factor, failed = lapack.dpotrf(gram.T, lower=1, overwrite_a=1)
    if not failed:
        factor, failed = lapack.dpotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise UsageError(
            f"EASE with l2 = {l2:g} has no solution in float64 on these {size} items. Use a larger l2."
        )
    diagonal = factor.diagonal().copy()
    # dpotri gives the lower triangle, and dpotrf has set the rest to 0.
    factor += factor.T
    factor /= -diagonal
    np.fill_diagonal(factor, 0.0)
    return factor


@register_model("ease", task="reconstruction", family="closed-form", paper=PAPER, solve=solve_ease)
def EASE(num_users: int, num_items: int, *, l2: float = 500.0) -> keras.Model:
    """Linear regression of every item on all other items, in closed form.

    Section 3: the scores are ``X B`` with ``diag(B) = 0``. Nothing is trained step by step:
    `solve_ease` computes B.

    Args:
        num_users: number of known users; the scores depend on the row alone.
        num_items: number of known items; item ids are ``1..num_items``, 0 is the unknown item.
        l2: lambda, above 0; the paper's only hyper-parameter.

    Returns:
        A functional model: ``{"user_row": float32 [B, num_items + 1]}`` to
        ``{"scores": float32 [B, num_items + 1]}``. B has ``num_items (num_items - 1)`` entries
        off the diagonal; row and column 0 are 0. No parameter is trainable.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.EASE(943, 1682)
        >>> inputs = {"user_row": np.zeros((2, 1683))}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Raises:
        ValueError: ``l2`` is not above 0.
        UsageError: there are too many items for a dense B.

    Differences from the paper:
        None in the model. Lambda's default is the one for MovieLens-20M, as remembered from the
        paper; tune it for other data. The inverse is computed in float64, the weights are stored
        in float32.
    """
    if not l2 > 0:
        raise ValueError(f"`l2` must be above 0. Received: l2={l2}")
    row = keras.Input((num_items + 1,), dtype="float32", name="user_row")
    scores = ItemWeights({"l2": float(l2)}, dtype="float32", name="item_weights")(row)
    return ComputedModel({"user_row": row}, {"scores": scores}, name="ease")
