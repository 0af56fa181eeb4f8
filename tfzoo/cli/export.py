"""``tfzoo export``: a trained run as the next version of a SavedModel."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfzoo.cli.common import check_writable, reopen, say
from tfzoo.experiment import Experiment
from tfzoo.runs import load_model
from tfzoo.serving.export import export_saved_model
from tfzoo.serving.index import IndexSettings
from tfzoo.training.record import RunRecord


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    check_writable(options.export_dir, "--export-dir")
    experiment, record = reopen(options)
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
    metadata = record.model_dump(
        mode="json",
        include={"model", "task", "dataset", "protocol", "recipe", "seed", "metrics", "versions", "commit"},
    )
    return export_saved_model(
        model,
        scorer,
        experiment.split.train,
        export_dir / f"{record.model}-{record.dataset}",
        metadata=metadata,
        exclude_seen=exclude_seen,
        fold_in=experiment.split.fold_in,
        index=index,
    )


def _index(options: argparse.Namespace) -> IndexSettings | None:
    if options.index == "none":
        return None
    return IndexSettings(options.index, options.partitions, options.probes)
