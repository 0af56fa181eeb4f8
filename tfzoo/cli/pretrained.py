"""``tfzoo pretrained``: models with trained weights, and how to train them anew."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfzoo.cli.common import check_writable
from tfzoo.cli.display import print_summary
from tfzoo.cli.output import answer, mention, more, print_table, say
from tfzoo.errors import TfzooError
from tfzoo.pretrained import built_folder, list_pretrained, pretrained_folder, pretrained_info, verify
from tfzoo.pretrained_build import build
from tfzoo.reporting.summary import summarise
from tfzoo.training.checkpoint import TrainingState
from tfzoo.training.record import RunRecord


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    if options.action == "list":
        _list()
    else:
        _build(options)


def _list() -> None:
    columns = ("name", "recipe", "test metrics", "MB", "weights")
    rows = []
    errors, to_build = [], False
    for name in list_pretrained():
        folder, described = pretrained_folder(name), ("", "", "to be built")
        to_build |= folder is None
        if folder is not None:
            try:
                described = _describe(folder, "built here" if folder == built_folder(name) else "with tfzoo")
            except TfzooError as error:
                described = ("", "", "damaged")
                errors.append(str(error))
        rows.append((name, pretrained_info(name).recipe, *described))
        more("models", dict(zip(columns, rows[-1], strict=True)))
    print_table(columns, rows, right=("MB",))
    if to_build:
        say("Those to be built: tfzoo pretrained build NAME")
    for text in errors:
        say(text)


def _describe(folder: Path, place: str) -> tuple[str, str, str]:
    provenance, record = verify(folder), RunRecord.load(folder)
    headline = summarise([record])[0].task.headline[:2]
    metrics = (
        f"{name} {record.metrics['test'][name]:.4f}" for name in headline if name in record.metrics["test"]
    )
    size = sum(file["bytes"] for file in provenance["files"].values())
    return " ".join(metrics), f"{size / 1e6:.1f}", place


def _build(options: argparse.Namespace) -> None:
    name = options.name
    pretrained_info(name)
    target = built_folder(name) if options.output is None else options.output / name
    check_writable(target.parent, "--output")
    check_writable(options.runs, "--runs")

    def show(state: TrainingState) -> None:
        if state.epoch == 1 or state.epoch % 10 == 0:
            mention(f"{name} epoch {state.epoch} loss {state.history[-1]['loss']:.4f}")

    record, folder = build(
        name,
        target,
        options.runs,
        resume=options.resume,
        overwrite=options.overwrite,
        on_epoch=show,
    )
    for summary in summarise([record]):
        print_summary(summary)
    say(f"Pretrained model: {folder}")
    answer(folder=folder)
