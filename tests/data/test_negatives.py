"""Negative sampling: what can be drawn, how often, and that the seed alone decides."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tfzoo.data import negatives
from tfzoo.data.interactions import Interactions
from tfzoo.data.negatives import NegativeSampler
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError

NUM_USERS, NUM_ITEMS = 6, 9
SEED = tf.constant([5, 17])


def interactions(pairs, num_users=NUM_USERS, num_items=NUM_ITEMS):
    user, item = np.array(sorted(pairs), np.int32).reshape(-1, 2).T
    return Interactions(
        Vocabulary(np.arange(num_users) * 10 + 3), Vocabulary(np.arange(num_items)), user, item
    )


def random_pairs(seed, density=0.4):
    known = np.random.default_rng(seed).random((NUM_USERS, NUM_ITEMS)) < density
    # User 4 knows nothing, user 5 all items but one.
    known[3], known[4] = False, True
    known[:, NUM_ITEMS // 2] = False
    return known, {(user + 1, item + 1) for user, item in zip(*np.nonzero(known), strict=True)}


def draw(sampler, user, times, seed=0):
    return sampler.sample(tf.fill([times], tf.constant(user, tf.int32)), tf.constant([seed, 1])).numpy()


def every_place(monkeypatch, count):
    """Let the random source give 0, 1, 2, ... so that each outcome occurs by its weight exactly."""
    monkeypatch.setattr(
        tf.random, "stateless_uniform", lambda shape, *_, **__: tf.range(count, dtype=tf.int64)
    )


# What can be drawn


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "searched"])
@given(data=st.data())
def test_each_unknown_item_has_one_place_and_no_known_item_has_any(data, listed):
    num_items = data.draw(st.integers(2, 8))
    items = st.sets(st.integers(1, num_items), max_size=num_items - 1)
    known = data.draw(st.lists(items, min_size=1, max_size=5))
    pairs = {(user, item) for user, row in enumerate(known, start=1) for item in row}
    with pytest.MonkeyPatch.context() as patch:
        if not listed:
            patch.setattr(negatives, "LISTED_CELLS", 0)
        sampler = NegativeSampler(interactions(pairs, len(known), num_items))
        for user, row in enumerate(known, start=1):
            unknown = sorted(set(range(1, num_items + 1)) - row)
            every_place(patch, len(unknown))
            assert draw(sampler, user, len(unknown)).tolist() == unknown


@pytest.mark.parametrize("num_items", [200, 300, 70_000])
def test_the_list_and_the_search_give_the_same_items(num_items, monkeypatch):
    random = np.random.default_rng(num_items)
    user, item = random.integers(0, 31, 5000), random.integers(0, num_items + 1, 5000)
    data = Interactions(Vocabulary(np.arange(30)), Vocabulary(np.arange(num_items)), user, item)
    users = tf.constant(random.integers(0, 31, 4000), tf.int32)
    listed = NegativeSampler(data)
    monkeypatch.setattr(negatives, "LISTED_CELLS", 31 * num_items - 1)
    searched = NegativeSampler(data)
    assert listed.lists
    assert not searched.lists
    np.testing.assert_array_equal(listed.sample(users, SEED), searched.sample(users, SEED))


@pytest.mark.parametrize("options", [{}, {"weighting": "popularity"}], ids=["uniform", "popularity"])
@pytest.mark.parametrize("seed", range(3))
def test_all_unknown_items_and_no_others_are_drawn(options, seed):
    known, pairs = random_pairs(seed)
    # Every item occurs, so that popularity leaves none with next to no weight.
    pairs |= {(1, item + 1) for item in range(NUM_ITEMS) if item != NUM_ITEMS // 2}
    known[0] = np.arange(NUM_ITEMS) != NUM_ITEMS // 2
    sampler = NegativeSampler(interactions(pairs), **options)
    for user in range(1, NUM_USERS + 1):
        unknown = set(np.flatnonzero(~known[user - 1]) + 1)
        found = set(draw(sampler, user, 4000, seed).tolist())
        assert found <= unknown
        rare = {NUM_ITEMS // 2 + 1} if options else set()
        assert found >= unknown - rare
        assert found


def test_users_of_one_batch_do_not_mix():
    known, pairs = random_pairs(8)
    sampler = NegativeSampler(interactions(pairs))
    users = np.random.default_rng(0).integers(1, NUM_USERS + 1, (50, 60)).astype(np.int32)
    found = sampler.sample(tf.constant(users), SEED).numpy()
    assert not known[users - 1, found - 1].any()
    assert len(np.unique(found)) == NUM_ITEMS


def test_an_item_without_interactions_can_be_drawn_by_popularity():
    # Item 2 is the only one that user 1 does not know, and nobody has interacted with it.
    sampler = NegativeSampler(interactions({(1, 1), (1, 3)}, 1, 3), weighting="popularity")
    assert set(draw(sampler, 1, 50)) == {2}


def test_without_rejection_known_items_are_drawn_too():
    pairs = {(1, item) for item in range(1, NUM_ITEMS + 1)}
    sampler = NegativeSampler(interactions(pairs), reject_known=False)
    assert set(draw(sampler, 1, 1000)) == set(range(1, NUM_ITEMS + 1))


@pytest.mark.parametrize("reject_known", [True, False])
def test_the_unknown_user_may_get_any_item(reject_known):
    _, pairs = random_pairs(2)
    sampler = NegativeSampler(interactions(pairs), reject_known=reject_known)
    assert set(draw(sampler, 0, 2000)) == set(range(1, NUM_ITEMS + 1))


def test_pairs_of_unknown_ids_forbid_nothing():
    sampler = NegativeSampler(interactions({(0, 1), (0, 2), (1, 0), (1, 2)}, 1, 2))
    assert set(draw(sampler, 1, 100)) == {1}
    assert set(draw(sampler, 0, 100)) == {1, 2}


def test_no_interactions_at_all():
    for weighting in ("uniform", "popularity"):
        sampler = NegativeSampler(interactions(set()), weighting=weighting)
        assert set(draw(sampler, 3, 1000)) == set(range(1, NUM_ITEMS + 1))


def test_repeated_pairs_are_known_once():
    user, item = [1, 1, 1, 1], [2, 2, 3, 2]
    data = Interactions(Vocabulary(np.arange(1)), Vocabulary(np.arange(4)), user, item)
    assert set(draw(NegativeSampler(data), 1, 200)) == {1, 4}


# How often


def frequencies_fit(found, items, weights):
    """Tell whether the items were drawn in proportion to the weights (chi-square, 1 in 10,000)."""
    counts = np.array([(found == item).sum() for item in items])
    assert counts.sum() == len(found)
    expected = np.array(weights, float) / np.sum(weights) * len(found)
    return scipy.stats.chisquare(counts, expected).pvalue > 1e-4


@pytest.mark.parametrize("user", [1, 2, 4])
def test_uniform_frequencies(user):
    known, pairs = random_pairs(4)
    unknown = np.flatnonzero(~known[user - 1]) + 1
    assert len(unknown) > 2
    found = draw(NegativeSampler(interactions(pairs)), user, 20_000)
    assert frequencies_fit(found, unknown, np.ones(len(unknown)))


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.75, 1.0, 2.0])
@pytest.mark.parametrize("reject_known", [True, False])
def test_popularity_frequencies(alpha, reject_known):
    # Item i has i interactions; user 10 knows items 3 and 5.
    pairs = {(user, item) for item in range(1, 9) for user in range(1, item + 1)}
    pairs = {(user, item) for user, item in pairs if item not in (3, 5) or user < item}
    pairs |= {(10, 3), (10, 5)}
    sampler = NegativeSampler(
        interactions(pairs, 10, 9), weighting="popularity", alpha=alpha, reject_known=reject_known
    )
    items = [item for item in range(1, 9) if not (reject_known and item in (3, 5))]
    found = draw(sampler, 10, 20_000)
    if alpha == 0:
        items.append(9)
    assert frequencies_fit(found, items, np.array(items, float) ** alpha if alpha else np.ones(len(items)))
    assert not frequencies_fit(found, items, np.array(items, float) ** (alpha + 0.3))


def test_popularity_counts_repeated_pairs():
    user, item = [1] * 6, [1, 1, 1, 2, 2, 3]
    data = Interactions(Vocabulary(np.arange(2)), Vocabulary(np.arange(3)), user, item)
    found = draw(NegativeSampler(data, weighting="popularity", reject_known=False), 2, 20_000)
    assert frequencies_fit(found, [1, 2, 3], [3, 2, 1])


def test_weights_of_many_users_and_skewed_items_do_not_overflow():
    random = np.random.default_rng(0)
    num_users, num_items = 5000, 300
    user = np.repeat(np.arange(1, num_users + 1), 20)
    item = np.minimum(random.zipf(1.2, len(user)), num_items)
    data = Interactions(Vocabulary(np.arange(num_users)), Vocabulary(np.arange(num_items)), user, item)
    sampler = NegativeSampler(data, weighting="popularity", alpha=3.0)
    assert sampler.total < 2**40
    users = np.arange(1, num_users + 1, dtype=np.int32)
    found = sampler.sample(tf.constant(users), SEED).numpy()
    known = set(zip(user.tolist(), item.tolist(), strict=True))
    assert not any(pair in known for pair in zip(users.tolist(), found.tolist(), strict=True))
    assert found.min() >= 1
    assert found.max() <= num_items


# Seeds, shapes, graphs


def test_the_seed_alone_decides():
    _, pairs = random_pairs(1)
    users = tf.random.stateless_uniform([200], [1, 1], 1, NUM_USERS + 1, tf.int32)
    first, second = (NegativeSampler(interactions(pairs)) for _ in range(2))
    tf.random.set_seed(1)
    expected = first.sample(users, SEED)
    tf.random.set_seed(2)
    np.testing.assert_array_equal(second.sample(users, SEED), expected)
    np.testing.assert_array_equal(first.sample(users, tf.cast(SEED, tf.int64)), expected)
    for other in ([5, 18], [6, 17]):
        assert (first.sample(users, tf.constant(other)).numpy() != expected.numpy()).mean() > 0.5


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (3, 4), (2, 3, 2)])
@pytest.mark.parametrize("weighting", ["uniform", "popularity"])
def test_shape_and_dtype_are_those_of_the_users(shape, weighting):
    sampler = NegativeSampler(interactions({(1, 1), (2, 3)}), weighting=weighting)
    found = sampler.sample(tf.ones(shape, tf.int32), SEED)
    assert found.shape == shape
    assert found.dtype == tf.int32


def test_the_same_in_a_graph_and_in_a_pipeline():
    _, pairs = random_pairs(6)
    sampler = NegativeSampler(interactions(pairs), weighting="popularity")
    users = tf.random.stateless_uniform([4, 50], [1, 1], 0, NUM_USERS + 1, tf.int32)
    seeds = tf.stack([tf.range(4), tf.fill([4], 9)], axis=1)
    expected = np.stack([sampler.sample(row, seed) for row, seed in zip(users, seeds, strict=True)])
    compiled = tf.function(
        sampler.sample, input_signature=[tf.TensorSpec([None], tf.int32), tf.TensorSpec([2], tf.int32)]
    )
    found = np.stack([compiled(row, seed) for row, seed in zip(users, seeds, strict=True)])
    np.testing.assert_array_equal(found, expected)
    dataset = tf.data.Dataset.from_tensor_slices((users, seeds)).map(sampler.sample, num_parallel_calls=2)
    assert dataset.element_spec == tf.TensorSpec([50], tf.int32)
    np.testing.assert_array_equal(np.stack(list(dataset)), expected)


# Errors


@pytest.mark.parametrize("cells", [0, negatives.LISTED_CELLS])
def test_a_user_who_knows_everything_is_named(cells, monkeypatch):
    monkeypatch.setattr(negatives, "LISTED_CELLS", cells)
    pairs = {(1, 1), *((3, item) for item in range(1, NUM_ITEMS + 1))}
    with pytest.raises(DataError, match=f"User 23 of 'interactions' .* all {NUM_ITEMS} items"):
        NegativeSampler(interactions(pairs))


def test_an_unknown_weighting_is_refused():
    with pytest.raises(UsageError, match=r"'popular'\. Did you mean 'popularity'"):
        NegativeSampler(interactions({(1, 1)}), weighting="popular")


@pytest.mark.parametrize("alpha", [-0.5, float("nan"), float("inf")])
def test_a_wrong_exponent_is_refused(alpha):
    with pytest.raises(UsageError, match=r"alpha .* at least 0"):
        NegativeSampler(interactions({(1, 1)}), weighting="popularity", alpha=alpha)
