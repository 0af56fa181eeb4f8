"""``tfzoo evaluate``: measure a trained run again."""

from __future__ import annotations

import argparse

from rich.table import Table

from tfzoo.cli.common import configure_device, console, reopen, say
from tfzoo.experiment import load_model


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    configure_device(options)
    experiment, record = reopen(options)
    metrics = experiment.evaluate(load_model(options.run), options.part)[options.part]
    say(f"{record.model} on {record.dataset}, {record.protocol}: {options.part}")
    table = Table()
    table.add_column("metric")
    table.add_column("recorded", justify="right")
    table.add_column("now", justify="right")
    for metric, value in metrics.items():
        table.add_row(metric, f"{record.metrics[options.part][metric]:.4f}", f"{value:.4f}")
    console.print(table)
    say(record.headline)
