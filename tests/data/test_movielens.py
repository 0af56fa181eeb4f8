"""MovieLens: layouts, sources, published folds, and the real files where they are at hand."""

from __future__ import annotations

import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tfzoo.data import download
from tfzoo.data.datasets import given_rows, list_datasets, load_dataset, movielens, registry
from tfzoo.data.interactions import Interactions
from tfzoo.errors import DataError, DownloadError, UsageError

NAMES = ["ml-100k", "ml-10m", "ml-1m", "ml-20m", "ml-25m", "ml-32m", "ml-latest-small"]
ROWS = ((10, 7, 5, 100), (2, 7, 3, 200), (10, 3, 1, 300))
GENRE_FLAGS = {"Action": 1, "Animation": 3, "Sci-Fi": 15}


def item_line(item: int, title: str, *genres: str) -> str:
    flags = ["0"] * 19
    for genre in genres:
        flags[GENRE_FLAGS[genre]] = "1"
    return "|".join([str(item), title, "01-Jan-1995", "", "http://x", *flags])


def write_100k(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "u.data").write_text("".join("{}\t{}\t{}\t{}\n".format(*row) for row in ROWS))
    items = [item_line(3, "Amélie (1995)", "Action", "Sci-Fi"), item_line(7, '"Toy" (1995) ', "Animation")]
    (folder / "u.item").write_text("\n".join([*items, item_line(9, "Unseen")]) + "\n", encoding="latin-1")
    (folder / "u.user").write_text("2|53|F|other|94043\n10|24|M|technician|T8H1N\n")
    return folder


def write_dat(folder: Path, encoding: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "ratings.dat").write_text("".join("{}::{}::{}::{}\n".format(*row) for row in ROWS))
    movies = '3::Amélie: 2 (1995)::Action|Sci-Fi\n7::"Toy" (1995)::Animation\n9::Unseen::War\n'
    (folder / "movies.dat").write_text(movies, encoding=encoding)
    (folder / "users.dat").write_text("2::F::53::0::94043\n10::M::24::12::T8H\n")
    return folder


def write_csv(folder: Path) -> Path:
    folder.mkdir(parents=True)
    lines = "".join("{},{},{}.5,{}\n".format(*row) for row in ROWS)
    (folder / "ratings.csv").write_text(f"userId,movieId,rating,timestamp\n{lines}")
    movies = (
        'movieId,title,genres\n3,"Amélie, A (1995)",Action|Sci-Fi\n7,"""Toy""",(no genres listed)\n9,N,War\n'
    )
    (folder / "movies.csv").write_text(movies, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """No network, a cache of its own and, but for the real files, no data folder."""

    def no_network(url: str, *_: object, **__: object) -> Path:
        raise DownloadError(f"{url}: no network in tests.")

    def no_pip(requirement: str, **_: object) -> Path:
        raise DownloadError(f"pip download {requirement}: no network in tests")

    monkeypatch.setattr(download, "fetch", no_network)
    monkeypatch.setattr(download, "fetch_wheel", no_pip)
    monkeypatch.setenv("TFZOO_CACHE_DIR", str(tmp_path / "cache"))
    if "real" not in request.fixturenames:
        monkeypatch.delenv("TFZOO_DATA_DIR", raising=False)


@pytest.fixture
def any_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = {name: replace(dataset, facts={}) for name, dataset in registry._datasets.items()}
    monkeypatch.setattr(registry, "_datasets", tiny)


def check_rows(data: Interactions, ratings: list[float]) -> None:
    assert data.users.ids.tolist() == [2, 10]
    assert data.items.ids.tolist() == [3, 7]
    assert data.user_id.tolist() == [2, 1, 2]
    assert data.item_id.tolist() == [2, 2, 1]
    assert data.ratings.tolist() == ratings
    assert data.timestamp is not None
    assert data.timestamp.tolist() == [100, 200, 300]


def test_names() -> None:
    # Of the ratings of ml-1m there is a file of sequences, too.
    named = {name for name in list_datasets() if name.startswith("ml-")} - {"ml-1m-sasrec"}
    assert named == set(NAMES)


@pytest.mark.usefixtures("any_counts")
def test_layout_100k(tmp_path: Path) -> None:
    data = load_dataset("ml-100k", data_dir=write_100k(tmp_path / "x"))
    check_rows(data, [5, 3, 1])
    assert data.rating_scale == (1, 5)
    assert data.item_features["title"].tolist() == ["", "Amélie (1995)", '"Toy" (1995)']
    assert data.item_features["genres"].tolist() == ["", "Action|Sci-Fi", "Animation"]
    assert data.user_features["age"].tolist() == [0, 53, 24]
    assert data.user_features["gender"].tolist() == ["", "F", "M"]
    assert data.user_features["occupation"].tolist() == ["", "other", "technician"]
    assert data.notes == (f"read from {tmp_path / 'x'}",)


@pytest.mark.usefixtures("any_counts")
@pytest.mark.parametrize(("name", "encoding", "lowest"), [("ml-1m", "latin-1", 1), ("ml-10m", "utf-8", 0.5)])
def test_layout_dat(tmp_path: Path, name: str, encoding: str, lowest: float) -> None:
    data = load_dataset(name, data_dir=write_dat(tmp_path / "x", encoding))
    check_rows(data, [5, 3, 1])
    assert data.rating_scale == (lowest, 5)
    assert data.item_features["title"].tolist() == ["", "Amélie: 2 (1995)", '"Toy" (1995)']
    assert data.item_features["genres"].tolist() == ["", "Action|Sci-Fi", "Animation"]
    assert data.user_features["age"].tolist() == [0, 53, 24]
    assert data.user_features["occupation"].tolist() == ["", "0", "12"]


@pytest.mark.usefixtures("any_counts")
@pytest.mark.parametrize("name", ["ml-latest-small", "ml-20m", "ml-25m", "ml-32m"])
def test_layout_csv(tmp_path: Path, name: str) -> None:
    data = load_dataset(name, data_dir=write_csv(tmp_path / "x"))
    check_rows(data, [5.5, 3.5, 1.5])
    assert data.rating_scale == (0.5, 5)
    assert data.item_features["title"].tolist() == ["", "Amélie, A (1995)", '"Toy"']
    assert data.item_features["genres"].tolist() == ["", "Action|Sci-Fi", "(no genres listed)"]
    assert data.user_features == {}
    assert data.notes[0] == "no user file, so no user features"


@pytest.mark.usefixtures("any_counts")
def test_missing_feature_files_are_noted(tmp_path: Path) -> None:
    folder = write_100k(tmp_path / "x")
    (folder / "u.item").unlink()
    (folder / "u.user").unlink()
    data = load_dataset("ml-100k", data_dir=folder)
    assert data.item_features == data.user_features == {}
    assert data.notes[:2] == (
        "no item file, so no item features",
        "no user file, so no user features",
    )


def test_counts_are_checked(tmp_path: Path) -> None:
    folder = write_100k(tmp_path / "x")
    message = (
        r"u.data is truncated or is not 'ml-100k': it has 3 interactions, 2 users, 2 items, expected 100,000"
    )
    with pytest.raises(DataError, match=message):
        load_dataset("ml-100k", data_dir=folder)


@pytest.mark.usefixtures("any_counts")
@pytest.mark.parametrize("text", ["", "1\t2\t3\t4\n1\t3\n", "1\t2\t\t4\n", "a\t2\t3\t4\n"])
def test_damaged_ratings(tmp_path: Path, text: str) -> None:
    folder = write_100k(tmp_path / "x")
    (folder / "u.data").write_text(text)
    with pytest.raises(DataError, match=r"u\.data is truncated or"):
        load_dataset("ml-100k", data_dir=folder)


@pytest.mark.usefixtures("any_counts")
def test_where_files_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = write_dat(tmp_path / "cache" / "ml-10m", "utf-8")
    assert load_dataset("ml-10m").notes[-1] == f"read from {cached}"
    shared = write_dat(tmp_path / "shared" / "ml-10M100K", "utf-8")
    monkeypatch.setenv("TFZOO_DATA_DIR", str(tmp_path / "shared"))
    assert load_dataset("ml-10m").notes[-1] == f"read from {shared}"
    own = write_dat(tmp_path / "own" / "ml-10m", "utf-8")
    assert load_dataset("ml-10m", data_dir=tmp_path / "own").notes[-1] == f"read from {own}"
    assert load_dataset("ml-10m", data_dir=str(own)).notes[-1] == f"read from {own}"


def test_unknown_name() -> None:
    with pytest.raises(UsageError, match=r"Did you mean 'ml-100k'.*--data FILE"):
        load_dataset("ml100k")


def test_one_error_lists_everything_tried(tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as caught:
        load_dataset("ml-100k", data_dir=tmp_path / "given")
    message = str(caught.value)
    for part in (
        f"data_dir: no file {tmp_path / 'given' / 'ml-100k' / 'u.data'}",
        f"data_dir: no file {tmp_path / 'given' / 'u.data'}",
        "TFZOO_DATA_DIR: not set",
        f"cache: no file {tmp_path / 'cache' / 'ml-100k' / 'u.data'}",
        "ml-100k.zip: no network in tests",
        "wheel recbole==1.2.1: pip download recbole==1.2.1: no network in tests",
        "TFZOO_DATA_DIR=/data for /data/ml-100k/u.data",
    ):
        assert part in message
    assert list((tmp_path / "cache").iterdir()) == []


def test_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TFZOO_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.raises(DownloadError, match="Not a directory"):
        load_dataset("ml-1m")


def serve(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> list[tuple[str, str | None]]:
    asked = []

    def fetch(url: str, destination: Path, *, checksum: str | None, **_: object) -> Path:
        asked.append((url.rpartition("/")[2], checksum))
        if asked[-1][0] not in files:
            raise DownloadError(f"{url}: HTTP 404")
        destination.write_bytes(files[asked[-1][0]])
        return destination

    monkeypatch.setattr(download, "fetch", fetch)
    return asked


def zipped(folder: Path, name: str) -> bytes:
    archive = folder.parent / "archive.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for path in folder.iterdir():
            opened.write(path, f"{name}/{path.name}")
    return archive.read_bytes()


@pytest.mark.usefixtures("any_counts")
def test_download_into_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(write_dat(tmp_path / "x", "utf-8"), "ml-10M100K")
    asked = serve(monkeypatch, {"ml-10m.zip": archive})
    check_rows(load_dataset("ml-10m"), [5, 3, 1])
    check_rows(load_dataset("ml-10m"), [5, 3, 1])
    assert asked == [("ml-10m.zip", "md5:ce571fd55effeba0271552578f2648bd")]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["ml-10m"]


@pytest.mark.usefixtures("any_counts")
def test_unusable_folder_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, {"ml-1m.zip": zipped(write_dat(tmp_path / "x", "latin-1"), "ml-1m")})
    mine = tmp_path / "cache" / "ml-1m" / "mine"
    mine.parent.mkdir(parents=True)
    mine.write_text("kept")
    with pytest.raises(DownloadError, match=r"exists but lacks ratings\.dat; remove that folder"):
        load_dataset("ml-1m")
    assert mine.read_text() == "kept"


@pytest.mark.usefixtures("any_counts")
def test_wheel_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch_wheel(requirement: str, *, sha256: str, folder: Path) -> Path:
        assert (requirement, sha256[:8]) == ("recbole==1.2.1", "9c994820")
        wheel = folder / "recbole.whl"
        parts = {
            "inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
            + "".join("{}\t{}\t{}\t{}\n".format(*row) for row in ROWS),
            "item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
            "3\tAmélie\t1995\tAction Sci-Fi\n7\tunkonwn\tunkonwn\tunknown\n9\tUnseen ž\t1990\tWar\n",
            "user": "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
            "2\t53\tF\tother\t94043\n10\t24\tM\ttechnician\t85711\n",
        }
        with zipfile.ZipFile(wheel, "w") as archive:
            for part, text in parts.items():
                archive.writestr(f"recbole/dataset_example/ml-100k/ml-100k.{part}", text)
        return wheel

    monkeypatch.setattr(download, "fetch_wheel", fetch_wheel)
    data = load_dataset("ml-100k")
    check_rows(data, [5, 3, 1])
    assert data.item_features["title"].tolist() == ["", "Amélie (1995)", "unknown"]
    assert data.item_features["genres"].tolist() == ["", "Action|Sci-Fi", "unknown"]
    assert data.user_features["age"].tolist() == [0, 53, 24]
    folder = tmp_path / "cache" / "ml-100k"
    assert sorted(path.name for path in folder.iterdir()) == ["u.data", "u.item", "u.user"]
    assert "Unseen ? (1990)" in (folder / "u.item").read_text(encoding="latin-1")
    with pytest.raises(DataError, match=r"u1\.base and u1\.test.*the recbole wheel has not"):
        given_rows("ml-100k", data, "u1")


@pytest.mark.usefixtures("any_counts")
def test_given_rows(tmp_path: Path) -> None:
    folder = write_100k(tmp_path / "x")
    (folder / "u1.base").write_text("10\t3\t1\t300\n10\t7\t5\t100\n")
    (folder / "u1.test").write_text("2\t7\t3\t200\n")
    data = load_dataset("ml-100k", data_dir=folder)
    train, test = given_rows("ml-100k", data, "u1", data_dir=folder)
    assert (train.tolist(), test.tolist()) == ([2, 0], [1])
    (folder / "u1.test").write_text("2\t7\t3\t200\n2\t3\t3\t200\n99\t3\t3\t200\n")
    with pytest.raises(DataError, match=r"u1\.test, row 2: user 2 and item 3 are not among.*2 such rows"):
        given_rows("ml-100k", data, "u1", data_dir=folder)
    with pytest.raises(UsageError, match=r"Unknown fold 'u6' of 'ml-100k'. Valid: u1"):
        given_rows("ml-100k", data, "u6", data_dir=folder)
    with pytest.raises(UsageError, match="no published folds"):
        given_rows("ml-1m", data, "u1", data_dir=folder)


@pytest.fixture
def real(request: pytest.FixtureRequest) -> Interactions:
    """The real data set named by the parameter; absent files fail in CI and skip elsewhere."""
    name = request.param
    root = os.environ.get("TFZOO_DATA_DIR")
    if root and (Path(root) / name).is_dir():
        return load_dataset(name)
    reason = f"TFZOO_DATA_DIR is {root!r} and holds no folder {name}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.mark.data
@pytest.mark.parametrize("real", ["ml-100k"], indirect=True)
def test_real_100k(real: Interactions) -> None:
    assert (len(real), real.num_users, real.num_items) == (100_000, 943, 1_682)
    assert real.ratings.mean(dtype=np.float64) == pytest.approx(3.52986, abs=1e-9)
    assert np.bincount(real.ratings.astype(int)).tolist() == [0, 6110, 11370, 27145, 34174, 21201]
    assert real.item_features["title"][1] == "Toy Story (1995)"
    assert real.item_features["genres"][1] == "Animation|Children's|Comedy"
    assert set(movielens.GENRES) >= set("|".join(real.item_features["genres"][1:]).split("|"))


@pytest.mark.data
@pytest.mark.parametrize("real", ["ml-100k"], indirect=True)
@pytest.mark.parametrize(("fold", "sizes"), [("u1", (80_000, 20_000)), ("ua", (90_570, 9_430))])
def test_real_100k_folds(real: Interactions, fold: str, sizes: tuple[int, int]) -> None:
    train, test = given_rows("ml-100k", real, fold)
    assert (len(train), len(test)) == sizes
    assert np.array_equal(np.union1d(train, test), np.arange(100_000))


@pytest.mark.data
@pytest.mark.parametrize("real", ["ml-1m"], indirect=True)
def test_real_1m(real: Interactions) -> None:
    assert (len(real), real.num_users, real.num_items) == (1_000_209, 6_040, 3_706)
    assert real.ratings.mean(dtype=np.float64) == pytest.approx(3.581564, abs=1e-6)
    assert np.bincount(real.ratings.astype(int)).tolist() == [0, 56174, 107557, 261197, 348971, 226310]


@pytest.mark.data
@pytest.mark.parametrize("real", ["ml-latest-small"], indirect=True)
def test_real_latest_small(real: Interactions) -> None:
    assert (len(real), real.num_users, real.num_items) == (100_836, 610, 9_724)
    assert (real.ratings.min(), real.ratings.max()) == (0.5, 5)
