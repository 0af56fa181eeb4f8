"""Published splits, from files to parts."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfzoo.data import download
from tfzoo.data.datasets import given_rows, given_split_of, load_dataset, registry
from tfzoo.data.filters import filter_interactions
from tfzoo.data.interactions import Interactions
from tfzoo.data.ranking_splits import chronological_split, leave_out_split
from tfzoo.data.strong_split import strong_generalization_split
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, DownloadError, UsageError

PARTS = ("train", "validation", "test")


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path, request):
    def no_network(url, *_, **__):
        raise DownloadError(f"{url}: no network in tests.")

    monkeypatch.setattr(download, "fetch", no_network)
    monkeypatch.setenv("TFZOO_CACHE_DIR", str(tmp_path / "cache"))
    if not request.node.get_closest_marker("data"):
        monkeypatch.delenv("TFZOO_DATA_DIR", raising=False)


def table(name, user, item, time, num_items=105, rating=None):
    """Make interactions of raw users 1.. and raw items 10, 20, ..."""
    return Interactions(
        Vocabulary(np.arange(1, max(user) + 1)),
        Vocabulary(np.arange(1, num_items + 1) * 10),
        np.array(user),
        np.array(item),
        rating=np.arange(len(user)) % 5 + 1 if rating is None else rating,
        timestamp=np.array(time),
        name=name,
    )


def pairs(part):
    return list(zip(part.user_id.tolist(), part.item_id.tolist(), strict=True))


def test_folds_by_name_are_those_of_given_rows(tmp_path):
    data = table("ml-100k", [1, 1, 2, 2, 2], [1, 2, 1, 3, 4], [1, 2, 3, 4, 5])
    (tmp_path / "ua.base").write_text("2\t30\t4\t4\n1\t10\t1\t1\n1\t20\t2\t2\n2\t40\t5\t5\n")
    (tmp_path / "ua.test").write_text("2\t10\t3\t3\n")
    train, test = given_rows("ml-100k", data, "ua", data_dir=tmp_path)
    split = given_split_of(data, "ua", seed=0, validation=0.25, data_dir=tmp_path)
    assert pairs(split.test) == pairs(data.take(test)) == [(2, 1)]
    assert sorted(pairs(split.train) + pairs(split.validation)) == sorted(pairs(data.take(train)))
    assert len(split.validation) == 1
    with pytest.raises(UsageError, match="must be a share of the training rows"):
        given_split_of(data, "ua", seed=0, validation="latest", data_dir=tmp_path)


# Items in order of first appearance: 5, 3, 4, 1, 2, then 6 to 105.
NCF_USER = [1, 1, 1, 2, 2, 2, *[3] * 100]
NCF_ITEM = [5, 3, 4, 1, 5, 2, *range(6, 106)]
NCF_TIME = [30, 10, 20, 7, 9, 8, *range(100)]


@pytest.fixture
def ncf_folder(tmp_path):
    """Write test files: user 1 tests item 5 (number 0), user 2 item 2 (number 4)."""
    negatives = {(0, 0): range(3, 102), (1, 4): [4, *range(6, 104)]}
    ratings = "0\t0\t1\t30\n1\t4\t1\t8\n"
    lines = [f"({u},{i})\t" + "\t".join(map(str, items)) + "\n" for (u, i), items in negatives.items()]
    (tmp_path / "ml-1m.test.rating").write_text(ratings)
    (tmp_path / "ml-1m.test.negative").write_text("".join(lines))
    return tmp_path


def ncf_data():
    # More items than anybody has, so that there are negatives to draw.
    return table("ml-1m", NCF_USER, NCF_ITEM, NCF_TIME, num_items=300)


def first_appearance(numbers):
    order = [5, 3, 4, 1, 2, *range(6, 106)]
    return [order[number] for number in numbers]


def test_leave_one_out_files_are_mapped_back(ncf_folder):
    split = given_split_of(ncf_data(), "leave-one-out", seed=4, data_dir=ncf_folder)
    assert pairs(split.test) == [(1, 5), (2, 2)]
    # The latest of the other rows of each user.
    assert sorted(pairs(split.validation)) == [(1, 4), (2, 5), (3, 105)]
    assert len(split.train) == len(NCF_USER) - 5
    stored = split.negatives["test"]
    assert stored.user_id.tolist() == [1, 2]
    assert stored.item_id[0].tolist() == first_appearance(range(3, 102))
    assert stored.item_id[1].tolist() == [0, *first_appearance(range(6, 104))]
    assert "(1 users have the test item among them; it is left out there, so they are ranked among 98)" in (
        split.protocol
    )
    drawn = split.negatives["validation"]
    assert (drawn.user_id.tolist(), drawn.item_id.shape) == ([1, 2, 3], (3, 99))
    seen = set(zip(NCF_USER, NCF_ITEM, strict=True))
    assert not seen & {(user, item) for user, row in enumerate(drawn.item_id.tolist(), 1) for item in row}


def test_the_validation_row_can_be_a_random_one(ncf_folder):
    random = set()
    for seed in range(30):
        split = given_split_of(
            ncf_data(), "leave-one-out", seed=seed, validation="random", data_dir=ncf_folder
        )
        random.add(tuple(sorted(pairs(split.validation))[:2]))
    assert random == {((1, first), (2, second)) for first in (3, 4) for second in (1, 5)}


def test_leave_one_out_needs_the_rows_in_the_order_of_the_file(ncf_folder):
    data = ncf_data()
    with pytest.raises(DataError):
        given_split_of(data.take(np.arange(len(data))[::-1]), "leave-one-out", seed=0, data_dir=ncf_folder)
    swapped = replace(data, rating=np.roll(data.ratings, 1))
    with pytest.raises(DataError, match="the ratings differ"):
        given_split_of(swapped, "leave-one-out", seed=0, data_dir=ncf_folder)


def test_negatives_that_do_not_fit_are_refused(ncf_folder):
    path = ncf_folder / "ml-1m.test.negative"
    text = path.read_text()
    for damaged in (text.replace("(1,4)", "(1,3)"), text.replace("\t6\t", "\t", 1), text[: len(text) // 2]):
        path.write_text(damaged)
        with pytest.raises(DataError, match=r"ml-1m\.test\.negative"):
            given_split_of(ncf_data(), "leave-one-out", seed=0, data_dir=ncf_folder)


def test_missing_files_are_fetched_where_an_address_is_known(ncf_folder, monkeypatch):
    with pytest.raises(DataError, match=r"ml-1m\.test\.rating and .*Download failed.*no network.*NCF paper"):
        given_split_of(ncf_data(), "leave-one-out", seed=0)
    asked = []

    def fetch(url, destination, *, checksum):
        assert checksum.startswith("sha256:")
        asked.append(url.rpartition("/")[2])
        destination.parent.mkdir(parents=True, exist_ok=True)
        destination.write_bytes((ncf_folder / destination.name).read_bytes())
        return destination

    monkeypatch.setattr(download, "fetch", fetch)
    for _ in range(2):
        split = given_split_of(ncf_data(), "leave-one-out", seed=0)
        assert pairs(split.test) == [(1, 5), (2, 2)]
    assert asked == ["ml-1m.test.rating", "ml-1m.test.negative"]


def test_unknown_splits_are_refused():
    data = ncf_data()
    with pytest.raises(
        UsageError, match=r"Unknown split 'leave-one' of 'ml-1m'\. Did you mean 'leave-one-out'"
    ):
        given_split_of(data, "leave-one", seed=0)
    for name in ("ml-10m", "my-own"):
        with pytest.raises(
            UsageError, match=f"'{name}' has no published split; these have: .*ml-100k, ml-1m"
        ):
            given_split_of(replace(data, name=name), "u1", seed=0)


def test_files_by_hand_are_asked_for_by_name():
    data = table("ml-100k", [1, 2], [1, 2], [1, 2])
    with pytest.raises(DataError, match=r"u1\.base and u1\.test.*not on this machine.*GroupLens"):
        given_split_of(data, "u1", seed=0)


def test_every_registered_split_names_its_files():
    for name in registry.registered():
        for split_name, split in registry.find(name).splits.items():
            assert split.files or (name, split_name) == ("ml-100k", "random_80_10_10")
            assert set(split.urls) <= set(split.files)


@pytest.mark.data
def test_real_chronological_split_is_that_of_the_recommenders_library():
    data = load_dataset("ml-100k")
    split = chronological_split(data, seed=0)
    train = np.concatenate([split.train.item_id, split.validation.item_id])
    assert (len(train), len(np.unique(train)), len(split.test)) == (74_992, 1_597, 25_008)


@pytest.mark.data
def test_real_ncf_files():
    data = load_dataset("ml-1m")
    split = given_split_of(data, "leave-one-out", seed=0)
    assert [len(getattr(split, part)) for part in PARTS] == [988_129, 6_040, 6_040]
    assert "156 users have the test item among them" in split.protocol
    test, validation = split.negatives["test"], split.negatives["validation"]
    assert test.item_id.shape == validation.item_id.shape == (6_040, 99)
    assert (test.item_id == 0).sum() == (test.item_id == 0).any(axis=1).sum() == 156
    seen = np.zeros((data.num_users + 1, data.num_items + 1), bool)
    seen[data.user_id, data.item_id] = True
    for negatives in (test, validation):
        assert not seen[negatives.user_id[:, None], negatives.item_id].any()
    assert np.array_equal(np.unique(split.validation.user_id), np.arange(1, 6_041))
    # The training file has the same pairs, items numbered by the authors.
    path = Path(os.environ["TFZOO_DATA_DIR"]) / "ml-1m" / "ml-1m.train.rating"
    numbers = pd.read_csv(path, sep="\t", header=None, usecols=[0, 1]).to_numpy()
    appearance = pd.unique(data.item_id)
    theirs = np.zeros_like(seen)
    theirs[numbers[:, 0] + 1, appearance[numbers[:, 1]]] = True
    ours = np.zeros_like(seen)
    for part in (split.train, split.validation):
        ours[part.user_id, part.item_id] = True
    assert np.array_equal(ours, theirs)


@pytest.mark.data
def test_real_strong_generalization():
    data = filter_interactions(load_dataset("ml-1m"), min_rating=4, min_user_interactions=5)
    assert (len(data), data.num_users, data.num_items) == (575_272, 6_034, 3_533)
    split = strong_generalization_split(data, seed=0, held_out_users=600)
    assert len(np.unique(split.train.user_id)) == 4_834
    assert len(np.unique(split.train.item_id)) == 3_497
    for part in (split.validation, split.test):
        assert len(np.unique(part.user_id)) == 600
    kept = len(split.validation) + len(split.test) + len(split.fold_in)
    in_train = np.isin(data.user_id, split.train.user_id)
    assert kept == (~in_train & np.isin(data.item_id, split.train.item_id)).sum()


@pytest.mark.data
def test_real_leave_one_out_with_negatives():
    data = load_dataset("ml-1m")
    split = leave_out_split(data, seed=0, negatives=99)
    assert [len(getattr(split, part)) for part in PARTS] == [988_129, 6_040, 6_040]
    seen = np.zeros((data.num_users + 1, data.num_items + 1), bool)
    seen[data.user_id, data.item_id] = True
    for drawn in split.negatives.values():
        assert drawn.item_id.shape == (6_040, 99)
        assert not seen[drawn.user_id[:, None], drawn.item_id].any()
