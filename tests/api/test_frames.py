"""Data frames of any library, and side features."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tfzoo.api.frames import as_frame, side_features
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError

ITEMS = Vocabulary(np.array(["a", "b", "c"]))
FRAME = pd.DataFrame({"user_id": [3, 1, 2], "item_id": ["b", "a", "c"], "rating": [1.0, 2.5, 4.0]})


class Interchanged:
    """A data frame of another library: it offers the interchange protocol and nothing else."""

    def __dataframe__(self, **options):
        return pa.table(FRAME).__dataframe__(**options)


@pytest.mark.parametrize("data", [FRAME, pa.table(FRAME), Interchanged()], ids=["pandas", "arrow", "other"])
def test_frames_of_any_library_are_read_alike(data):
    pd.testing.assert_frame_equal(as_frame(data, "data"), FRAME, check_dtype=False)


def test_frames_of_polars_are_read_with_all_their_kinds_of_columns():
    polars = pytest.importorskip("polars")
    data = polars.DataFrame(
        {
            "user_id": [3, 1, 2],
            "item_id": polars.Series(["b", "a", "c"], dtype=polars.Categorical),
            "rating": [1.0, None, 4.0],
            "time": polars.Series(["1970-01-02", "1970-01-01", None]).str.to_datetime(),
            "tags": [["x", "y"], ["x"], []],
        }
    )
    frame = as_frame(data, "data")
    assert frame.user_id.tolist() == [3, 1, 2]
    assert frame.item_id.tolist() == ["b", "a", "c"]
    assert frame.rating.isna().tolist() == [False, True, False]
    assert frame.time[0] - frame.time[1] == pd.Timedelta(days=1)
    assert [list(tags) for tags in frame.tags] == [["x", "y"], ["x"], []]
    tags = side_features(data.select("item_id", "tags"), "item_id", ITEMS, "item_features")["tags"]
    assert tags.tolist() == ["", "x", "x|y", ""]
    with pytest.raises(UsageError, match=r"Received LazyFrame\. Give collect\(\) of it"):
        as_frame(data.lazy(), "data")
    with pytest.raises(UsageError, match="Received Series"):
        as_frame(data["rating"], "data")


def test_views_of_text_in_lists_become_texts():
    # As polars and other libraries hand them over; pandas has no such type.
    views = pa.array(["x", "y", None]).cast(pa.string_view())
    lists = pa.ListArray.from_arrays(pa.array([0, 2, 2, 3]), views)
    frame = as_frame(pa.table({"text": views, "tags": lists, "n": [1, 2, 3]}), "data")
    assert frame.text.tolist()[:2] == ["x", "y"]
    assert [list(tags) for tags in frame.tags] == [["x", "y"], [], [None]]
    assert frame.n.tolist() == [1, 2, 3]


@pytest.mark.parametrize("data", ["ratings.csv", [1, 2], None, pa.chunked_array([[1]])])
def test_what_is_no_frame_is_refused(data):
    with pytest.raises(UsageError, match=f"data must be a data frame.*Received {type(data).__name__}"):
        as_frame(data, "data")


def test_side_features_stand_at_the_dense_ids():
    table = pd.DataFrame(
        {"movie": ["c", "a", "z"], "year": [1990, 1980, 1970], "genres": [["x", "y"], ["x"], []]}
    ).set_index("movie")
    features = side_features(table, "movie", ITEMS, "item_features")
    assert features["year"].tolist() == [0, 1980, 0, 1990], "b has no row, z is not known"
    assert features["genres"].tolist() == ["", "x", "", "x|y"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"film": ["a"], "year": [1]}, "has no column 'movie'; its columns are film, year"),
        ({"movie": ["a"]}, "no column beside 'movie'"),
        ({"movie": ["a", "a"], "year": [1, 2]}, "'a' stands there twice"),
        ({"movie": ["q"], "year": [1]}, "no id of column 'movie' occurs"),
        ({"movie": ["a", "b"], "year": [1, np.nan]}, "column 'year', row 1: nan"),
    ],
)
def test_a_wrong_table_of_features_is_one_error(table, message):
    with pytest.raises(DataError, match=message):
        side_features(pd.DataFrame(table), "movie", ITEMS, "item_features")
