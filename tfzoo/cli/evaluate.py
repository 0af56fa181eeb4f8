"""``tfzoo evaluate``: measure a trained run again."""

from __future__ import annotations

import argparse

from rich.table import Table

from tfzoo.cli.common import configure_device, console, evaluator_of, reopen, say


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    configure_device(options)
    experiment, record = reopen(options.run, options.data)
    metrics = evaluator_of(options.run, experiment, options.part).evaluate(options.part)
    say(f"{record.model} on {record.dataset}, {record.protocol}: {options.part}")
    table = Table()
    table.add_column("metric")
    table.add_column("recorded", justify="right")
    table.add_column("now", justify="right")
    recorded = record.metrics.get(options.part, {})
    for metric, value in metrics.items():
        # A record of another version may lack some.
        known = f"{recorded[metric]:.4f}" if metric in recorded else ""
        table.add_row(metric, known, f"{value:.4f}")
    console.print(table)
    say(record.headline)
