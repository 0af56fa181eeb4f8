"""What no part of a split has: filters, cold rows, held-out users and published splits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.zoo import table
from tfzoo.data.filters import filter_interactions
from tfzoo.data.splits import Split, drop_cold, oversample, random_split
from tfzoo.data.strong_split import strong_generalization_split
from tfzoo.data.unused import translated, unused_interactions
from tfzoo.data.vocabulary import Vocabulary


def raw_pairs(part):
    users, items = part.users.decode(part.user_id), part.items.decode(part.item_id)
    return set(zip(users.tolist(), items.tolist(), strict=True))


def parts_of(split):
    parts = [split.train, split.validation, split.test, split.fold_in, *split.variants.values()]
    return [part for part in parts if part is not None]


def assert_completes(interactions, split, unused):
    used = set().union(*map(raw_pairs, parts_of(split)))
    assert raw_pairs(unused) == raw_pairs(interactions) - used
    assert unused.rating is unused.timestamp is unused.text is None


def test_none_where_every_row_is_in_a_part(toy):
    assert unused_interactions(toy, random_split(toy, seed=0)) is None
    leaking = random_split(oversample(toy, 3), seed=0)
    assert unused_interactions(toy, leaking, copies=3) is None


@pytest.mark.parametrize("rules", [{"min_rating": 4.0}, {"min_item_interactions": 15}])
def test_rows_that_a_filter_dropped(toy, rules):
    kept = filter_interactions(toy, min_user_interactions=3, **rules)
    assert (kept.num_items, kept.num_users) != (toy.num_items, toy.num_users)
    split = random_split(kept, seed=0)
    unused = unused_interactions(toy, split)
    assert len(unused) == len(toy) - len(kept) > 0
    assert_completes(toy, split, unused)


def test_cold_rows_and_items_of_held_out_users(toy):
    few = toy.take(np.arange(60))
    cold = drop_cold(random_split(few, seed=0))
    assert sum(map(len, parts_of(cold))) < len(few)
    assert_completes(few, cold, unused_interactions(few, cold))
    strong = strong_generalization_split(toy, seed=0, held_out_users=13)
    assert sum(map(len, parts_of(strong))) < len(toy)
    assert_completes(toy, strong, unused_interactions(toy, strong))


def test_rows_of_a_variant_are_used():
    whole = table([1, 1, 2, 2, 3, 3], [1, 2, 1, 3, 2, 3])
    train, validation, test, variant = (whole.take(np.array(rows)) for rows in ([0, 2], [1], [3], [4]))
    split = Split(train, validation, test, "by hand", variants={"more": variant})
    assert raw_pairs(unused_interactions(whole, split)) == {(2, 2)}


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5)), min_size=10, max_size=40),
    st.integers(1, 4),
    st.integers(0, 3),
)
def test_parts_and_the_rest_are_the_whole(rows, least, seed):
    user, item, rating = map(list, zip(*rows, strict=True))
    whole = table(user, item, np.array(rating, np.float32), num_users=6, num_items=5)
    if sum(value >= least for value in rating) < 8:
        return
    split = random_split(filter_interactions(whole, min_rating=least), seed=seed)
    unused = unused_interactions(whole, split)
    found = set() if unused is None else raw_pairs(unused)
    used = set().union(*map(raw_pairs, parts_of(split)))
    # A pair that occurs twice may be in a part and dropped.
    assert found | used == raw_pairs(whole)
    assert not found & used


def test_ids_in_another_vocabulary():
    letters = Vocabulary(np.array(["a", "b", "c"]))
    assert translated(letters, letters).tolist() == [0, 1, 2, 3]
    assert translated(letters, Vocabulary(np.array(["b", "c", "d"]))).tolist() == [0, 0, 1, 2]
