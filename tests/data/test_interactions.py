"""The one in-memory table."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import tfzoo
from tfzoo.data.interactions import Interactions, check_ids
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError

USERS = Vocabulary(np.array([10, 20]))
ITEMS = Vocabulary(np.array(["a", "b", "c"]))


def table(user_id=(1, 1, 2), item_id=(1, 3, 3), rating=(5, 4, 3), **columns):
    return Interactions(USERS, ITEMS, np.array(user_id), np.array(item_id), rating=rating, **columns)


def test_columns_have_the_contract_types():
    data = table(timestamp=[1, 2, 3_000_000_000])
    assert data.user_id.dtype == np.int32
    assert data.item_id.dtype == np.int32
    assert data.ratings.dtype == np.float32
    assert data.timestamp.dtype == np.int64
    assert data.timestamp[2] == 3_000_000_000
    assert (len(data), data.num_users, data.num_items) == (3, 2, 3)


@pytest.mark.parametrize("column", ["user_id", "item_id", "rating", "timestamp"])
def test_columns_are_read_only_copies(column):
    source = {name: np.array([1, 2, 1]) for name in ("user_id", "item_id", "rating", "timestamp")}
    data = table(**source)
    with pytest.raises(ValueError, match="read-only"):
        getattr(data, column)[0] = 2
    source[column][0] = 2
    assert getattr(data, column)[0] == 1


def test_take_selects_rows_of_every_column():
    data = table(timestamp=[7, 8, 9], name="mine").take(np.array([2, 0, 2]))
    assert data.user_id.tolist() == [2, 1, 2]
    assert data.item_id.tolist() == [3, 1, 3]
    assert data.ratings.tolist() == [3, 5, 3]
    assert data.timestamp.tolist() == [9, 7, 9]
    assert (data.users, data.items, data.name) == (USERS, ITEMS, "mine")


def test_take_keeps_missing_columns_missing():
    data = table(rating=None).take(np.array([0]))
    assert data.rating is None
    assert data.timestamp is None
    assert data.text is None


def test_texts_are_strings_of_any_length_and_go_with_their_rows():
    data = table(text=["good", "", "a much longer review"])
    assert data.text.dtype == object
    taken = data.take(np.array([2, 1]))
    assert taken.text.tolist() == ["a much longer review", ""]
    with pytest.raises(ValueError, match="read-only"):
        data.text[0] = "bad"
    with pytest.raises(DataError, match=r"'text' must have one value.*\(1,\), expected \(3,\)"):
        table(text=["good"])


def test_counts_have_a_place_for_the_unknown_id_and_for_unseen_ids():
    data = table()
    assert data.user_counts().tolist() == [0, 2, 1]
    assert data.item_counts().tolist() == [0, 1, 0, 2]


def test_ratings_are_asked_for_with_a_clear_error():
    with pytest.raises(DataError, match="'mine' has no ratings"):
        _ = table(rating=None, name="mine").ratings


def test_columns_of_other_lengths_are_refused():
    with pytest.raises(DataError, match=r"'rating' must have one value.*\(2,\), expected \(3,\)"):
        table(rating=[1, 2])
    with pytest.raises(DataError, match="'item_id'"):
        table(item_id=[1])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user_id": (1, 3, 2)}, r"'user_id', row 1: id 3 lies outside 0\.\.2"),
        ({"item_id": (1, 3, 4)}, r"'item_id', row 2: id 4 lies outside 0\.\.3"),
        ({"item_id": (-1, 3, 3)}, r"'item_id', row 0: id -1 lies outside 0\.\.3"),
        ({"user_id": (1, 2**32 + 1, 1)}, "'user_id'.*row 1"),
    ],
)
def test_ids_outside_the_vocabulary_are_refused(columns, message):
    with pytest.raises(DataError, match=message):
        table(**columns)


def test_check_ids_accepts_the_unknown_and_the_last_id():
    check_ids(np.array([0, 3]), 3, "item_id")
    check_ids(np.array([], int), 3, "item_id")
    with pytest.raises(DataError, match="row 2: id 4"):
        check_ids(np.array([0, 3, 4, 5]), 3, "item_id")


def test_vocabularies_are_written_with_their_types(tmp_path):
    table().save_vocabularies(tmp_path / "run" / "vocabulary")
    folder = tmp_path / "run" / "vocabulary"
    types = json.loads((folder / "types.json").read_text())
    assert types == {"users": "int64", "items": "string"}
    assert Vocabulary.load(folder / "users.txt", types["users"]) == USERS
    assert Vocabulary.load(folder / "items.txt", types["items"]) == ITEMS


def test_describe_counts():
    text = table(name="mine").describe()
    assert text == "mine: 3 interactions, 2 users, 3 items, density 50.00%, mean rating 4.0000"
    assert "rating" not in table(rating=None).describe()


def test_the_toy_data_is_as_its_fixture_says(toy):
    pairs = set(zip(toy.user_id.tolist(), toy.item_id.tolist(), strict=True))
    assert (len(toy), len(pairs), toy.num_users, toy.num_items) == (300, 300, 30, 20)
    assert set(toy.ratings.tolist()) == {1, 2, 3, 4, 5}
    assert (toy.users.dtype, toy.items.dtype) == ("int64", "string")
    assert len(toy.item_features["title"]) == toy.num_items + 1


def test_a_data_frame_of_raw_ids_reads_back():
    data = tfzoo.from_dataframe(
        pd.DataFrame({"user_id": ["b", "a"], "item_id": [7, 9], "rating": [1.5, 2.0], "when": [5, 3]}),
        time_col="when",
        least=1,
    )
    frame = data.to_dataframe()
    assert frame.columns.tolist() == ["user_id", "item_id", "rating", "timestamp"]
    assert frame["user_id"].tolist() == ["b", "a"]
    again = tfzoo.from_dataframe(frame, time_col="timestamp", least=1)
    assert again.fingerprint() == data.fingerprint()
    unknown = replace(data, user_id=np.array([0, 2], np.int32)).to_dataframe()
    assert unknown["user_id"].isna().tolist() == [True, False]
    assert unknown["user_id"][1] == "b"


def test_tables_show_themselves_in_one_line():
    shown = (
        "<Interactions interactions: 3 interactions, 2 users, 3 items, density 50.00%, mean rating 4.0000>"
    )
    assert repr(table()) == shown
    assert repr(Vocabulary(np.arange(1200))) == "<Vocabulary of 1,200 ids: 0, 1, 2, ...>"
    assert repr(Vocabulary(np.array(["x"]))) == "<Vocabulary of 1 ids: 'x'>"
