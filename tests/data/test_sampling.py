"""Negatives drawn with NumPy."""

import numpy as np
import pytest

import tfzoo
from tests.zoo import table
from tfzoo.errors import DataError, UsageError

DATA = table([1, 1, 1, 2, 3, 3], [1, 1, 2, 3, 2, 4], num_users=3, num_items=5)
USERS = np.repeat([0, 1, 2, 3], 20_000)


def shares(items, user):
    return np.bincount(items[user == USERS], minlength=6)[1:] / 20_000


@pytest.mark.parametrize("weighting", ["uniform", "popularity"])
def test_each_user_gets_unknown_items_by_their_weights(weighting):
    items = tfzoo.sampling.sample_negatives(DATA, USERS, 7, weighting=weighting)
    assert items.dtype == np.int32
    weights = np.array([2, 2, 1, 1, 0]) if weighting == "popularity" else np.ones(5)
    for user, known in enumerate([[], [1, 2], [3], [2, 4]]):
        left = weights * ~np.isin(np.arange(1, 6), known)
        np.testing.assert_allclose(shares(items, user), left / left.sum(), atol=0.015)
        assert not np.isin(known, items[user == USERS]).any()


def test_the_seed_decides_and_known_items_may_be_asked_for():
    users = USERS.reshape(4, -1)
    one, other, third = (tfzoo.sampling.sample_negatives(DATA, users, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, other)
    assert one.shape == users.shape
    assert (one != third).any()
    items = tfzoo.sampling.sample_negatives(DATA, USERS, 1, reject_known=False)
    np.testing.assert_allclose(shares(items, 1), 0.2, atol=0.015)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(DataError, match=r"outside 0\.\.3"):
        tfzoo.sampling.sample_negatives(DATA, [4], 0)
    with pytest.raises(UsageError, match="Unknown weighting"):
        tfzoo.sampling.sample_negatives(DATA, [1], 0, weighting="poplarity")
    with pytest.raises(DataError, match="has interacted with all 1 items"):
        tfzoo.sampling.sample_negatives(table([1], [1]), [1], 0)


def test_the_sampler_of_graphs_is_there_too():
    from tfzoo.data.negatives import NegativeSampler

    assert tfzoo.sampling.NegativeSampler is NegativeSampler
    with pytest.raises(AttributeError, match="no attribute 'Sampler'"):
        _ = tfzoo.sampling.Sampler
