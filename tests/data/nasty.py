"""Files as they come: what each is to be read as, or the error that names the file and the place."""

from __future__ import annotations

import gzip
import io
import json
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

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
    ticks: int = 1
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
        Table(times=[1_600_000_000_000, 1_600_000_000_001], ticks=1000, note="are read as milliseconds"),
    ),
    "whole seconds in milliseconds": (
        f"{HEAD}ann,7,4,1600000000000\nbob,9,2.5,1600000007000\n",
        Table(times=[1_600_000_000, 1_600_000_007], note="are read as milliseconds"),
    ),
    "whole seconds in microseconds": (
        f"{HEAD}ann,7,4,1600000000000000\nbob,9,2.5,0\n",
        Table(times=[1_600_000_000, 0], note="are read as microseconds"),
    ),
    "times in nanoseconds": (
        f"{HEAD}ann,7,4,1600000000000000001\nbob,9,2.5,1600000000000000000\n",
        Table(times=[1_600_000_000_000_000_001, 1_600_000_000_000_000_000], ticks=10**9, note="nanoseconds"),
    ),
    "fractions of seconds": (
        f"{HEAD}ann,7,4,1600000000.25\nbob,9,2.5,1600000000\n",
        Table(times=[1_600_000_000_250, 1_600_000_000_000], ticks=1000, note="are kept, in milliseconds"),
    ),
    "fractions of dates": (
        f"{HEAD}ann,7,4,1970-01-01T00:00:01.000001Z\nbob,9,2.5,1970-01-01T00:00:01Z\n",
        Table(times=[1_000_001, 1_000_000], ticks=10**6, note="are kept, in microseconds"),
    ),
    "minutes without dashes": (
        f"{HEAD}ann,7,4,202405012359\nbob,9,2.5,202312310000\n",
        Table(
            times=[202_405_012_359, 202_312_310_000],
            note="look like dates without dashes, but are read as sec",
        ),
    ),
    "seconds without dashes": (
        f"{HEAD}ann,7,4,20240501235959\nbob,9,2.5,20231231000000\n",
        Table(
            times=[20_240_501_235_959, 20_231_231_000_000], ticks=1000, note="look like dates without dashes"
        ),
    ),
    "dates without dashes": (
        f"{HEAD}ann,7,4,20240501\nbob,9,2.5,20231231\n",
        Table(times=[20_240_501, 20_231_231], note="look like dates without dashes"),
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
    "ids of 19 digits": (with_ids("1234567890123456789", "-2"), ids(1234567890123456789, -2)),
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
    "no header": (
        BODY,
        r"a\.csv has no column 'user'.* give --no-header and columns by number, such as --user-col 1\. "
        r"Columns: 'ann', '7', '4', '100'",
    ),
    "no header, separator to be found": (
        BODY.replace(",", "::"),
        r"has no column 'user'. The header is one column with '::' in it: give --sep '::'",
    ),
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
    "a title that swallows a row": (
        CSV.replace("when", "title") + 'cid,9,1,"lost\ndan,9,1,z 12" w\n',
        f"{PLACE.format(3)}: a quote is not closed .* give --quoting none",
    ),
    "a quote that swallows a row": (
        CSV + '"cid,9,1,3\ndan,9,"1",3\n',
        f"{PLACE.format(3)}: a quote is not closed",
    ),
    "latin-1": ((CSV + "\u00e9va,9,1,3\n").encode("latin-1"), f"{PLACE.format(3)}: byte 0xe9 is not UTF-8"),
    "UTF-16": (CSV.encode("utf-16"), r"a\.csv is not UTF-8 but UTF-16\. Give --encoding utf-16,"),
    "UTF-16 without mark": (
        CSV.encode("utf-16-le"),
        r"is not UTF-8 but UTF-16-LE\. Give --encoding utf-16-le",
    ),
    "UTF-16, the other way round": (CSV.encode("utf-16-be"), r"is not UTF-8 but UTF-16-BE\."),
    "UTF-32": (CSV.encode("utf-32"), r"is not UTF-8 but UTF-32\."),
    "gzip": (
        gzip.compress(CSV.encode(), mtime=0),
        r"a\.csv is no text file: it is packed with gzip; let its",
    ),
    "zip": (b"PK\3\4\x14" + bytes(40), "it is a zip archive or a spreadsheet"),
    "xz": (b"\xfd7zXZ\0\0\4", "it is packed with xz"),
    "Zstandard": (b"\x28\xb5\x2f\xfd\x04\x58", "it is packed with Zstandard"),
    "bzip2": (b"BZh91AY&SY\xf0", "it is packed with bzip2"),
    "an old spreadsheet": (b"\xd0\xcf\x11\xe0\xa1\xb1", "it is a spreadsheet"),
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
    "time above 2^63": (CSV + "cid,9,1,9223372036854775808\n", bad(3, "when", "time '9223372036854775808'")),
    "seconds and milliseconds": (
        f"{HEAD}ann,7,4,1600000000\nbob,9,2.5,1600000000000\n",
        bad(
            2,
            "when",
            "time 1600000000000 looks like milliseconds and time 1600000000 in row 1 like seconds; .*",
        ),
    ),
    "time -2^63": (CSV + "cid,9,1,-9223372036854775808\n", bad(3, "when", "time '-9223372036854775808'")),
    "time of the other kind": (CSV + "cid,9,1,2024-05-01\n", bad(3, "when", "time '2024-05-01', expected")),
    "American dates": (f"{HEAD}a,7,4,05/13/2024\nb,9,1,1/1/2024\n", bad(1, "when", "time '05/13/2024'")),
    "the 30th of February": (f"{HEAD}a,7,4,2024-02-30\nb,9,1,2024-03-01\n", bad(1, "when", "time '2024-02")),
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
