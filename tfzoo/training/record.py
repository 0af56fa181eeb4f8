"""The record that every training leaves; tables and plots are made from records alone."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tfzoo.errors import TfzooError
from tfzoo.files import write_text
from tfzoo.training.changes import MARK, run_name
from tfzoo.training.settings import REFITTED, Reported, explain, part_of_a_path

FILE_NAME = "record.json"
# What a commit ends with where the code has changes that it lacks.
DIRTY = "-dirty"
# The trained model beside it.
MODEL = "model.keras"
Natural = Annotated[int, Field(ge=0)]


class RunRecord(BaseModel):
    """All that is worth knowing of one run; see docs/runs.md for the meaning of the fields."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str
    task: str
    dataset: str
    data: dict[str, Any]
    protocol: str
    recipe: dict[str, Any]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    fingerprint: str
    parameters: Natural
    metrics: dict[str, dict[str, float]]
    headline: str
    best_epoch: Natural
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
    # What the user has called the run, and its export; None for the names that are made up.
    name: str | None = None
    # Of the data as it was read; None in the records of older versions.
    data_fingerprint: str | None = None
    # What an update goes on from and what it added, see `tfzoo.updates`; None for a run that began anew.
    continues: dict[str, Any] | None = None

    @field_validator("model", "dataset", "name")
    @classmethod
    def _check_part_of_a_path(cls, value: str | None) -> str | None:
        return None if value is None else part_of_a_path(value)

    @field_validator("recipe")
    @classmethod
    def _check_recipe(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Check what names depend on; the rest is checked where it is used."""
        if not isinstance(value.get("name"), str):
            raise ValueError("a recipe with a name is expected")
        part_of_a_path(value["name"])
        if not isinstance(value.get("changes", {}), dict):
            raise ValueError("'changes' must hold settings by their names")
        return value

    @field_validator("paper")
    @classmethod
    def _check_paper(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if value is None else Reported.model_validate(value).model_dump(mode="json")

    @field_validator("timing")
    @classmethod
    def _check_timing(cls, value: dict[str, int | float]) -> dict[str, int | float]:
        if "train_seconds" not in value or min(value.values()) < 0:
            raise ValueError("'train_seconds' and others, none below 0, are expected")
        return value

    @field_validator("history")
    @classmethod
    def _check_history(cls, value: list[dict[str, float]]) -> list[dict[str, float]]:
        if any("loss" not in row for row in value):
            raise ValueError("each epoch must have its 'loss'")
        return value

    @property
    def recipe_name(self) -> str:
        """Name of the recipe, with a mark where its settings were changed."""
        return str(self.recipe.get("name", "")) + (MARK if self.changes else "")

    @property
    def changes(self) -> dict[str, Any]:
        """What was changed of the recipe that has the name, ``group.key`` -> value."""
        changes: dict[str, Any] = self.recipe.get("changes", {})
        return changes

    @property
    def uncommitted(self) -> bool:
        """Whether the code had changes that its commit lacks."""
        return self.commit is not None and self.commit.endswith(DIRTY)

    @property
    def trained_on(self) -> str:
        """What the final model learned from: ``train``, ``train + validation``, or ``all`` data."""
        if self.recipe.get("training", {}).get("fit_on", "train") == "all":
            return "all"
        return "train + validation" if REFITTED in self.protocol else "train"

    @property
    def run_name(self) -> str:
        """Name of the folder of its runs."""
        recipe = str(self.recipe.get("name", ""))
        return self.name or run_name(self.model, self.dataset, recipe, self.changes)

    @property
    def export_name(self) -> str:
        """Name of the served model that its exports are versions of; an update follows its first run."""
        served = None if self.continues is None else self.continues.get("served")
        return str(served or self.name or f"{self.model}-{self.dataset}")

    def save(self, folder: Path) -> None:
        """Write ``record.json`` into ``folder``, atomically."""
        write_text(folder / FILE_NAME, self.text())

    def text(self) -> str:
        """Return the record as JSON."""
        return json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"

    def for_export(self, data_fingerprint: str) -> dict[str, Any]:
        """Return what an export says of the run it is of, and of its data."""
        included = {"model", "task", "dataset", "protocol", "recipe", "seed", "metrics", "versions", "commit"}
        described = self.model_dump(mode="json", include=included)
        # Not the run's path: exports travel.
        made_of = {"run": f"{self.run_name}/seed-{self.seed}", "fingerprint": self.fingerprint}
        return {**described, **made_of, "data_fingerprint": data_fingerprint}

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


def sources_of(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a record says of the data of the first run, and of that of each update in turn.

    Args:
        data: of a record.
    """
    found: list[dict[str, Any]] = []
    while "after" in data and "rows" in data:
        found.insert(0, dict(data["rows"]))
        data = data["after"]
    return [dict(data), *found]


def environment() -> dict[str, Any]:
    """Return ``versions``, ``hardware``, ``commit`` and ``peak_memory_mb`` of this process."""
    # Records are read where there is no TensorFlow.
    import tensorflow as tf

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
        "commit": commit_of_code(),
        "peak_memory_mb": _peak_memory_mb(),
    }


def commit_of_code() -> str | None:
    """Return the commit of a source checkout, with `DIRTY` behind it if the package has changes.

    Changes elsewhere, such as new records, change no run. A copy installed below someone else's
    repository is not tracked there and has no commit.
    """
    this_file = Path(__file__)
    git = ["git", "-C", str(this_file.parents[1])]
    tracked = [*git, "ls-files", "--error-unmatch", str(this_file)]
    try:
        subprocess.run(tracked, capture_output=True, timeout=5, check=True)
        head = [*git, "rev-parse", "--short=12", "HEAD"]
        done = subprocess.run(head, capture_output=True, text=True, timeout=5, check=True)
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "."], timeout=5).returncode
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() + (DIRTY if changed else "")


def _peak_memory_mb() -> float | None:
    """Return the largest resident size of this process so far, where the system tells it."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)
