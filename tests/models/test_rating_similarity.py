"""Similarities of columns of ratings against loops over pairs, and what leaves them as they are."""

import numpy as np
import pytest

from tests.models.rating_loops import all_similarities, ratings, stored
from tfzoo.models.rating_similarity import SIMILARITIES, rating_similarities


def blocks(dense, residuals, **settings):
    parts = rating_similarities(
        stored(dense).astype(np.float64), stored(residuals).astype(np.float64), **settings
    )
    return np.concatenate([part for _, part in parts])


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize(("shrinkage", "min_support"), [(0.0, 1), (100.0, 1), (0.0, 4)])
def test_similarities_are_those_of_loops_over_pairs(similarity, shrinkage, min_support, monkeypatch):
    dense = ratings(seed=1, users=30)
    dense[3, 2], dense[5, 4] = 0, 0
    residuals = dense - np.random.default_rng(5).normal(3, 0.3, dense.shape)
    settings = {"similarity": similarity, "shrinkage": shrinkage, "min_support": min_support}
    expected = all_similarities(dense, residuals, **settings)
    found = blocks(dense, residuals, **settings)
    np.testing.assert_allclose(found, expected, atol=2e-7)
    np.testing.assert_allclose(found, found.T, atol=1e-12)
    assert np.abs(found).max() <= 1
    assert np.abs(found).max() > 0.001
    monkeypatch.setattr("tfzoo.models.rating_similarity.COLUMNS_PER_BLOCK", 3)
    np.testing.assert_allclose(blocks(dense, residuals, **settings), found, atol=1e-12)


def test_scaling_the_ratings_of_one_column_changes_no_cosine():
    dense = ratings(seed=1, users=30)
    scaled = dense.copy()
    scaled[:, 2] *= 3
    shifted = scaled.copy()
    shifted[:, 2] += 7
    for similarity, other in (("cosine", scaled), ("common-cosine", scaled), ("pearson", shifted)):
        settings = {"similarity": similarity, "shrinkage": 0.0, "min_support": 1}
        np.testing.assert_allclose(
            blocks(other, other, **settings), blocks(dense, dense, **settings), atol=1e-6
        )


def test_columns_of_equal_ratings_have_no_correlation():
    dense = np.full((6, 3), 0.1)
    found = blocks(dense, dense, similarity="pearson", shrinkage=0.0, min_support=1)
    assert not found.any()
