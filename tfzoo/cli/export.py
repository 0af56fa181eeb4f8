"""``tfzoo export``: a trained run as the next version of a SavedModel, or of a file for another runtime."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tfzoo.cli.common import check_name, check_writable, reopen
from tfzoo.cli.output import answer, say
from tfzoo.cli.paths import run_of
from tfzoo.errors import UsageError
from tfzoo.experiment import Experiment
from tfzoo.runs import load_model
from tfzoo.serving.click_export import export_click_model
from tfzoo.serving.export import export_saved_model, refuse_other_data
from tfzoo.serving.formats import SAVED_MODEL, export_to_format, get_format
from tfzoo.serving.index import IndexSettings
from tfzoo.tasks import ReviewRatingTask
from tfzoo.tasks.click_features import FieldScorer
from tfzoo.tasks.clicks import ClickTask
from tfzoo.training.record import RunRecord

TOLD = "Give --name NAME or another --export-dir to leave it alone, or --overwrite for a next version of it."


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    check_name(options.name)
    if options.format != SAVED_MODEL:
        # What is not installed is said before anything is looked for.
        get_format(options.format)
    options.run = run_of(options.run)
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
        name=options.name,
        overwrite=options.overwrite,
    )
    say(f"Run: {options.run}")
    say(f"SavedModel: {version}")
    answer(exported=version)


def export_run(
    experiment: Experiment,
    record: RunRecord,
    folder: Path,
    export_dir: Path,
    *,
    exclude_seen: bool = True,
    index: IndexSettings | None = None,
    name: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Export the model of a run to ``EXPORT_DIR/<name>/<next version>``, see `RunRecord.export_name`.

    Raises:
        TfzooError: the versions that are there are of other data, and ``overwrite`` is not given.
    """
    target = export_dir / (name or record.export_name)
    if not overwrite:
        refuse_other_data(target, record.model, experiment.data_served(), TOLD)
    model = load_model(folder)
    scorer = experiment.task.scorer(model, experiment.features(model))
    metadata = record.for_export(experiment.data_fingerprint)
    if isinstance(scorer, FieldScorer):
        if not exclude_seen or index is not None:
            option = "--keep-seen" if index is None else "--index"
            raise UsageError(
                f"{option} is a matter of recommended lists, which a model of clicks does not have."
            )
        log: Any = experiment.split.train
        return export_click_model(model, scorer, log, target, metadata=metadata)
    return export_saved_model(
        model,
        scorer,
        experiment.split.train,
        target,
        metadata=metadata,
        exclude_seen=exclude_seen,
        known=experiment.known_beside_training(),
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
    if isinstance(task, ClickTask):
        raise UsageError(
            f"--format {options.format} is not for models of clicks, which read raw fields: only "
            f"--format {SAVED_MODEL} looks them up."
        )
    target = options.export_dir / f"{options.name or record.export_name}-{chosen.name}"
    if not options.overwrite:
        refuse_other_data(target, record.model, experiment.data_served(), TOLD)
    version = export_to_format(
        load_model(options.run),
        experiment.split.train,
        target,
        chosen.name,
        metadata=record.for_export(experiment.data_fingerprint),
        words=task.vocabulary(experiment.split.train).words if isinstance(task, ReviewRatingTask) else None,
    )
    say(f"{chosen.title}: {version / chosen.file}")
    answer(exported=version / chosen.file)
