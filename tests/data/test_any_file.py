"""Whatever stands in a file: every row is accounted for, or there is one error of ours."""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tfzoo.data.datasets import from_file
from tfzoo.data.interactions import Interactions
from tfzoo.errors import TfzooError

HEAD = "user,item,stars,when\n"
POLICIES = st.sampled_from(["error", "first", "last", "mean", "keep"])
# Letters that mean something to a reader, far more often than chance would have them.
LETTERS = st.sampled_from(list('ab12,,,,\n\n\n"";\t\r\0\x1e\x1f .-é\ufeff\u2028\u00a0'))
FIELD = st.one_of(
    st.sampled_from(["a", "b", "1", "2", "3.5", "-0", "007", "", " ", "nan", "inf", "1e308", "2020-01-01"]),
    st.text(LETTERS, max_size=6),
    st.integers().map(str),
)
# Rows that a reader mostly takes, so that the count of rows is tested and not the errors alone.
ROW = st.tuples(*(st.sampled_from(list(letters)) for letters in ("abcd", "1234", "12345", "678")))


def read(content: bytes, ending: str, **options: Any) -> Interactions | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{ending}"
        path.write_bytes(content)
        try:
            return from_file(path, user_col="user", item_col="item", least=1, **options)
        except TfzooError as error:
            assert str(path) in str(error), error  # noqa: PT017
            return None


def accounted(data: Interactions) -> int:
    """Return how many rows the notes tell of; the interactions must be those that were kept."""
    found = re.search(r"([\d,]+) rows read, ([\d,]+) kept, ([\d,]+) dropped(.*)", data.notes[0])
    assert found is not None
    rows, kept, dropped = (int(number.replace(",", "")) for number in found.groups()[:3])
    assert rows == kept + dropped
    assert kept == len(data)
    assert bool(dropped) == ("same user and item" in found[4])
    return rows


def rows_of(text: str) -> list[list[str]]:
    """Read the rows with Python's own reader."""
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    return list(csv.reader(io.StringIO(plain)))


def check(text: str, data: Interactions | None, policy: str) -> None:
    if data is None:
        return
    rows = rows_of(text)
    assert accounted(data) == len(rows) - 1
    if policy != "keep":
        pairs = list(zip(data.user_id.tolist(), data.item_id.tolist(), strict=True))
        assert len(set(pairs)) == len(pairs)
        return
    for column, vocabulary, dense in (
        ("user", data.users, data.user_id),
        ("item", data.items, data.item_id),
    ):
        at = rows[0].index(column)
        assert [str(raw) for raw in vocabulary.decode(dense)] == [row[at] for row in rows[1:]]


@given(rows=st.lists(ROW, min_size=1, max_size=20), policy=POLICIES)
def test_rows_that_repeat(rows: list[tuple[str, ...]], policy: str) -> None:
    text = HEAD + "\n".join(map(",".join, rows))
    data = read(text.encode(), ".csv", rating_col="stars", time_col="when", duplicates=policy)
    distinct = len({row[:2] for row in rows})
    if policy == "error" and distinct < len(rows):
        assert data is None
        return
    assert data is not None
    assert len(data) == (len(rows) if policy == "keep" else distinct)
    check(text, data, policy)


@settings(max_examples=150)
@given(rows=st.lists(st.tuples(FIELD, FIELD).map(",".join), max_size=6), policy=POLICIES)
@example(rows=["a,1", '"b\n2",1', "c,1"], policy="keep")
def test_text_with_a_header(rows: list[str], policy: str) -> None:
    text = "user,item\n" + "\n".join(rows)
    policy = "first" if policy == "mean" else policy
    check(text, read(text.encode(), ".csv", duplicates=policy), policy)


@settings(max_examples=150)
@given(text=st.text(LETTERS, max_size=40), policy=POLICIES)
@example(text='a,"1\nb,2,"x\nc,"3",4\n', policy="keep")
def test_text_between_good_rows(text: str, policy: str) -> None:
    whole = f"{HEAD}ann,1,2,3\n{text}\nbob,1,2,3\n"
    data = read(whole.encode(), ".csv", rating_col="stars", time_col="when", duplicates=policy)
    check(whole, data, policy)


@settings(max_examples=150)
@given(content=st.binary(max_size=60), head=st.sampled_from([b"", b"user,item\n", b"user\titem\na\t1\n"]))
def test_bytes(content: bytes, head: bytes) -> None:
    for ending in (".csv", ".tsv", ".txt", ".csv.gz", ".jsonl", ".parquet"):
        data = read(head + content, ending, duplicates="keep")
        assert data is None or accounted(data) == len(data)


VALUE = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from([2**63, 10**400, "\ud800", "1", "a", 1, 1.0, -0.0, "2020-01-01"]),
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
OBJECT = st.fixed_dictionaries(
    {"user": st.one_of(st.sampled_from(["a", "b", "c"]), VALUE), "item": st.one_of(st.integers(1, 4), VALUE)},
    optional={"stars": st.one_of(st.integers(1, 5), VALUE), "when": VALUE, "x": VALUE},
)


@settings(max_examples=150)
@given(rows=st.lists(OBJECT, min_size=1, max_size=6), rated=st.booleans(), timed=st.booleans())
def test_json_lines(rows: list[dict[str, Any]], rated: bool, timed: bool) -> None:
    content = "\n".join(map(json.dumps, rows)).encode()
    columns = {"rating_col": "stars" if rated else None, "time_col": "when" if timed else None}
    data = read(content, ".jsonl", duplicates="keep", **columns)
    if data is not None:
        assert accounted(data) == len(rows)
        # Equal to the text as well as to the value: true equals 1, and must not pass for it.
        assert data.users.decode(data.user_id).tolist() == [row["user"] for row in rows]
        assert not any(isinstance(row[key], bool) for row in rows for key in ("user", "item"))
        if rated:
            assert data.ratings.tolist() == pytest.approx([float(row["stars"]) for row in rows], rel=1e-6)


@settings(max_examples=150)
@given(at=st.integers(0, 80), junk=st.binary(max_size=4), cut=st.integers(0, 4))
def test_json_lines_with_junk(at: int, junk: bytes, cut: int) -> None:
    whole = b'{"user": "a", "item": 1, "stars": 2}\n{"user": "b", "item": 2, "stars": 3}\n'
    content = whole[:at] + junk + whole[at + cut :]
    data = read(content, ".jsonl", rating_col="stars")
    if data is not None:
        assert accounted(data) == len(content.strip(b"\r\n").split(b"\n"))
