"""``tfzoo plot``: the training curves of runs."""

from __future__ import annotations

import argparse

from tfzoo.cli.common import say
from tfzoo.reporting.plots import plot_history
from tfzoo.training.record import RunRecord


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    for folder in options.runs:
        for path in plot_history(RunRecord.load(folder), folder / "history"):
            say(f"Written: {path}")
