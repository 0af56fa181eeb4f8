"""Kept test cases: what is written is what is read, and a checksum knows it."""

from dataclasses import replace

import numpy as np
import pytest

from tfzoo.errors import DataError
from tfzoo.evaluation.cases import Cases, mean_itself, root

VALUES = np.array([0.25, 1.0, 0.0])
CASES = Cases(
    "ratings",
    np.array([[3, 1], [3, 2], [9, 1]], np.int32),
    np.array([3, 3, 9], np.int32),
    {"rmse": (VALUES, root), "mae": (VALUES, mean_itself)},
)


def test_what_is_written_is_what_is_read(tmp_path):
    CASES.save(tmp_path / "cases.npz")
    found = Cases.load(tmp_path / "cases.npz")
    assert found.unit == "ratings"
    np.testing.assert_array_equal(found.keys, CASES.keys)
    np.testing.assert_array_equal(found.clusters, CASES.clusters)
    assert {name: figure for name, (_, figure) in found.metrics.items()} == {"rmse": root, "mae": mean_itself}
    assert (found.figure("rmse"), found.figure("mae")) == pytest.approx(((1.25 / 3) ** 0.5, 1.25 / 3))
    assert found.checksum() == CASES.checksum()


@pytest.mark.parametrize(
    "changes",
    [
        {"unit": "users"},
        {"clusters": np.array([3, 9, 9])},
        {"keys": CASES.keys[:, ::-1]},
        {"metrics": {**CASES.metrics, "mae": (VALUES * (1 + 1e-6), mean_itself)}},
        {"metrics": {**CASES.metrics, "mae": (VALUES, root)}},
    ],
)
def test_another_case_has_another_checksum(changes):
    assert replace(CASES, **changes).checksum() != CASES.checksum()


@pytest.mark.parametrize("content", [None, b"no archive", b"PK"])
def test_a_file_without_cases_is_refused(tmp_path, content):
    path = tmp_path / "cases.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="holds no test cases"):
        Cases.load(path)
