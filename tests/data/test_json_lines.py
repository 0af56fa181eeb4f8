"""Reviews: files with one JSON object a line, columns of text, and pairs that repeat."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest

from tfzoo.data.datasets import from_dataframe, from_file
from tfzoo.errors import DataError, UsageError

REVIEWS = [
    {"user": "ann", "item": 7, "stars": 4, "when": 100, "review": "good,\nvery"},
    {"user": "bob", "item": 7, "stars": 2.5, "when": 200, "review": None, "votes": [1, 2]},
    {"user": "ann", "item": 9, "stars": 1, "when": 300},
]


@pytest.mark.parametrize("file", ["a.json", "a.jsonl", "a.jsonl.gz", "a.JSON"])
def test_json_lines(tmp_path: Path, file: str) -> None:
    content = "\n".join(json.dumps(row) for row in REVIEWS).encode()
    path = tmp_path / file
    path.write_bytes(gzip.compress(content) if file.endswith("gz") else content + b"\n")
    data = from_file(
        path, user_col="user", item_col="item", rating_col="stars", time_col="when", text_col="review"
    )
    assert data.users.decode(data.user_id).tolist() == ["ann", "bob", "ann"]
    assert data.items.decode(data.item_id).tolist() == [7, 7, 9]
    assert data.ratings.tolist() == [4, 2.5, 1]
    assert data.timestamp is not None
    assert data.timestamp.tolist() == [100, 200, 300]
    assert data.text is not None
    assert data.text.tolist() == ["good,\nvery", "", ""]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"user": 1}\n{"user"', "line 2 is no JSON object"),
        ("[1, 2]\n", "line 1: expected one JSON object a line, found a list"),
        ("", "is empty"),
        ('{"user": "a", "item": 1, "stars": 1}\n{"user": "a", "item": 2}\n', "row 2.*column 'stars'"),
        (
            '{"user": "a", "stars": 1}\n{"user": "a", "stars": 2, "item": 3}\n',
            "row 1.*column 'item': empty id",
        ),
    ],
)
def test_damaged_json_lines(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        from_file(path, user_col="user", item_col="item", rating_col="stars")


def test_texts_go_with_the_rows_that_are_kept() -> None:
    frame = pd.DataFrame(
        {"user_id": [1, 2, 1], "item_id": [5, 6, 5], "rating": [1, 2, 5], "r": ["a", "b", "c"]}
    )
    for duplicates, expected in (("first", ["a", "b"]), ("last", ["b", "c"]), ("mean", ["a", "b"])):
        data = from_dataframe(frame, text_col="r", duplicates=duplicates)
        assert data.text is not None
        assert data.text.tolist() == expected


def test_texts_must_be_text() -> None:
    frame = pd.DataFrame({"user_id": [1, 2], "item_id": [5, 6], "r": ["a", 3]})
    with pytest.raises(DataError, match=r"row 2 .*column 'r': value 3 of type int, expected text"):
        from_dataframe(frame, rating_col=None, text_col="r")
    with pytest.raises(UsageError, match="one part only"):
        from_dataframe(frame, rating_col=None, text_col="item_id")


def test_repeated_clicks_can_be_kept() -> None:
    frame = pd.DataFrame({"user_id": [1, 1, 2, 1], "item_id": [5, 5, 6, 5], "t": [4, 3, 2, 1]})
    data = from_dataframe(frame, rating_col=None, time_col="t", duplicates="keep")
    assert data.user_id.tolist() == [1, 1, 2, 1]
    assert data.item_id.tolist() == [1, 1, 2, 1]
    assert data.timestamp is not None
    assert data.timestamp.tolist() == [4, 3, 2, 1]
    assert "4 kept, 0 dropped" in data.notes[0]
