"""Names of data keep what tells files apart."""

from pathlib import Path

import pytest

from tfzoo.data.datasets import list_datasets, load_dataset
from tfzoo.data.datasets.names import file_name, slug


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("ratings.2024-01.csv", "ratings.2024-02.csv"), ("ratings.2024-01", "ratings.2024-02")),
        (("a_b.csv", "a-b.csv"), ("a_b", "a-b")),
        (("log.csv.gz", "log.jsonl"), ("log", "log")),
        (("Log.CSV", "log.csv"), ("Log", "log")),
        (("u.data", "u.item"), ("u.data", "u.item")),
        (("ml-100k.csv", "ML-1M.csv"), ("ml-100k-own", "ML-1M-own")),
    ],
)
def test_what_can_be_kept_is_kept(files, expected):
    assert tuple(slug(file_name(Path(file))) for file in files) == expected


@pytest.mark.parametrize(
    "names",
    [
        ("日本", "中国", "日本 "),
        ("a b", "a-b", "a  b", "a/b", "a--b "),
        ("é", "è", "e"),
        ("x" * 100, "x" * 101, "x" * 64),
        ("..", ".", "", "data", "-"),
        ("con\n", "con", "con\t"),
    ],
)
def test_names_that_differ_stay_different(names):
    found = [slug(name) for name in names]
    assert len(set(found)) == len(names)
    for name in found:
        assert 1 <= len(name) <= 64
        assert name.isascii()
        assert name[0].isalnum()


def test_data_of_ones_own_is_not_called_as_a_data_set():
    for name in list_datasets():
        assert slug(name) == f"{name}-own"


@pytest.mark.data
@pytest.mark.parametrize("name", ["amazon-gift-cards", "criteo-8k", "ml-100k"])
def test_data_sets_keep_their_names(name):
    assert load_dataset(name).name == name
