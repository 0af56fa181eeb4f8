"""The user's own data: what is read, and that every problem is one clear error."""

from __future__ import annotations

import datetime
import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfzoo.data.datasets import from_dataframe, from_file
from tfzoo.data.interactions import Interactions
from tfzoo.errors import DataError, UsageError

TEXT = "user,item,stars,when\nann,7,4,100\nbob,7,2.5,200\nann,9,1,300\n"
COLUMNS: dict[str, Any] = {"user_col": "user", "item_col": "item", "rating_col": "stars", "time_col": "when"}


def check(data: Interactions) -> None:
    assert data.users.ids.tolist() == ["ann", "bob"]
    assert data.items.ids.tolist() == [7, 9]
    assert data.user_id.tolist() == [1, 2, 1]
    assert data.item_id.tolist() == [1, 1, 2]
    assert data.ratings.tolist() == [4, 2.5, 1]
    assert data.timestamp is not None
    assert data.timestamp.tolist() == [100, 200, 300]
    assert data.rating_scale == (1, 4)


@pytest.mark.parametrize(
    ("file", "content", "sep"),
    [
        ("My Ratings.csv", TEXT.encode(), None),
        ("a.CSV", TEXT.encode("utf-8-sig"), None),
        ("a.csv", TEXT.replace("\n", "\r\n").encode(), None),
        ("a.csv", TEXT.replace("bob", '"bob"').rstrip("\n").encode(), None),
        ("a.csv", (TEXT + "\n\n").encode(), None),
        ("a.csv", TEXT.replace(",", ";").encode(), ";"),
        ("a.log", TEXT.encode(), ","),
        ("a.tsv", TEXT.replace(",", "\t").encode(), None),
        ("a.tab", TEXT.replace(",", "\t").encode(), None),
        ("a.csv", TEXT.replace(",", "\t").encode(), "\\t"),
        ("a.dat", TEXT.replace(",", "::").encode(), None),
        ("a.dat", TEXT.replace(",", "::").encode(), "::"),
        ("a.txt", TEXT.replace(",", " ").encode(), None),
        ("a.txt", TEXT.replace(",", "|").encode(), None),
        ("a.csv.gz", gzip.compress(TEXT.encode(), mtime=0), None),
        ("a.tsv.gz", gzip.compress(TEXT.replace(",", "\t").encode(), mtime=0), None),
    ],
)
def test_text_files(tmp_path: Path, file: str, content: bytes, sep: str | None) -> None:
    path = tmp_path / file
    path.write_bytes(content)
    data = from_file(path, sep=sep, **COLUMNS)
    check(data)
    name = {"My Ratings.csv": "My-Ratings-[0-9a-f]{8}", "a.log": r"a\.log"}.get(file, "a")
    assert re.fullmatch(name, data.name)
    assert data.notes == (
        f"{path}: 3 rows read, 3 kept, 0 dropped",
        "rating scale 1 to 4, as observed",
    )


@pytest.mark.parametrize("file", ["a.parquet", "a.pq"])
def test_parquet(tmp_path: Path, file: str) -> None:
    frame = pd.DataFrame(
        {"user": ["ann", "bob", "ann"], "item": [7, 7, 9], "stars": [4, 2.5, 1], "when": [100, 200, 300]}
    )
    frame.to_parquet(tmp_path / file)
    check(from_file(tmp_path / file, **COLUMNS))


def test_file_without_ratings_and_times(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(TEXT)
    data = from_file(tmp_path / "a.csv", user_col="user", item_col="item", name="Mine!")
    assert data.rating is None
    assert data.timestamp is None
    assert data.rating_scale is None
    assert re.fullmatch("Mine-[0-9a-f]{8}", data.name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.csv is empty"),
        ("\n\r\n \n", r"a\.csv is empty"),
        ("user,item,stars,when\n", "has no data rows"),
        (
            "user,itme,stars,when\na,b,1,2\n",
            r"no column 'item'. Did you mean 'itme'\?.*Columns: 'user', 'itme'",
        ),
        (
            "user,item,rate,when\na,b,1,2\n",
            r"no column 'stars'.*Name the column of ratings \(--rating-col\); data without ratings",
        ),
        ("user;item;stars;when\na;b;1;2\n", r"no column 'user'. .*give --sep ';'"),
        ("user\titem\tstars\twhen\na\tb\t1\t2\n", r"give --sep '\\t'"),
        ("user item stars when\na b 1 2\n", r"give --sep ' '"),
        ("user::item::stars::when\na::b::1::2\n", r"give --sep '::'"),
        ("user,item,stars,when,item\na,b,1,2,3\n", "the header has column 'item' 2 times"),
        (TEXT + "cid,9,3\n", r"row 4 \(counted from 1 without the header\): 3 fields, expected 4"),
        (TEXT + "cid,9,3,4,5\n", "row 4 .*: 5 fields, expected 4"),
        ("user,item,stars,when\na,b,1,2,3\nc,d,1,2,3\n", "row 1 .*: 5 fields, expected 4"),
        ("user,item,stars,when\na,b,1,2\n\nc,d,1,2\n", "row 2 .*: 1 field, expected 4"),
        ('user,item,stars,when\na,"b,1,2\nc,d,1,2\n', "row 1 .*: a quote is not closed where its field ends"),
        (TEXT + ",9,3,4\n", r"row 4 .*, column 'user': empty id"),
        (TEXT + " bob,9,3,4\n", "row 4 .*, column 'user': id ' bob' has a blank before or after"),
        (TEXT + "bob,9\u00a0,3,4\n", "row 4 .*, column 'item': id '9.xa0' has a blank before or after"),
        (TEXT + '"b\nb",9,3,4\n', "row 4 .*, column 'user': id .* has a line break or control character"),
        (TEXT + "b\tb,9,3,4\n", "row 4 .*has a line break or control character"),
        (TEXT + "b" * 257 + ",9,3,4\n", "row 4 .*id of 257 characters"),
        (TEXT + "bob,9,good,4\n", "row 4 .*, column 'stars': rating 'good', expected a finite number"),
        (TEXT + "bob,9,,4\n", "row 4 .*, column 'stars': rating '', expected"),
        (TEXT + "bob,9,nan,4\n", "row 4 .*, column 'stars': rating 'nan', expected"),
        (TEXT + "bob,9,-inf,4\n", "row 4 .*, column 'stars': rating '-inf', expected"),
        (TEXT + "bob,9,1e39,4\n", "row 4 .*, column 'stars': rating '1e39', expected"),
        (TEXT + "bob,9,4,noon\n", "row 4 .*, column 'when': time 'noon', expected seconds .* or an ISO date"),
        (TEXT + "bob,9,4,\n", "row 4 .*, column 'when': time '', expected"),
        (TEXT + "bob,9,4,2024-05-01\n", "row 4 .*, column 'when': time '2024-05-01', expected"),
        (
            "user,item,stars,when\na,b,1,2024-05-01\nc,d,1,7\n",
            "row 2 .*, column 'when': time '7', expected",
        ),
        (
            TEXT + "ann,9,3,4\nann,9,3,4\n",
            "row 4 .* same user and item as row 3; 2 such rows.*'first', 'last' or",
        ),
        ("user,item,stars,when\na,b,1,2\na,c,1,2\n", "column 'user': at least 2 users are needed, found 1"),
        ("user,item,stars,when\na,b,1,2\nc,b,1,2\n", "column 'item': at least 2 items are needed, found 1"),
    ],
)
def test_bad_text(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    with pytest.raises(DataError, match=f"(?s){message}") as caught:
        from_file(path, **COLUMNS)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("a.csv", (TEXT + "é,9,1,1\n").encode("latin-1"), r"row 4 .*byte 0xe9 is not UTF-8"),
        ("a.csv", TEXT.encode("utf-16"), "is not UTF-8"),
        ("a.csv.gz", TEXT.encode(), "cannot be read"),
        ("a.csv.gz", gzip.compress(TEXT.encode(), mtime=0)[:30], "cannot be read"),
        ("a.parquet", TEXT.encode(), "cannot be read as Parquet"),
        ("a.xml", b"{}", "unknown kind of file '.xml'. Known: .csv"),
        ("ratings", b"{}", "unknown kind of file ''"),
        ("a.txt", TEXT.replace(",", "~").encode(), "no separator found"),
    ],
)
def test_unreadable_files(tmp_path: Path, file: str, content: bytes, message: str) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match=message):
        from_file(tmp_path / file, **COLUMNS)


def test_no_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        from_file(tmp_path / "a.csv", **COLUMNS)
    with pytest.raises(DataError, match="is a folder"):
        from_file(tmp_path, **COLUMNS)


def frame(**columns: list) -> pd.DataFrame:
    return pd.DataFrame({"user_id": [1, 2, 1], "item_id": [5, 5, 6], "rating": [1, 2, 3], **columns})


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        (["2", "10", "-3"], [-3, 2, 10]),
        (["7", "007", "8"], ["007", "7", "8"]),
        (["0", "-0", "8"], ["-0", "0", "8"]),
        (["1" * 19, "2", "3"], [2, 3, int("1" * 19)]),
        ([str(2**63 - 1), str(-(2**63)), "3"], [-(2**63), 3, 2**63 - 1]),
        ([str(2**63), "2", "3"], ["2", "3", str(2**63)]),
        (["٣", "3", "4"], ["3", "4", "٣"]),
        ([2.0, 1.0, 3.0], [1, 2, 3]),
        (["é b", "É", "z"], ["z", "É", "é b"]),
    ],
)
def test_types_of_ids(values: list, ids: list) -> None:
    data = from_dataframe(frame(user_id=values))
    assert data.users.ids.tolist() == ids
    assert data.users.decode(data.user_id).tolist() == [
        {str(known): known for known in ids}[str(int(v) if isinstance(v, float) else v)] for v in values
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user_id": [1, "a", 2]}, "row 2 .*, column 'user_id': mixed id types, text 'a' after number 1"),
        ({"user_id": ["a", "b", 2]}, "row 3 .*mixed id types, number 2 after text 'a'"),
        ({"user_id": ["a", None, "b"]}, "row 2 .*empty id"),
        ({"user_id": [1.0, 2.0, float("nan")]}, "row 3 .*empty id"),
        ({"user_id": [1.0, 2.5, 3.0]}, "row 2 .*id 2.5, expected text or a whole number"),
        ({"user_id": [1.0, float("inf"), 3.0]}, "row 2 .*id inf, expected"),
        ({"user_id": [1.0, 2e16, 3.0]}, "row 2 .*id 2e.16, expected"),
        ({"user_id": np.array([1, 2, 2**63], np.uint64)}, "row 3 .*does not fit into 64 bits"),
        ({"user_id": [True, False, True]}, "row 1 .*id True of type bool"),
        (
            {"user_id": pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03"])},
            "row 1 .*of type Timestamp",
        ),
        ({"item_id": pd.Series(["a", "b", "\ud800"], dtype=object)}, "row 3 .*control character"),
        ({"rating": [1, np.nan, 2]}, "row 2 .*, column 'rating': rating nan, expected a finite number"),
        (
            {"rating": pd.period_range("2020-01-01", periods=3)},
            "row 1 .*rating 2020-01-01, expected a finite",
        ),
        ({"rating": [1, 2, np.inf]}, "row 3 .*rating inf, expected a finite number"),
    ],
)
def test_bad_frames(columns: dict, message: str) -> None:
    with pytest.raises(DataError, match=f"the data frame, {message}"):
        from_dataframe(frame(**columns))


def test_the_id_that_makes_texts_of_whole_numbers_is_noted() -> None:
    users = [*map(str, range(10)), "3.0", *map(str, range(10, 20))]
    columns: dict[str, Any] = {"user_col": "user", "item_col": "item", "rating_col": None}
    data = from_dataframe(pd.DataFrame({"user": users, "item": range(21)}), **columns)
    assert "ids of 'user' are texts, because of '3.0' in row 11" in data.notes
    assert data.users.dtype == "string"
    for texts in (["1", "2"], ["1", "b", "2", "c"]):
        data = from_dataframe(pd.DataFrame({"user": texts, "item": range(len(texts))}), **columns)
        assert not any("are texts" in note for note in data.notes)


def test_frame_without_the_rating_column() -> None:
    with pytest.raises(DataError, match=r"no column 'rating'.*rating_col=None"):
        from_dataframe(frame()[["user_id", "item_id"]])
    assert from_dataframe(frame()[["user_id", "item_id"]], rating_col=None).rating is None
    with pytest.raises(DataError, match="no data rows"):
        from_dataframe(frame()[:0])
    with pytest.raises(UsageError, match="one part only"):
        from_dataframe(frame(), user_col="item_id")


def test_index_of_the_frame_is_not_used() -> None:
    data = from_dataframe(frame().set_axis([9, 9, 0], axis=0))
    assert data.ratings.tolist() == [1, 2, 3]


def test_a_named_index_is_a_column_where_it_is_asked_for(tmp_path: Path) -> None:
    plain = pd.DataFrame({"user_id": ["a", "b", "a"], "item_id": [5, 5, 6], "rating": [1, 2, 3]})
    counted = plain.set_axis(pd.RangeIndex(2, 8, 2, name="when"), axis=0)
    for number, (indexed, time) in enumerate(
        (
            (plain.set_index("user_id"), None),
            (plain.set_index("item_id"), None),
            (plain.set_index(["item_id", "user_id"]), None),
            (counted, "when"),
        )
    ):
        path = tmp_path / f"{number}.parquet"
        indexed.to_parquet(path)
        for data in (
            from_dataframe(indexed, time_col=time),
            from_file(path, user_col="user_id", item_col="item_id", rating_col="rating", time_col=time),
        ):
            assert data.users.decode(data.user_id).tolist() == ["a", "b", "a"]
            assert data.items.decode(data.item_id).tolist() == [5, 5, 6]
            assert data.ratings.tolist() == [1, 2, 3]
            assert data.timestamp is None or data.timestamp.tolist() == [2, 4, 6]
    # An index of the same name as a column is not mistaken for it.
    both = plain.set_axis(pd.Index(["x", "y", "z"], name="user_id"), axis=0)
    assert from_dataframe(both).users.ids.tolist() == ["a", "b"]
    path = tmp_path / "other.parquet"
    plain.rename(columns={"user_id": "who"}).set_index("who").to_parquet(path)
    with pytest.raises(DataError, match=r"no column 'user_id'.* Columns: 'item_id', 'rating', 'who'"):
        from_file(path, user_col="user_id", item_col="item_id")


def test_ids_of_19_digits_are_of_one_type_whatever_the_file(tmp_path: Path) -> None:
    users = [900_719_925_474_099_300, 900_719_925_474_099_301, 9_007_199_254_740_993_001]
    table = pd.DataFrame({"user_id": users, "item_id": [1_234_567_890_123_456_789, 2, 3]})
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_parquet(tmp_path / "a.parquet")
    table.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    for kind in ("csv", "parquet", "jsonl"):
        data = from_file(tmp_path / f"a.{kind}", user_col="user_id", item_col="item_id")
        assert (data.users.dtype, data.items.dtype) == ("int64", "int64")
        assert data.users.decode(data.user_id).tolist() == users
        assert data.items.decode(data.item_id).tolist() == [1_234_567_890_123_456_789, 2, 3]


@pytest.mark.parametrize(
    ("text", "noted"),
    [
        ("user,item\n1,2\n2,-3\n", "'user' and 'item'"),
        ("user,item\n1,b2\n2,b3\n", "'user' and 'item'"),
        ("user,item\na1,b2\na2,b3\n", ""),
        ("1,2\n2,3\n", ""),
        ("7,x\n1,2\n2,y\n", ""),
        ("u1,2\nu1,3\n2,2\n", ""),
        ("u1,2\n1,3\n2,2\n", "'u1' and '2'"),
    ],
)
def test_a_header_that_is_read_as_data_is_noted(tmp_path: Path, text: str, noted: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    data = from_file(path, user_col="1", item_col="2", header=False)
    told = [note for note in data.notes if "looks like a header" in note]
    note = f"the first row, {noted}, looks like a header but is kept as data, as --no-header says"
    assert told == ([note] if noted else [])
    assert len(data) == text.count("\n")


def test_options_that_a_kind_of_file_has_no_use_for(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text('{"user_id": 1, "item_id": 1}\n{"user_id": 2, "item_id": 2}\n')
    (tmp_path / "a.csv").write_text("1,1\n2,2\n")
    (tmp_path / "a.dat").write_text("1::1::3\n2::2::4\n")
    ids = {"user_col": "user_id", "item_col": "item_id"}
    for file, option, message in (
        ("a.parquet", {"encoding": "latin-1"}, "--encoding is for text files .* is Parquet"),
        ("a.parquet", {"header": False}, "--no-header is for text files"),
        ("a.jsonl", {"quoting": "none"}, "--quoting is for text files .* is JSON lines"),
        (
            "a.csv",
            {"header": False},
            "given by their number from 1, such as --user-col 1. Received 'user_id'",
        ),
        ("a.csv", {"quoting": "all"}, "Unknown --quoting 'all'. Valid: csv, none"),
        ("a.csv", {"encoding": "hex"}, "--encoding must be the name of an encoding"),
        ("a.csv", {"encoding": "a\0b"}, "--encoding must be the name of an encoding"),
    ):
        with pytest.raises(UsageError, match=message):
            from_file(tmp_path / file, **ids, **option)
    assert len(from_file(tmp_path / "a.jsonl", **ids, encoding="latin-1")) == 2
    numbers = {"user_col": "1", "item_col": "2", "header": False}
    assert from_file(tmp_path / "a.dat", **numbers, rating_col="3").ratings.tolist() == [3, 4]
    with pytest.raises(DataError, match=r"no column '3'\. Valid: 1, 2\. .*Columns: '1', '2'"):
        from_file(tmp_path / "a.csv", **numbers, rating_col="3")
    with pytest.raises(
        DataError, match=r"no separator found.* If the file has no header line, give --no-header"
    ):
        from_file(tmp_path / "a.dat", **ids)


def test_lines_that_quotes_join_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('user_id,item_id,text\n1,1,"a\nb\nc"\n2,2,"d"\n')
    data = from_file(path, user_col="user_id", item_col="item_id")
    assert data.notes[0].endswith("2 rows read, 2 kept, 0 dropped")
    assert data.notes[1].startswith("2 lines go on with a quoted field of the line before")


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([1.0, 2.0, -5.0], [1, 2, -5]),
        (["1", "2", "3e2"], [1, 2, 300]),
        (["1970-01-02", "1970-01-01T00:01:00", "1970-01-01T02:00:00+01:00"], [86_400, 60, 3600]),
        (pd.to_datetime(["1970-01-02", "1970-01-01", "1969-12-31"]), [86_400, 0, -86_400]),
        (pd.to_datetime(["1970-01-02"] * 3).tz_localize("Europe/Berlin"), [82_800] * 3),
        ([datetime.date(1970, 1, day) for day in (1, 2, 3)], [0, 86_400, 172_800]),
    ],
)
def test_times(values: Any, seconds: list[int]) -> None:
    data = from_dataframe(frame(time=values), time_col="time")
    assert data.timestamp is not None
    assert data.timestamp.tolist() == seconds


def test_missing_times_are_refused() -> None:
    for missing in (
        [1, None, 3],
        ["1970-01-01", None, "1970-01-01"],
        [datetime.date(1970, 1, 1), None, None],
    ):
        with pytest.raises(DataError, match="column 'time': time"):
            from_dataframe(frame(time=missing), time_col="time")


REPEATED = pd.DataFrame(
    {
        "user_id": [1, 2, 1, 1, 2],
        "item_id": [5, 5, 6, 5, 5],
        "rating": [1, 2, 3, 4, 5],
        "time": [50, 40, 30, 20, 60],
    }
)


@pytest.mark.parametrize(
    ("policy", "pairs", "ratings", "times"),
    [
        ("first", [(2, 5), (1, 6), (1, 5)], [2, 3, 4], [40, 30, 20]),
        ("last", [(1, 5), (1, 6), (2, 5)], [1, 3, 5], [50, 30, 60]),
        ("mean", [(1, 5), (2, 5), (1, 6)], [2.5, 3.5, 3], [50, 60, 30]),
    ],
)
def test_duplicates(policy: str, pairs: list, ratings: list[float], times: list[int]) -> None:
    data = from_dataframe(REPEATED, time_col="time", duplicates=policy)
    users, items = data.users.decode(data.user_id).tolist(), data.items.decode(data.item_id).tolist()
    assert list(zip(users, items, strict=True)) == pairs
    assert data.ratings.tolist() == ratings
    assert data.timestamp is not None
    assert data.timestamp.tolist() == times
    assert data.rating_scale == (1, 5)
    assert data.notes[0] == (
        "the data frame: 5 rows read, 3 kept, 2 dropped "
        f"(same user and item as another row, duplicates='{policy}')"
    )


def test_options() -> None:
    with pytest.raises(UsageError, match=r"Unknown policy duplicates='frist'\. Did you mean 'first'"):
        from_dataframe(frame(), duplicates="frist")
    with pytest.raises(UsageError, match="'mean' needs ratings"):
        from_dataframe(frame(), duplicates="mean", rating_col=None)
    bare = frame()[["user_id", "item_id"]]
    with pytest.raises(UsageError, match=r"rating_scale needs ratings \(--rating-col\)"):
        from_dataframe(bare, rating_required=False, rating_scale=(1, 5))
    with pytest.raises(UsageError, match=r"--time-unit ms needs times \(--time-col\)"):
        from_dataframe(frame(), time_unit="ms")
    for scale in ((5, 1), (1, 1), (0, float("inf"))):
        with pytest.raises(UsageError, match="rating_scale"):
            from_dataframe(frame(), rating_scale=scale)
    with pytest.raises(DataError, match=r"row 3 .*rating 3, expected a number from 0 to 2"):
        from_dataframe(frame(), rating_scale=(0, 2))
    data = from_dataframe(frame(), rating_scale=(0, 10))
    assert data.rating_scale == (0, 10)
    assert len(data.notes) == 1


def test_bad_separators(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(TEXT)
    for sep in ("", "\n", '"'):
        with pytest.raises(UsageError, match="--sep must be"):
            from_file(tmp_path / "a.csv", sep=sep, **COLUMNS)


printable = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20).filter(
    lambda text: text == text.strip()
)


@given(
    ids=st.one_of(
        st.lists(printable, min_size=2, max_size=30, unique=True),
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=30, unique=True),
    )
)
def test_ids_come_back_as_they_went_in(ids: list) -> None:
    table = pd.DataFrame({"user_id": ids, "item_id": range(len(ids))})
    data = from_dataframe(table, rating_col=None)
    assert [str(raw) for raw in data.users.decode(data.user_id)] == [str(raw) for raw in ids]
    assert data.users.lookup(np.array(ids)).tolist() == data.user_id.tolist()
    assert sorted(data.user_id.tolist()) == list(range(1, len(ids) + 1))


def test_what_is_not_read_is_said_where_no_ratings_are(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("u,i,stars,a,b,c,d,e\n1,2,5,0,0,0,0,0\n2,3,1,0,0,0,0,0\n")
    (note,) = (note for note in from_file(path, user_col="u", item_col="i").notes if "no ratings" in note)
    assert note.endswith("unread columns: 'stars', 'a', 'b', 'c', 'd', ...")
    rated = from_file(path, user_col="u", item_col="i", rating_col="stars")
    assert not any("unread" in note for note in rated.notes)
