"""One file that holds the whole state of a training, written so that it is never half there."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import keras
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from tfzoo.errors import TfzooError
from tfzoo.files import temporary_folder, write_atomically, writing

Arrays = list[NDArray]


@dataclass
class TrainingState:
    """Where a training stands at the end of an epoch.

    Attributes:
        epoch: number of finished epochs.
        best_epoch: number of the best epoch, counted from 1; 0 before the first.
        best_value: its validation figure.
        seconds: time spent in training so far, over all processes.
        history: per epoch, metric name -> value.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_value: float = float("inf")
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


_STATE = TypeAdapter(TrainingState)


def save_checkpoint(path: Path, state: TrainingState, groups: dict[str, Arrays], fingerprint: str) -> None:
    """Save the state of a training.

    Args:
        path: name of the file, ``.npz``.
        state: where the training stands.
        groups: name -> arrays, such as the weights and the optimizer's variables.
        fingerprint: text that must be the same when the checkpoint is read.
    """
    arrays: dict[str, Any] = {
        f"{name}/{i}": array for name, group in groups.items() for i, array in enumerate(group)
    }
    meta = {
        "state": asdict(state),
        "fingerprint": fingerprint,
        "sizes": {name: len(group) for name, group in groups.items()},
    }
    write_atomically(path, lambda file: np.savez(file, meta=np.array(json.dumps(meta)), **arrays))


def load_checkpoint(path: Path | IO[bytes], fingerprint: str) -> tuple[TrainingState, dict[str, Arrays]]:
    """Read what `save_checkpoint` wrote.

    Raises:
        TfzooError: the file is damaged, or belongs to a run with other settings.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            meta = json.loads(str(archive["meta"]))
            known, state = str(meta["fingerprint"]), _STATE.validate_python(meta["state"])
            groups = {
                name: [archive[f"{name}/{i}"] for i in range(size)] for name, size in meta["sizes"].items()
            }
        if not 0 <= state.best_epoch <= state.epoch == len(state.history):
            raise ValueError("its epochs and its history do not fit each other")
        if any(array.dtype.kind not in "biuf" for group in groups.values() for array in group):
            raise ValueError("it holds arrays that are no numbers")
    except Exception as error:
        raise TfzooError(
            f"The checkpoint {path} cannot be read ({_first_line(error)}). Run again without --resume."
        ) from error
    if known != fingerprint:
        raise TfzooError(
            f"The checkpoint {path} belongs to a run with other settings or other data. "
            "Repeat the settings it was started with, or give --overwrite instead of --resume."
        )
    return state, groups


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def checkpoint_fingerprint(path: Path) -> str | None:
    """Return what a checkpoint was made with; None where there is none, or none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return str(json.loads(str(archive["meta"]))["fingerprint"])
    except Exception:
        # Nothing can go on from a damaged file, whichever way it is damaged.
        return None


def check_groups(groups: dict[str, Arrays], variables: dict[str, list[Any]]) -> None:
    """Raise `TfzooError` unless a checkpoint has an array for every variable, and no others."""
    found = {name: [array.shape for array in group] for name, group in groups.items()}
    expected = {name: [tuple(one.shape) for one in group] for name, group in variables.items()}
    wrong = sorted({name for name in {*found, *expected} if found.get(name) != expected.get(name)})
    if wrong:
        raise TfzooError(
            f"The checkpoint does not fit this training (its {', '.join(wrong)}), though it has the same "
            "settings and data: another version of the program wrote it, or it was changed. Run again "
            "without --resume."
        )


def save_model(model: keras.Model, path: Path) -> None:
    """Write a model in Keras' own format, atomically; raises `StorageError` where that fails."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _save_model(model, path)


def _save_model(model: keras.Model, path: Path) -> None:
    with temporary_folder(path.parent, f".{path.name}.") as folder:
        temporary = folder / path.name
        model.save(temporary)
        os.replace(temporary, path)
