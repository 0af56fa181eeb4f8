"""How many rows repeat a pair, counted file by file."""

import numpy as np
import pytest

from tfzoo.data.repeats import RepeatedPairs


@pytest.mark.parametrize("parts", [1, 3, 64])
def test_as_many_rows_repeat_a_pair_as_there_are_more_rows_than_pairs(tmp_path, monkeypatch, parts):
    monkeypatch.setattr("tfzoo.data.repeats.PARTS", parts)
    random = np.random.default_rng(0)
    user, item = random.integers(1, 40, 3000), random.integers(1, 90, 3000)
    with RepeatedPairs(tmp_path / "pairs") as pairs:
        for first in range(0, 3000, 700):
            pairs.add(user[first : first + 700], item[first : first + 700])
        assert pairs.count() == 3000 - len(set(zip(user.tolist(), item.tolist(), strict=True)))


def test_nothing_repeats_in_no_rows_nor_in_rows_turned_round(tmp_path):
    with RepeatedPairs(tmp_path / "none") as pairs:
        assert pairs.count() == 0
    with RepeatedPairs(tmp_path / "turned") as pairs:
        pairs.add(np.array([1, 2, 2**31 - 1]), np.array([2, 1, 1]))
        assert pairs.count() == 0
