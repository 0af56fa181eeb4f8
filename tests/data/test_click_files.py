import gzip
from functools import partial

import numpy as np
import pandas as pd
import pytest

from tfzoo.data.datasets import given_split_of, load_dataset
from tfzoo.data.datasets.click_files import clicks_from_dataframe, clicks_from_file
from tfzoo.data.datasets.clicks import FRAPPE_FIELDS, read_libfm
from tfzoo.errors import DataError, UsageError

FILE = """site,hour,price,clicked
a,7,1.5,1
,8,,0
b,7,2,0
"""
read = partial(clicks_from_file, label_col="clicked", field_cols=["site", "hour"], number_cols=["price"])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "My clicks.csv"
    path.write_text(FILE)
    return path


def test_a_file_is_read_with_its_missing_values(file):
    log = read(file)
    assert log.name.startswith("My-clicks-")
    assert log.label.tolist() == [1, 0, 0]
    assert log.categories["site"].vocabulary.ids.tolist() == ["a", "b"]
    assert log.categories["site"].codes.tolist() == [1, 0, 2]
    assert log.categories["hour"].vocabulary.ids.tolist() == [7, 8]
    np.testing.assert_array_equal(log.numbers["price"], [1.5, np.nan, 2])
    assert log.notes[1:] == ("missing values: site 1, price 1",)


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_all_kinds_of_files_give_the_same(file, tmp_path, kind):
    expected, path = read(file), tmp_path / f"clicks.{kind}"
    frame = pd.read_csv(file)
    frame.to_parquet(path) if kind == "parquet" else frame.to_json(path, orient="records", lines=True)
    log = read(path)
    for name, column in expected.categories.items():
        assert log.categories[name].codes.tolist() == column.codes.tolist()
        assert log.categories[name].vocabulary == column.vocabulary
    np.testing.assert_array_equal(log.numbers["price"], expected.numbers["price"])


def test_data_frames_may_have_truth_values_for_labels():
    frame = pd.DataFrame({"click": [True, False], "site": ["a", None]})
    assert clicks_from_dataframe(frame, field_cols=["site"]).label.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("8,,0", "8,,2", "row 2 .*column 'clicked': label '2', expected 1 for a click or 0"),
        ("8,,0", "8,,", "row 2 .*column 'clicked'"),
        ("7,2,0", "7,dear,0", "row 3 .*column 'price': 'dear', expected a finite number or nothing"),
        ("7,2,0", "7,1e99,0", "row 3 .*column 'price'"),
        ("b,7", " b,7", "row 3 .*column 'site': id ' b' has a blank"),
        ("hour", "day", "no column 'hour'"),
        ("a,7,1.5,1\n,8,,0\nb,7,2,0\n", "", "no data rows"),
        ("a,7,1.5,1\n,8,,0\nb", ",7,1.5,1\n,8,,0\n", "column 'site': no value at all"),
    ],
)
def test_unusable_files_are_refused_with_the_place(file, old, new, message):
    file.write_text(FILE.replace(old, new))
    with pytest.raises(DataError, match=message):
        read(file)


def test_columns_have_one_part_and_there_is_one_at_least(file):
    with pytest.raises(UsageError, match="one part only"):
        clicks_from_file(file, label_col="clicked", field_cols=["site", "site"])
    with pytest.raises(UsageError, match="--field-cols"):
        clicks_from_file(file, label_col="clicked", field_cols=[])


def frappe_lines(count, seed):
    random = np.random.default_rng(seed)
    index = 10 * np.arange(10) + random.integers(0, 3, (count, 10))
    label = np.where(np.arange(count) % 3 == 0, 1, -1)
    return "".join(
        f"{one} {' '.join(f'{i}:1' for i in row)}\n" for one, row in zip(label, index, strict=True)
    )


@pytest.fixture
def frappe(tmp_path, monkeypatch):
    for at, part in enumerate(("train", "validation", "test")):
        folder = tmp_path / "frappe"
        folder.mkdir(exist_ok=True)
        (folder / f"frappe.{part}.libfm").write_text(frappe_lines(12 - at, at))
    monkeypatch.setenv("TFZOO_DATA_DIR", str(tmp_path))
    return tmp_path / "frappe"


def test_frappe_is_divided_by_its_files(frappe):
    log = load_dataset("frappe")
    assert tuple(log.categories) == FRAPPE_FIELDS
    split = given_split_of(log, "x1", seed=0)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [12, 11, 10]
    city = split.test.categories["city"]
    last = [line.split()[-1] for line in (frappe / "frappe.test.libfm").read_text().splitlines()]
    assert [f"{raw}:1" for raw in city.vocabulary.decode(city.codes)] == last


def test_a_redrawn_training_part_is_found_and_said(frappe):
    text = (frappe / "frappe.train.libfm").read_bytes()
    (frappe / "frappe.train.libfm").unlink()
    with pytest.raises(DataError, match="neither frappe"):
        load_dataset("frappe")
    (frappe.parent / "frappe-full").mkdir()
    packed = gzip.compress(text.replace(b"\n", b"\r\n"))
    (frappe.parent / "frappe-full" / "frappe.train.reconstructed.libfm.gz").write_bytes(packed)
    log = load_dataset("frappe")
    assert len(log) == 33
    assert "drawn anew" in log.notes[1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("1 ", "2 ", "line 1: label 2"), (":1", ":2", "cannot be read"), (":1 ", ":1", "cannot be read")],
)
def test_damaged_files_are_refused(tmp_path, old, new, message):
    path = tmp_path / "a.libfm"
    path.write_text(frappe_lines(5, 0).replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_libfm(path, 10)


@pytest.mark.data
def test_the_published_logs_have_the_published_counts():
    log = load_dataset("frappe")
    split = given_split_of(log, "x1", seed=0)
    assert (len(split.validation), len(split.test)) == (57_722, 28_860)
    sizes = [len(column.vocabulary) for column in log.categories.values()]
    assert sizes == [957, 4082, 7, 7, 2, 3, 2, 9, 80, 233]
    for name, count in (("criteo-8k", 8000), ("avazu-8k", 8999)):
        log = load_dataset(name)
        split = given_split_of(log, "files", seed=0)
        assert len(split.train) + len(split.validation) + len(split.test) == len(log) == count
