"""``tfzoo evaluate``: measure a trained run again."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfzoo.cli.common import configure_device, evaluator_of, reopen
from tfzoo.cli.output import more, print_table, say
from tfzoo.cli.paths import runs_of


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    configure_device(options)
    for folder in runs_of(options.run):
        _evaluate(folder, options)


def _evaluate(folder: Path, options: argparse.Namespace) -> None:
    experiment, record = reopen(folder, options.data)
    metrics = evaluator_of(folder, experiment, options.part).evaluate(options.part)
    say(f"{record.model} on {record.dataset}, {record.protocol}: {options.part}")
    rows = []
    recorded = record.metrics.get(options.part, {})
    for metric, value in metrics.items():
        # A record of another version may lack some.
        known = f"{recorded[metric]:.4f}" if metric in recorded else ""
        rows.append((metric, known, f"{value:.4f}"))
    print_table(("metric", "recorded", "now"), rows, right=("recorded", "now"))
    known_figures = {metric: recorded.get(metric) for metric in metrics}
    more("runs", {"run": folder, "part": options.part, "metrics": metrics, "recorded": known_figures})
    say(record.headline)
