import hashlib
from dataclasses import replace

import numpy as np
import pytest

from tests.zoo import table
from tfzoo.data.click_log import Category, ClickLog
from tfzoo.data.click_splits import check_labels, click_split, random_click_split
from tfzoo.errors import DataError, UsageError
from tfzoo.training.settings import FilterSettings, SplitSettings
from tfzoo.training.splitting import apply_filter, make_split, with_validation


def log(count=40, **columns):
    row = np.arange(count)
    return ClickLog(
        row % 2,
        {"site": Category.of(np.array(["a", "b", "c"])[row % 3]), "hour": Category.of(row % 5)},
        {"price": np.where(row % 4 == 0, np.nan, row)},
        **columns,
    )


def digest_of(clicks):
    sha = hashlib.sha256()
    clicks.digest(sha)
    return sha.hexdigest()


def test_parts_keep_the_vocabularies_and_join_again():
    whole = log()
    first, second = whole.take(np.arange(7)), whole.take(np.arange(7, 40))
    assert first.categories["site"].vocabulary is whole.categories["site"].vocabulary
    assert first.is_part_of_the_table_of(whole)
    assert digest_of(first.joined(second)) == digest_of(whole)
    assert digest_of(first) != digest_of(whole.take(np.arange(1, 8)))


def test_another_log_is_no_part():
    other = replace(log(), categories={"site": Category.of(np.array(["a", "x"])[np.arange(40) % 2])})
    assert not other.is_part_of_the_table_of(log())
    assert not table([1], [1]).is_part_of_the_table_of(log())
    assert not log().is_part_of_the_table_of(table([1], [1]))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": np.array([0, 2])}, "0 or 1"),
        ({"numbers": {"a": [1.0]}}, "'a' must have one value per impression"),
        ({"numbers": {"a": [1.0, np.inf]}}, "'a', row 1: no finite number"),
        ({"numbers": {}}, "at least one column"),
        ({"categories": {"a": Category.of(np.array([1, 2]))}}, "cannot hold categories and numbers"),
    ],
)
def test_unusable_columns_are_refused(columns, message):
    with pytest.raises(DataError, match=message):
        ClickLog(**{"label": np.array([0, 1]), "numbers": {"a": [1.0, 2.0]}, **columns})


def test_ratings_become_clicks_with_the_features_of_both_sides():
    ratings = table(
        [1, 2, 1],
        [1, 1, 2],
        [5, 3, 4],
        user_features={"age": np.array([0, 20, 30]), "job": np.array(["", "cook", ""])},
        item_features={"genres": np.array(["", "A|B", "A"]), "year": np.array([0, 1990, 1995])},
    )
    clicks = ClickLog.of(ratings, 4)
    assert clicks.label.tolist() == [1, 0, 1]
    assert list(clicks.categories) == ["user_id", "item_id", "job"]
    assert clicks.categories["job"].codes.tolist() == [1, 0, 1]
    assert {name: values.tolist() for name, values in clicks.numbers.items()} == {
        "age": [20, 30, 20],
        "year": [1990, 1990, 1995],
    }
    assert "genres" in clicks.notes[-1]
    with pytest.raises(DataError, match="no ratings"):
        ClickLog.of(table([1], [1]), 4)


def test_a_random_split_covers_all_rows_whatever_their_order():
    clicks = log(200)
    split = random_click_split(clicks, seed=3)
    assert [len(split.train), len(split.validation), len(split.test)] == [140, 30, 30]
    again = random_click_split(clicks.take(np.random.default_rng(0).permutation(200)), seed=3)
    assert digest_of(split.train) == digest_of(again.train)
    other = random_click_split(clicks, seed=4)
    assert digest_of(split.train) != digest_of(other.train)
    joined = split.train.joined(split.validation).joined(split.test)
    assert digest_of(joined.take(joined.canonical_rows())) == digest_of(clicks.take(clicks.canonical_rows()))


def test_settings_divide_click_logs():
    split = make_split(log(), SplitSettings(), 0)
    assert len(split.train) == 28
    refitted = with_validation(split)
    assert (len(refitted.train), refitted.protocol) == (34, f"{split.protocol}, refitted with validation")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "leave-out"}, "random or given"),
        ({"kind": "given"}, "needs split.name"),
        ({"kind": "given", "name": "x1"}, "no published split"),
        ({"cold": "drop"}, "split.cold is for interactions"),
    ],
)
def test_other_splits_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        make_split(log(), SplitSettings(**settings), 0)


def test_click_logs_are_not_filtered():
    clicks = log()
    assert apply_filter(clicks, FilterSettings()) is clicks
    with pytest.raises(UsageError, match="leave filter out"):
        apply_filter(clicks, FilterSettings(min_rating=1))


def test_a_part_of_clicks_alone_is_refused():
    clicks, even = log(), np.arange(0, 40, 2)
    check_labels(click_split(clicks, np.arange(10), np.arange(10, 20), np.arange(20, 40), "parts"))
    with pytest.raises(DataError, match="test part has no impression with a click"):
        check_labels(click_split(clicks, np.arange(10), np.arange(10, 20), even[12:], "parts"))
    with pytest.raises(DataError, match="train part has no impression without a click"):
        check_labels(click_split(clicks, even + 1, np.arange(10, 20), np.arange(20, 40), "parts"))
