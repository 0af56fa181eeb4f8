"""Full and sampled ranking against plain Python, with fixed scores."""

import math
from dataclasses import replace
from types import SimpleNamespace

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.zoo import table
from tfzoo.data.splits import Negatives, Split
from tfzoo.errors import DataError
from tfzoo.evaluation import ranking
from tfzoo.evaluation.ranking import RankingEvaluator, first_hits, known_pairs, ranking_keys, roles
from tfzoo.problems.ranking import RankingSettings
from tfzoo.tasks.base import Scorer

USERS, ITEMS = 23, 17
INF = float("inf")
VALUES = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1.5, -2.5, 1e-37, -1e-37, 3e38, -3e38, INF, -INF])
SHAPE = (3, 6)


def top_hits(scores, relevant, eligible, k, keys=ranking_keys):
    """Rank candidates and return the hits, as the evaluator does batch by batch."""
    ordered, sane = keys(tf.constant(scores), roles(tf.constant(relevant), tf.constant(eligible)))
    return first_hits(ordered, tf.constant(k)), sane


in_a_graph = tf.function(ranking_keys)
compiled = tf.function(ranking_keys, jit_compile=True)


def hits_by_hand(scores, relevant, eligible, k):
    """Sort each row with Python: highest score first, of equal scores the irrelevant ones first."""
    lists = []
    for row in range(len(scores)):
        order = sorted(
            (i for i in range(scores.shape[1]) if eligible[row, i]),
            key=lambda i: (-float(scores[row, i]), bool(relevant[row, i])),
        )
        hits = [bool(relevant[row, i]) for i in order[:k]]
        lists.append(hits + [False] * (k - len(hits)))
    return lists


@settings(max_examples=100)
@given(
    hnp.arrays(np.float32, SHAPE, elements=VALUES),
    hnp.arrays(bool, SHAPE),
    hnp.arrays(bool, SHAPE),
    st.integers(1, 9),
)
def test_equal_scores_count_against_the_model(scores, relevant, eligible, k):
    expected = hits_by_hand(scores, relevant, eligible, k)
    for keys in (ranking_keys, in_a_graph, compiled):
        hits, sane = top_hits(scores, relevant, eligible, k, keys)
        assert hits.numpy().tolist() == expected
        assert sane


@pytest.mark.parametrize("keys", [ranking_keys, in_a_graph, compiled])
def test_zero_and_minus_zero_are_equal(keys):
    scores = np.zeros(SHAPE, np.float32)
    scores[:, 1:] = -0.0
    relevant = np.zeros(SHAPE, bool)
    relevant[:, 0] = True
    hits, _ = top_hits(scores, relevant, np.ones(SHAPE, bool), 1, keys)
    assert not hits.numpy().any()


def test_one_list_by_hand():
    relevant = [[False, True, False, True, True]]
    eligible = [[True, True, True, False, True]]
    hits, _ = top_hits([[5.0, 3.0, 3.0, 9.0, 1.0]], relevant, eligible, 5)
    # 9 is not eligible; of the two 3s the irrelevant one is first.
    assert hits.numpy().tolist() == [[False, False, True, True, False]]


def test_a_score_that_is_no_number_is_noticed_where_it_matters():
    scores, relevant = [[1.0, float("nan"), 2.0]], [[True, False, False]]
    for eligible, expected in (([[True, True, True]], False), ([[True, False, True]], True)):
        hits, sane = top_hits(scores, relevant, eligible, 2)
        assert bool(sane) is expected
        if expected:
            assert hits.numpy().tolist() == [[False, True]]


class FixedScores(Scorer):
    """Gives the scores of a table."""

    def __init__(self, scores):
        super().__init__()
        self.scores = tf.Variable(np.asarray(scores, np.float32), trainable=False)
        self.refreshed = 0

    def refresh(self):
        self.refreshed += 1

    def score_items(self, user_id):
        return tf.gather(self.scores, user_id)


def evaluator(scores, split, cutoffs=(1, 3, 100)):
    scorer = scores if isinstance(scores, Scorer) else FixedScores(scores)
    task = SimpleNamespace(
        settings=RankingSettings(cutoffs=cutoffs, monitor=f"ndcg@{cutoffs[0]}"),
        scorer=lambda model, features: scorer,
    )
    return RankingEvaluator(task, None, None, split)


def items_of(part, user):
    return set() if part is None else set(part.item_id[part.user_id == user].tolist())


def metrics_by_hand(lists, cutoffs):
    """Return the means of (hits, number of relevant items) lists, one user after the other."""
    sums = {}
    for hits, count in lists:
        for k in cutoffs:
            head = hits[:k]
            gains = [1 / math.log2(rank + 2) for rank, hit in enumerate(head) if hit]
            best = sum(1 / math.log2(rank + 2) for rank in range(min(k, count)))
            precisions = [sum(head[: rank + 1]) / (rank + 1) for rank, hit in enumerate(head) if hit]
            for name, value in {
                f"hr@{k}": float(any(head)),
                f"ndcg@{k}": sum(gains) / best,
                f"precision@{k}": sum(head) / k,
                f"recall@{k}": sum(head) / count,
                f"recall_min@{k}": sum(head) / min(k, count),
                f"f1@{k}": 2 / (k / sum(head) + count / sum(head)) if any(head) else 0.0,
                f"map@{k}": sum(precisions) / count,
                f"map_min@{k}": sum(precisions) / min(k, count),
                f"mrr@{k}": 1 / (head.index(True) + 1) if any(head) else 0.0,
            }.items():
                sums[name] = sums.get(name, 0.0) + value / len(lists)
    return sums


def full_ranking_by_hand(scores, cases, known, train, cutoffs):
    lists = []
    for user in sorted(set(cases.user_id.tolist())):
        relevant = items_of(cases, user)
        seen = set().union(*(items_of(part, user) for part in known))
        candidates = set(train.item_id.tolist()) - seen
        order = sorted(candidates, key=lambda item: (-scores[user][item], item in relevant))
        lists.append(([item in relevant for item in order], len(relevant)))
    return metrics_by_hand(lists, cutoffs)


@pytest.fixture(scope="module")
def scores():
    """Scores with many equal ones."""
    return np.random.default_rng(5).integers(-3, 4, (USERS + 1, ITEMS + 1)) / 2


@pytest.fixture(scope="module")
def split():
    """Disjoint random parts; items 16 and 17 are not in training."""
    random = np.random.default_rng(1)
    user, item = np.divmod(np.arange(USERS * ITEMS), ITEMS)
    part = random.choice(["train", "validation", "test", "none"], len(user), p=[0.4, 0.15, 0.25, 0.2])
    part[(part == "train") & (item >= 15)] = "test"
    # User 4 has no test item, user 5 no training item.
    part[(part == "test") & (user == 3)] = "none"
    part[(part == "train") & (user == 4)] = "none"
    parts = {
        name: table(user[part == name] + 1, item[part == name] + 1, num_users=USERS, num_items=ITEMS)
        for name in ("train", "validation", "test")
    }
    return Split(**parts, protocol="by hand")


@pytest.mark.parametrize("scores_per_call", [ranking.SCORES_PER_CALL, 5 * (ITEMS + 1), 1])
def test_full_ranking_by_hand(split, scores, monkeypatch, scores_per_call):
    monkeypatch.setattr(ranking, "SCORES_PER_CALL", scores_per_call)
    measure = evaluator(scores, split)
    cutoffs = (1, 3, 100)
    expected = full_ranking_by_hand(scores, split.validation, [split.train], split.train, cutoffs)
    assert measure.evaluate("validation") == pytest.approx(expected, abs=1e-9)
    assert measure.validate() == measure.evaluate("validation")
    known = [split.train, split.validation]
    expected = full_ranking_by_hand(scores, split.test, known, split.train, cutoffs)
    assert measure.evaluate("test") == pytest.approx(expected, abs=1e-9)
    assert 0 < expected["ndcg@3"] < 1
    assert expected["recall@100"] < 1
    assert measure.protocol == "full ranking"
    assert measure.parts == ("validation", "test")


def test_the_reference_notices_what_is_masked(split, scores):
    """Without masks, and with all items eligible, the figures are others."""
    cutoffs = (3,)
    right = full_ranking_by_hand(scores, split.test, [split.train, split.validation], split.train, cutoffs)
    everything = replace(split.train, user_id=np.ones(ITEMS, int), item_id=np.arange(1, ITEMS + 1))
    for known, train in (
        ([], split.train),
        ([split.train], split.train),
        ([split.validation], split.train),
        ([split.train, split.validation], everything),
    ):
        assert full_ranking_by_hand(scores, split.test, known, train, cutoffs) != right


def test_a_relevant_item_that_training_lacks_is_never_found():
    train = table([1, 1, 2], [1, 2, 3], num_users=2, num_items=4)
    cases = table([1, 1], [3, 4], num_users=2, num_items=4)
    split = Split(train, cases, cases, "by hand")
    scores = np.zeros((3, 5))
    scores[1] = [50, 40, 30, 20, 100]
    metrics = evaluator(scores, replace(split, validation=table([2], [1], num_users=2, num_items=4)), (1, 2))
    # Item 3 is the only candidate: 1 and 2 are seen, 4 and 0 not in training.
    found = metrics.evaluate("test")
    assert found["hr@1"] == found["precision@1"] == found["recall_min@1"] == 1
    assert found["recall@1"] == found["recall@2"] == found["precision@2"] == 0.5


def test_fold_in_is_known_and_its_users_items_are_ranked(split, scores):
    fold_in = table([1, 2, 3, 3], [9, 9, 1, 2], num_users=USERS, num_items=ITEMS)
    strong = replace(split, fold_in=fold_in)
    measure = evaluator(scores, strong, (3,))
    for part, known in (("validation", []), ("test", [split.validation])):
        cases = getattr(split, part)
        expected = full_ranking_by_hand(scores, cases, [split.train, fold_in, *known], split.train, (3,))
        assert measure.evaluate(part) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("where", ["train", "validation"])
def test_known_items_are_ranked_where_held_out_pairs_are_among_them(split, scores, where):
    known = getattr(split, where)
    again = table(known.user_id[:3], known.item_id[:3], num_users=USERS, num_items=ITEMS)
    repeated = replace(split, test=again)
    measure = evaluator(scores, repeated, (3,))
    expected = full_ranking_by_hand(scores, again, [], split.train, (3,))
    assert measure.evaluate("test") == pytest.approx(expected, abs=1e-9)
    assert measure.protocol == "full ranking with known items"
    # The validation part has no such pair, and is measured as ever.
    expected = full_ranking_by_hand(scores, split.validation, [split.train], split.train, (3,))
    assert measure.evaluate("validation") == pytest.approx(expected, abs=1e-9)


def test_pairs_that_are_known_already(split, monkeypatch):
    again = split.train.take(np.array([0, 5, 5, 9]))
    for rows in (ranking.ROWS_AT_ONCE, 2):
        monkeypatch.setattr(ranking, "ROWS_AT_ONCE", rows)
        assert known_pairs(again, [split.validation, split.train]) == 3
        assert known_pairs(again, [split.validation]) == 0
        assert known_pairs(split.test, [split.validation, split.train]) == 0


def test_variants_are_measured_as_the_test_part(split, scores):
    part = split.test.take(np.arange(0, len(split.test), 2))
    measure = evaluator(scores, replace(split, variants={"test, half of it": part}), (3,))
    assert measure.parts == ("validation", "test", "test, half of it")
    expected = full_ranking_by_hand(scores, part, [split.train, split.validation], split.train, (3,))
    assert measure.evaluate("test, half of it") == pytest.approx(expected, abs=1e-9)
    assert measure.evaluate("test, half of it") != measure.evaluate("test")


def test_the_metrics_are_means_over_the_cases(split, scores):
    negatives = {"test": negatives_for(split.test, np.random.default_rng(2))}
    for parts in (split, replace(split, negatives=negatives)):
        measure = evaluator(scores, parts, (3,))
        cases = measure.cases("test")
        assert cases.unit == "users"
        users = len(np.unique(split.test.user_id))
        for metric, value in measure.evaluate("test").items():
            values, figure = cases.metrics[metric]
            assert values.shape == (users,)
            assert figure(values.mean()) == pytest.approx(value)
    assert not np.array_equal(measure.cases("validation").keys, cases.keys)


def test_a_part_is_measured_with_the_scores_of_the_moment(split, scores):
    scorer = FixedScores(scores)
    measure = evaluator(scorer, split, (3,))
    before = measure.evaluate("test")
    assert scorer.refreshed == 1
    scorer.scores.assign(-scorer.scores)
    after = measure.evaluate("test")
    assert scorer.refreshed == 2
    known = [split.train, split.validation]
    assert after == pytest.approx(full_ranking_by_hand(-scores, split.test, known, split.train, (3,)))
    assert after != before


def test_a_perfect_model_has_the_best_figures(split):
    scores = np.zeros((USERS + 1, ITEMS + 1))
    warm = split.test.take(np.flatnonzero(split.test.item_id < 16))
    scores[warm.user_id, warm.item_id] = 1
    found = evaluator(scores, replace(split, test=warm), (1,)).evaluate("test")
    assert found["ndcg@1"] == found["hr@1"] == found["mrr@1"] == found["recall_min@1"] == 1


def test_a_score_that_is_no_number_is_refused(split, scores):
    wrong = np.array(scores)
    wrong[5] = np.nan
    with pytest.raises(DataError, match="finite scores"):
        evaluator(wrong, split).evaluate("test")
    hidden = np.array(scores)
    hidden[:, 0] = np.nan
    assert evaluator(hidden, split).evaluate("test") == evaluator(scores, split).evaluate("test")


def negatives_for(part, random, count=6, keep_order=False):
    """Draw items at random, relevant ones among them, for users in any order."""
    users = np.unique(part.user_id)
    if not keep_order:
        users = random.permutation(users)
    return Negatives(users, random.integers(1, ITEMS + 1, (len(users), count)))


def sampled_ranking_by_hand(scores, cases, negatives, cutoffs):
    rows = dict(zip(negatives.user_id.tolist(), negatives.item_id.tolist(), strict=True))
    lists = []
    for user in sorted(set(cases.user_id.tolist())):
        relevant = items_of(cases, user)
        drawn = [item for item in rows[user] if item > 0 and item not in relevant]
        order = sorted([*drawn, *relevant], key=lambda item: (-scores[user][item], item in relevant))
        lists.append(([item in relevant for item in order], len(relevant)))
    return metrics_by_hand(lists, cutoffs)


@pytest.mark.parametrize("scores_per_call", [ranking.SCORES_PER_CALL, 16 * 5 * 14, 1])
def test_sampled_ranking_by_hand(split, scores, monkeypatch, scores_per_call):
    monkeypatch.setattr(ranking, "SCORES_PER_CALL", scores_per_call)
    random = np.random.default_rng(2)
    negatives = {part: negatives_for(getattr(split, part), random) for part in ("validation", "test")}
    variant = split.test.take(np.arange(0, len(split.test), 3))
    sampled = replace(split, negatives=negatives, variants={"test, a third": variant})
    measure = evaluator(scores, sampled)
    cutoffs = (1, 3, 100)
    for part, cases in (
        ("validation", split.validation),
        ("test", split.test),
        ("test, a third", variant),
    ):
        drawn = negatives["validation" if part == "validation" else "test"]
        expected = sampled_ranking_by_hand(scores, cases, drawn, cutoffs)
        assert measure.evaluate(part) == pytest.approx(expected, abs=1e-9)
        # All relevant items are ranked, those too that training lacks.
        assert expected["recall@100"] == pytest.approx(1)
    assert measure.protocol == "sampled-6 ranking"


def test_a_negative_that_is_relevant_too_is_left_out():
    train = table([1, 2], [5, 5], num_users=2, num_items=5)
    cases = table([1, 1, 2], [1, 2, 3], num_users=2, num_items=5)
    negatives = Negatives([2, 1], [[3, 4, 0], [1, 3, 4]])
    split = Split(train, cases, cases, "by hand", negatives={"validation": negatives, "test": negatives})
    # User 1: 4 and 3 irrelevant, 1 and 2 relevant; user 2: 4 irrelevant, 3 relevant. Item 0 stands for none.
    scores = [[0] * 6, [99, 2, 4, 3, 1, 0], [99, 0, 0, 2, 1, 0]]
    found = evaluator(scores, split, (1, 2, 3)).evaluate("test")
    # Lists: user 1 has 2, 3, 1, 4; user 2 has 3, 4.
    assert found["precision@1"] == 1
    assert found["precision@2"] == 0.5
    assert found["recall@2"] == (0.5 + 1) / 2
    assert found["recall@3"] == 1


def test_a_user_without_negatives_is_refused(split, scores):
    random = np.random.default_rng(2)
    half = split.test.take(np.flatnonzero(split.test.user_id % 2 == 0))
    negatives = {"test": negatives_for(half, random)}
    with pytest.raises(DataError, match="have no negatives"):
        replace(split, negatives=negatives)
    sampled = replace(split, test=half, negatives=negatives, variants={"test, all": split.test})
    measure = evaluator(scores, sampled)
    first = int(split.test.user_id[split.test.user_id % 2 == 1].min())
    with pytest.raises(DataError, match=f"User {first - 1} has test items but no negatives"):
        measure.evaluate("test, all")


def test_validation_may_be_ranked_in_full_and_test_among_negatives(split, scores):
    negatives = negatives_for(split.test, np.random.default_rng(3))
    measure = evaluator(scores, replace(split, negatives={"test": negatives}), (3,))
    full = full_ranking_by_hand(scores, split.validation, [split.train], split.train, (3,))
    assert measure.evaluate("validation") == pytest.approx(full)
    sampled = sampled_ranking_by_hand(scores, split.test, negatives, (3,))
    assert measure.evaluate("test") == pytest.approx(sampled)


def test_scores_that_are_no_numbers_are_refused_among_negatives_too(split, scores):
    negatives = negatives_for(split.test, np.random.default_rng(3))
    wrong = np.full_like(scores, np.nan)
    with pytest.raises(DataError, match="finite scores"):
        evaluator(wrong, replace(split, negatives={"test": negatives})).evaluate("test")
