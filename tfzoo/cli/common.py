"""What several commands share: reading data, choosing the device, checking folders."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from rich.console import Console

from tfzoo.cli.sharded import ShardedExperiment
from tfzoo.data.datasets import load_dataset
from tfzoo.data.datasets.files import from_file
from tfzoo.data.interactions import Interactions
from tfzoo.data.shards import open_shards
from tfzoo.errors import UsageError, nearest
from tfzoo.evaluation import Evaluator
from tfzoo.experiment import Experiment
from tfzoo.files import temporary_folder
from tfzoo.runs import load_model
from tfzoo.tasks import Task
from tfzoo.training.record import RunRecord
from tfzoo.training.settings import Recipe, parse

console = Console(markup=False)


def say(text: str) -> None:
    """Print one line as it is, whatever the width of the terminal."""
    console.print(text, highlight=False, soft_wrap=True)


def configure_device(options: argparse.Namespace) -> None:
    """Choose the device and the precision; raises `UsageError` where there is no GPU."""
    import keras
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if options.device == "gpu" and not gpus:
        raise UsageError("--device gpu: TensorFlow sees no GPU here. Use --device auto or cpu.")
    tf.config.set_visible_devices([] if options.device == "cpu" else gpus, "GPU")
    keras.config.set_dtype_policy(options.precision)


def data_source(options: argparse.Namespace, task: type[Task]) -> dict[str, Any]:
    """Return what the record must know to read the same data again.

    Args:
        options: of the command line.
        task: the model's; ratings may be missing where it learns from implicit feedback, and a
            session may hold an item twice.
    """
    if options.data is None:
        return {"dataset": options.dataset}
    return {
        "file": str(options.data.resolve()),
        "user_col": options.user_col,
        "item_col": options.item_col,
        "rating_col": "rating" if options.rating_col is None else options.rating_col or None,
        "rating_required": options.rating_col is not None or task.evaluation == "rating",
        "time_col": options.time_col,
        "text_col": options.text_col,
        "sep": options.sep,
        "duplicates": options.duplicates or ("keep" if task.evaluation == "next-item" else "error"),
        "rating_scale": options.rating_scale,
    }


def load_data(source: dict[str, Any]) -> Interactions:
    """Read the data that `data_source` describes."""
    if "dataset" in source:
        return load_dataset(source["dataset"])
    columns = {**source}
    scale = columns.pop("rating_scale")
    return from_file(Path(columns.pop("file")), **columns, rating_scale=tuple(scale) if scale else None)


def reopen(run: Path, data: Path | None) -> tuple[Experiment, RunRecord]:
    """Rebuild the experiment of a finished run from its record, as its final model was trained.

    Args:
        run: folder of the run.
        data: where the run's own data, a file or shards, lies now; None for where it lay.

    Raises:
        UsageError: the data is not the data that the run was trained on, ``data`` is given for a named data
            set, or the settings are not those of this version.
    """
    record = RunRecord.load(run)
    source = dict(record.data)
    if data is not None:
        if "dataset" in source:
            raise UsageError(
                f"{run} was trained on {source['dataset']}; --data is for runs on data of your own."
            )
        source["shards" if "shards" in source else "file"] = str(data.resolve())
    recipe = parse(Recipe, record.recipe, f"the record of {run}")
    experiment: Experiment
    if "shards" in source:
        experiment = ShardedExperiment.of_shards(recipe, open_shards(source["shards"]), record.seed)
    else:
        experiment = Experiment.prepare(recipe, load_data(source), record.seed, source)
    import keras

    keras.config.set_dtype_policy(record.precision)
    if experiment.fingerprint() != record.fingerprint:
        raise UsageError(f"The data is not the data that {run} was trained on.")
    return experiment.refitted(), record


def evaluator_of(run: Path, experiment: Experiment, part: str) -> Evaluator:
    """Load the model of a run, and return what measures it.

    Args:
        run: folder of the run.
        experiment: from `reopen`.
        part: of the split, that is to be measured.

    Raises:
        UsageError: there is no such part, or the model was trained on it beside the training part.
    """
    evaluator = experiment.evaluator(load_model(run))
    if part not in evaluator.parts:
        raise UsageError(f"There is no part '{part}' to measure. {nearest(part, evaluator.parts)}")
    if experiment.recipe.training.refit and part == "validation":
        raise UsageError(
            f"The final model of {run} was trained on the validation part too; give --part test."
        )
    return evaluator


def check_writable(folder: Path, option: str) -> None:
    """Raise `UsageError` unless files can be written below ``folder``; leaves nothing behind."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    try:
        if not existing.is_dir():
            raise NotADirectoryError(f"{existing} is not a folder")
        if not os.access(existing, os.W_OK):
            raise PermissionError(f"{existing} is read-only")
        with temporary_folder(existing, ".tfzoo-"):
            pass
    except OSError as error:
        raise UsageError(f"{option} {folder} cannot be written: {error}") from None
