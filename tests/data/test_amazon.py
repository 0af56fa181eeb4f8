"""Amazon reviews with texts, and the sample of 2023 with its published split."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest

from tfzoo.data import download
from tfzoo.data.datasets import given_split_of, load_dataset, registry
from tfzoo.data.datasets.amazon_2023 import NAME, WITHOUT_FAKES
from tfzoo.errors import DataError, DownloadError, UsageError


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path, request):
    def no_network(url, *_, **__):
        raise DownloadError(f"{url}: no network in tests.")

    monkeypatch.setattr(download, "fetch", no_network)
    monkeypatch.setenv("TFZOO_CACHE_DIR", str(tmp_path / "cache"))
    if not request.node.get_closest_marker("data"):
        monkeypatch.delenv("TFZOO_DATA_DIR", raising=False)
        tiny = {name: replace(dataset, facts={}) for name, dataset in registry._datasets.items()}
        monkeypatch.setattr(registry, "_datasets", tiny)


def review(user, item, stars, time, **more):
    return {"reviewerID": user, "asin": item, "overall": stars, "unixReviewTime": time, **more}


REVIEWS = [
    review("A2", "B1", 5.0, 300, reviewText="newer", helpful=[0, 1]),
    review("A1", "B1", 3.0, 200, reviewText="fine\nnot more"),
    review("A2", "B1", 1.0, 100, reviewText="older"),
    review("A1", "B0", 4.0, 250),
    review("A1", "B0", 2.0, 250, reviewText="as late, but further down"),
]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize(
    ("folder", "file"),
    [
        ("amazon", "Gift_Cards_5.json"),
        ("amazon-gift-cards", "Gift_Cards_5.json.gz"),
        ("amazon", "reviews_Gift_Cards_5.json.gz"),
    ],
)
def test_reviews_are_found_and_read(tmp_path, monkeypatch, folder, file):
    (tmp_path / folder).mkdir()
    content = lines(REVIEWS)
    (tmp_path / folder / file).write_bytes(gzip.compress(content) if file.endswith("gz") else content)
    monkeypatch.setenv("TFZOO_DATA_DIR", str(tmp_path))
    data = load_dataset("amazon-gift-cards")
    assert data.users.decode(data.user_id).tolist() == ["A2", "A1", "A1"]
    assert data.items.decode(data.item_id).tolist() == ["B1", "B1", "B0"]
    assert data.ratings.tolist() == [5, 3, 2]
    assert data.timestamp.tolist() == [300, 200, 250]
    assert data.text.tolist() == ["newer", "fine\nnot more", "as late, but further down"]
    assert (data.rating_scale, data.name) == ((1, 5), "amazon-gift-cards")
    accounted = "5 rows read, 3 kept, 2 dropped (earlier reviews of the same user and item)"
    assert data.notes[0].endswith(accounted)


def test_missing_texts_are_empty(tmp_path):
    rows = [review("A1", "B0", 4.0, 1), review("A2", "B1", 4.0, 1, reviewText="x")]
    (tmp_path / "Musical_Instruments_5.json").write_bytes(lines(rows))
    data = load_dataset("amazon-musical-instruments", data_dir=tmp_path)
    assert data.text.tolist() == ["", "x"]
    assert not any("dropped" in note and "earlier" in note for note in data.notes)


def test_files_without_the_columns_are_refused(tmp_path):
    path = tmp_path / "Musical_Instruments_5.json"
    path.write_bytes(lines([{"reviewerID": "A1", "item": "B0"}]))
    with pytest.raises(DataError, match="has no column 'asin'"):
        load_dataset("amazon-musical-instruments", data_dir=tmp_path)
    path.write_bytes(lines(REVIEWS)[:-20])
    with pytest.raises(DataError, match="line 5 is no JSON object"):
        load_dataset("amazon-musical-instruments", data_dir=tmp_path)


def test_one_file_is_downloaded_as_it_is(tmp_path, monkeypatch):
    asked = []

    def fetch(url, destination, *, checksum):
        asked.append((url, checksum))
        destination.write_bytes(gzip.compress(lines(REVIEWS)))
        return destination

    monkeypatch.setattr(download, "fetch", fetch)
    for _ in range(2):
        assert len(load_dataset("amazon-instant-video")) == 3
    base = "http://snap.stanford.edu/data/amazon/productGraph/categoryFiles"
    assert asked == [(f"{base}/reviews_Amazon_Instant_Video_5.json.gz", None)]
    folder = tmp_path / "cache" / "amazon-instant-video"
    assert [path.name for path in folder.iterdir()] == ["reviews_Amazon_Instant_Video_5.json.gz"]


def test_no_file_and_no_network(tmp_path):
    with pytest.raises(
        DownloadError, match=r"no file .*Gift_Cards_5\.json(?s:.*)Fetch and unpack https://jmcauley"
    ):
        load_dataset("amazon-gift-cards", data_dir=tmp_path)


HEADER = "user,id,rating,timestamp\n"
# User 0 has five items, user 1 four, user 2 only item 5, user 3 only item 1: his fake is his true item.
ROWS = {
    "train": [(0, 4, 1000), (0, 3, 2000), (0, 2, 3000), (1, 3, 1000), (1, 2, 2000)],
    "test": [(0, 1, 4000), (0, 0, 5999), (1, 0, 4000), (1, 4, 5000), (2, 5, 7000), (3, 1, 8000)],
}
POSITIVES = {0: (1, 0), 1: (0, 4), 2: (5, 1), 3: (1, 1)}


@pytest.fixture
def folder_2023(tmp_path):
    rows = {part: "".join(f"{u},{i},1.0,{t}\n" for u, i, t in lines) for part, lines in ROWS.items()}
    for part, text in rows.items():
        (tmp_path / f"{part}.csv").write_text(HEADER + text)
    # The rest of the vocabulary: items up to 109, all of user 4.
    others = "".join(f"4,{item},1.0,{item}\n" for item in range(6, 110))
    (tmp_path / "musical_instruments_20_20.csv").write_text(HEADER + rows["test"] + rows["train"] + others)
    names = ",".join(f"negative_{number}" for number in range(1, 100))
    ranked = f"user,id1,rating1,id2,rating2,timestamp1,timestamp2,{names}\n"
    for user, (first, second) in POSITIVES.items():
        ranked += f"{user},{first}.0,1.0,{second}.0,1.0,1.0,1.0,"
        ranked += ",".join(str(6 + user + number) for number in range(99)) + "\n"
    (tmp_path / "test_negative_transformed.csv").write_text(ranked)
    return tmp_path


def raw_pairs(data, part):
    return list(
        zip(data.users.decode(part.user_id).tolist(), data.items.decode(part.item_id).tolist(), strict=True)
    )


def test_2023_reads_seconds_and_titles(folder_2023):
    data = load_dataset(NAME, data_dir=folder_2023)
    assert raw_pairs(data, data)[:2] == [(0, 1), (0, 0)]
    assert data.timestamp[:2].tolist() == [4, 5]
    assert set(data.ratings.tolist()) == {1}
    assert data.item_features == {}
    codes = [f"B{number:03}" for number in range(110)]
    text = "id,main_category,title\n" + "".join(f'{c},x,"The {c}, new"\n' for c in reversed(codes))
    (folder_2023 / "metadata_instruments.csv").write_text(text)
    data = load_dataset(NAME, data_dir=folder_2023)
    assert data.item_features["title"][[0, 1, 110]].tolist() == ["", "The B000, new", "The B109, new"]
    (folder_2023 / "metadata_instruments.csv").write_text("id,title\nB1,x\n")
    with pytest.raises(DataError, match="has 1 items, but items are numbered up to 109"):
        load_dataset(NAME, data_dir=folder_2023)


def test_leave_two_out_as_published_and_without_fakes(folder_2023):
    data = load_dataset(NAME, data_dir=folder_2023)
    split = given_split_of(data, "leave-two-out", seed=0, data_dir=folder_2023)
    true = [(user, item) for user, item, _ in ROWS["test"]]
    assert raw_pairs(data, split.test) == [*true, (2, 1), (3, 1)]
    assert raw_pairs(data, split.variants[WITHOUT_FAKES]) == true
    assert np.bincount(split.test.user_id).tolist() == [0, 2, 2, 2, 2]
    # Only user 0 has three training rows; his last one is held out.
    assert raw_pairs(data, split.validation) == [(0, 2)]
    assert sorted(raw_pairs(data, split.train)) == [(0, 3), (0, 4), (1, 2), (1, 3)]
    assert "with 2 fake positives" in split.protocol
    stored = split.negatives["test"]
    assert data.items.decode(stored.item_id[2]).tolist() == list(range(8, 107))
    drawn = split.negatives["validation"]
    assert (data.users.decode(drawn.user_id).tolist(), drawn.item_id.shape) == ([0], (1, 99))
    assert data.items.decode(drawn.item_id).min() >= 5
    assert split.test.timestamp[-2:].tolist() == [7, 8]
    with pytest.raises(UsageError, match="'latest' or 'random'"):
        given_split_of(data, "leave-two-out", seed=0, validation="first", data_dir=folder_2023)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("train.csv", "0,4,1.0,1000", "0,1,1.0,4000", "overlap"),
        ("test.csv", "2,5,1.0", "2,6,1.0", "user 2 and item 6 are not among"),
        ("test_negative_transformed.csv", "negative_99", "negative_100", "no column 'negative_99'"),
        ("test_negative_transformed.csv", "2,5.0", "2,110.0", "names a user or an item"),
    ],
)
def test_damaged_2023_files_are_refused(folder_2023, file, old, new, message):
    data = load_dataset(NAME, data_dir=folder_2023)
    path = folder_2023 / file
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        given_split_of(data, "leave-two-out", seed=0, data_dir=folder_2023)


@pytest.mark.data
def test_real_2014_and_2018():
    data = load_dataset("amazon-musical-instruments")
    assert (len(data), data.num_users, data.num_items) == (10_261, 1_429, 900)
    assert np.bincount(data.ratings.astype(int)).tolist() == [0, 217, 250, 772, 2_084, 6_938]
    assert sum(not text for text in data.text) == 7
    data = load_dataset("amazon-gift-cards")
    assert (len(data), data.num_users, data.num_items) == (2_972 - 7, 458, 148)
    assert len(set(raw_pairs(data, data))) == len(data)


@pytest.mark.data
def test_real_2023():
    data = load_dataset(NAME)
    assert (len(data), data.num_users, data.num_items) == (42_626, 5_107, 1_003)
    split = given_split_of(data, "leave-two-out", seed=0)
    assert len(split.train) + len(split.validation) == 32_644
    assert len(split.variants[WITHOUT_FAKES]) == 9_982
    assert len(split.test) == 9_982 + 232
    assert np.bincount(split.test.user_id)[1:].tolist() == [2] * 5_107
    known = np.union1d(split.train.user_id, split.validation.user_id)
    assert 5_107 - len(known) == 553
    assert split.negatives["test"].item_id.shape == (5_107, 99)
    assert split.negatives["test"].item_id.min() == 1
    # Counting popularity alone reaches the hit rate of bmf.md's table: 0.4231 among 101.
    popularity = np.bincount(np.concatenate([split.train.item_id, split.validation.item_id]), minlength=1_004)
    positives = np.full((5_108, 2), 0)
    order = np.argsort(split.test.user_id, kind="stable")
    positives[1:] = split.test.item_id[order].reshape(-1, 2)
    negatives = split.negatives["test"]
    best = popularity[positives[negatives.user_id]].max(axis=1)
    ahead = (popularity[negatives.item_id] > best[:, None]).sum(axis=1)
    assert (ahead < 10).mean() == pytest.approx(0.4231, abs=0.01)
