"""Side features as columns of zeros and ones."""

import numpy as np
import pytest

from tfzoo.data.datasets import load_dataset
from tfzoo.data.side_features import multi_hot


def test_texts_become_categories_and_rows_without_any_are_zero():
    features = {
        "genres": np.array(["", "Comedy|Drama", "Drama", "", "Action"]),
        "colour": np.array(["", "red", "blue", "red", "red"]),
    }
    columns, table = multi_hot(features, 5)
    assert columns == ["colour=blue", "colour=red", "genres=Action", "genres=Comedy", "genres=Drama"]
    assert table.dtype == np.float32
    expected = [[0, 0, 0, 0, 0], [0, 1, 0, 1, 1], [1, 0, 0, 0, 1], [0, 1, 0, 0, 0], [0, 1, 1, 0, 0]]
    np.testing.assert_array_equal(table, expected)


def test_few_numbers_are_categories_and_many_are_buckets_of_equal_size():
    few = np.array([0, 18, 25, 18])
    columns, table = multi_hot({"age": few}, 4)
    assert len(columns) == 2
    np.testing.assert_array_equal(table, [[0, 0], [1, 0], [0, 1], [1, 0]])
    many = np.concatenate([[0], np.random.default_rng(0).permutation(1000)])
    columns, table = multi_hot({"age": many}, 1001)
    assert len(columns) == 10
    assert (table.sum(axis=0) == 100).all()
    assert (table[1:].sum(axis=1) == 1).all()
    assert not table[0].any()
    # A bucket is an interval.
    bucket = table[1:].argmax(axis=1)
    assert (np.diff(bucket[np.argsort(many[1:])]) >= 0).all()


def test_titles_and_empty_features_are_left_out():
    titles = np.array(["", *(f"title {number}" for number in range(200))])
    columns, table = multi_hot({"title": titles, "nothing": np.array([""] * 201)}, 201)
    assert columns == []
    assert table.shape == (201, 0)
    assert multi_hot({}, 3)[1].shape == (3, 0)


@pytest.mark.data
def test_movielens_100k():
    data = load_dataset("ml-100k")
    users, table = multi_hot(data.user_features, data.num_users + 1)
    assert table.shape == (944, len(users))
    assert {name.split("=")[0] for name in users} == {"age", "gender", "occupation"}
    items, genres = multi_hot(data.item_features, data.num_items + 1)
    assert "genres=Comedy" in items
    assert genres[:, items.index("genres=Comedy")].sum() == 505
