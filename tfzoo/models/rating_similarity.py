"""How alike two columns of ratings are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLUMNS_PER_BLOCK = 512
SIMILARITIES = ("cosine", "common-cosine", "msd", "pearson", "pearson-baseline")


def rating_similarities(
    ratings: Any, residuals: Any, *, similarity: str, shrinkage: float, min_support: int
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield the similarities of columns of ratings, a block of them at a time.

    Two columns have ``n`` common rows, those that have a rating in both. Their similarity is

    * ``"cosine"``: the cosine of the whole columns, 0 where there is no rating;
    * ``"common-cosine"``: the cosine of the common ratings;
    * ``"msd"``: 1 over 1 more than the mean squared difference of the common ratings;
    * ``"pearson"``: the correlation of the common ratings;
    * ``"pearson-baseline"``: the same with the residuals instead of ratings less their means;

    times ``n / (n + shrinkage)``, and for correlations ``(n - 1) / (n - 1 + shrinkage)``, of which one
    common rating says nothing.

    Args:
        ratings: `scipy.sparse.csr_matrix` float64 ``[m, n]``, a stored entry for every rating.
        residuals: the same with the same entries: ratings less what is expected of them.
        similarity: one of `SIMILARITIES`.
        shrinkage: how many common ratings halve a similarity.
        min_support: with fewer common ratings it is 0.

    Yields:
        A slice of the columns, and their similarities to all columns ``[b, n]``, from -1 to 1; 0
        where it is not defined, and of a column to itself.
    """
    values = residuals if similarity == "pearson-baseline" else ratings
    rated, squared = values.copy(), values.copy()
    rated.data = np.ones_like(values.data)
    squared.data = values.data**2
    lengths = np.sqrt(np.asarray(squared.sum(axis=0)).ravel())
    turned = {name: part.T.tocsr() for name, part in (("x", values), ("one", rated), ("square", squared))}
    for first in range(0, values.shape[1], COLUMNS_PER_BLOCK):
        block = slice(first, min(first + COLUMNS_PER_BLOCK, values.shape[1]))

        def product(left: str, right: Any, rows: slice = block) -> NDArray[np.float64]:
            dense: NDArray[np.float64] = (turned[left][rows] @ right).toarray()
            return dense

        common, products = product("one", rated), product("x", values)
        if similarity == "cosine":
            scale = np.outer(lengths[block], lengths)
        else:
            # Sums over the common rows, of the block's own columns and of the others.
            own, others = product("square", rated), product("one", squared)
            if similarity == "pearson":
                own_sum, other_sum = product("x", rated), product("one", values)
                products = common * products - own_sum * other_sum
                own, others = _variance(common * own, own_sum), _variance(common * others, other_sum)
            scale = np.sqrt(own) * np.sqrt(others)
        if similarity == "msd":
            products, scale = common, common + own + others - 2 * products
        found = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
        support = common - similarity.startswith("pearson")
        total = support + shrinkage
        found *= np.divide(support, total, out=np.zeros_like(total), where=total > 0)
        found[common < max(min_support, 1)] = 0.0
        found[np.arange(len(found)), np.arange(block.start, block.stop)] = 0.0
        yield block, found


def _variance(squares: NDArray, sums: NDArray) -> NDArray[np.float64]:
    """Subtract, and give 0 where rounding alone is left: equal ratings have no correlation."""
    found: NDArray[np.float64] = squares - sums**2
    return np.where(found > 1e-12 * squares, found, 0.0)
