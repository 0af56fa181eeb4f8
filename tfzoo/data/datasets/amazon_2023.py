"""A sample of Amazon Reviews 2023, Musical Instruments, with the split that was published with it.

Hou et al., Bridging Language and Items for Retrieval and Recommendation, 2024, as filtered and
split by https://github.com/arazig/Advanced-ML-project: users with at least 20 reviews, then items
with at least 20, once in this order, ratings set to 1.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tfzoo.data.datasets.readers import read_integers, rows_of_pairs
from tfzoo.data.datasets.registry import Dataset, GivenSplit, register
from tfzoo.data.interactions import Interactions
from tfzoo.data.ranking_splits import draw_negatives, one_row_per_user
from tfzoo.data.splits import Negatives, Split, split_at_rows
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError

NAME = "amazon-2023-musical-instruments"
COMMIT = "360f438ef0965468f6f0042415389c9b7219101a"
NEGATIVES = 99
WITHOUT_FAKES = "test without fake positives"
RANKED = "test_negative_transformed.csv"
# Fewer training rows than this leave nothing to train on once a row is held out for validation.
MIN_ROWS_FOR_VALIDATION = 3


def _read(folder: Path, dataset: Dataset) -> Interactions:
    frame = read_integers(folder / dataset.required, ",", header=0)
    missing = {"user", "id", "rating", "timestamp"} - set(frame.columns)
    if missing:
        raise DataError(f"{folder / dataset.required} has no column {sorted(missing)[0]!r}.")
    users, user = np.unique(frame["user"].to_numpy(), return_inverse=True)
    items, item = np.unique(frame["id"].to_numpy(), return_inverse=True)
    titles = _titles(folder / "metadata_instruments.csv", items)
    return Interactions(
        users=Vocabulary(users),
        items=Vocabulary(items),
        user_id=(user + 1).astype(np.int32),
        item_id=(item + 1).astype(np.int32),
        rating=frame["rating"].to_numpy(np.float32),
        timestamp=frame["timestamp"].to_numpy() // 1000,
        item_features={} if titles is None else {"title": titles},
        name=dataset.name,
        notes=("ratings are 1 throughout", "times given in milliseconds, cut to seconds"),
    )


def _titles(path: Path, items: NDArray[np.int64]) -> NDArray | None:
    """Return the title of each item; the publisher numbered the product codes in sorted order."""
    if not path.is_file():
        return None
    try:
        frame = pd.read_csv(path, usecols=["id", "title"], dtype=str, keep_default_na=False)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    titles = frame.sort_values("id")["title"].to_numpy(dtype=object)
    if len(titles) <= items.max():
        raise DataError(f"{path} has {len(titles):,} items, but items are numbered up to {items.max():,}.")
    return np.concatenate([[""], titles[items]]).astype(str)


def _leave_two_out(folder: Path, interactions: Interactions, seed: int, validation: float | str) -> Split:
    """Read the published parts: each user's last two items for test, among 99 stored negatives.

    Users with a single interaction have a second "positive" in the published file that is not
    one of their interactions: the value 1 of the rating column, read as an item. The test part
    holds them as published; the variant leaves them out. Training rows of users with fewer than
    three are never held out for validation.
    """
    paths = {part: folder / f"{part}.csv" for part in ("train", "test")}
    rows = {}
    for part, path in paths.items():
        frame = read_integers(path, ",", header=0)
        rows[part] = rows_of_pairs(interactions, frame["user"].to_numpy(), frame["id"].to_numpy(), path)
    if len(np.intersect1d(rows["train"], rows["test"])):
        raise DataError(f"{paths['train']} and {paths['test']} overlap.")
    how = validation if isinstance(validation, str) else "latest"
    held_out = one_row_per_user(
        interactions, np.sort(rows["train"]), seed=seed, how=how, at_least=MIN_ROWS_FOR_VALIDATION
    )
    published, negatives = _ranked(folder / RANKED, interactions)
    true = interactions.take(rows["test"])
    fakes = _without(published, true)
    split = split_at_rows(
        interactions,
        np.setdiff1d(rows["train"], held_out),
        held_out,
        rows["test"],
        f"given split leave-two-out: two test items a user among {NEGATIVES} stored negatives, as published "
        f"with {len(fakes)} fake positives; the {how} training item of users with at least "
        f"{MIN_ROWS_FOR_VALIDATION} for validation among {NEGATIVES} drawn negatives, seed {seed}",
    )
    return replace(
        split,
        test=_appended(true, fakes),
        negatives={
            "validation": draw_negatives(interactions, split.validation.user_id, NEGATIVES, seed),
            "test": negatives,
        },
        variants={WITHOUT_FAKES: true},
    )


def _ranked(path: Path, interactions: Interactions) -> tuple[NDArray[np.int32], Negatives]:
    """Return the published positives (pairs ``[n, 2]`` of user and item) and the stored negatives."""
    frame = read_integers(path, ",", header=0)
    stored = [f"negative_{number}" for number in range(1, NEGATIVES + 1)]
    missing = [column for column in ("user", "id1", "id2", *stored) if column not in frame.columns]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}.")
    users = interactions.users.lookup(frame["user"].to_numpy())
    items = interactions.items.lookup(frame[["id1", "id2", *stored]].to_numpy())
    if not (users.all() and items.all()):
        raise DataError(f"{path} names a user or an item that '{interactions.name}' does not have.")
    positives = np.stack([np.repeat(users, 2), items[:, :2].ravel()], axis=1)
    order = np.argsort(users)
    return positives, Negatives(users[order], items[order, 2:])


def _without(pairs: NDArray[np.int32], true: Interactions) -> NDArray[np.int32]:
    """Return those of the published pairs that are no true test rows, each true row used up once."""
    published = pd.DataFrame(pairs, columns=["user", "item"])
    known = pd.DataFrame({"user": true.user_id, "item": true.item_id})
    # A user can have his one true item twice: then the second copy is the fake.
    published["copy"] = published.groupby(["user", "item"]).cumcount()
    known["copy"] = known.groupby(["user", "item"]).cumcount()
    joined = published.merge(known, how="left", indicator=True)
    return pairs[(joined["_merge"] == "left_only").to_numpy()]


def _appended(true: Interactions, fakes: NDArray[np.int32]) -> Interactions:
    """Return the true rows and after them the fakes, each at the time of its user's true row."""
    at = np.argsort(true.user_id, kind="stable")
    source = at[np.searchsorted(true.user_id[at], fakes[:, 0])]
    both = true.take(np.concatenate([np.arange(len(true)), source]))
    item_id = both.item_id.copy()
    item_id[len(true) :] = fakes[:, 1]
    return replace(both, item_id=item_id)


register(
    Dataset(
        name=NAME,
        url=f"https://github.com/arazig/Advanced-ML-project/archive/{COMMIT}.zip",
        archive_folder=f"Advanced-ML-project-{COMMIT}/data",
        required="musical_instruments_20_20.csv",
        read=_read,
        contents={
            "musical_instruments_20_20.csv": (
                "sha256:c5f69a32d4c84df2f4dc1ee1cc3bd4a74c6aeffa8108df18ba8f593e02099d2a"
            ),
            "metadata_instruments.csv": (
                "sha256:ec33609fc854b37b26127ff2cb021d70133b5da99e291e205495b3a4d0a5c949"
            ),
            "train.csv": "sha256:c8221b7e4bd8c92c34d7b82813b89a0364c1121caf3065233964cf1c86f82781",
            "test.csv": "sha256:eae029c83a9c1014d438ea6cfabe745d0671ece5a820558c1fdce0ad2e86dcd2",
            RANKED: "sha256:ab0478ea769d3064fd800135793bb727a1fac054fd8f4496c57c260c141b4be2",
        },
        facts={"interactions": 42_626, "users": 5_107, "items": 1_003},
        splits={
            "leave-two-out": GivenSplit(
                files=("train.csv", "test.csv", RANKED),
                make=_leave_two_out,
                origin=f"https://github.com/arazig/Advanced-ML-project at {COMMIT[:7]}",
            )
        },
    )
)
