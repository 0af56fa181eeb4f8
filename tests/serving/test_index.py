"""Indexes over item vectors: against sorting, and how many of the best an approximate one finds."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tfzoo.errors import UsageError
from tfzoo.serving.cells import Cells
from tfzoo.serving.index import ExactIndex, IndexSettings, InvertedFileIndex
from tfzoo.serving.partition import default_partitions, partition
from tfzoo.serving.recommender import BLANK_SCORE


def case(seed, num_items, width, rows):
    """Return vectors, hidden items, queries; small whole numbers, so that there are ties."""
    random = np.random.default_rng(seed)
    vectors = random.integers(-2, 3, (num_items + 1, width)).astype(np.float32)
    hidden = random.random(num_items + 1) < 0.1
    hidden[0] = True
    return vectors, hidden, random.integers(-2, 3, (rows, width)).astype(np.float32)


def by_sorting(vectors, hidden, query, barred, k):
    scores = vectors @ query
    items = [item for item in range(len(vectors)) if not hidden[item] and item not in barred]
    best = sorted(items, key=lambda item: (-scores[item], item))[:k]
    return best, scores[best]


def search(index, queries, barred, k):
    """Search with ``barred``, a list of dense ids for each query."""
    row = np.concatenate([np.full(len(ids), number) for number, ids in enumerate(barred)] or [[]])
    item = np.concatenate([np.asarray(ids) for ids in barred] or [[]])
    cells = Cells(tf.constant(row, tf.int32), tf.constant(item, tf.int32), tf.shape(index.vectors)[0])
    found = tf.function(lambda given, count: index.search(given, cells, count))(queries, tf.constant(k))
    return [part.numpy() for part in found]


def exact(vectors, hidden, cells=1 << 24):
    return ExactIndex(tf.Variable(vectors), tf.Variable(hidden), cells)


def inverted(vectors, hidden, partitions, probes):
    arrays = partition(vectors, np.flatnonzero(~hidden).astype(np.int32), partitions)
    return InvertedFileIndex(tf.Variable(vectors), arrays, probes)


ids = st.lists(st.integers(0, 25), max_size=30)


@given(st.integers(0, 10**6), st.integers(1, 30), st.lists(ids, max_size=4), st.integers(1, 80))
def test_blocks_give_what_sorting_gives(seed, k, barred, cells):
    vectors, hidden, queries = case(seed, 25, 3, len(barred))
    scores, items = search(exact(vectors, hidden, cells), queries, barred, k)
    assert items.shape == scores.shape == (len(barred), k)
    for number, row in enumerate(barred):
        best, expected = by_sorting(vectors, hidden, queries[number], row, k)
        assert items[number].tolist() == best + [0] * (k - len(best))
        assert scores[number].tolist() == [*expected.tolist(), *[BLANK_SCORE] * (k - len(best))]


@pytest.mark.slow
@given(st.integers(0, 10**6), st.integers(0, 30), st.lists(ids, max_size=4), st.integers(1, 6))
def test_an_inverted_file_with_all_partitions_gives_what_sorting_gives(seed, k, barred, partitions):
    vectors, hidden, queries = case(seed, 25, 3, len(barred))
    scores, items = search(inverted(vectors, hidden, partitions, partitions), queries, barred, k)
    assert items.shape == scores.shape == (len(barred), k)
    for number, row in enumerate(barred):
        best, expected = by_sorting(vectors, hidden, queries[number], row, k)
        # Of equal scores any may come first.
        assert scores[number].tolist() == [*expected.tolist(), *[BLANK_SCORE] * (k - len(best))]
        shown = items[number][: len(best)]
        assert len(set(shown.tolist())) == len(best)
        assert not set(shown.tolist()) & ({0, *row} | set(np.flatnonzero(hidden).tolist()))
        np.testing.assert_array_equal(vectors[shown] @ queries[number], expected)
        assert (items[number][len(best) :] == 0).all()


@given(st.integers(0, 10**6), st.integers(1, 24))
def test_partitions_hold_every_listed_item_once(seed, partitions):
    vectors, hidden, _ = case(seed, 40, 4, 1)
    listed = np.flatnonzero(~hidden).astype(np.int32)
    arrays = partition(vectors, listed, min(partitions, len(listed)), seed)
    assert sorted(arrays["order"].tolist()) == listed.tolist()
    assert arrays["starts"][0] == 0
    assert arrays["starts"][-1] == len(listed)
    for start, end in zip(arrays["starts"], arrays["starts"][1:], strict=False):
        assert (np.diff(arrays["order"][start:end]) > 0).all()
    assert np.isfinite(arrays["centroids"]).all()


def test_an_item_lies_in_the_partition_whose_mean_has_its_direction():
    random = np.random.default_rng(3)
    axes = np.repeat(np.eye(4, dtype=np.float32), 50, axis=0)
    vectors = np.concatenate([np.zeros((1, 4)), axes + random.normal(scale=0.05, size=axes.shape)])
    arrays = partition(vectors.astype(np.float32), np.arange(1, 201, dtype=np.int32), 4, seed=1)
    parts = np.split(arrays["order"], arrays["starts"][1:-1])
    assert len({frozenset((part - 1) // 50) for part in map(np.asarray, parts) if len(part)}) >= 3
    for number, part in enumerate(parts):
        cosine = vectors[1:] @ arrays["centroids"].T
        assert (cosine[part - 1].argmax(axis=1) == number).mean() > 0.9


def test_few_probes_find_most_of_the_best_and_score_them_exactly():
    random = np.random.default_rng(5)
    centres = random.normal(size=(40, 16))
    vectors = (centres[random.integers(0, 40, 4001)] + 0.4 * random.normal(size=(4001, 16))).astype(
        np.float32
    )
    hidden = np.arange(4001) == 0
    queries = random.normal(size=(50, 16)).astype(np.float32)
    _, truth = search(exact(vectors, hidden), queries, [[]] * 50, 10)
    recalls = []
    for probes in (1, 8, 63):
        scores, items = search(
            inverted(vectors, hidden, default_partitions(4000), probes), queries, [[]] * 50, 10
        )
        shown = items > 0
        np.testing.assert_allclose(
            scores[shown], np.einsum("bkd,bd->bk", vectors[items], queries)[shown], rtol=1e-4, atol=1e-4
        )
        recalls.append(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(items, truth, strict=True)]))
    assert recalls[0] < recalls[1] < recalls[2]
    assert recalls[1] > 0.8
    assert recalls[2] == 1


def test_the_longer_of_two_vectors_of_one_direction_is_found():
    vectors = np.array([[0, 0], [1, 1], [10, 10], [-1, 3], [0.5, 0.5], [3, -1]], np.float32)
    index = inverted(vectors, np.arange(6) == 0, 2, 1)
    assert search(index, np.ones((1, 2), np.float32), [[]], 1)[1] == [[2]]


@pytest.mark.parametrize("partitions", [0, -1, 6])
def test_a_number_of_partitions_that_cannot_be_is_refused(partitions):
    with pytest.raises(UsageError, match=rf"between 1 and the number of items, 5. Received {partitions}"):
        partition(np.ones((6, 2), np.float32), np.arange(1, 6, dtype=np.int32), partitions)


def test_the_same_seed_gives_the_same_partitions():
    vectors = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32)
    listed = np.arange(1, 500, dtype=np.int32)
    first, again, other = (partition(vectors, listed, 12, seed) for seed in (4, 4, 5))
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
    assert (first["centroids"] != other["centroids"]).any()


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9))),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9))),
)
def test_cells_against_a_set(cells, asked):
    def columns(pairs):
        both = np.array(pairs, np.int32).reshape(-1, 2)
        return tf.constant(both[:, 0]), tf.constant(both[:, 1])

    held = Cells(*columns(cells), tf.constant(10))
    assert held.hold(*columns(asked)).numpy().tolist() == [cell in cells for cell in asked]
    mask = held.mask(tf.constant(4)).numpy()
    assert set(zip(*np.nonzero(mask), strict=True)) == set(cells)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"kind": "hnsw"}, r"one of exact, ivf. Received 'hnsw'"),
        ({"kind": "ivf", "probes": 0}, r"probes must be at least 1. Received 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, error):
    with pytest.raises(UsageError, match=error):
        IndexSettings(**settings)
