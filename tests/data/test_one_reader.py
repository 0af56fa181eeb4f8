"""Into memory or into shards: a file is the same rows for both, or refused by both for the same reason."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.nasty import (
    BODY,
    COLUMNS,
    CSV,
    DAMAGED,
    DAMAGED_JSON,
    DAMAGED_PACKED,
    DAMAGED_PARQUET,
    GOOD,
    GOOD_JSON,
    GOOD_PARQUET,
    HEAD,
    parquet,
)
from tfzoo.data.datasets import from_file, text_files
from tfzoo.data.datasets.delimited import Layout
from tfzoo.data.shard_writer import Source, write_shards
from tfzoo.data.shards import open_shards
from tfzoo.errors import TfzooError

# As they come from exports and editors; what is right for each is what both readers make of it.
STRAY = {
    "a lost quote": 'user_id,item_id,rating,title\n1,a,5,"lost\n2,b,4,x\n3,c,3,y\n4,d,2,z 12" w\n5,e,1,v\n',
    "a blank line in between": "user_id,item_id,rating\n1,a,3\n\n2,b,4\n3,c,4\n",
    "a name twice": "user_id,item_id,rating,rating\n1,a,3,5\n2,b,4,5\n",
    "quotes that open ids": 'user_id,item_id,rating\n1,"a,3\n2,b,4\n3,"c,5\n4,d,2\n5,e,1\n',
    "a quote over three rows": 'user_id,item_id,rating\n1,"a,3\n2,b,4\n3,c",5\n4,d,2\n5,e,1\n',
    "a short row": "user_id,item_id,rating\n1,a,3\n2,b\n3,c,4\n",
    "a short row before an extra": "user_id,item_id,rating,x\n1,a,3,1\n2,b,4\n3,c,4,1\n",
    "a row that is too long": "user_id,item_id,rating\n1,a,3\n2,b,4,5\n3,c,4\n",
    "one user": "user_id,item_id,rating\n1,a,3\n1,b,4\n",
    "no rating": "user_id,item_id\n1,a\n2,b\n",
}
SOUND = 'user_id,item_id,rating\n1,a"b,3\n2,b,4\n3,c"d,5\n4,d,2\n'


@dataclass
class Read:
    """What a reader makes of a file: rows, or the words of its refusal."""

    rows: list[tuple] | None
    ticks: int = 1
    said: str = field(default="", compare=False)


def into_memory(path: Path, layout: Layout, **options: Any) -> Read:
    try:
        data = from_file(path, **vars(layout), **options, duplicates="keep")
    except TfzooError as error:
        return Read(None, said=str(error))
    columns = [data.users.decode(data.user_id), data.items.decode(data.item_id), data.rating, data.timestamp]
    return Read(sorted_rows(columns), data.ticks_per_second)


def into_shards(path: Path, layout: Layout, rows_at_once: int = 1 << 20, **options: Any) -> Read:
    with tempfile.TemporaryDirectory() as folder:
        try:
            source = Source(path, **options, layout=layout)
            write_shards(source, Path(folder) / "s", name="s", shards=2, rows_at_once=rows_at_once)
        except TfzooError as error:
            assert list(Path(folder).iterdir()) == []
            return Read(None, said=str(error))
        shards = open_shards(Path(folder) / "s")
        blocks = list(shards.blocks(seed=None))
        columns = {name: np.concatenate([block[name] for block in blocks]) for name in shards.columns}
        columns["user_id"] = shards.users.decode(columns["user_id"])
        columns["item_id"] = shards.items.decode(columns["item_id"])
        return Read(sorted_rows(columns.values()), shards.ticks_per_second)


def sorted_rows(columns: Iterable[Any]) -> list[tuple]:
    rows = zip(*(values.tolist() for values in columns if values is not None), strict=True)
    return sorted(rows, key=repr)


def check(path: Path, layout: Layout = Layout(), **options: Any) -> Read:  # noqa: B008
    memory = into_memory(path, layout, **options)
    assert memory == into_shards(path, layout, **options)
    assert memory.said == into_shards(path, layout, **options).said
    assert memory == into_shards(path, layout, rows_at_once=1, **options)
    return memory


CORPUS = [
    ("a.csv", {**{name: entry[0] for name, entry in GOOD.items()}, **{n: e[0] for n, e in DAMAGED.items()}}),
    ("a.jsonl", {name: entry[0] for name, entry in {**GOOD_JSON, **DAMAGED_JSON}.items()}),
    ("a.parquet", {name: entry[0] for name, entry in {**GOOD_PARQUET, **DAMAGED_PARQUET}.items()}),
    ("a.csv.gz", {name: entry[0] for name, entry in DAMAGED_PACKED.items()}),
]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        pytest.param(file, content, id=f"{file}-{name}".replace(" ", "_"))
        for file, contents in CORPUS
        for name, content in contents.items()
    ],
)
def test_nasty_files(tmp_path: Path, file: str, content: str | bytes) -> None:
    path = tmp_path / file
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    check(path, **COLUMNS)


@pytest.mark.parametrize("name", STRAY)
def test_rows_that_were_lost(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(STRAY[name])
    assert check(path, user_col="user_id", item_col="item_id", rating_col="rating").rows is None


def test_rows_that_look_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(SOUND)
    rows = check(path, user_col="user_id", item_col="item_id", rating_col="rating").rows
    assert rows is not None
    assert [row[1] for row in rows] == ['a"b', "b", 'c"d', "d"]


ID = st.sampled_from(["1", "2", "x", "007", "1234567890123456789", '"q"', '"a,b"', "", " y", "9" * 19])
RATING = st.sampled_from(["1", "2.5", "-3", "nan", "1e39", "", "true"])
TIME = st.sampled_from(
    ["5", "1600000000", "1600000000123", "1.5", "2020-01-01", "1970-01-01T00:00:00.5Z", ""]
)
USUAL = st.tuples(st.sampled_from("123"), st.sampled_from("abc"), st.sampled_from("12345"), st.just("7"))
NAMES = ("user", "item", "stars", "when")
NUMBERS = ("1", "2", "3", "4")


@settings(max_examples=20)
@given(rows=st.lists(st.one_of(USUAL, st.tuples(ID, ID, RATING, TIME)), min_size=1, max_size=8))
def test_rows_of_all_kinds(rows: list[tuple[str, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_text(HEAD + "\n".join(map(",".join, rows)))
        check(path, **COLUMNS)


LETTERS = st.text(st.sampled_from(list('ab12,,,,\n\n\n"";:\t\r\0\x1e\x1f .-é\ufeff')), max_size=30)


@settings(max_examples=60)
@given(text=LETTERS, sep=st.sampled_from([",", "::"]), size=st.integers(1, 40))
def test_where_a_block_ends_makes_no_difference(text: str, sep: str, size: int) -> None:
    whole = f"{HEAD}ann,1,2,3\n{text}\nbob,1,2,3\n".replace(",", sep)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "a.csv"
        path.write_bytes(whole.encode())
        layout = Layout(sep=sep)
        before = into_memory(path, layout, **COLUMNS)
        patch.setattr(text_files, "BLOCK_BYTES", size)
        after = into_memory(path, layout, **COLUMNS)
        assert (before, before.said) == (after, after.said)


@pytest.mark.parametrize("file", ["a.csv", "a.parquet", "a.jsonl"])
def test_rows_are_named_by_their_number_in_the_file(tmp_path: Path, file: str) -> None:
    frame = pd.DataFrame({"user": range(700), "item": 5, "stars": 1.0, "when": 3})
    frame["item"] = frame["user"] % 7
    frame.loc[650, "stars"] = np.inf
    path = tmp_path / file
    stream = io.BytesIO()
    frame.to_parquet(stream) if file == "a.parquet" else None
    text = frame.to_csv(index=False) if file == "a.csv" else frame.to_json(orient="records", lines=True)
    path.write_bytes(stream.getvalue() or text.encode())
    told = into_shards(path, Layout(), rows_at_once=130, **COLUMNS)
    assert "row 651 (counted from 1 without the header), column 'stars'" in told.said


LATIN = ("user;item;stars;when\nann;7;4;100\nb\u00f6b;9;2.5;200\n", "latin-1")


@pytest.mark.parametrize(
    ("content", "layout", "columns"),
    [
        (LATIN[0].encode(LATIN[1]), Layout(sep=";", encoding="latin-1"), NAMES),
        (CSV.encode("utf-16"), Layout(encoding="utf-16"), NAMES),
        (CSV.encode("utf-16-le"), Layout(encoding="UTF-16LE"), NAMES),
        (BODY.encode(), Layout(header=False), NUMBERS),
        (BODY.replace(",", "::").encode(), Layout(sep="::", header=False), NUMBERS),
        (CSV.replace("ann", '"ann" x').encode(), Layout(quoting="none"), NAMES),
        (CSV.replace("ann", '"ann').encode(), Layout(quoting="none"), NAMES),
    ],
)
def test_layouts(tmp_path: Path, content: bytes, layout: Layout, columns: tuple[str, ...]) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    options = dict(zip(COLUMNS, columns, strict=True))
    read = check(path, layout, **options)
    assert read.rows is not None
    assert [row[1:] for row in read.rows] == [(7, 4, 100), (9, 2.5, 200)]
    # Without the layout the file is refused, and the refusal names the option.
    plain = check(path, Layout(sep=layout.sep), **options)
    assert plain.rows is None
    wanted = "--quoting none" if layout.quoting == "none" else "--encoding"
    assert not layout.header or wanted in plain.said


def test_parquet_in_several_groups_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    frame = pd.read_parquet(io.BytesIO(parquet()))
    pd.concat([frame] * 3).to_parquet(path, row_group_size=2)
    assert len(check(path, **COLUMNS).rows or []) == 6
