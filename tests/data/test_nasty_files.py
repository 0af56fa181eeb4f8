"""Files as they come: each gives the right table, or one error that names the file and the place."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.nasty import (
    COLUMNS,
    CSV,
    DAMAGED,
    DAMAGED_JSON,
    DAMAGED_PACKED,
    DAMAGED_PARQUET,
    GOOD,
    GOOD_JSON,
    GOOD_PARQUET,
    PLACE,
    R,
    S,
    Table,
    bad,
    lines,
    parquet,
)
from tests.patience import PATIENCE
from tfzoo.data.datasets import from_file, text_files
from tfzoo.data.datasets.sessions import read_yoochoose_clicks
from tfzoo.data.interactions import Interactions
from tfzoo.errors import DataError, TfzooError


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def check(data: Interactions, path: Path, table: Table) -> None:
    assert data.users.decode(data.user_id).tolist() == table.users
    assert data.items.decode(data.item_id).tolist() == table.items
    assert data.ratings.tolist() == table.ratings
    assert data.timestamp is not None
    assert data.timestamp.tolist() == table.times
    assert data.ticks_per_second == table.ticks
    kept = len(table.users)
    assert data.notes[0].startswith(
        f"{path}: {kept + table.dropped} rows read, {kept} kept, {table.dropped} dropped"
    )
    assert any(table.note in note for note in data.notes)
    assert data.rating_scale == (min(table.ratings), max(table.ratings))


def refused(path: Path, message: str, **options: Any) -> None:
    with pytest.raises(DataError) as caught:
        from_file(path, **{**COLUMNS, **options})
    text = str(caught.value)
    assert re.search(message, text)
    assert str(path) in text
    # One sentence that a terminal can show, however large the file.
    assert "\n" not in text
    assert len(text) < len(str(path)) + 600
    assert text.isprintable()


def cases(*kinds: tuple[str, dict]) -> Any:
    return pytest.mark.parametrize(
        ("file", "content", "expected"),
        [
            pytest.param(file, content, expected, id=f"{file}-{name}".replace(" ", "_"))
            for file, table in kinds
            for name, (content, expected) in table.items()
        ],
    )


@cases(("a.csv", GOOD), ("a.jsonl", GOOD_JSON), ("a.parquet", GOOD_PARQUET))
def test_read_as_it_stands(tmp_path: Path, file: str, content: str | bytes, expected: Table | None) -> None:
    path = write(tmp_path / file, content)
    if expected is None:
        data = from_file(path, **COLUMNS)
        assert data.users.decode(data.user_id).tolist() == [1, 1, 2]
        return
    check(from_file(path, **COLUMNS), path, expected)


@cases(
    ("a.csv", DAMAGED),
    ("a.jsonl", DAMAGED_JSON),
    ("a.parquet", DAMAGED_PARQUET),
    ("a.csv.gz", DAMAGED_PACKED),
)
def test_refused_with_its_place(tmp_path: Path, file: str, content: str | bytes, expected: str) -> None:
    refused(write(tmp_path / file, content), expected)


def test_the_same_pair_twice(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", CSV + "ann,7,1,3\n")
    refused(path, r"row 3 .* same user and item as row 1; 1 such rows")


@pytest.mark.parametrize("name", sorted(set(GOOD) - {"extra columns"}))
def test_the_same_separated_by_tabs(tmp_path: Path, name: str) -> None:
    content, table = GOOD[name]
    text = content.decode("utf-8") if isinstance(content, bytes) else content
    table = Table(**{**vars(table), "users": [str(user).replace(",", "\t") for user in table.users]})
    if name == "separator in quotes":
        # A tab is a separator that an id must not hold.
        refused(write(tmp_path / "a.tsv", text.replace(",", "\t")), bad(1, "user", "id .* control character"))
        return
    data = from_file(write(tmp_path / "a.tsv", text.replace(",", "\t")), **COLUMNS)
    assert [str(user) for user in data.users.decode(data.user_id)] == table.users
    assert data.ratings.tolist() == table.ratings


def test_line_breaks_and_separators_in_quoted_texts_come_back(tmp_path: Path) -> None:
    text = 'user::item::stars::review\nann::7::4::"a::b\nc"\nbob::9::1::""\n'
    options = {**COLUMNS, "time_col": None, "text_col": "review"}
    data = from_file(write(tmp_path / "a.dat", text), **options)
    assert data.text is not None
    assert data.text.tolist() == ["a::b\nc", ""]
    data = from_file(write(tmp_path / "a.csv", text.replace("::", ",")), **options)
    assert data.text is not None
    assert data.text.tolist() == ["a,b\nc", ""]
    assert "2 rows read, 2 kept" in data.notes[0]


def test_half_a_character_in_a_review(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", lines(R, {**S, "review": "smile \ud83d"}))
    refused(path, bad(2, "review", "half a character"), text_col="review")


def test_decimal_commas(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", CSV.replace(",", ";").replace("2.5", "2,5"))
    refused(path, bad(2, "stars", "rating '2,5', expected a finite number"), sep=";")
    refused(write(path, CSV.replace("2.5", "2,5")), f"{PLACE.format(2)}: 5 fields, expected 4")


def test_a_control_character_that_would_pass_for_a_separator(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dat", CSV.replace(",", "::") + "c\x1f9::1::3\n")
    refused(path, f"{PLACE.format(3)}: control character")


def test_a_rating_off_the_given_scale_is_an_error_and_never_clipped(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", CSV + "cid,9,5.5,300\n")
    refused(path, bad(3, "stars", "rating '5.5', expected a number from 1 to 5"), rating_scale=(1, 5))
    data = from_file(path, rating_scale=(0, 10), **COLUMNS)
    assert data.rating_scale == (0, 10)
    assert data.ratings.tolist() == [4, 2.5, 5.5]


@pytest.mark.parametrize(
    ("policy", "ratings", "times", "dropped"),
    [
        ("first", [2.5, 5, 3], [200, 300, 50], 2),
        ("last", [2.5, 5, 1], [200, 300, 400], 2),
        ("mean", [(4 + 1 + 3) / 3, 2.5, 5], [400, 200, 300], 2),
        ("keep", [4, 2.5, 5, 1, 3], [100, 200, 300, 400, 50], 0),
    ],
)
def test_each_policy_for_pairs_that_repeat_accounts_for_every_row(
    tmp_path: Path, policy: str, ratings: list[float], times: list[int], dropped: int
) -> None:
    path = write(tmp_path / "a.csv", CSV + "ann,9,5,300\nann,7,1,400\nann,7,3,50\n")
    data = from_file(path, duplicates=policy, **COLUMNS)
    np.testing.assert_allclose(data.ratings, ratings, rtol=1e-6)
    assert data.timestamp is not None
    assert data.timestamp.tolist() == times
    reason = f" (same user and item as another row, duplicates='{policy}')" if dropped else ""
    assert data.notes[0] == f"{path}: 5 rows read, {5 - dropped} kept, {dropped} dropped{reason}"


def test_folders_pipes_and_names_that_no_file_has(tmp_path: Path) -> None:
    refused(tmp_path, "is a folder; give a file")
    refused(tmp_path / "a.csv", "There is no file")
    refused(tmp_path / f"{'a' * 300}.csv", "cannot be read: File name too long")
    with pytest.raises(DataError, match="There is no file"):
        from_file(tmp_path / "a\0b.csv", **COLUMNS)
    loop = tmp_path / "loop.csv"
    loop.symlink_to(loop)
    with pytest.raises(TfzooError):
        from_file(loop, **COLUMNS)
    refused(Path("/dev/zero"), "is a pipe or a device", sep=",")


@pytest.mark.parametrize("reader", ["file", "clicks"])
def test_a_pipe_does_not_hang(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "a.csv"
    os.mkfifo(path)
    caught: list[Exception] = []

    def read() -> None:
        try:
            from_file(path, **COLUMNS) if reader == "file" else read_yoochoose_clicks(path)
        except DataError as error:
            caught.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert "is a pipe or a device; give a file" in str(caught[0])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("file", ["a.csv", "a.jsonl", "a.parquet"])
def test_no_permission(tmp_path: Path, file: str) -> None:
    path = write(tmp_path / file, CSV)
    path.chmod(0)
    refused(path, "Permission denied")


@pytest.mark.parametrize("file", ["a.csv.gz", "a.jsonl.gz"])
def test_a_packed_file_that_unpacks_without_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setattr(text_files, "MAX_UNPACKED_BYTES", 1_000_000)
    path = write(tmp_path / file, gzip.compress(b"0" * 1_000_001, mtime=0))
    refused(path, r"unpacks to more than 1,000,000 bytes from 1,0\d\d; unpack it yourself")
    refused(
        write(path, gzip.compress(b"0" * 1_000_000, mtime=0)), r"no column 'user'|line 1 is no JSON object"
    )


CLICKS = "".join(f"{s},2014-04-0{s}T10:0{i}:00.000Z,{i},0\n" for s in range(1, 7) for i in (1, 2))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("a.dat", "", "cannot be read as clicks|is empty"),
        ("a.dat", CLICKS + "9,,1,0\n", "row 13: there is no time"),
        ("a.dat", CLICKS + "9\n", "cannot be read as clicks"),
        ("a.dat", CLICKS + "9,noon,1,0\n", "Time data noon is not ISO8601"),
        ("a.dat", CLICKS + "9.5,2014-04-01T10:00:00Z,1,0\n", "cannot be read as clicks"),
        ("a.dat", CLICKS + "99999999999999999999,2014-04-01T10:00:00Z,1,0\n", "cannot be read as clicks"),
        ("a.dat", CLICKS.encode("utf-16"), "cannot be read as clicks"),
        ("a.dat", CLICKS.replace(",1,", ",1\0001,"), "cannot be read as clicks"),
        ("a.dat.gz", CLICKS, "Not a gzipped file"),
        ("a.dat.gz", gzip.compress(CLICKS.encode(), mtime=0)[:-12], "Compressed file ended"),
        ("a.zip", b"PK\3\4", "cannot be read as clicks"),
        ("a.xz", b"\xfd7zXZ", "cannot be read as clicks"),
    ],
)
def test_clicks(tmp_path: Path, file: str, content: str | bytes, message: str) -> None:
    path = write(tmp_path / file, content)
    with pytest.raises(DataError, match=message) as caught:
        read_yoochoose_clicks(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_clicks_account_for_every_row(tmp_path: Path) -> None:
    # Item 3 is clicked once, session 9 has one click: both go, and the notes say so.
    path = write(tmp_path / "a.dat", CLICKS + "5,2014-04-05T11:00:00Z,3,0\n9,2014-04-09T11:00:00Z,1,0\n")
    data = read_yoochoose_clicks(path)
    assert len(data) == 12
    assert data.notes[0] == f"{path}: 14 rows read"
    dropped = [int(found[1]) for note in data.notes if (found := re.search(r"dropped (\d+) of", note))]
    assert sum(dropped) == 2


def test_parquet_with_bytes_turned_over(tmp_path: Path) -> None:
    whole, random = parquet(), np.random.default_rng(7)
    path = tmp_path / "a.parquet"
    outcomes = set()
    for _ in range(60):
        damaged = bytearray(whole)
        for at in random.integers(4, len(whole), 3):
            damaged[at] ^= int(random.integers(1, 256))
        path.write_bytes(damaged)
        with contextlib.suppress(DataError):
            outcomes.add(len(from_file(path, **COLUMNS)))
            continue
        outcomes.add(0)
    assert outcomes <= {0, 2}
    assert 0 in outcomes


def test_the_corpus_is_large_enough() -> None:
    tables = (GOOD, DAMAGED, GOOD_JSON, DAMAGED_JSON, GOOD_PARQUET, DAMAGED_PARQUET, DAMAGED_PACKED)
    assert sum(map(len, tables)) >= 100
