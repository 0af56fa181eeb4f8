"""Tables for the terminal."""

from __future__ import annotations

from rich.table import Table

from tfzoo.cli.common import console, say
from tfzoo.reporting.results import metric_rows
from tfzoo.reporting.summary import Summary


def print_summary(summary: Summary) -> None:
    """Print the test metrics of one model, the paper's beside ours."""
    first = summary.first
    seeds = len(summary.records)
    title = f"{first.model} on {first.dataset}, recipe {summary.recipe}: {summary.protocol}, "
    title += f"{seeds} seeds" if seeds > 1 else f"seed {first.seed}"
    say(title)
    table = Table()
    for column in ("metric (test)", "paper", "ours", "difference"):
        table.add_column(column, justify="left" if column.startswith("metric") else "right")
    for row in metric_rows(summary):
        table.add_row(*row)
    console.print(table)
    say(first.headline)
    if first.paper is not None:
        say(f"Paper: {first.paper['source']}. {summary.remark}".rstrip())
