"""Click logs: Frappe, and small samples of Criteo and Avazu."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tfzoo.data.click_log import Category, ClickLog
from tfzoo.data.click_splits import click_split
from tfzoo.data.datasets.click_files import clicks_from_dataframe
from tfzoo.data.datasets.registry import Dataset, GivenSplit, register
from tfzoo.data.splits import Split
from tfzoo.errors import DataError

FRAPPE_FIELDS = (
    "user",
    "item",
    "daytime",
    "weekday",
    "isweekend",
    "homework",
    "cost",
    "weather",
    "country",
    "city",
)
FRAPPE_TEST, FRAPPE_VALIDATION = "frappe.test.libfm", "frappe.validation.libfm"
FRAPPE_TRAIN, FRAPPE_REDRAWN = "frappe.train.libfm", "frappe.train.reconstructed.libfm.gz"
FRAPPE_ORIGIN = "https://github.com/hexiangnan/neural_factorization_machine (data/frappe, three files)"
CRITEO_NUMBERS = tuple(f"I{number}" for number in range(1, 14))
CRITEO_FIELDS = tuple(f"C{number}" for number in range(1, 27))
AVAZU_COLUMNS = (
    *("id", "click", "hour", "C1", "banner_pos", "site_id", "site_domain", "site_category", "app_id"),
    *("app_domain", "app_category", "device_id", "device_ip", "device_model", "device_type"),
    *("device_conn_type", *(f"C{number}" for number in range(14, 22))),
)
SAMPLES = "the samples of Lapis-Hong/Wide-ResDNN, parts train, dev and test"
PARTS = ("train", "dev", "test")


def read_libfm(path: Path, fields: int) -> NDArray[np.int64]:
    """Read lines ``label index:1 index:1 ...``, with one index of every field.

    Args:
        path: the file, packed if its name ends in ``.gz``.
        fields: how many indices a line has.

    Returns:
        int64 ``[n, 1 + fields]``, the label, 1 or -1, in front.

    Raises:
        DataError: the file is damaged, or its fields share indices.
    """
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
        words = (text.replace("\r\n", "\n").rstrip() + "\n").replace(":1 ", " ").replace(":1\n", "\n")
        table = np.array(words.split(), np.int64).reshape(words.count("\n"), 1 + fields)
    except (OSError, EOFError, ValueError, OverflowError) as error:
        raise DataError(
            f"{path} cannot be read as lines of a label and {fields} indices with the value 1: {error}"
        ) from error
    if not np.isin(table[:, 0], (-1, 1)).all():
        row = int(np.argmin(np.isin(table[:, 0], (-1, 1))))
        raise DataError(f"{path}, line {row + 1}: label {table[row, 0]}, expected 1 or -1.")
    return table


def _frappe_files(folder: Path) -> list[Path]:
    """Return the files of train, validation and test."""
    places = [folder / FRAPPE_TRAIN, folder / FRAPPE_REDRAWN, folder.parent / "frappe-full" / FRAPPE_REDRAWN]
    train = next((path for path in places if path.is_file()), None)
    if train is None:
        raise DataError(
            f"{folder} has neither {FRAPPE_TRAIN} nor {FRAPPE_REDRAWN}, the training part of Frappe. It "
            f"comes from {FRAPPE_ORIGIN}."
        )
    return [train, folder / FRAPPE_VALIDATION, folder / FRAPPE_TEST]


def _read_frappe(folder: Path, dataset: Dataset) -> ClickLog:
    files = _frappe_files(folder)
    table = np.concatenate([read_libfm(path, len(FRAPPE_FIELDS)) for path in files])
    indices = table[:, 1:]
    if any(left.max() >= right.min() for left, right in pairwise(indices.T)):
        raise DataError(f"{folder}: the fields share indices, or stand in another order than Frappe's.")
    notes = ["values are the indices of the libfm files, which Frappe's authors do not name"]
    if files[0].name == FRAPPE_REDRAWN:
        notes.append(
            f"the training part is {FRAPPE_REDRAWN}: its clicks are those of Frappe_x1, impressions without "
            "a click are drawn anew by the same rule"
        )
    categories = {name: Category.of(indices[:, at]) for at, name in enumerate(FRAPPE_FIELDS)}
    label = (table[:, 0] > 0).astype(np.float32)
    return ClickLog(label, categories, name=dataset.name, notes=tuple(notes))


def _frappe_split(folder: Path, log: ClickLog, seed: int, validation: float | str) -> Split:
    counts = [len(read_libfm(path, len(FRAPPE_FIELDS))) for path in _frappe_files(folder)]
    return _in_order(log, counts, "given split x1")


def _in_order(log: ClickLog, counts: Sequence[int], protocol: str) -> Split:
    """Make the parts that follow one another in a log."""
    if sum(counts) != len(log):
        raise DataError(
            f"The files of the {protocol} have {sum(counts):,} rows, but '{log.name}' has {len(log):,}."
        )
    train, validation, test = np.split(np.arange(len(log)), np.cumsum(counts)[:-1])
    return click_split(log, train, validation, test, protocol)


def _read_samples(
    folder: Path, dataset: Dataset, read: Callable[[Path], pd.DataFrame], **columns: Any
) -> ClickLog:
    frame = pd.concat([read(path) for path in _sample_files(folder, dataset)], ignore_index=True)
    return clicks_from_dataframe(frame, source=str(folder), **columns)


def _sample_files(folder: Path, dataset: Dataset) -> list[Path]:
    files = [folder / dataset.required.replace("train", part) for part in PARTS]
    if missing := [path.name for path in files if not path.is_file()]:
        raise DataError(f"{folder} lacks {' and '.join(missing)}.")
    return files


def _criteo_rows(path: Path) -> pd.DataFrame:
    names = ["label", *CRITEO_NUMBERS, *CRITEO_FIELDS]
    return _table(path, sep="\t", header=None, names=names)


def _avazu_rows(path: Path) -> pd.DataFrame:
    rows = _table(path, header=None, names=AVAZU_COLUMNS)
    # The training part alone has a header.
    return rows[rows["id"] != "id"].reset_index(drop=True)


def _table(path: Path, **layout: Any) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, **layout)
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _read_criteo(folder: Path, dataset: Dataset) -> ClickLog:
    return _read_samples(
        folder,
        dataset,
        _criteo_rows,
        label_col="label",
        field_cols=CRITEO_FIELDS,
        number_cols=CRITEO_NUMBERS,
    )


def _read_avazu(folder: Path, dataset: Dataset) -> ClickLog:
    # The id is another one in every row.
    fields = AVAZU_COLUMNS[2:]
    return _read_samples(folder, dataset, _avazu_rows, label_col="click", field_cols=fields)


def _samples_split(
    dataset: str, count: Callable[[Path], pd.DataFrame]
) -> Callable[[Path, Any, int, float | str], Split]:
    def make(folder: Path, log: ClickLog, seed: int, validation: float | str) -> Split:
        required = f"{dataset}.train.csv"
        counts = [len(count(folder / required.replace("train", part))) for part in PARTS]
        return _in_order(log, counts, "given split files")

    return make


register(
    Dataset(
        name="frappe",
        url="",
        archive_folder="frappe",
        required=FRAPPE_TEST,
        read=_read_frappe,
        origin=FRAPPE_ORIGIN,
        splits={
            "x1": GivenSplit((FRAPPE_VALIDATION, FRAPPE_TEST), _frappe_split, FRAPPE_ORIGIN),
        },
    )
)
for _name, _read, _rows in (
    ("criteo", _read_criteo, _criteo_rows),
    ("avazu", _read_avazu, _avazu_rows),
):
    _files = tuple(f"{_name}.{part}.csv" for part in PARTS)
    register(
        Dataset(
            name=f"{_name}-8k",
            url="",
            archive_folder="criteo-avazu-8k",
            required=f"{_name}.train.csv",
            read=_read,
            origin=SAMPLES,
            splits={"files": GivenSplit(_files, _samples_split(_name, _rows), SAMPLES)},
        )
    )
