"""``tfzoo update``: go on from a trained run with new interactions, and export the next version."""

from __future__ import annotations

import argparse
from typing import Any

from tfzoo.cli.common import check_name, check_writable, configure_device, data_source, load_data, reopen
from tfzoo.cli.display import print_summary
from tfzoo.cli.export import TOLD, export_run
from tfzoo.cli.output import answer, mention, say, working
from tfzoo.cli.paths import run_of
from tfzoo.cli.train import train_one
from tfzoo.data.interactions import Interactions
from tfzoo.errors import UsageError
from tfzoo.experiment import Experiment
from tfzoo.models import model_info
from tfzoo.reporting.summary import summarise
from tfzoo.serving.export import refuse_other_data
from tfzoo.tasks import get_task
from tfzoo.training.distributed import Distribution
from tfzoo.training.record import RunRecord, sources_of
from tfzoo.updates import prepare_update, training_settings, update_name

# Of the file of the first run, where that was one.
COLUMNS = ("user_col", "item_col", "rating_col", "time_col", "text_col")


def run(options: argparse.Namespace) -> None:
    """Run the command; the earlier run is read and never written."""
    check_name(options.name)
    check_writable(options.output, "--output")
    if not options.no_export:
        check_writable(options.export_dir, "--export-dir")
    options.precision = "float32"
    configure_device(options)
    after, record = _prepare(options)
    if not options.no_export:
        served = options.export_dir / record.export_name
        refuse_other_data(served, record.model, after.data_served(), TOLD)
    options.name = options.name or update_name(record, after)
    # A run that was interrupted goes on, and a finished one is taken as it is.
    options.resume, options.overwrite, options.tensorboard = True, False, False
    found, place = train_one(after, options, Distribution())
    for summary in summarise([found]):
        print_summary(summary)
    say(f"Run: {place}")
    answer(records=[place])
    if not options.no_export:
        version = export_run(after, found, place, options.export_dir)
        say(f"SavedModel: {version}")
        answer(exported=version)


def _prepare(options: argparse.Namespace) -> tuple[Experiment, RunRecord]:
    """Return what is to be trained, and the record of the earlier run."""
    folder = run_of(options.run)
    settings = training_settings(RunRecord.load(folder).model, options.overrides)
    with working("reading the data"):
        experiment, record = reopen(folder, options.run_data)
        new, source = _new_interactions(options, record)
    for note in (new.describe(), *(f"  {note}" for note in new.notes)):
        mention(note)
    chosen: dict[str, Any] = {"replay": options.replay, "epochs": options.epochs, "training": settings}
    after = prepare_update(experiment, record, folder, new, source, **chosen)
    update = dict(after.update or {})
    counts = "{interactions:,} new interactions, {new_users:,} new users, {new_items:,} new items"
    mention(f"{counts.format(**update)}; kept of {folder}: {update['kept']}")
    if after.start is not None:
        mention(f"  trained on {len(after.start.rows):,} rows for {update['epochs']} epochs")
    return after, record


def _new_interactions(options: argparse.Namespace, record: RunRecord) -> tuple[Interactions, dict[str, Any]]:
    """Read the file, by the columns of the earlier run's own file where no others are given."""
    earlier = sources_of(record.data)[-1]
    if not earlier.get("rating_required", True):
        # A column that need not be there.
        earlier["rating_col"] = None
    for column in COLUMNS:
        if getattr(options, column) is None:
            setattr(options, column, earlier.get(column))
    options.user_col = options.user_col or "user_id"
    options.item_col = options.item_col or "item_id"
    task = get_task(model_info(record.model).task)
    if task.needs.clicks:
        raise UsageError(
            f"'{record.model}' is a model of clicks: it has no users and items that could be added."
        )
    options.duplicates = options.duplicates or ("keep" if task.needs.duplicates == "keep" else "last")
    # What comes after much may be of one user alone.
    source = {**data_source(options, task), "least": 1}
    new: Any = load_data(source)
    return new, source
