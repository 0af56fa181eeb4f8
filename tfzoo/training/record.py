"""The record that every training leaves; tables and plots are made from records alone."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import tensorflow as tf
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from tfzoo.errors import TfzooError
from tfzoo.files import write_text
from tfzoo.training.settings import explain, part_of_a_path

FILE_NAME = "record.json"


class RunRecord(BaseModel):
    """All that is worth knowing of one run; see README for the meaning of the fields."""

    model_config = ConfigDict(extra="forbid")

    model: str
    task: str
    dataset: str
    data: dict[str, Any]
    protocol: str
    recipe: dict[str, Any]
    seed: int
    fingerprint: str
    parameters: int
    metrics: dict[str, dict[str, float]]
    headline: str
    best_epoch: int
    paper: dict[str, Any] | None
    history: list[dict[str, float]]
    timing: dict[str, int | float]
    peak_memory_mb: float | None
    precision: str
    # What optimizers were given for a row that a batch looks up repeatedly, see `gradients_of_rows`.
    gradients: Literal["per look-up", "per row"] = "per look-up"
    hardware: dict[str, Any]
    versions: dict[str, str]
    commit: str | None

    @field_validator("model", "dataset")
    @classmethod
    def _check_part_of_a_path(cls, value: str) -> str:
        return part_of_a_path(value)

    def save(self, folder: Path) -> None:
        """Write ``record.json`` into ``folder``, atomically."""
        write_text(folder / FILE_NAME, self.text())

    def text(self) -> str:
        """Return the record as JSON."""
        return json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"

    @classmethod
    def load(cls, path: Path) -> RunRecord:
        """Read a record from its file or its folder.

        Raises:
            TfzooError: there is none, or it is not a record.
        """
        file = path / FILE_NAME if path.is_dir() else path
        try:
            return cls.model_validate_json(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise TfzooError(f"No run record at {file}. Train first, or name another run.") from None
        except UnicodeDecodeError as error:
            raise TfzooError(f"{file} is not a run record: {error}.") from None
        except ValidationError as error:
            reason = explain(cls, error.errors(include_url=False)[0])
            raise TfzooError(f"{file} is not a run record: {reason}.") from None


def environment() -> dict[str, Any]:
    """Return ``versions``, ``hardware``, ``commit`` and ``peak_memory_mb`` of this process."""
    packages = ("tensorflow", "keras", "numpy", "pandas", "tfzoo")
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    gpus = [
        tf.config.experimental.get_device_details(d).get("device_name", "GPU")
        for d in tf.config.get_visible_devices("GPU")
    ]
    return {
        "versions": versions,
        "hardware": {"machine": platform.machine(), "cpus": os.cpu_count(), "gpus": gpus},
        "commit": _commit(),
        "peak_memory_mb": _peak_memory_mb(),
    }


def _commit() -> str | None:
    """Return the commit of a source checkout, with a mark if it has changes.

    A copy installed below someone else's repository is not tracked there and has no commit.
    """
    this_file = Path(__file__)
    git = ["git", "-C", str(this_file.parent)]
    tracked = [*git, "ls-files", "--error-unmatch", this_file.name]
    describe = [*git, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        subprocess.run(tracked, capture_output=True, timeout=5, check=True)
        done = subprocess.run(describe, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _peak_memory_mb() -> float | None:
    """Return the largest resident size of this process so far, where the system tells it."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)
