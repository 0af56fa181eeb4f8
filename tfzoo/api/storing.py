"""A trained model with its data as a folder, and back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tfzoo.data.interactions import Interactions
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import TfzooError, UsageError
from tfzoo.files import temporary_folder, writing
from tfzoo.training.record import MODEL, RunRecord, sources_of

DATA = "data"
ROWS = "interactions.parquet"
ABOUT = "about.json"
COLUMNS = ("user_id", "item_id", "rating", "timestamp", "text")
SIDES = ("user_features", "item_features")
# The interactions of an update, and where they are from.
Update: TypeAlias = tuple[Interactions, Mapping[str, Any]]


def given_folder(folder: str | Path) -> Path:
    """Return the folder that a user names, with ``~`` resolved; raises `UsageError` for an empty name."""
    if not str(folder).strip():
        raise UsageError("Name a folder. Received an empty text.")
    return Path(folder).expanduser()


def write(
    data: Interactions, record: RunRecord, run: Path, folder: Path, updates: Sequence[Update] = ()
) -> Path:
    """Write a trained model and its data.

    Args:
        data: the interactions, before any filter.
        record: of the run.
        run: folder of the run.
        folder: to be made; it must not exist, or be empty.
        updates: of each update the interactions, and where they are from.

    Returns:
        The folder: ``record.json``, ``model.keras`` and ``data/`` with the interactions in Parquet, those of
        updates in ``data-1/``, ``data-2/`` and so on, so that
        the folder holds personal data where the interactions are such.

    Raises:
        UsageError: the folder holds something already.
        StorageError: it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists already; name a new folder.")
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder.parent, f".{folder.name}.saving-") as temporary:
            prepared = temporary / folder.name
            _write(data, prepared / DATA)
            for number, (table, _) in enumerate(updates, start=1):
                _write(table, prepared / f"{DATA}-{number}")
            shutil.copyfile(run / MODEL, prepared / MODEL)
            record.save(prepared)
            # Over an empty folder too; the whole appears at once.
            prepared.rename(folder)
    return folder


def _write(data: Interactions, folder: Path) -> None:
    folder.mkdir(parents=True)
    data.save_vocabularies(folder / "vocabulary")
    rows = {name: getattr(data, name) for name in COLUMNS if getattr(data, name) is not None}
    pd.DataFrame(rows).to_parquet(folder / ROWS, index=False)
    about: dict[str, Any] = {
        "name": data.name,
        "rating_scale": data.rating_scale,
        "ticks_per_second": data.ticks_per_second,
        "notes": data.notes,
    }
    for side in SIDES:
        features = getattr(data, side)
        about[side] = {name: values.dtype.kind for name, values in features.items()}
        if features:
            table = {name: _plain(values) for name, values in features.items()}
            pd.DataFrame(table).to_parquet(folder / f"{side}.parquet", index=False)
    (folder / ABOUT).write_text(json.dumps(about) + "\n", encoding="utf-8")


def read(folder: Path) -> tuple[Interactions, RunRecord, list[Update]]:
    """Return the interactions, the record and the updates that `write` wrote.

    Args:
        folder: of the fitted model.

    Raises:
        UsageError: there is no such folder, or it is none of a fitted model.
        TfzooError: a file in it is damaged.
    """
    if not (folder / DATA / ABOUT).is_file():
        raise UsageError(
            f"{folder} holds no fitted model. tfzoo.load reads what FittedModel.save wrote; the model of a "
            "run folder is read by tfzoo.load_model."
        )
    record = RunRecord.load(folder)
    try:
        sources = sources_of(record.data)[1:]
        tables = [_read(folder / f"{DATA}-{number}") for number in range(1, len(sources) + 1)]
        return _read(folder / DATA), record, list(zip(tables, sources, strict=True))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TfzooError(f"The data in {folder / DATA} cannot be read: {error}") from error


def _read(folder: Path) -> Interactions:
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    types = json.loads((folder / "vocabulary" / "types.json").read_text(encoding="utf-8"))
    users, items = (
        Vocabulary.load(folder / "vocabulary" / f"{side}.txt", types[side]) for side in ("users", "items")
    )
    rows = pd.read_parquet(folder / ROWS)
    columns: dict[str, Any] = {name: rows[name].to_numpy() for name in COLUMNS if name in rows}
    features: dict[str, Any] = {side: _features(folder / f"{side}.parquet", about[side]) for side in SIDES}
    return Interactions(
        users=users,
        items=items,
        rating_scale=None if about["rating_scale"] is None else tuple(about["rating_scale"]),
        name=about["name"],
        notes=tuple(about["notes"]),
        ticks_per_second=about["ticks_per_second"],
        **columns,
        **features,
    )


def _features(path: Path, kinds: Mapping[str, str]) -> dict[str, NDArray]:
    """Read the columns whose kinds of NumPy are given; none where there are none, and no file."""
    if not kinds:
        return {}
    table = pd.read_parquet(path)
    return {
        name: np.array(table[name].tolist(), str) if kind == "U" else table[name].to_numpy()
        for name, kind in kinds.items()
    }


def _plain(values: Any) -> Any:
    return values.astype(object) if values.dtype.kind == "U" else values
