import json

import numpy as np
import pytest

from tfzoo.data.click_log import Category, ClickLog
from tfzoo.data.encoders import CategoryEncoder, Encoders, NumberEncoder
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError

SITES = Vocabulary(np.array(["a", "b", "c", "d"]))


def test_values_of_training_have_rows_and_all_others_share_row_0():
    encoder = CategoryEncoder.fit(Category(SITES, np.array([4, 2, 2, 0, 4, 2], np.int32)), "site")
    assert encoder.vocabulary.ids.tolist() == ["b", "d"]
    assert encoder.encode(np.array([[0, 1], [2, 3], [4, 4]])).tolist() == [[0, 0], [1, 0], [2, 2]]
    assert (encoder.size, encoder.counts.tolist()) == (3, [1, 3, 2])


def test_rare_values_share_row_0():
    column = Category(SITES, np.array([4, 2, 2, 0, 4, 2], np.int32))
    encoder = CategoryEncoder.fit(column, "site", 3)
    assert (encoder.vocabulary.ids.tolist(), encoder.counts.tolist()) == (["b"], [3, 3])
    with pytest.raises(DataError, match=r"'site' occurs 4 times .* lower task.min_count"):
        CategoryEncoder.fit(column, "site", 4)
    with pytest.raises(DataError, match="'site' occurs at all"):
        CategoryEncoder.fit(Category(SITES, np.zeros(3, np.int32)), "site")


def test_numbers_are_measured_where_they_are_known():
    values = np.array([1, np.nan, 3], np.float32)
    assert NumberEncoder.fit(values, "price") == NumberEncoder(2.0, 1.0, True, False)
    logarithms = NumberEncoder.fit(np.array([np.e - 1, 1 - np.e]), "price", "log")
    assert (logarithms.mean, logarithms.deviation) == pytest.approx((0, 1))
    assert NumberEncoder.fit(np.array([0.1, 0.1, 0.1]), "price").deviation == 1
    with pytest.raises(DataError, match="'price' is missing"):
        NumberEncoder.fit(values[1:2], "price")


def test_all_columns_are_encoded_in_their_order_and_written(tmp_path):
    train = ClickLog(
        np.array([1, 0, 1]),
        {"site": Category(SITES, np.array([1, 2, 1], np.int32)), "hour": Category.of(np.array([7, 8, 9]))},
        {"price": np.array([1, np.nan, 3]), "age": np.array([1, 2, 3])},
    )
    encoders = Encoders.fit(train)
    assert (encoders.field_sizes, encoders.dense_size) == ([3, 4], 3)
    assert encoders.fields(train).tolist() == [[1, 1], [2, 2], [1, 3]]
    np.testing.assert_array_equal(encoders.raw_numbers(train), [[1, 1], [np.nan, 2], [3, 3]])
    encoders.save(tmp_path)
    described = json.loads((tmp_path / "fields.json").read_text())
    assert [one["name"] for one in described["categories"]] == ["site", "hour"]
    assert Vocabulary.load(tmp_path / "field-1.txt", "int64") == encoders.categories["hour"].vocabulary
    assert described["numbers"][0] == {
        "name": "price",
        "mean": 2.0,
        "deviation": 1.0,
        "marks_missing": True,
        "logarithm": False,
    }
