"""Amazon product reviews of two generations, with their texts.

2014: He and McAuley, Ups and Downs, WWW 2016, and McAuley et al., Image-based Recommendations on
Styles and Substitutes, SIGIR 2015; 5-core files. 2018: Ni, Li and McAuley, Justifying
Recommendations using Distantly-Labeled Reviews, EMNLP 2019; "small" 5-core files.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from tfzoo.data.datasets.files import from_dataframe
from tfzoo.data.datasets.json_lines import read_json_lines
from tfzoo.data.datasets.registry import Dataset, register
from tfzoo.data.interactions import Interactions
from tfzoo.errors import DataError

FOLDER = "amazon"
URL_2014 = "http://snap.stanford.edu/data/amazon/productGraph/categoryFiles/reviews_{}_5.json.gz"
URL_2018 = "https://jmcauley.ucsd.edu/data/amazon_v2/categoryFilesSmall/{}_5.json.gz"


def _read(folder: Path, dataset: Dataset) -> Interactions:
    path = dataset.main_file(folder)
    if path is None:
        raise DataError(f"{folder} has no file {dataset.required}.")
    frame = read_json_lines(path)
    latest = _latest_reviews(frame)
    interactions = from_dataframe(
        latest,
        user_col="reviewerID",
        item_col="asin",
        rating_col="overall",
        time_col="unixReviewTime",
        text_col="reviewText",
        rating_scale=dataset.rating_scale,
        name=dataset.name,
        source=str(path),
    )
    dropped = len(frame) - len(latest)
    if not dropped:
        return interactions
    note = (
        f"{path}: {len(frame):,} rows read, {len(latest):,} kept, {dropped:,} dropped (earlier reviews of "
        "the same user and item)"
    )
    return replace(interactions, notes=(note, *interactions.notes[1:]))


def _latest_reviews(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep of several reviews of one user and item the latest, the last row of equally late ones."""
    keys = ["reviewerID", "asin"]
    if not {*keys, "unixReviewTime"} <= set(frame.columns):
        return frame
    try:
        times = pd.to_numeric(frame["unixReviewTime"], errors="coerce").to_numpy()
        by_time = frame.iloc[np.argsort(times, kind="stable")]
        return by_time.drop_duplicates(keys, keep="last").sort_index()
    except (TypeError, OverflowError):
        # Lists for ids or numbers out of range: the checks of the columns name the row.
        return frame


def _dataset(name: str, category: str, url: str, facts: dict[str, int]) -> Dataset:
    plain = f"{category}_5.json"
    return Dataset(
        name=name,
        url=url.format(category),
        archive_folder=FOLDER,
        required=plain,
        alternatives=(f"{plain}.gz", f"reviews_{plain}", f"reviews_{plain}.gz"),
        read=_read,
        rating_scale=(1, 5),
        facts=facts,
    )


register(
    _dataset(
        "amazon-musical-instruments",
        "Musical_Instruments",
        URL_2014,
        {"interactions": 10_261, "users": 1_429, "items": 900},
    )
)
register(
    _dataset(
        "amazon-instant-video",
        "Amazon_Instant_Video",
        URL_2014,
        {"interactions": 37_126, "users": 5_130, "items": 1_685},
    )
)
register(
    _dataset(
        "amazon-gift-cards",
        "Gift_Cards",
        URL_2018,
        {"interactions": 2_965, "users": 458, "items": 148},
    )
)
