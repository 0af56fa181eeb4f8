"""``tfzoo export``: a trained run as the next version of a SavedModel, or of a file for another runtime."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tfzoo.cli.common import check_writable, reopen, say
from tfzoo.errors import UsageError
from tfzoo.experiment import Experiment
from tfzoo.runs import load_model
from tfzoo.serving.export import export_saved_model
from tfzoo.serving.formats import SAVED_MODEL, export_to_format, get_format
from tfzoo.serving.index import IndexSettings
from tfzoo.tasks import ReviewRatingTask
from tfzoo.training.record import RunRecord


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    check_writable(options.export_dir, "--export-dir")
    if options.format != SAVED_MODEL:
        _export_to_format(options)
        return
    experiment, record = reopen(options.run, options.data)
    version = export_run(
        experiment,
        record,
        options.run,
        options.export_dir,
        exclude_seen=not options.keep_seen,
        index=_index(options),
    )
    say(f"SavedModel: {version}")


def export_run(
    experiment: Experiment,
    record: RunRecord,
    folder: Path,
    export_dir: Path,
    *,
    exclude_seen: bool = True,
    index: IndexSettings | None = None,
) -> Path:
    """Export the model of a run to ``EXPORT_DIR/<model>-<dataset>/<next version>``."""
    model = load_model(folder)
    scorer = experiment.task.scorer(model, experiment.features(model))
    return export_saved_model(
        model,
        scorer,
        experiment.split.train,
        export_dir / f"{record.model}-{record.dataset}",
        metadata=_metadata(record),
        exclude_seen=exclude_seen,
        fold_in=experiment.split.fold_in,
        index=index,
    )


def _index(options: argparse.Namespace) -> IndexSettings | None:
    if options.index == "none":
        return None
    return IndexSettings(options.index, options.partitions, options.probes)


def _export_to_format(options: argparse.Namespace) -> None:
    """Export to ``EXPORT_DIR/<model>-<dataset>-<format>/<next version>``; checks come before the data."""
    if options.keep_seen or options.index != "none":
        option = "--keep-seen" if options.keep_seen else "--index"
        raise UsageError(
            f"{option} is a matter of recommended lists, which --format {options.format} does not have."
        )
    chosen = get_format(options.format)
    experiment, record = reopen(options.run, options.data)
    task = experiment.task
    version = export_to_format(
        load_model(options.run),
        experiment.split.train,
        options.export_dir / f"{record.model}-{record.dataset}-{chosen.name}",
        chosen.name,
        metadata=_metadata(record),
        words=task.vocabulary(experiment.split.train).words if isinstance(task, ReviewRatingTask) else None,
    )
    say(f"{chosen.title}: {version / chosen.file}")


def _metadata(record: RunRecord) -> dict[str, Any]:
    included = {"model", "task", "dataset", "protocol", "recipe", "seed", "metrics", "versions", "commit"}
    return record.model_dump(mode="json", include=included)
