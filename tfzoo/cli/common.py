"""What several commands share: reading data, choosing the device, checking folders."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from tfzoo.cli.options import AUTO, QUOTING, UTF8
from tfzoo.cli.output import console as console
from tfzoo.cli.output import say as say
from tfzoo.cli.sharded import ShardedExperiment, given_columns
from tfzoo.data.click_log import ClickLog
from tfzoo.data.datasets import load_dataset
from tfzoo.data.datasets.click_files import clicks_from_file
from tfzoo.data.datasets.files import from_file
from tfzoo.data.interactions import Interactions
from tfzoo.data.shards import open_shards
from tfzoo.errors import UsageError, nearest
from tfzoo.evaluation import Evaluator
from tfzoo.experiment import Experiment
from tfzoo.files import temporary_folder
from tfzoo.runs import load_model
from tfzoo.tasks import Task
from tfzoo.training.recipe import recorded_recipe
from tfzoo.training.record import RunRecord, sources_of
from tfzoo.training.settings import parse, part_of_a_path
from tfzoo.updates import of_record, reopened

CLICK_OPTIONS = ("--label-col", "--field-cols", "--number-cols")
RATING_OPTIONS = (
    "--user-col",
    "--item-col",
    "--rating-col",
    "--time-col",
    "--text-col",
    "--time-unit",
    "--min-rating",
    "--duplicates",
    "--rating-scale",
)


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

    Raises:
        UsageError: an option for files is given beside the name of a data set.
    """
    if options.data is None:
        for option in given_columns(options):
            if option != "--min-rating":
                raise UsageError(f"{option} is for --data; '{options.dataset}' is read as it was published.")
        return {"dataset": options.dataset}
    if clicks := _click_source(options, task):
        return clicks
    return {
        "file": str(options.data.resolve()),
        "user_col": options.user_col,
        "item_col": options.item_col,
        "rating_col": "rating" if options.rating_col is None else options.rating_col or None,
        "rating_required": options.rating_col is not None or task.needs.rating or task.needs.clicks,
        "time_col": options.time_col,
        "text_col": options.text_col,
        "sep": options.sep,
        "header": not options.no_header,
        "encoding": options.encoding,
        "quoting": options.quoting,
        "time_unit": options.time_unit,
        "duplicates": options.duplicates or task.needs.duplicates,
        "rating_scale": options.rating_scale,
    }


def _click_source(options: argparse.Namespace, task: type[Task]) -> dict[str, Any]:
    """Return what the record must know of a file that is a click log; empty where it is of interactions."""
    given = given_columns(options)
    of_clicks = [option for option in given if option in CLICK_OPTIONS]
    of_ratings = [option for option in given if option in RATING_OPTIONS]
    if not task.needs.clicks:
        if of_clicks:
            raise UsageError(f"{of_clicks[0]} is for models of clicks, see tfzoo list --task click.")
        return {}
    if not of_clicks:
        if not of_ratings:
            raise UsageError(
                f"{options.data}: a model of clicks needs --label-col and --field-cols or --number-cols, or "
                "--user-col, --item-col and --rating-col of ratings that count as clicks from "
                "task.positive_from on."
            )
        return {}
    if of_ratings:
        raise UsageError(
            f"{of_ratings[0]} is for interactions, {of_clicks[0]} for click logs; give one kind."
        )
    return {
        "file": str(options.data.resolve()),
        "label_col": options.label_col or "click",
        "field_cols": options.field_cols or [],
        "number_cols": options.number_cols or [],
        "sep": options.sep,
        "header": not options.no_header,
        "encoding": options.encoding,
        "quoting": options.quoting,
    }


class _Source(BaseModel):
    """What a record knows of a file, see `from_file`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    file: str
    user_col: str
    item_col: str
    rating_col: str | None = None
    rating_required: bool = True
    time_col: str | None = None
    text_col: str | None = None
    sep: str | None = None
    header: bool = True
    encoding: str = UTF8
    quoting: str = QUOTING[0]
    time_unit: str = AUTO
    duplicates: str = "error"
    rating_scale: Annotated[tuple[float, float] | None, Field(strict=False)] = None
    least: int = 2


class _ClickSource(BaseModel):
    """What a record knows of a file that is a click log, see `clicks_from_file`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    file: str
    label_col: str
    field_cols: list[str] = []
    number_cols: list[str] = []
    sep: str | None = None
    header: bool = True
    encoding: str = UTF8
    quoting: str = QUOTING[0]


def load_data(source: dict[str, Any]) -> Interactions | ClickLog:
    """Read the data that `data_source` describes."""
    if "dataset" in source:
        return load_dataset(source["dataset"])
    kind: type[BaseModel] = _ClickSource if "label_col" in source else _Source
    columns = parse(kind, source, "what a record says of its data").model_dump(exclude_unset=True)
    file = Path(columns.pop("file"))
    return clicks_from_file(file, **columns) if kind is _ClickSource else from_file(file, **columns)


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
    source, *updates = sources_of(record.data)
    if any(key in source and not isinstance(source[key], str) for key in ("dataset", "file", "shards")):
        raise UsageError(f"The record of {run} does not say what it was trained on. Received {source!r:.200}")
    if data is not None:
        if "dataset" in source:
            raise UsageError(
                f"{run} was trained on {source['dataset']}; --data is for runs on data of your own."
            )
        source["shards" if "shards" in source else "file"] = str(data.resolve())
    lay = source.get("file", source.get("shards"))
    if data is None and lay is not None and not Path(lay).exists():
        raise UsageError(
            f"{run} was trained on {lay}, which is not there. Give --data PATH for where it lies now."
        )
    for update in updates:
        if not Path(update["file"]).exists():
            raise UsageError(f"{run} was updated with {update['file']}, which is not there. Put it back.")
    recipe = recorded_recipe(record.recipe, f"the record of {run}")
    experiment: Experiment
    if "shards" in source:
        experiment = ShardedExperiment.of_shards(recipe, open_shards(source["shards"]), record.seed)
    else:
        experiment = Experiment.prepare(recipe, load_data(source), record.seed, source)
    if updates:
        tables: Any = [(load_data(update), update) for update in updates]
        experiment = of_record(reopened(experiment.refitted(), tables), record)
    import keras

    try:
        keras.config.set_dtype_policy(record.precision)
    except (ValueError, TypeError):
        raise UsageError(
            f"The record of {run} has the precision {record.precision!r}, unknown here."
        ) from None
    if not experiment.is_of(record):
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
    if experiment.recipe.training.fit_on == "all":
        raise UsageError(f"The model of {run} was trained on all data: nothing is held out to measure it on.")
    if part not in evaluator.parts:
        raise UsageError(f"There is no part '{part}' to measure. {nearest(part, evaluator.parts)}")
    if experiment.recipe.training.refit and part == "validation":
        raise UsageError(
            f"The final model of {run} was trained on the validation part too; give --part test."
        )
    return evaluator


def check_name(name: str | None) -> None:
    """Raise `UsageError` for a ``--name`` that cannot be the name of a folder."""
    try:
        if name is not None:
            part_of_a_path(name)
    except ValueError as error:
        raise UsageError(f"--name {name!r}: {error}.") from None


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
