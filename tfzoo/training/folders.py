"""The folder of a run: its name, whose it is, and what is removed before another run takes its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import keras

from tfzoo.errors import TfzooError
from tfzoo.files import remove_leftovers
from tfzoo.training.changes import describe_changes, differences, flat_settings, run_name
from tfzoo.training.checkpoint import checkpoint_fingerprint
from tfzoo.training.record import FILE_NAME, MODEL, RunRecord
from tfzoo.training.settings import Recipe
from tfzoo.training.tensorboard import remove_logs

CHECKPOINT = "checkpoint.npz"
STAGES = ("checkpoint-pilot.npz", CHECKPOINT, "checkpoint-refit.npz")
# What `tfzoo plot` draws of a run, into its folder.
PLOTS = tuple(
    f"{plot}.{ending}"
    for plot in ("history", "errors", "lengths", "embeddings", "embeddings-3d")
    for ending in ("png", "svg")
)
KEEP_OR_REPLACE = "Give --name NAME or another --output to keep it, or --overwrite to replace it."
ONE_GROUP = (
    "The seeds of one folder are taken as one. Give --name NAME or another --output to keep these apart, or "
    "--overwrite to train here nevertheless."
)
SHOWN = 5


def run_folder(output: Path, recipe: Recipe, dataset: str, seed: int, name: str | None = None) -> Path:
    """Return the folder of a run.

    Args:
        output: folder of all runs.
        recipe: the resolved recipe.
        dataset: name of the data.
        seed: of the run.
        name: of the user's own; None for `run_name`.
    """
    return output / (name or run_name(recipe.model, dataset, recipe.name, recipe.changes)) / f"seed-{seed}"


class Trained(Protocol):
    """What is to be trained, see `tfzoo.experiment.Experiment`."""

    @property
    def recipe(self) -> Recipe:
        """The settings."""

    @property
    def data(self) -> Mapping[str, Any]:
        """Where the data are from, as the record says it."""

    @property
    def update(self) -> Mapping[str, Any] | None:
        """What tells an update from others; None for a run that begins anew."""

    def is_of(self, record: RunRecord) -> bool:
        """Tell whether a record is of these very settings, seed and data."""

    def differs_by_seed(self, record: RunRecord) -> bool:
        """Tell whether a record is of these settings and data, whatever its seed."""


def refuse_another_run(folder: Path, experiment: Trained, fingerprint: str) -> None:
    """Raise `TfzooError` where a folder holds a run, finished or not, that is not the one to be trained.

    The folders of other seeds beside it are looked at too: means are taken over them, and the best of them is
    exported, so that they must differ by the seed alone.

    Args:
        folder: of the run.
        experiment: that is to be trained.
        fingerprint: its own, see `Experiment.fingerprint`.
    """
    _refuse_other_seeds(folder, experiment)
    if (folder / FILE_NAME).is_file():
        record = _load(folder, KEEP_OR_REPLACE)
        if record.fingerprint != fingerprint and not experiment.is_of(record):
            raise TfzooError(
                f"{folder} holds a finished run with other settings or other data: "
                f"{_difference(record, experiment)}. {KEEP_OR_REPLACE}"
            )
        return
    for stage in STAGES:
        found = checkpoint_fingerprint(folder / stage)
        if found is not None and found != fingerprint:
            raise TfzooError(
                f"{folder} holds an interrupted run with other settings or other data. {KEEP_OR_REPLACE}"
            )


def _refuse_other_seeds(folder: Path, experiment: Trained) -> None:
    for other in sorted(folder.parent.glob(f"seed-*/{FILE_NAME}")):
        if other.parent.name == folder.name:
            continue
        record = _load(other.parent, ONE_GROUP)
        if not experiment.differs_by_seed(record):
            raise TfzooError(
                f"{folder.parent} holds seed {record.seed} with other settings or other data: "
                f"{_difference(record, experiment)}. {ONE_GROUP}"
            )


def _load(folder: Path, advice: str) -> RunRecord:
    try:
        return RunRecord.load(folder)
    except TfzooError as error:
        raise TfzooError(f"{error} {advice}") from None


def forget_run(folder: Path, *, keep_finished: bool = False) -> None:
    """Remove what an earlier run has left: what it wrote, and what was drawn of it; other files stay.

    Args:
        folder: of the run.
        keep_finished: leave the record and the model of a finished run, which its successor replaces.
    """
    # Who starts the same training twice and stops it at once must not lose what took hours.
    if keep_finished and (folder / FILE_NAME).is_file():
        for name in (FILE_NAME, MODEL):
            remove_leftovers(folder, f".{name}.")
    else:
        forget(folder, FILE_NAME, MODEL)
    forget(folder, *STAGES, *PLOTS)
    remove_logs(folder)


def forget(folder: Path, *names: str) -> None:
    """Remove files of an earlier run, and what a killed one left of them half-written."""
    if folder.is_dir():
        for name in names:
            (folder / name).unlink(missing_ok=True)
            remove_leftovers(folder, f".{name}.")


def _difference(record: RunRecord, experiment: Trained) -> str:
    """Say what a finished run has that the one to be trained has not."""
    recipe, data = experiment.recipe, experiment.data
    if record.model != recipe.model:
        return f"a run of {record.model}"
    changes = differences(flat_settings(recipe.model_dump(mode="json")), flat_settings(record.recipe))
    if changes:
        shown = dict(list(changes.items())[:SHOWN])
        return describe_changes(shown) + (", ..." if len(changes) > SHOWN else "")
    if record.precision != keras.config.dtype_policy().name:
        return f"the same recipe in the precision {record.precision}"
    replay = (record.continues or {}).get("replay")
    if replay != (experiment.update or {}).get("replay"):
        return "the same recipe, " + ("no update" if replay is None else f"an update with replay {replay:g}")
    return f"the same recipe, {_other_data(record.data, data)}"


def _other_data(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say in words what data a run was trained on, as far as it is not what there is now."""
    kinds = ("dataset", "file", "shards", "frame")
    source = next((str(then[kind]) for kind in kinds if kind in then), "other data")
    if any(then.get(kind) != now.get(kind) for kind in kinds):
        return f"trained on {source}"
    other = differences(now, then)
    if other:
        return f"with {source} read by {describe_changes(other)}"
    return f"when {source} had other rows than it has now"
