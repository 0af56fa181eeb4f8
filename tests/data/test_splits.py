"""Splits are disjoint, cover what they should, and depend on data and seed alone."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Split, drop_cold, given_split, k_fold_split, oversample, random_split
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError

PARTS = ("train", "validation", "test")
SEEDS = st.integers(0, 2**31)


def make(user, item, rating=None):
    """Make interactions; without ratings given, the rating is the number of the row."""
    user, item = np.asarray(user), np.asarray(item)
    return Interactions(
        Vocabulary(np.arange(1, 51)),
        Vocabulary(np.arange(1, 51)),
        user,
        item,
        rating=np.arange(len(user)) if rating is None else rating,
    )


@st.composite
def tables(draw):
    """Draw interactions with distinct pairs; the rating is the number of the row."""
    cells = draw(st.lists(st.integers(0, 2499), min_size=30, max_size=80, unique=True))
    return make(np.array(cells) // 50 + 1, np.array(cells) % 50 + 1)


def content(part):
    columns = (part.user_id, part.item_id, part.ratings)
    return Counter(zip(*(column.tolist() for column in columns), strict=True))


def contents(split):
    return [content(getattr(split, part)) for part in PARTS]


def row_sets(split):
    """Return the row numbers of each part, which `make` wrote into the ratings."""
    return [set(getattr(split, part).ratings.astype(int).tolist()) for part in PARTS]


def assert_partition(split, size):
    rows = row_sets(split)
    assert sum(map(len, rows)) == size
    assert sum(len(getattr(split, part)) for part in PARTS) == size
    assert set.union(*rows) == set(range(size))


@given(tables(), SEEDS)
def test_random_parts_are_disjoint_and_cover_all_rows(data, seed):
    split = random_split(data, seed=seed)
    assert_partition(split, len(data))
    assert sum(contents(split), Counter()) == content(data)
    for part in PARTS:
        assert getattr(split, part).users is data.users


@given(tables(), SEEDS, st.sampled_from([(0.7, 0.15, 0.15), (0.8, 0.1, 0.1), (0.5, 0.25, 0.25)]))
def test_random_parts_have_the_asked_shares(data, seed, ratios):
    split = random_split(data, seed=seed, ratios=ratios)
    for part, ratio in zip(PARTS, ratios, strict=True):
        assert abs(len(getattr(split, part)) - ratio * len(data)) <= 1


def test_random_sizes_of_a_round_number(toy):
    split = random_split(toy, seed=0)
    assert [len(getattr(split, part)) for part in PARTS] == [210, 45, 45]
    assert split.protocol == "random 70/15/15, seed 0"


@given(tables(), SEEDS, st.randoms())
def test_random_parts_do_not_depend_on_the_order_of_rows(data, seed, random):
    order = list(range(len(data)))
    random.shuffle(order)
    assert contents(random_split(data, seed=seed)) == contents(random_split(data.take(order), seed=seed))


@given(SEEDS)
def test_order_of_rows_is_irrelevant_where_pairs_repeat_too(seed):
    # The same user rated the same items several times, differently.
    data = make([1, 1, 1, 1, 2, 2, 2, 2] * 3, [1, 2, 1, 2] * 6)
    backwards = data.take(np.arange(len(data))[::-1])
    assert contents(random_split(data, seed=seed)) == contents(random_split(backwards, seed=seed))


@given(tables(), SEEDS, st.randoms())
def test_folds_do_not_depend_on_the_order_of_rows(data, seed, random):
    order = list(range(len(data)))
    random.shuffle(order)
    one, other = (k_fold_split(table, seed=seed, fold=1) for table in (data, data.take(order)))
    assert contents(one) == contents(other)


def test_seeds_give_different_splits_and_the_same_seed_the_same(toy):
    assert contents(random_split(toy, seed=5)) == contents(random_split(toy, seed=5))
    tests = [frozenset(content(random_split(toy, seed=seed).test)) for seed in range(10)]
    assert len(set(tests)) == 10
    folds = [frozenset(content(k_fold_split(toy, seed=seed).test)) for seed in range(10)]
    assert len(set(folds)) == 10


def test_random_test_rows_are_uniform(toy):
    # Each row is a test row with chance 0.15: 45 times in 300 splits, standard deviation 6.2.
    drawn = sum((content(random_split(toy, seed=seed).test) for seed in range(300)), Counter())
    counts = [drawn[row] for row in content(toy)]
    assert min(counts) > 45 - 5 * 6.2
    assert max(counts) < 45 + 5 * 6.2


@pytest.mark.parametrize(
    "ratios",
    [
        (0.7, 0.2, 0.2),
        (0.7, 0.15, 0.1),
        (0.9, 0.1, 0.0),
        (1.2, -0.1, -0.1),
        (0.7, 0.3),
        (0.4, 0.2, 0.2, 0.2),
        (float("nan"), 0.5, 0.5),
    ],
)
def test_wrong_ratios_are_refused(toy, ratios):
    with pytest.raises(UsageError, match=r"split\.ratios"):
        random_split(toy, seed=0, ratios=ratios)


def test_a_random_part_without_rows_is_refused(toy):
    with pytest.raises(DataError, match=r"validation part is empty.*train 2, validation 0, test 1"):
        random_split(toy.take(np.arange(3)), seed=0, ratios=(0.7, 0.1, 0.2))


@given(tables(), SEEDS, st.integers(2, 6))
def test_folds_partition_the_data(data, seed, folds):
    splits = [k_fold_split(data, seed=seed, folds=folds, fold=fold) for fold in range(folds)]
    for split in splits:
        assert_partition(split, len(data))
    tests = [row_sets(split)[2] for split in splits]
    assert sum(map(len, tests)) == len(data)
    assert set.union(*tests) == set(range(len(data)))
    assert max(map(len, tests)) - min(map(len, tests)) <= 1


@pytest.mark.parametrize(("validation", "expected"), [(0.1, 24), (0.25, 60), (0.001, 1)])
def test_the_validation_part_is_taken_from_the_other_folds(toy, validation, expected):
    split = k_fold_split(toy, seed=0, folds=5, fold=2, validation=validation)
    assert [len(getattr(split, part)) for part in PARTS] == [240 - expected, expected, 60]


@pytest.mark.parametrize(("folds", "fold"), [(1, 0), (0, 0), (5, 5), (5, -1)])
def test_wrong_folds_are_refused(toy, folds, fold):
    with pytest.raises(UsageError, match=rf"split\.folds.*Received {folds} and {fold}"):
        k_fold_split(toy, seed=0, folds=folds, fold=fold)


@pytest.mark.parametrize("validation", [0, 1, -0.1, 1.5, float("nan")])
def test_wrong_validation_shares_are_refused(toy, validation):
    with pytest.raises(UsageError, match=r"split\.validation"):
        k_fold_split(toy, seed=0, validation=validation)
    with pytest.raises(UsageError, match=r"split\.validation"):
        given_split(toy, np.arange(9), np.arange(9, 12), name="u1", seed=0, validation=validation)


def test_more_folds_than_rows_leave_an_empty_test_part(toy):
    with pytest.raises(DataError, match="test part is empty"):
        k_fold_split(toy.take(np.arange(4)), seed=0, folds=6, fold=5)


@given(tables(), SEEDS, st.integers(3, 20))
def test_a_given_split_keeps_the_given_rows(data, seed, size):
    numbers = np.random.default_rng(seed).permutation(len(data))
    test, train = numbers[:size], numbers[size : size + 9]
    split = given_split(data, train, test, name="u1", seed=seed, validation=0.3)
    rows = row_sets(split)
    assert rows[2] == set(test)
    assert rows[0] | rows[1] == set(train)
    assert (len(split.train), len(split.validation), len(split.test)) == (6, 3, size)


def test_a_given_split_does_not_depend_on_the_order_of_its_rows(toy):
    train, test = np.arange(100), np.arange(100, 130)
    one = given_split(toy, train, test, name="u1", seed=3)
    other = given_split(toy, train[::-1], test[::-1], name="u1", seed=3)
    assert contents(one) == contents(other)
    assert contents(one) != contents(given_split(toy, train, test, name="u1", seed=4))
    assert "u1" in one.protocol


def test_given_rows_that_overlap_or_are_missing_are_refused(toy):
    with pytest.raises(DataError, match="'u1': the given train and test rows overlap"):
        given_split(toy, np.arange(10), np.arange(9, 12), name="u1", seed=0)
    with pytest.raises(DataError, match="test part is empty"):
        given_split(toy, np.arange(10), np.array([], int), name="u1", seed=0)
    with pytest.raises(DataError, match="train part is empty"):
        given_split(toy, np.array([], int), np.arange(3), name="u1", seed=0)


def test_drop_cold_removes_rows_that_training_knows_nothing_of():
    train = make([1, 2], [1, 2])
    # Both sides known (another pair), user unknown, item unknown, both unknown.
    held_out = make([1, 3, 2, 4], [2, 1, 3, 4])
    split = drop_cold(Split(train, held_out, held_out.take(np.array([3, 0])), "by hand"))
    assert content(split.train) == content(train)
    assert content(split.validation) == {(1, 2, 0.0): 1}
    assert content(split.test) == {(1, 2, 0.0): 1}
    assert split.protocol == "by hand, cold users and items dropped"


def test_drop_cold_says_when_nothing_is_left():
    train, cold = make([1], [1]), make([2], [2])
    with pytest.raises(DataError, match=r"test part is empty.*cold users and items dropped"):
        drop_cold(Split(train, train, cold, "by hand"))


@pytest.mark.parametrize("part", PARTS)
def test_no_part_of_a_split_may_be_empty(toy, part):
    parts = {name: toy.take(np.arange(2)) for name in PARTS}
    parts[part] = toy.take(np.arange(0))
    with pytest.raises(DataError, match=f"The {part} part is empty"):
        Split(**parts, protocol="by hand")


def test_oversample_repeats_every_row(toy):
    repeated = oversample(toy, 3)
    assert content(repeated) == {row: 3 * count for row, count in content(toy).items()}
    assert "repeated 3 times" in repeated.notes[-1]
    assert oversample(toy, 1) is toy


def test_oversampled_rows_leak_as_announced(toy):
    split = random_split(oversample(toy, 5), seed=0)
    assert set(content(split.test)) & set(content(split.train))


@pytest.mark.parametrize("times", [0, -2])
def test_oversample_refuses_less_than_once(toy, times):
    with pytest.raises(UsageError, match=rf"at least 1\. Received {times}"):
        oversample(toy, times)
