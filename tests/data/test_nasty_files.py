"""Files as they come: each gives the right table, or one error that names the file and the place."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tfzoo.data.datasets import delimited, from_file
from tfzoo.data.datasets.sessions import read_yoochoose_clicks
from tfzoo.data.interactions import Interactions
from tfzoo.errors import DataError, TfzooError

HEAD = "user,item,stars,when\n"
BODY = "ann,7,4,100\nbob,9,2.5,200\n"
CSV = HEAD + BODY
COLUMNS: dict[str, Any] = {"user_col": "user", "item_col": "item", "rating_col": "stars", "time_col": "when"}
PLACE = r"a\.[a-z.]+, row {} \(counted from 1 without the header\)"


@dataclass
class Table:
    """What a file is to be read as; ``dropped`` rows are told in the notes, as is ``note``."""

    users: list = field(default_factory=lambda: ["ann", "bob"])
    items: list = field(default_factory=lambda: [7, 9])
    ratings: list = field(default_factory=lambda: [4, 2.5])
    times: list = field(default_factory=lambda: [100, 200])
    dropped: int = 0
    note: str = "as observed"


THREE = Table(["ann", "bob", "cid"], [7, 9, 9], [4, 2.5, 1], [100, 200, 3])


def ids(*users: Any) -> Table:
    return Table(list(users), [7, 9], [4, 1], [1, 2])


def with_ids(first: str, second: str) -> str:
    return f"{HEAD}{first},7,4,1\n{second},9,1,2\n"


def bad(row: int, column: str, problem: str) -> str:
    return f"{PLACE.format(row)}, column '{column}': {problem}"


GOOD: dict[str, tuple[str | bytes, Table]] = {
    "byte order mark": (CSV.encode("utf-8-sig"), Table()),
    "two byte order marks": ("\ufeff\ufeff" + CSV, Table()),
    "CRLF": (CSV.replace("\n", "\r\n"), Table()),
    "lone CR": (CSV.replace("\n", "\r"), Table()),
    "line breaks of three kinds": (f"{HEAD}ann,7,4,100\r\nbob,9,2.5,200\rcid,9,1,3\n", THREE),
    "no line break at the end": (CSV.rstrip("\n"), Table()),
    "blank lines at the end": (CSV + "\n\r\n\n", Table()),
    "quotes around all": ("\n".join(re.sub("[^,]+", r'"\g<0>"', line) for line in CSV.split()), Table()),
    "doubled quotes": (f'{HEAD}"ann ""x""",7,4,100\nbob,9,2.5,200\n', Table(users=['ann "x"', "bob"])),
    "separator in quotes": (f'{HEAD}"ann,x",7,4,100\nbob,9,2.5,200\n', Table(users=["ann,x", "bob"])),
    "quote inside a field": (f'{HEAD}an"n,7,4,100\nbob,9,2.5,200\n', Table(users=['an"n', "bob"])),
    "trailing separator throughout": (CSV.replace("\n", ",\n"), Table()),
    "blanks around numbers": (f"{HEAD}ann,7, 4 ,100\nbob,9,2.5, 200\n", Table()),
    "times unsorted": (
        f"{HEAD}ann,7,4,200\nbob,9,2.5,100\ncid,9,1,150\n",
        Table(["ann", "bob", "cid"], [7, 9, 9], [4, 2.5, 1], [200, 100, 150]),
    ),
    "times equal": (CSV.replace("200", "100"), Table(times=[100, 100])),
    "times in milliseconds": (
        f"{HEAD}ann,7,4,1600000000000\nbob,9,2.5,1600000000001\n",
        Table(times=[1_600_000_000_000, 1_600_000_000_001], note="look like milliseconds"),
    ),
    "ISO dates": (f"{HEAD}ann,7,4,1970-01-02\nbob,9,2.5,1970-01-03\n", Table(times=[86_400, 172_800])),
    "dates with zones": (
        f"{HEAD}ann,7,4,1970-01-01T01:00:00+01:00\nbob,9,2.5,1970-01-01T00:00:00Z\n",
        Table(times=[0, 0]),
    ),
    "the last date there is": (
        f"{HEAD}ann,7,4,1970-01-02\nbob,9,2.5,9999-12-31\n",
        Table(times=[86_400, 253_402_214_400]),
    ),
    "negative ids": (with_ids("-3", "5"), ids(-3, 5)),
    "ids above 2^53": (with_ids("9007199254740993", "9007199254740992"), ids(2**53 + 1, 2**53)),
    "ids above 2^63": (with_ids("9223372036854775808", "1"), ids("9223372036854775808", "1")),
    "float ids": (with_ids("1.0", "1.5"), ids("1.0", "1.5")),
    "whole and float ids": (with_ids("1", "1.0"), ids("1", "1.0")),
    "numbers and text as ids": (with_ids("1", "a"), ids("1", "a")),
    "leading zeros": (with_ids("007", "7"), ids("007", "7")),
    "ids that differ by case": (with_ids("Ann", "ann"), ids("Ann", "ann")),
    "ids that differ by normal form": (with_ids("\u00e9", "e\u0301"), ids("\u00e9", "e\u0301")),
    "ids that look missing": (with_ids("NA", "null"), ids("NA", "null")),
    "ids that look true": (with_ids("true", "1"), ids("true", "1")),
    "scale 0 to 10": (with_ids("a", "b").replace(",4,", ",10,"), Table(["a", "b"], [7, 9], [10, 1], [1, 2])),
    "half stars": (
        f"{HEAD}ann,7,0.5,100\nbob,9,5,200\n",
        Table(ratings=[0.5, 5], note="rating scale 0.5 to 5, as observed"),
    ),
    "binary ratings": (
        f"{HEAD}ann,7,0,100\nbob,9,1,200\n",
        Table(ratings=[0, 1], note="rating scale 0 to 1, as observed"),
    ),
    "negative ratings": (
        f"{HEAD}ann,7,-10,100\nbob,9,1e1,200\n",
        Table(ratings=[-10, 10], note="rating scale -10 to 10, as observed"),
    ),
    "extra columns": ("x,user,item,y,stars,when\n,ann,7,a\0b,4,100\n,bob,9,,2.5,200\n", Table()),
}
DAMAGED: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", r"a\.csv is empty"),
    "blank lines alone": ("\n \r\n\n", r"a\.csv is empty"),
    "byte order mark alone": ("\ufeff", r"a\.csv is empty"),
    "header alone": (HEAD, r"a\.csv has no data rows"),
    "no header": (BODY, r"a\.csv has no column 'user'.*Columns: 'ann', '7', '4', '100'"),
    "comment before the header": ("# mine\n" + CSV, f"{PLACE.format(1)}: 4 fields, expected 1"),
    "header twice": ("user,item,stars,when,user\na,1,2,3,b\n", "header has column 'user' 2 times"),
    "blanks in the header": ("user, item,stars,when\n" + BODY, "no column 'item'. Did you mean ' item'"),
    "2,000 columns": (",".join(map(str, range(2_000))), r"no column 'user'.*'29', \.\.\.\.$"),
    "row too short": (CSV + "cid,9,1\n", f"{PLACE.format(3)}: 3 fields, expected 4"),
    "row too long": (CSV + "cid,9,1,3,4\n", f"{PLACE.format(3)}: 5 fields, expected 4"),
    "first row too long": (f"{HEAD}ann,7,4,1,2\n{BODY}", f"{PLACE.format(1)}: 5 fields, expected 4"),
    "cut off": (CSV + "ci", f"{PLACE.format(3)}: 1 field, expected 4"),
    "blank line in between": (CSV + "\ncid,9,1,3\n", f"{PLACE.format(3)}: 1 field, expected 4"),
    "trailing separator of the rows": (
        HEAD + BODY.replace("\n", ",\n"),
        f"{PLACE.format(1)}: 5 fields, expected 4",
    ),
    "unclosed quote": (CSV + '"cid,9,1,3\n', f"{PLACE.format(3)}: a quote is not closed"),
    "unclosed quote before others": (HEAD + '"a,7,4,1\n' + BODY, f"{PLACE.format(1)}: a quote is not closed"),
    "text after a quote": (CSV + '"cid"x,9,1,3\n', f"{PLACE.format(3)}: a quote is not closed"),
    "a quote that swallows a row": (
        CSV + '"cid,9,1,3\ndan,9,"1",3\n',
        f"{PLACE.format(3)}: a quote is not closed",
    ),
    "latin-1": ((CSV + "\u00e9va,9,1,3\n").encode("latin-1"), f"{PLACE.format(3)}: byte 0xe9 is not UTF-8"),
    "UTF-16": (CSV.encode("utf-16"), r"a\.csv, row 0 .*byte 0x(ff|fe) is not UTF-8"),
    "UTF-16 without mark": (CSV.encode("utf-16-le"), r"a\.csv, row 3 .*1 field, expected 4"),
    "NUL in an id": (CSV + "c\0d,9,1,3\n", bad(3, "user", r"id 'c\\x00d' has a line break or control")),
    "NUL in a rating": (CSV + "cid,9,1\0001,3\n", bad(3, "stars", r"rating '1\\x001', expected a finite")),
    "NUL in a time": (CSV + "cid,9,1,3\0\n", bad(3, "when", r"time '3\\x00', expected seconds")),
    "NULs at the end": (CSV + "\0\0\0", f"{PLACE.format(3)}: 1 field, expected 4"),
    "record separator in an id": (
        CSV + "c\x1ed,9,1,3\n",
        bad(3, "user", "id .* has a line break or control"),
    ),
    "record separator as a field": (CSV + "c,9,1,3,\x1e\n", f"{PLACE.format(3)}: 5 fields, expected 4"),
    "line of 10 MB": (CSV + "c" * 10_000_000 + ",9,1,3\n", bad(3, "user", "id of 10,000,000 characters")),
    "empty user": (CSV + ",9,1,3\n", bad(3, "user", "empty id")),
    "empty item": (CSV + "cid,,1,3\n", bad(3, "item", "empty id")),
    "blank before an id": (CSV + " bob,9,1,3\n", bad(3, "user", "id ' bob' has a blank")),
    "no-break space after an id": (CSV + "bob\u00a0,9,1,3\n", bad(3, "user", "id .* has a blank")),
    "line break in an id": (CSV + '"c\nd",9,1,3\n', bad(3, "user", "id .* has a line break")),
    "rating 1e308": (CSV + "cid,9,1e308,3\n", bad(3, "stars", "rating '1e308', expected a finite")),
    "rating inf": (CSV + "cid,9,inf,3\n", bad(3, "stars", "rating 'inf', expected a finite")),
    "rating -inf": (CSV + "cid,9,-inf,3\n", bad(3, "stars", "rating '-inf', expected a finite")),
    "rating nan": (CSV + "cid,9,nan,3\n", bad(3, "stars", "rating 'nan', expected a finite")),
    "rating missing": (CSV + "cid,9,,3\n", bad(3, "stars", "rating '', expected a finite")),
    "rating with underscore": (CSV + "cid,9,1_0,3\n", bad(3, "stars", "rating '1_0', expected a finite")),
    "ratings true and false": (
        f"{HEAD}ann,7,true,1\nbob,9,false,2\n",
        bad(1, "stars", "rating 'true', expected"),
    ),
    "time inf": (CSV + "cid,9,1,inf\n", bad(3, "when", "time 'inf', expected seconds")),
    "time -2^63": (CSV + "cid,9,1,-9223372036854775808\n", bad(3, "when", "time '-9223372036854775808'")),
    "time of the other kind": (CSV + "cid,9,1,2024-05-01\n", bad(3, "when", "time '2024-05-01', expected")),
    "American dates": (f"{HEAD}a,7,4,05/13/2024\nb,9,1,1/1/2024\n", bad(1, "when", "time '05/13/2024'")),
    "the 30th of February": (f"{HEAD}a,7,4,2024-02-30\nb,9,1,2024-03-01\n", bad(1, "when", "time '2024-02")),
    "same pair twice": (CSV + "ann,7,1,3\n", r"row 3 .* same user and item as row 1; 1 such rows"),
    "one user": (f"{HEAD}ann,7,4,1\nann,9,1,2\n", "column 'user': at least 2 users are needed, found 1"),
}
R = {"user": "ann", "item": 7, "stars": 4, "when": 100}
S = {"user": "bob", "item": 9, "stars": 2.5, "when": 200}


def lines(*rows: Any) -> str:
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)


GOOD_JSON = {
    "plain": (lines(R, S), Table()),
    "byte order mark, CRLF": ("\ufeff" + lines(R, S).replace("\n", "\r\n"), Table()),
    "numbers as text": (lines({**R, "stars": "4", "when": "100"}, S), Table()),
    "nested extras": (lines({**R, "style": {"a": [1, {"b": None}]}}, S), Table()),
    "ids 1 and 1.0 are one": (lines({**R, "user": 1}, {**S, "user": 1.0}, {**S, "user": 2, "item": 7}), None),
    "ids above 2^53": (
        lines({**R, "user": 2**53}, {**S, "user": 2**53 + 1}),
        Table(users=[2**53, 2**53 + 1]),
    ),
}
DAMAGED_JSON = {
    "bare array": (json.dumps([R, S]), r"a\.jsonl, line 1: expected one JSON object a line, found a list"),
    "array over lines": ("[\n" + lines(R) + "\n]", r"line 1 is no JSON object"),
    "object over lines": (json.dumps(R, indent=1), r"line 1 is no JSON object"),
    "trailing comma": (lines(R, '{"user": "bob",}'), r"line 2 is no JSON object"),
    "single quotes": (lines(R, str(S)), r"line 2 is no JSON object"),
    "blank line in between": (lines(R, "", S), r"line 2 is no JSON object"),
    "cut off": (lines(R, S)[:-5], r"line 2 is no JSON object"),
    "key twice": (
        lines(R, '{"user": "a", "user": "b"}'),
        r"line 2 is no JSON object: key 'user' stands there",
    ),
    "brackets without end": (lines(R, "[" * 100_000), r"line 2 is no JSON object: maximum recursion depth"),
    "objects without end": (lines(R, '{"user":' * 100_000), r"line 2 is no JSON object: maximum recursion"),
    "number of 5,000 digits": (lines(R, '{"user":' + "9" * 5000 + "}"), r"line 2 is no JSON object: Exceeds"),
    "missing key": (
        lines(R, {"user": "bob", "item": 9, "when": 1}),
        bad(2, "stars", "rating None, expected"),
    ),
    "missing user": (lines(R, {"item": 9, "stars": 1, "when": 1}), bad(2, "user", "empty id")),
    "null": (lines(R, {**S, "item": None}), bad(2, "item", "empty id")),
    "NaN": (lines(R, {**S, "stars": float("nan")}), bad(2, "stars", "rating nan, expected")),
    "-Infinity": (lines(R, {**S, "stars": -np.inf}), bad(2, "stars", "rating -inf, expected")),
    "true as an id": (lines({**R, "user": 1}, {**S, "user": True}), bad(2, "user", "id True of type bool")),
    "true as a rating": (lines(R, {**S, "stars": True}), bad(2, "stars", "rating True, expected")),
    "true as a time": (lines(R, {**S, "when": True}), bad(2, "when", "time True, expected")),
    "list as an id": (lines(R, {**S, "user": [1]}), bad(2, "user", r"id \[1\] of type list")),
    "object as an id": (lines(R, {**S, "item": {"a": 1}}), bad(2, "item", r"id \{'a': 1\} of type dict")),
    "object as a rating": (lines(R, {**S, "stars": {}}), bad(2, "stars", r"rating \{\}, expected")),
    "list as a time": (lines(R, {**S, "when": []}), bad(2, "when", r"time \[\], expected")),
    "rating of 400 digits": (
        lines(R, {**S, "stars": 10**400}),
        bad(2, "stars", r"rating 10+\.\.\., expected"),
    ),
    "time of 400 digits": (lines(R, {**S, "when": 10**400}), bad(2, "when", r"time 10+\.\.\., expected")),
    "id beyond 64 bits": (
        lines({**R, "user": 1}, {**S, "user": 2**63}),
        bad(2, "user", "id .* does not fit"),
    ),
    "number and text as ids": (lines({**R, "user": 1}, S), bad(2, "user", "mixed id types, text 'bob'")),
    "half a character in an id": (lines(R, {**S, "user": "\ud83d"}), bad(2, "user", r"id '\\ud83d' has")),
    "half a character in a key": (lines(R, {**S, "\ud83d": 1}), r"a\.jsonl: the key '\\ud83d' has half a"),
}
F = pd.DataFrame({"user": ["ann", "bob"], "item": [7, 9], "stars": [4, 2.5], "when": [100, 200]})


def parquet(**columns: Any) -> bytes:
    stream = io.BytesIO()
    F.assign(**columns).to_parquet(stream)
    return stream.getvalue()


GOOD_PARQUET = {
    "plain": (parquet(), Table()),
    "categories": (parquet(user=pd.Categorical(["ann", "bob"])), Table()),
    "dates with a zone": (
        parquet(when=pd.to_datetime(["1970-01-02"] * 2).tz_localize("Europe/Berlin")),
        Table(times=[82_800] * 2),
    ),
}
DAMAGED_PARQUET = {
    "empty": (b"", r"a\.parquet cannot be read as Parquet"),
    "text": (CSV, r"a\.parquet cannot be read as Parquet"),
    "truncated": (parquet()[:-20], r"a\.parquet cannot be read as Parquet"),
    "without its head": (parquet()[20:], r"a\.parquet cannot be read as Parquet"),
    "magic alone": (b"PAR1PAR1", r"a\.parquet cannot be read as Parquet"),
    "lists as ids": (parquet(user=[[1], [2]]), bad(1, "user", r"id \[1\] of type ndarray")),
    "bytes as ids": (parquet(user=[b"a", b"b"]), bad(1, "user", "id b'a' of type bytes")),
    "ids missing": (parquet(item=pd.array([7, None], "Int64")), bad(2, "item", "empty id")),
    "ratings missing": (
        parquet(stars=pd.array([1, None], "Int64")),
        bad(2, "stars", "rating <NA>, expected"),
    ),
    "truth values": (parquet(stars=[True, False]), bad(1, "stars", "rating True, expected")),
    "truth values missing": (
        parquet(stars=pd.array([True, None], "boolean")),
        bad(1, "stars", "rating True"),
    ),
    "dates as ratings": (parquet(stars=pd.to_datetime(["1970-01-02"] * 2)), bad(1, "stars", "rating 1970")),
    "durations as times": (
        parquet(when=pd.to_timedelta([1, 2], "s")),
        bad(1, "when", "time 0 days 00:00:01"),
    ),
    "no times": (parquet(when=pd.to_datetime(["1970-01-02", None])), bad(2, "when", "time NaT, expected")),
    "ids beyond 64 bits": (
        parquet(item=np.array([1, 2**63], np.uint64)),
        bad(2, "item", "id .* does not fit"),
    ),
}
DAMAGED_PACKED = {
    "not packed": (CSV.encode(), r"a\.csv\.gz cannot be read: Not a gzipped file"),
    "empty": (b"", r"a\.csv\.gz is empty"),
    "truncated": (
        gzip.compress(CSV.encode(), mtime=0)[:-12],
        r"a\.csv\.gz cannot be read: Compressed file ended",
    ),
    "wrong sum": (
        gzip.compress(CSV.encode(), mtime=0)[:-8] + b"\0" * 8,
        r"a\.csv\.gz cannot be read: CRC check failed",
    ),
    "something after it": (
        gzip.compress(CSV.encode(), mtime=0) + b"more",
        r"a\.csv\.gz cannot be read: Not a gzipped",
    ),
}


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def check(data: Interactions, path: Path, table: Table) -> None:
    assert data.users.decode(data.user_id).tolist() == table.users
    assert data.items.decode(data.item_id).tolist() == table.items
    assert data.ratings.tolist() == table.ratings
    assert data.timestamp is not None
    assert data.timestamp.tolist() == table.times
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
        ("first", [4, 2.5, 5], [100, 200, 300], 2),
        ("last", [2.5, 5, 3], [200, 300, 50], 2),
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
    thread.join(10)
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
    monkeypatch.setattr(delimited, "MAX_UNPACKED_BYTES", 1_000_000)
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
