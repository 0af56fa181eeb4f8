"""The MovieLens data sets of GroupLens, in the four layouts in which they are published.

Harper and Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015.
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tfzoo.data import download
from tfzoo.data.datasets.movielens_splits import SPLITS_1M, SPLITS_100K
from tfzoo.data.datasets.readers import read_ratings, read_table
from tfzoo.data.datasets.registry import Dataset, register
from tfzoo.data.interactions import Interactions
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError

BASE_URL = "https://files.grouplens.org/datasets/movielens"
GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
WHEEL = "recbole==1.2.1"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
WHEEL_FOLDER = "recbole/dataset_example/ml-100k"


def _read_100k(folder: Path, dataset: Dataset) -> Interactions:
    items = read_table(folder / "u.item", "|", range(5 + len(GENRES)), encoding="latin-1")
    if items is not None:
        flags = items[list(range(5, 5 + len(GENRES)))].to_numpy() == "1"
        genres = ["|".join(np.array(GENRES)[row]) for row in flags]
        items = pd.DataFrame({"id": items[0], "title": items[1].str.strip(), "genres": genres})
    users = read_table(folder / "u.user", "|", ("id", "age", "gender", "occupation", "zip"))
    return _assemble(dataset, read_ratings(folder / "u.data", "\t"), items, users)


def _read_dat(folder: Path, dataset: Dataset) -> Interactions:
    encoding = "latin-1" if dataset.name == "ml-1m" else "utf-8"
    items = read_table(folder / "movies.dat", "::", ("id", "title", "genres"), encoding=encoding)
    users = read_table(folder / "users.dat", "::", ("id", "gender", "age", "occupation", "zip"))
    return _assemble(dataset, read_ratings(folder / "ratings.dat", "::"), items, users)


def _read_csv(folder: Path, dataset: Dataset) -> Interactions:
    items = read_table(
        folder / "movies.csv", ",", ("id", "title", "genres"), header=0, quoting=csv.QUOTE_MINIMAL
    )
    return _assemble(dataset, read_ratings(folder / "ratings.csv", ",", header=0), items, None)


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
    checksum="sha256:50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
    rating_scale=(1, 5),
    facts={"interactions": 100_000, "users": 943, "items": 1_682},
    substitutes={f"wheel {WHEEL}": _write_from_wheel},
    splits=SPLITS_100K,
)
ML_1M = Dataset(
    name="ml-1m",
    url=f"{BASE_URL}/ml-1m.zip",
    archive_folder="ml-1m",
    required="ratings.dat",
    read=_read_dat,
    checksum="sha256:a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    rating_scale=(1, 5),
    facts={"interactions": 1_000_209, "users": 6_040, "items": 3_706},
    splits=SPLITS_1M,
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
    ("ml-latest-small", "sha256:696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436", {}),
    (
        "ml-20m",
        "sha256:96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
        {"interactions": 20_000_263},
    ),
    (
        "ml-25m",
        "sha256:8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
        {"interactions": 25_000_095},
    ),
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
