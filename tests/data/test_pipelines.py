"""Shuffled blocks of row numbers."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from tfzoo.data import pipelines
from tfzoo.data.pipelines import (
    PADDING,
    BatchPlan,
    blocks_per_epoch,
    gather,
    ordered_batches,
    shuffled_blocks,
    steps_per_epoch,
)
from tfzoo.errors import UsageError

SIZES = {"n": st.integers(1, 40), "batch": st.integers(1, 12), "steps": st.integers(1, 5)}


def epochs(count, n, batch, steps=1, **options):
    """Return ``count`` epochs, each an array [blocks, steps, batch]."""
    blocks = blocks_per_epoch(n, BatchPlan(batch, 0, block=steps))
    elements = shuffled_blocks(n, BatchPlan(batch, block=steps, **options)).take(count * blocks)
    return np.stack(list(elements.as_numpy_iterator())).reshape(count, blocks, steps, batch)


@given(**SIZES, seed=st.integers(0, 2**40))
@settings(max_examples=20)
def test_every_epoch_visits_each_row_once(n, batch, steps, seed):
    for epoch in epochs(3, n, batch, steps, seed=seed):
        rows = epoch.ravel()
        assert sorted(rows[rows != PADDING]) == list(range(n))


@given(**SIZES)
@settings(max_examples=20)
def test_padding_stands_at_the_end_of_an_epoch_and_is_least(n, batch, steps):
    for epoch in epochs(2, n, batch, steps, seed=3):
        padding = epoch.size - n
        assert 0 <= padding < steps * batch
        assert (epoch.ravel()[n:] == PADDING).all()


@pytest.mark.parametrize(("n", "batch", "steps"), [(10, 3, 1), (10, 3, 3), (12, 4, 2), (5, 8, 2)])
def test_a_later_start_gives_what_skipping_gives(n, batch, steps):
    unbroken = epochs(5, n, batch, steps, seed=8)
    for first in range(4):
        np.testing.assert_array_equal(
            epochs(2, n, batch, steps, seed=8, first_epoch=first)[0], unbroken[first]
        )


def test_the_order_does_not_depend_on_the_size_of_blocks():
    single, blocks = epochs(2, 50, 7, 1, seed=4), epochs(2, 50, 7, 3, seed=4)
    for one, other in zip(single, blocks, strict=True):
        np.testing.assert_array_equal(one.ravel()[:50], other.ravel()[:50])


def test_seeds_and_epochs_give_different_orders():
    orders = [tuple(epoch.ravel()) for seed in range(4) for epoch in epochs(4, 30, 10, seed=seed)]
    assert len(set(orders)) == 16
    np.testing.assert_array_equal(epochs(2, 30, 10, seed=1), epochs(2, 30, 10, seed=1))


def test_first_rows_are_uniform():
    # 400 draws over 4 rows: mean 100, standard deviation 8.7.
    firsts = [epoch[0, 0, 0] for epoch in epochs(400, 4, 4, seed=0)]
    assert np.bincount(firsts, minlength=4).min() > 60


@pytest.mark.parametrize(("n", "batch", "expected"), [(10, 3, 4), (9, 3, 3), (1, 100, 1)])
def test_steps_per_epoch(n, batch, expected):
    assert steps_per_epoch(n, batch) == expected


@given(**SIZES)
def test_blocks_cover_the_steps(n, batch, steps):
    assert blocks_per_epoch(n, BatchPlan(batch, 0, block=steps)) == math.ceil(n / batch / steps - 1e-9)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batch_sizes_below_one_are_refused(batch_size):
    calls = [
        lambda: steps_per_epoch(3, batch_size),
        lambda: shuffled_blocks(3, BatchPlan(batch_size, seed=0)),
        lambda: ordered_batches(3, batch_size),
    ]
    for call in calls:
        with pytest.raises(UsageError, match=f"batch_size must be at least 1.*{batch_size}"):
            call()


@pytest.mark.parametrize(("n", "batch"), [(7, 3), (6, 3), (2, 5)])
def test_ordered_batches_go_once_through_the_rows_in_order(n, batch):
    batches = list(ordered_batches(n, batch).as_numpy_iterator())
    assert {len(rows) for rows in batches} == {batch}
    rows = list(itertools.chain.from_iterable(batches))
    assert rows[:n] == list(range(n))
    assert set(rows[n:]) <= {PADDING}
    assert len(rows) - n < batch


@pytest.mark.parametrize("dtype", [tf.int32, tf.float32])
def test_gather_gives_zero_at_padding(dtype):
    column = tf.constant([5, 6, 7], dtype)
    found = gather(column, tf.constant([[2, PADDING], [0, 0]]))
    assert found.dtype == dtype
    assert found.numpy().tolist() == [[7, 0], [5, 5]]


@pytest.mark.parametrize("count", [1, 1_500, 65_536, 200_001])
def test_a_computed_order_visits_each_row_once(monkeypatch, count):
    monkeypatch.setattr(pipelines, "COMPUTED_FROM", 1)
    orders = epochs(2, count, 1000, 4, seed=3)
    for rows in orders:
        assert np.array_equal(np.sort(rows.ravel()[:count]), np.arange(count))
        assert (rows.ravel()[count:] == PADDING).all()
    assert np.array_equal(epochs(2, count, 1000, 4, seed=3), orders)
    if count > 1:
        others = [orders[1], epochs(1, count, 1000, 4, seed=4)[0]]
        assert all((other != orders[0]).ravel()[:count].mean() > 0.9 for other in others)


@pytest.mark.parametrize("count", [2**24, 30_000_001])
def test_neighbours_of_a_computed_order_have_nothing_to_do_with_each_other(count):
    # The first million numbers, what a training of an hour sees of an order of many hours.
    for seed in range(5):
        blocks = shuffled_blocks(count, BatchPlan(2**20, seed=seed))
        place = next(iter(blocks)).numpy().ravel().astype(np.int64) * 32 // count
        pairs = np.bincount(place[::2] * 32 + place[1::2], minlength=1024)
        assert chisquare(np.bincount(place, minlength=32)).pvalue > 1e-6
        assert chisquare(pairs).pvalue > 1e-6
