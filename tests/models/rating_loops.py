"""Small matrices of ratings, and similarities of their columns by loops over pairs."""

import numpy as np
from scipy import sparse

USERS, ITEMS = 9, 7


def ratings(seed=0, users=USERS, items=ITEMS, share=0.6):
    """Return ratings 1 to 5, NaN where there is none; the last user and the last item have none."""
    random = np.random.default_rng(seed)
    dense = random.integers(1, 6, (users + 1, items + 1)).astype(float)
    dense[random.random(dense.shape) > share] = np.nan
    dense[0], dense[:, 0], dense[-1], dense[:, -1] = np.nan, np.nan, np.nan, np.nan
    return dense


def stored(dense):
    """Return a sparse matrix with an entry for every rating, zeros included."""
    user, item = np.nonzero(~np.isnan(dense))
    return sparse.csr_matrix((dense[user, item].astype(np.float32), (user, item)), dense.shape)


def similarity_of(x, y, common, kind):
    """Return the similarity of two columns with NaN where there is no rating, in plain words."""
    a, b = x[common], y[common]
    if kind == "cosine":
        a, b = np.nan_to_num(x), np.nan_to_num(y)
    elif kind == "msd":
        return 1 / (1 + np.mean((a - b) ** 2))
    elif kind == "pearson":
        a, b = a - a.mean(), b - b.mean()
    scale = np.linalg.norm(a) * np.linalg.norm(b)
    return a @ b / scale if scale > 1e-9 else 0.0


def all_similarities(dense, residuals, *, similarity, shrinkage, min_support):
    size = dense.shape[1]
    found = np.zeros((size, size))
    values = residuals if similarity == "pearson-baseline" else dense
    for i, j in np.ndindex(size, size):
        common = ~np.isnan(dense[:, i]) & ~np.isnan(dense[:, j])
        support = common.sum() - similarity.startswith("pearson")
        if i != j and common.sum() >= min_support and support > 0:
            plain = similarity_of(values[:, i], values[:, j], common, similarity)
            found[i, j] = plain * support / (support + shrinkage)
    return found
