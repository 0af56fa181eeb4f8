"""RecBole's split of MovieLens 100K, worked out, against the parts that RecBole itself has made."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tfzoo.data.datasets import given_split_of, load_dataset
from tfzoo.data.datasets.recbole_split import recbole_rows, torch_permutation
from tfzoo.data.interactions import Interactions
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError


def test_the_permutation_is_that_of_torch():
    # torch.manual_seed(0); torch.randperm(10)
    assert torch_permutation(10, 0).tolist() == [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]
    assert [torch_permutation(count, 3).tolist() for count in (0, 1)] == [[], [0]]
    assert sorted(torch_permutation(1_000, 2020).tolist()) == list(range(1_000))
    assert not np.array_equal(torch_permutation(1_000, 1), torch_permutation(1_000, 2))


def test_rows_of_each_user_are_cut_in_shuffled_order():
    user_id = np.random.default_rng(0).permutation(np.repeat([3, 1, 2], [10, 25, 39])).astype(np.int32)
    parts = recbole_rows(user_id, seed=7)
    # The same, row by row, as RecBole does it.
    rows_of = {}
    for row in torch_permutation(len(user_id), 7).tolist():
        rows_of.setdefault(user_id[row], []).append(row)
    expected = [[], [], []]
    for rows in rows_of.values():
        tenth = len(rows) // 10
        cuts = (0, len(rows) - 2 * tenth, len(rows) - tenth, len(rows))
        for number in range(3):
            expected[number] += rows[cuts[number] : cuts[number + 1]]
    assert [part.tolist() for part in parts] == expected
    assert [len(part) for part in parts] == [74 - 2 * (1 + 2 + 3), 6, 6]


@pytest.mark.parametrize("ids", [np.array([1, 2]), np.array(["a", "b"])])
def test_other_rows_are_refused(ids):
    data = Interactions(
        Vocabulary(ids), Vocabulary(ids), np.array([1, 2, 2]), np.array([1, 1, 2]), name="ml-100k"
    )
    with pytest.raises(DataError, match=r"needs all 100,000 .* Received 3 rows .*--protocol per-user"):
        given_split_of(data, "random_80_10_10", seed=0)


@pytest.mark.data
def test_the_parts_are_those_of_recbole_row_by_row():
    data = load_dataset("ml-100k")
    split = given_split_of(data, "random_80_10_10", seed=0)
    folder = Path(os.environ["TFZOO_DATA_DIR"]) / "ml-100k" / "random_80_10_10"
    for part, file in ((split.train, "train"), (split.validation, "valid"), (split.test, "test")):
        pairs = np.loadtxt(folder / f"{file}.tsv", dtype=np.int64)
        assert np.array_equal(data.users.decode(part.user_id), pairs[:, 0])
        assert np.array_equal(data.items.decode(part.item_id), pairs[:, 1])
    other = given_split_of(data, "random_80_10_10", seed=5, validation=0.3)
    assert np.array_equal(other.validation.item_id, split.validation.item_id)
    swapped = data.take(np.r_[1, 0, 2 : len(data)])
    with pytest.raises(DataError, match="that are not these"):
        given_split_of(replace(swapped, name="ml-100k"), "random_80_10_10", seed=0)
