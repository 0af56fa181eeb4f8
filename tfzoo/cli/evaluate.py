"""``tfzoo evaluate``: measure a trained run again."""

from __future__ import annotations

import argparse

from rich.table import Table

from tfzoo.cli.common import configure_device, console, reopen, say
from tfzoo.errors import UsageError, nearest
from tfzoo.runs import load_model


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    configure_device(options)
    experiment, record = reopen(options.run, options.data)
    evaluator = experiment.evaluator(load_model(options.run))
    if options.part not in evaluator.parts:
        raise UsageError(
            f"There is no part '{options.part}' to measure. {nearest(options.part, evaluator.parts)}"
        )
    if experiment.recipe.training.refit and options.part == "validation":
        raise UsageError("The final model was trained on the validation part too; give --part test.")
    metrics = evaluator.evaluate(options.part)
    say(f"{record.model} on {record.dataset}, {record.protocol}: {options.part}")
    table = Table()
    table.add_column("metric")
    table.add_column("recorded", justify="right")
    table.add_column("now", justify="right")
    for metric, value in metrics.items():
        table.add_row(metric, f"{record.metrics[options.part][metric]:.4f}", f"{value:.4f}")
    console.print(table)
    say(record.headline)
