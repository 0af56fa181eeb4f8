"""Ranking metrics against figures worked out by hand, scikit-learn and ranx."""

import itertools
import math
import os

# Compiling ranx takes a minute or two; interpreting it on a small case takes no time.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")

import numpy as np
import pytest
import ranx
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from tfzoo.errors import DataError, UsageError
from tfzoo.evaluation.ranking_metrics import (
    METRICS,
    ndcg,
    ranking_metrics,
    ranking_metrics_per_user,
    reciprocal_rank,
)

RANX_NAMES = {
    "hr": "hit_rate",
    "ndcg": "ndcg",
    "precision": "precision",
    "recall": "recall",
    "f1": "f1",
    "map": "map",
    "mrr": "mrr",
}


@st.composite
def ranked_lists(draw):
    """Return hits ``[n, K]`` and numbers of relevant items, some of them not in the list."""
    users, length = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    cells = st.lists(st.booleans(), min_size=length, max_size=length)
    hits = np.array(draw(st.lists(cells, min_size=users, max_size=users)), bool)
    missed = np.array(draw(st.lists(st.integers(0, 4), min_size=users, max_size=users)))
    return hits, np.maximum(hits.sum(axis=1) + missed, 1)


def one_list(ranks, length):
    """Return hits ``[1, length]`` at the given ranks, counted from 1."""
    return np.isin(np.arange(1, length + 1), ranks)[None]


# By hand


def test_two_hits_at_ranks_one_and_three():
    assert ndcg(one_list([1, 3], 100), [2], 100) == pytest.approx(0.919721, abs=5e-7)


def test_every_metric_by_hand():
    # Hits at ranks 2 and 5 of 6, three relevant items in all.
    found = ranking_metrics(one_list([2, 5], 6), [3], [1, 2, 5, 6])
    log2 = math.log2
    ideal = {1: 1, 2: 1 + 1 / log2(3), 5: 1 + 1 / log2(3) + 1 / 2, 6: 1 + 1 / log2(3) + 1 / 2}
    gain = {1: 0, 2: 1 / log2(3), 5: 1 / log2(3) + 1 / log2(6), 6: 1 / log2(3) + 1 / log2(6)}
    precisions = {1: 0, 2: 1 / 2, 5: 1 / 2 + 2 / 5, 6: 1 / 2 + 2 / 5}
    hits = {1: 0, 2: 1, 5: 2, 6: 2}
    expected = {}
    for k in (1, 2, 5, 6):
        expected |= {
            f"hr@{k}": float(k > 1),
            f"ndcg@{k}": gain[k] / ideal[k],
            f"precision@{k}": hits[k] / k,
            f"recall@{k}": hits[k] / 3,
            f"recall_min@{k}": hits[k] / min(k, 3),
            # Of 2 places and 3 relevant items the list has one: 1/2 and 1/3 have the harmonic mean 2/5.
            f"f1@{k}": {1: 0, 2: 2 / 5, 5: 1 / 2, 6: 4 / 9}[k],
            f"map@{k}": precisions[k] / 3,
            f"map_min@{k}": precisions[k] / min(k, 3),
            f"mrr@{k}": 0.5 if k > 1 else 0,
        }
    assert found == pytest.approx(expected, abs=1e-12)


def test_the_mean_is_over_users():
    hits = np.array([[True, False, True], [False, False, False], [False, True, False]])
    each = ranking_metrics_per_user(hits, [2, 1, 1], [3])
    np.testing.assert_allclose(each["mrr@3"], [1, 0, 0.5])
    np.testing.assert_allclose(each["recall@3"], [1, 0, 1])
    np.testing.assert_allclose(each["map@3"], [(1 + 2 / 3) / 2, 0, 0.5])
    found = ranking_metrics(hits, [2, 1, 1], [3])
    assert list(found) == list(each)
    assert found == pytest.approx({name: values.mean() for name, values in each.items()})
    assert {values.dtype for values in each.values()} == {np.dtype(np.float64)}


def test_names_and_order():
    found = ranking_metrics([[True, False]], [1], [2, 1, 2])
    names = ["hr", "ndcg", "precision", "recall", "recall_min", "f1", "map", "map_min", "mrr"]
    assert list(found) == [f"{name}@{k}" for name in names for k in (2, 1)]


def test_random_order_of_one_relevant_item_among_a_hundred():
    # The relevant item is at each rank once.
    found = ranking_metrics(np.eye(100, dtype=bool), np.ones(100, int), [10])
    assert found["hr@10"] == found["recall@10"] == pytest.approx(0.1, abs=1e-15)
    assert found["ndcg@10"] == pytest.approx(0.0454, abs=5e-5)
    assert found["mrr@10"] == pytest.approx(sum(1 / rank for rank in range(1, 11)) / 100, abs=1e-15)


def test_random_order_of_two_relevant_items_among_a_hundred_and_one():
    pairs = np.array(list(itertools.combinations(range(101), 2)))
    hits = np.zeros((len(pairs), 101), bool)
    np.put_along_axis(hits, pairs, True, axis=1)
    found = ranking_metrics(hits, np.full(len(pairs), 2), [10])
    assert found["hr@10"] == pytest.approx(1 - 91 * 90 / (101 * 100), abs=1e-12)
    assert found["ndcg@10"] == pytest.approx(0.0552, abs=5e-5)
    assert found["precision@10"] == pytest.approx(2 / 101, abs=1e-12)
    assert found["recall@10"] == pytest.approx(10 / 101, abs=1e-12)


# Against libraries


@pytest.mark.parametrize("seed", range(5))
def test_agreement_with_scikit_learn(seed):
    random = np.random.default_rng(seed)
    relevant = random.random((40, 25)) < 0.2
    relevant[:, 0] |= ~relevant.any(axis=1)
    scores = random.permuted(np.tile(np.arange(25.0), (40, 1)), axis=1)
    hits = np.take_along_axis(relevant, np.argsort(-scores, axis=1), axis=1)
    for k in (1, 5, 10, 25):
        expected = ndcg_score(relevant, scores, k=k)
        assert ndcg(hits, relevant.sum(axis=1), k).mean() == pytest.approx(expected, abs=1e-12)


def test_agreement_with_ranx():
    random = np.random.default_rng(3)
    relevant = random.random((30, 20)) < 0.1
    relevant[:, 0] |= ~relevant.any(axis=1)
    # The lists hold 12 of the 20 items: some relevant ones are missed.
    lists = random.permuted(np.tile(np.arange(20), (30, 1)), axis=1)[:, :12]
    qrels = ranx.Qrels(
        {f"u{user}": {f"i{item}": 1 for item in np.flatnonzero(row)} for user, row in enumerate(relevant)}
    )
    run = ranx.Run(
        {
            f"u{user}": {f"i{item}": float(12 - rank) for rank, item in enumerate(row)}
            for user, row in enumerate(lists)
        }
    )
    names = {f"{name}@{k}": f"{theirs}@{k}" for name, theirs in RANX_NAMES.items() for k in (1, 3, 10)}
    expected = ranx.evaluate(qrels, run, list(names.values()))
    hits = np.take_along_axis(relevant, lists, axis=1)
    found = ranking_metrics(hits, relevant.sum(axis=1), [1, 3, 10])
    for name, theirs in names.items():
        assert found[name] == pytest.approx(expected[theirs], abs=1e-9), name
        assert 0 < found[name] < 1


# Properties


@given(ranked_lists())
def test_values_lie_between_zero_and_one(lists):
    hits, relevant = lists
    for values in ranking_metrics_per_user(hits, relevant, range(1, hits.shape[1] + 1)).values():
        assert (values >= 0).all()
        assert (values <= 1 + 1e-12).all()


@given(ranked_lists())
def test_longer_lists_never_lower_what_counts_hits(lists):
    hits, relevant = lists
    each = ranking_metrics_per_user(hits, relevant, range(1, hits.shape[1] + 1))
    for name in ("hr", "recall", "map", "mrr"):
        values = np.stack([each[f"{name}@{k}"] for k in range(1, hits.shape[1] + 1)])
        assert (np.diff(values, axis=0) >= -1e-12).all()


@given(ranked_lists())
def test_a_perfect_ranking_has_every_value_that_is_possible(lists):
    hits, relevant = lists
    length = hits.shape[1]
    perfect = np.arange(length) < relevant[:, None]
    for k in range(1, length + 1):
        each = ranking_metrics_per_user(perfect, relevant, [k])
        reachable = np.minimum(relevant, k)
        for name in ("hr", "ndcg", "recall_min", "map_min", "mrr"):
            np.testing.assert_allclose(each[f"{name}@{k}"], 1, atol=1e-12)
        np.testing.assert_allclose(each[f"precision@{k}"], reachable / k)
        np.testing.assert_allclose(each[f"recall@{k}"], reachable / relevant)
        np.testing.assert_allclose(each[f"map@{k}"], reachable / relevant)


@given(ranked_lists())
def test_without_hits_everything_is_zero(lists):
    hits, relevant = lists
    assert set(ranking_metrics(np.zeros_like(hits), relevant, [1, hits.shape[1]]).values()) == {0.0}


@given(ranked_lists(), st.randoms(use_true_random=False))
def test_the_order_of_users_does_not_matter(lists, random):
    hits, relevant = lists
    order = list(range(len(hits)))
    random.shuffle(order)
    expected = ranking_metrics(hits, relevant, [hits.shape[1]])
    assert ranking_metrics(hits[order], relevant[order], [hits.shape[1]]) == pytest.approx(expected)


@given(ranked_lists())
def test_moving_a_hit_up_never_hurts(lists):
    hits, relevant = lists
    length = hits.shape[1]
    better = hits.copy()
    for row in better:
        down = [rank for rank in range(1, length) if row[rank] and not row[rank - 1]]
        if down:
            row[down[0] - 1], row[down[0]] = True, False
    before = ranking_metrics_per_user(hits, relevant, range(1, length + 1))
    after = ranking_metrics_per_user(better, relevant, range(1, length + 1))
    for name, values in before.items():
        assert (after[name] >= values - 1e-12).all(), name


@given(ranked_lists())
def test_with_one_relevant_item_names_coincide(lists):
    hits, _ = lists
    hits = hits & (np.cumsum(hits, axis=1) == 1)
    found = ranking_metrics(hits, np.ones(len(hits), int), [hits.shape[1]])
    k = hits.shape[1]
    assert found[f"hr@{k}"] == found[f"recall@{k}"] == found[f"recall_min@{k}"]
    assert found[f"mrr@{k}"] == pytest.approx(found[f"map@{k}"], abs=1e-15)
    assert found[f"map@{k}"] == found[f"map_min@{k}"]


# Errors


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize(
    ("hits", "relevant", "message"),
    [
        (np.zeros((0, 3), bool), np.zeros(0, int), "at least one user"),
        ([[True, False]], [0], "at least one relevant item"),
        ([[True, True]], [1], "no fewer than hits"),
        ([[True, False]], [1.5], "no fewer than hits"),
        ([True, False], [1, 1], r"hits bool \[n, K\]"),
        ([[1, 0]], [1], r"Received int64 \(1, 2\)"),
        ([[True, False]], [1, 1], r"hits bool \[n, K\]"),
    ],
)
def test_what_cannot_be_measured_is_refused(metric, hits, relevant, message):
    with pytest.raises(DataError, match=message):
        metric(hits, relevant, 1)


@pytest.mark.parametrize("cutoff", [0, -1, 3, 1.5, "2"])
def test_cutoffs_outside_the_list_are_refused(cutoff):
    with pytest.raises(UsageError, match=f"from 1 to 2.*Received {cutoff}"):
        ranking_metrics([[True, False]], [1], [1, cutoff])


def test_numpy_integers_are_cutoffs():
    assert reciprocal_rank([[False, True]], np.array([1], np.uint8), np.int64(2)) == [0.5]
