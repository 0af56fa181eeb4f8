"""Strong generalisation: whole users are held out, and seed 0 draws what the published code draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfzoo.data.interactions import Interactions
from tfzoo.data.strong_split import strong_generalization_split
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError

PARTS = ("train", "validation", "test", "fold_in")
NUM_USERS, NUM_ITEMS = 20, 30


def make(cells):
    """Make interactions; the rating is the number of the row."""
    cells = np.asarray(cells)
    return Interactions(
        Vocabulary(np.arange(1, NUM_USERS + 1)),
        Vocabulary(np.arange(1, NUM_ITEMS + 1)),
        cells // NUM_ITEMS + 1,
        cells % NUM_ITEMS + 1,
        rating=np.arange(len(cells)),
    )


def dense_cells(seed, fewest=8):
    """Every user with ``fewest`` to 25 items, rows in no order."""
    random = np.random.default_rng(seed)
    cells = [
        user * NUM_ITEMS + item
        for user in range(NUM_USERS)
        for item in random.permutation(NUM_ITEMS)[: random.integers(fewest, 26)]
    ]
    return random.permutation(cells)


def rows_of(part):
    return set(part.ratings.astype(int).tolist())


def published_recipe(data, held_out, seed):
    """Follow the published preparation user by user, with its own calls of the random generator."""
    ids = sorted(set(data.user_id.tolist()))
    random = np.random.RandomState(seed)
    ids = [ids[at] for at in random.permutation(len(ids))]
    groups = {"validation": ids[-2 * held_out : -held_out], "test": ids[-held_out:]}
    train = [row for row in range(len(data)) if data.user_id[row] in ids[: -2 * held_out]]
    items = {int(data.item_id[row]) for row in train}
    result = {"train": set(train), "fold_in": set()}
    for part, users in groups.items():
        random = np.random.RandomState(seed)
        result[part] = set()
        for user in sorted(users):
            rows = [
                row
                for row in range(len(data))
                if data.user_id[row] == user and int(data.item_id[row]) in items
            ]
            chosen = set()
            if len(rows) >= 5:
                size = int(0.2 * len(rows))
                chosen = {rows[at] for at in random.choice(len(rows), size=size, replace=False)}
            result[part] |= chosen
            result["fold_in"] |= set(rows) - chosen
    return result


@given(st.integers(0, 1000), st.integers(0, 3), st.integers(1, 6))
def test_parts_are_those_of_the_published_recipe(table, seed, held_out):
    data = make(dense_cells(table))
    split = strong_generalization_split(data, seed=seed, held_out_users=held_out)
    expected = published_recipe(data, held_out, 98765 + seed)
    assert {part: rows_of(getattr(split, part)) for part in PARTS} == expected


@given(st.integers(0, 1000), st.integers(0, 2**31), st.sampled_from([0.5, 0.8, 0.9]))
def test_nothing_of_a_held_out_user_leaks(table, seed, fold_in):
    data = make(dense_cells(table, fewest=15))
    split = strong_generalization_split(data, seed=seed, held_out_users=3, fold_in=fold_in)
    rows = [rows_of(getattr(split, part)) for part in PARTS]
    assert sum(map(len, rows)) == len(set.union(*rows))
    users = {part: set(getattr(split, part).user_id.tolist()) for part in PARTS}
    assert not users["train"] & users["fold_in"]
    assert not users["validation"] & users["test"]
    assert users["validation"] | users["test"] <= users["fold_in"]
    known = set(split.train.item_id.tolist())
    for part in PARTS:
        assert set(getattr(split, part).item_id.tolist()) <= known
    for part in ("validation", "test"):
        for user in users[part]:
            targets = int((getattr(split, part).user_id == user).sum())
            size = targets + int((split.fold_in.user_id == user).sum())
            assert targets == int(np.floor(round((1 - fold_in) * size, 9)))


def test_held_out_users_with_few_items_have_no_target():
    cells = [user * NUM_ITEMS + item for user in range(NUM_USERS) for item in range(4 if user % 2 else 10)]
    data = make(cells)
    split = strong_generalization_split(data, seed=0, held_out_users=6)
    for part in (split.validation, split.test):
        assert all(user % 2 == 1 for user in part.user_id)
        assert (np.bincount(part.user_id)[np.unique(part.user_id)] == 2).all()
    small = split.fold_in.user_id % 2 == 0
    assert set(np.bincount(split.fold_in.user_id[small]).tolist()) == {0, 4}


def test_items_that_training_users_do_not_have_are_dropped():
    # Each user has ten common items and one of his own.
    cells = [user * NUM_ITEMS + item for user in range(NUM_USERS) for item in (*range(10), 10 + user)]
    data = make(cells)
    split = strong_generalization_split(data, seed=0, held_out_users=4)
    for part in (split.validation, split.test, split.fold_in):
        assert part.item_id.max() <= 10
    assert len(split.train) == 12 * 11
    assert len(split.test) == 4 * 2
    assert len(split.fold_in) == 8 * 8
    assert split.protocol == (
        "strong generalisation, 4 users each for validation and test, 80 % of their rows known, seed 0"
    )


def test_other_seeds_hold_out_other_users():
    data = make(dense_cells(0))
    held_out = [
        tuple(np.unique(strong_generalization_split(data, seed=seed, held_out_users=4).test.user_id))
        for seed in range(20)
    ]
    assert len(set(held_out)) > 15


@pytest.mark.parametrize("held_out", [0, 10, 11])
def test_a_training_user_must_be_left(held_out):
    with pytest.raises(UsageError, match=rf"held_out_users must lie in 1\.\.9.*Received {held_out}"):
        strong_generalization_split(make(dense_cells(0)), seed=0, held_out_users=held_out)


@pytest.mark.parametrize("fold_in", [0, 1, -1, float("nan")])
def test_a_part_must_be_known_and_a_part_not(fold_in):
    with pytest.raises(UsageError, match=r"split\.fold_in"):
        strong_generalization_split(make(dense_cells(0)), seed=0, held_out_users=2, fold_in=fold_in)


def test_repeated_pairs_are_refused():
    cells = dense_cells(0)
    with pytest.raises(DataError, match="1 repeated pairs"):
        strong_generalization_split(make([*cells, cells[0]]), seed=0, held_out_users=2)
