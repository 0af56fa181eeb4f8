"""The MovieLens data sets of GroupLens, in the four layouts in which they are published.

Harper and Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tfzoo.data import download
from tfzoo.data.datasets.registry import Dataset, local_folders, register
from tfzoo.data.interactions import Interactions
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError, nearest

BASE_URL = "https://files.grouplens.org/datasets/movielens"
GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
FOLDS = ("u1", "u2", "u3", "u4", "u5", "ua", "ub")
WHEEL = "recbole==1.2.1"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
WHEEL_FOLDER = "recbole/dataset_example/ml-100k"


def given_rows(
    name: str, interactions: Interactions, fold: str, *, data_dir: str | Path | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of a split that GroupLens publishes with MovieLens 100K.

    Args:
        name: name of the data set; only ``"ml-100k"`` has published splits.
        interactions: what ``load_dataset("ml-100k")`` returned.
        fold: ``"u1"`` to ``"u5"``, ``"ua"`` or ``"ub"``.
        data_dir: as for `load_dataset`.

    Returns:
        Row numbers of the training part and of the test part, int64, in the files' order.

    Raises:
        UsageError: there is no such data set or fold.
        DataError: the files of the fold are missing or name other interactions.
    """
    if name != ML_100K.name:
        raise UsageError(f"Data set {name!r} has no published folds; only '{ML_100K.name}' has.")
    if fold not in FOLDS:
        raise UsageError(f"Unknown fold {fold!r} of '{name}'. {nearest(fold, FOLDS)}")
    for _, folder in local_folders(ML_100K, data_dir):
        parts = (folder / f"{fold}.base", folder / f"{fold}.test")
        if all(part.is_file() for part in parts):
            train, test = (_rows_of(part, interactions) for part in parts)
            return train, test
    raise DataError(
        f"The files {fold}.base and {fold}.test of '{name}' are not on this machine. GroupLens' archive "
        f"{ML_100K.url} has them, the recbole wheel has not: unpack the archive and set TFZOO_DATA_DIR to "
        f"the folder that holds the folder '{name}'."
    )


def _rows_of(path: Path, interactions: Interactions) -> NDArray[np.int64]:
    frame = _read_ratings(path, "\t")
    width = interactions.num_items + 1
    known = interactions.user_id.astype(np.int64) * width + interactions.item_id
    users = interactions.users.lookup(frame["user"].to_numpy()).astype(np.int64)
    wanted = users * width + interactions.items.lookup(frame["item"].to_numpy())
    order = np.argsort(known)
    at = np.searchsorted(known, wanted, sorter=order).clip(max=len(known) - 1)
    missing = known[order[at]] != wanted
    if missing.any():
        row = int(np.argmax(missing))
        raise DataError(
            f"{path}, row {row + 1}: user {frame['user'][row]} and item {frame['item'][row]} are not among "
            f"the interactions of '{interactions.name}' ({int(missing.sum()):,} such rows)."
        )
    return order[at]


def _read_100k(folder: Path, dataset: Dataset) -> Interactions:
    items = _read_table(folder / "u.item", "|", range(5 + len(GENRES)), encoding="latin-1")
    if items is not None:
        flags = items[list(range(5, 5 + len(GENRES)))].to_numpy() == "1"
        genres = ["|".join(np.array(GENRES)[row]) for row in flags]
        items = pd.DataFrame({"id": items[0], "title": items[1].str.strip(), "genres": genres})
    users = _read_table(folder / "u.user", "|", ("id", "age", "gender", "occupation", "zip"))
    return _assemble(dataset, _read_ratings(folder / "u.data", "\t"), items, users)


def _read_dat(folder: Path, dataset: Dataset) -> Interactions:
    encoding = "latin-1" if dataset.name == "ml-1m" else "utf-8"
    items = _read_table(folder / "movies.dat", "::", ("id", "title", "genres"), encoding=encoding)
    users = _read_table(folder / "users.dat", "::", ("id", "gender", "age", "occupation", "zip"))
    return _assemble(dataset, _read_ratings(folder / "ratings.dat", "::"), items, users)


def _read_csv(folder: Path, dataset: Dataset) -> Interactions:
    items = _read_table(
        folder / "movies.csv", ",", ("id", "title", "genres"), header=0, quoting=csv.QUOTE_MINIMAL
    )
    return _assemble(dataset, _read_ratings(folder / "ratings.csv", ",", header=0), items, None)


def _assemble(
    dataset: Dataset, ratings: pd.DataFrame, items: pd.DataFrame | None, users: pd.DataFrame | None
) -> Interactions:
    user_codes, user_ids = pd.factorize(ratings["user"].to_numpy(), sort=True)
    item_codes, item_ids = pd.factorize(ratings["item"].to_numpy(), sort=True)
    known_users, known_items = Vocabulary(user_ids), Vocabulary(item_ids)
    tables = {"item": items, "user": users}
    return Interactions(
        users=known_users,
        items=known_items,
        user_id=(user_codes + 1).astype(np.int32),
        item_id=(item_codes + 1).astype(np.int32),
        rating=ratings["rating"].to_numpy(),
        timestamp=ratings["time"].to_numpy(),
        item_features=_features(known_items, items, {"title": str, "genres": str}),
        user_features=_features(known_users, users, {"age": np.int32, "gender": str, "occupation": str}),
        rating_scale=dataset.rating_scale,
        name=dataset.name,
        notes=tuple(f"no {what} file, so no {what} features" for what in tables if tables[what] is None),
    )


def _features(
    vocabulary: Vocabulary, table: pd.DataFrame | None, columns: Mapping[str, type]
) -> dict[str, NDArray]:
    """Line the columns of a table up with the vocabulary: one value a dense id, row 0 blank."""
    if table is None:
        return {}
    dense = vocabulary.lookup(table["id"].to_numpy(dtype=object))
    features = {}
    for column, dtype in columns.items():
        texts = table[column].to_numpy(dtype=object)
        try:
            values: NDArray = texts.astype(dtype)
        except ValueError as error:
            raise DataError(f"Column '{column}' of the feature file: {error}.") from error
        aligned = np.zeros(len(vocabulary) + 1, values.dtype)
        aligned[dense] = values
        aligned[0] = np.zeros((), values.dtype)
        features[column] = aligned
    return features


def _read_ratings(path: Path, sep: str, *, header: int | None = None) -> pd.DataFrame:
    dtypes = {"user": np.int64, "item": np.int64, "rating": np.float32, "time": np.int64}
    try:
        frame = pd.read_csv(
            _source(path, sep),
            sep=_one_character(sep),
            header=header,
            names=list(dtypes),
            dtype=dtypes,
            index_col=False,
        )
    except ValueError as error:
        raise DataError(
            f"{path} is truncated or is not a file of user, item, rating and time: {error}"
        ) from error
    wrong = ~np.isfinite(frame["rating"].to_numpy())
    if frame.empty or wrong.any():
        where = f"row {int(np.argmax(wrong)) + 1} has no rating" if len(frame) else "it has no rows"
        raise DataError(f"{path} is truncated or damaged: {where}.")
    return frame


def _read_table(
    path: Path,
    sep: str,
    columns: Sequence[str] | range,
    *,
    header: int | None = None,
    encoding: str = "utf-8",
    quoting: Literal[0, 3] = csv.QUOTE_NONE,
) -> pd.DataFrame | None:
    """Read a file of features as text; None where there is no such file."""
    if not path.is_file():
        return None
    try:
        return pd.read_csv(
            _source(path, sep),
            sep=_one_character(sep),
            header=header,
            names=list(columns),
            dtype=str,
            keep_default_na=False,
            index_col=False,
            encoding=encoding,
            quoting=quoting,
        )
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def _source(path: Path, sep: str) -> Path | io.BytesIO:
    # pandas' fast parser takes separators of one character only; its slow one needs a minute for 10M.
    if len(sep) == 1:
        return path
    return io.BytesIO(path.read_bytes().replace(sep.encode(), _one_character(sep).encode()))


def _one_character(sep: str) -> str:
    return sep if len(sep) == 1 else "\x1f"


def _write_from_wheel(destination: Path, scratch: Path) -> None:
    """Write MovieLens 100K in GroupLens' layout from the copy that a recbole wheel carries."""
    wheel = download.fetch_wheel(WHEEL, sha256=WHEEL_SHA256, folder=scratch)
    with zipfile.ZipFile(wheel) as archive, download.new_folder(destination) as folder:
        ratings, items, users = (
            # The first line names the columns.
            archive.read(f"{WHEEL_FOLDER}/ml-100k.{part}").decode().splitlines()[1:]
            for part in ("inter", "item", "user")
        )
        (folder / "u.data").write_text("\n".join(ratings) + "\n", encoding="ascii")
        (folder / "u.user").write_text("\n".join(users).replace("\t", "|") + "\n", encoding="ascii")
        lines = [_item_line(*line.split("\t")) for line in items]
        text = "\n".join(lines) + "\n"
        (folder / "u.item").write_text(text, encoding="latin-1", errors="replace")


def _item_line(item: str, title: str, year: str, genres: str) -> str:
    # The wheel splits "Title (year)" in two, and misspells the title of the one unknown film in both.
    name = "unknown" if year == "unkonwn" else f"{title} ({year})"
    flags = ("1" if genre in genres.split(" ") else "0" for genre in GENRES)
    return "|".join([item, name, "", "", "", *flags])


ML_100K = Dataset(
    name="ml-100k",
    url=f"{BASE_URL}/ml-100k.zip",
    archive_folder="ml-100k",
    required="u.data",
    read=_read_100k,
    checksum="md5:0e33842e24a9c977be4e0107933c0723",
    rating_scale=(1, 5),
    facts={"interactions": 100_000, "users": 943, "items": 1_682},
    substitutes={f"wheel {WHEEL}": _write_from_wheel},
)
ML_1M = Dataset(
    name="ml-1m",
    url=f"{BASE_URL}/ml-1m.zip",
    archive_folder="ml-1m",
    required="ratings.dat",
    read=_read_dat,
    checksum="md5:c4d9eecfca2ab87c1945afe126590906",
    rating_scale=(1, 5),
    facts={"interactions": 1_000_209, "users": 6_040, "items": 3_706},
)
ML_10M = Dataset(
    name="ml-10m",
    url=f"{BASE_URL}/ml-10m.zip",
    archive_folder="ml-10M100K",
    required="ratings.dat",
    read=_read_dat,
    checksum="md5:ce571fd55effeba0271552578f2648bd",
    rating_scale=(0.5, 5),
    facts={"interactions": 10_000_054},
)
register(ML_100K)
register(ML_1M)
register(ML_10M)
for _name, _checksum, _facts in (
    ("ml-latest-small", None, {}),
    ("ml-20m", "md5:cd245b17a1ae2cc31bb14903e1204af3", {"interactions": 20_000_263}),
    ("ml-25m", "md5:6b51fb2759a8657d3bfcbfc42b592ada", {"interactions": 25_000_095}),
    ("ml-32m", "md5:d472be332d4daa821edc399621853b57", {"interactions": 32_000_204}),
):
    register(
        Dataset(
            name=_name,
            url=f"{BASE_URL}/{_name}.zip",
            archive_folder=_name,
            required="ratings.csv",
            read=_read_csv,
            checksum=_checksum,
            rating_scale=(0.5, 5),
            facts=_facts,
        )
    )
