"""Splits that someone publishes, by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfzoo.data import download
from tfzoo.data.click_log import ClickLog
from tfzoo.data.datasets import registry
from tfzoo.data.datasets.movielens_splits import FOLDS, fold_rows
from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Split
from tfzoo.errors import DataError, DownloadError, UsageError, nearest


def given_split_of(
    interactions: Interactions | ClickLog,
    name: str,
    *,
    seed: int,
    validation: float | str = 0.1,
    data_dir: str | Path | None = None,
) -> Split:
    """Return a split that is published with a data set.

    Args:
        interactions: all that `load_dataset` returned, in its order; its name says which data
            set it is.
        name: ``"u1"`` to ``"u5"``, ``"ua"``, ``"ub"`` or ``"random_80_10_10"`` of ml-100k,
            ``"leave-one-out"`` of ml-1m, ``"leave-two-out"`` of
            amazon-2023-musical-instruments, ``"sessions"`` of yoochoose1_64, ``"x1"`` of frappe.
        seed: fixes what is drawn where the files leave something open: validation rows and
            their negatives.
        validation: where no validation part is published, the share of training rows or
            sessions to hold out; for ``leave-one-out`` and ``leave-two-out`` ``"latest"`` (any
            number means the same) or ``"random"``, which training row of each user.
        data_dir: as for `load_dataset`.

    Returns:
        The parts, with stored negatives where the files have them.

    Raises:
        UsageError: there is no such data set or split, or ``validation`` does not suit it.
        DataError: the files are missing or name other interactions.
    """
    known = registry.registered()
    splits = registry.find(interactions.name).splits if interactions.name in known else {}
    if not splits:
        having = ", ".join(other for other in known if registry.find(other).splits)
        raise UsageError(f"Data set {interactions.name!r} has no published split; these have: {having}.")
    if name not in splits:
        raise UsageError(f"Unknown split {name!r} of '{interactions.name}'. {nearest(name, splits)}")
    folder = _folder(interactions.name, name, data_dir)
    return splits[name].make(folder, interactions, seed, validation)


def given_rows(
    name: str, interactions: Interactions, fold: str, *, data_dir: str | Path | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of a fold that GroupLens publishes with MovieLens 100K.

    Args:
        name: name of the data set; only ``"ml-100k"`` has published folds.
        interactions: what ``load_dataset("ml-100k")`` returned.
        fold: ``"u1"`` to ``"u5"``, ``"ua"`` or ``"ub"``.
        data_dir: as for `load_dataset`.

    Returns:
        Row numbers of the training part and of the test part, int64, in the files' order.

    Raises:
        UsageError: there is no such data set or fold.
        DataError: the files of the fold are missing or name other interactions.
    """
    if name != "ml-100k":
        raise UsageError(f"Data set {name!r} has no published folds; only 'ml-100k' has.")
    if fold not in FOLDS:
        raise UsageError(f"Unknown fold {fold!r} of '{name}'. {nearest(fold, FOLDS)}")
    return fold_rows(_folder(name, fold, data_dir), interactions, fold)


def _folder(dataset: str, name: str, data_dir: str | Path | None) -> Path:
    """Return a folder that has all files of a split, downloading them where an address is known."""
    split = registry.find(dataset).splits[name]
    for _, folder in registry.local_folders(registry.find(dataset), data_dir):
        if all((folder / file).is_file() for file in split.files):
            return folder
    reason = ""
    if split.urls:
        folder = download.cache_dir() / f"{dataset}.{name}"
        try:
            for file, (url, checksum) in split.urls.items():
                if not (folder / file).is_file():
                    download.fetch(url, folder / file, checksum=checksum)
            return folder
        except (DownloadError, OSError) as error:
            reason = f" Download failed: {error}"
    raise DataError(
        f"The files {' and '.join(split.files)} of split '{name}' of '{dataset}' are not on this machine."
        f"{reason} They come from {split.origin}. Set TFZOO_DATA_DIR to the folder that holds the folder "
        f"'{dataset}' with these files."
    )
