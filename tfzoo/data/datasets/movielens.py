"""The MovieLens data sets of GroupLens, in the four layouts in which they are published.

Harper and Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

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
COLUMNS = ("user", "item", "rating", "time")
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
    frame = _read_ratings(path, sep="\t", rating_type=np.float32)
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
    ratings = _read_ratings(folder / "u.data", sep="\t", rating_type=np.float32)
    items = _read_table(folder / "u.item", sep="|", names=range(5 + len(GENRES)), encoding="latin-1")
    users = _read_table(folder / "u.user", sep="|", names=["id", "age", "gender", "occupation", "zip"])
    if items is not None:
        flags = items[list(range(5, 5 + len(GENRES)))].to_numpy() == "1"
        genres = ["|".join(name for name, has in zip(GENRES, row, strict=True) if has) for row in flags]
        items = pd.DataFrame({"id": items[0], "title": items[1].str.strip(), "genres": genres})
    return _assemble(dataset, ratings, items, users)


def _read_dat(folder: Path, dataset: Dataset) -> Interactions:
    encoding = "latin-1" if dataset.name == "ml-1m" else "utf-8"
    ratings = _read_ratings(folder / "ratings.dat", sep="::", rating_type=np.float32)
    items = _read_table(
        folder / "movies.dat", sep="::", names=["id", "title", "genres"], encoding=encoding
    )
    users = _read_table(
        folder / "users.dat", sep="::", names=["id", "gender", "age", "occupation", "zip"]
    )
    return _assemble(dataset, ratings, items, users)


def _read_csv(folder: Path, dataset: Dataset) -> Interactions:
    ratings = _read_ratings(folder / "ratings.csv", sep=",", rating_type=np.float32, header=0)
    items = _read_table(
        folder / "movies.csv", sep=",", names=["id", "title", "genres"], header=0, quoting=csv.QUOTE_MINIMAL
    )
    return _assemble(dataset, ratings, items, None)


def _assemble(
    dataset: Dataset, ratings: pd.DataFrame, items: pd.DataFrame | None, users: pd.DataFrame | None
) -> Interactions:
    user_codes, user_ids = pd.factorize(ratings["user"].to_numpy(), sort=True)
    item_codes, item_ids = pd.factorize(ratings["item"].to_numpy(), sort=True)
    known_users, known_items = Vocabulary(user_ids), Vocabulary(item_ids)
    notes = [f"no {what} file, so no {what} features" for what, table in
             (("movie", items), ("user", users)) if table is None]
    return Interactions(
        users=known_users,
        items=known_items,
        user_id=user_codes + 1,
        item_id=item_codes + 1,
        rating=ratings["rating"].to_numpy(),
        timestamp=ratings["time"].to_numpy(),
        item_features=_features(known_items, items, {"title": str, "genres": str}),
        user_features=_features(known_users, users, {"age": np.int32, "gender": str, "occupation": str}),
        rating_scale=dataset.rating_scale,
        name=dataset.name,
        notes=tuple(notes),
    )


def _features(
    vocabulary: Vocabulary, table: pd.DataFrame | None, columns: Mapping[str, type]
) -> dict[str, NDArray]:
    """Line the columns of a table up with the vocabulary: one value a dense id, row 0 blank."""
    if table is None:
        return {}
    dense = vocabulary.lookup(table["id"].to_numpy(str))
    features = {}
    for column, dtype in columns.items():
        values = table[column].to_numpy(str).astype(dtype)
        features[column] = np.zeros(len(vocabulary) + 1, values.dtype)
        features[column][dense[dense > 0]] = values[dense > 0]
    return features


def _read_ratings(path: Path, *, sep: str, rating_type: type, header: int | None = None) -> pd.DataFrame:
    dtypes = {"user": np.int64, "item": np.int64, "rating": rating_type, "time": np.int64}
    try:
        frame = pd.read_csv(_source(path, sep), sep=sep[0] if sep != "::" else "\t", header=header,
                            names=list(COLUMNS), dtype=dtypes, index_col=False)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{path}: not a file of user, item, rating and time: {error}") from error
    if frame.empty:
        raise DataError(f"{path}: the file has no ratings.")
    return frame


