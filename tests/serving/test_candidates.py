"""Files that list the items of an export."""

import numpy as np
import pandas as pd
import pytest

from tfzoo.errors import DataError
from tfzoo.serving.candidates import read_candidates

TABLE = pd.DataFrame(
    {
        "item_id": ["007", "b"],
        "title": ["Bond", None],
        "v1": [2.0, None],
        "v0": [1.0, None],
        "popularity": [3, 0],
    }
)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_a_table(tmp_path, suffix):
    path = tmp_path / f"items{suffix}"
    if suffix == ".parquet":
        TABLE.to_parquet(path)
    else:
        TABLE.to_csv(path, sep="," if suffix == ".csv" else "\t", index=False)
    found = read_candidates(path, "string")
    assert found.ids.tolist() == ["007", "b"]
    np.testing.assert_array_equal(found.vectors, np.array([[1, 2], [np.nan, np.nan]], np.float32))
    assert found.popularity.tolist() == [3, 0]
    assert found.titles.tolist() == ["Bond", ""]


def test_ids_alone_in_a_column_of_another_name(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("page,other\n12,x\n-3,y\n", encoding="utf-8")
    found = read_candidates(path, "int64", "page")
    assert found.ids.tolist() == [12, -3]
    assert found.ids.dtype == np.int64
    assert (found.vectors, found.popularity, found.titles) == (None, None, None)


def test_arrays(tmp_path):
    path = tmp_path / "items.npz"
    np.savez(path, item_ids=np.array([5, 4]), vectors=np.ones((2, 3)))
    found = read_candidates(path, "int64")
    assert found.ids.tolist() == [5, 4]
    assert found.vectors.dtype == np.float32
    assert found.titles is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("film\n1\n", r"no column 'item_id' among film"),
        ("item_id,v0\n1,2\n,3\n", r"row 2 has no 'item_id'"),
        ("item_id,v0,v2\n1,2,3\n", r"v0, v1, v2, ... without a gap"),
        ("item_id,v0\n1,inf\n", r"vectors must be finite"),
        ("item_id,popularity\n1,-1\n", r"popularity must be 0 or more"),
        ("item_id,popularity\n1,\n", r"popularity must be 0 or more"),
        ("item_id\nx1\n", r"ids of the export are whole numbers"),
        ("item_id\n99999999999999999999\n", r"ids of the export are whole numbers"),
        ("item_id,v0\n1,much\n", r"Cannot read candidates.*much"),
        ("", r"Cannot read candidates"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_error(tmp_path, text, error):
    path = tmp_path / "items.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=error):
        read_candidates(path, "int64")


@pytest.mark.parametrize("name", ["items.xlsx", "nowhere.csv", "broken.npz", "broken.parquet"])
def test_a_file_of_another_kind_is_one_clear_error(tmp_path, name):
    if "nowhere" not in name:
        (tmp_path / name).write_text("no such thing", encoding="utf-8")
    with pytest.raises(DataError, match=rf"Cannot read candidates from .*{name}"):
        read_candidates(tmp_path / name, "string")


@pytest.mark.parametrize(
    ("arrays", "error"),
    [
        ({"ids": np.arange(3)}, "no array 'item_ids'"),
        ({"item_ids": np.arange(3), "vectors": np.ones(3)}, "two dimensions, not 1"),
        ({"item_ids": np.arange(3), "vectors": np.ones((2, 2))}, "row for each of 3 items"),
        ({"item_ids": np.array([{}, {}])}, "Cannot read candidates"),
    ],
)
def test_arrays_that_cannot_be_used_are_one_clear_error(tmp_path, arrays, error):
    np.savez(tmp_path / "items.npz", **arrays)
    with pytest.raises(DataError, match=error):
        read_candidates(tmp_path / "items.npz", "int64")
