"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfzoo.cli.output import more, print_table, say
from tfzoo.reporting.results import comparison_rows, metric_rows, tables_of
from tfzoo.reporting.summary import Summary
from tfzoo.training.changes import MARK, describe_changes


def print_comparison(summaries: Sequence[Summary]) -> None:
    """Print a table for each data set, protocol and definition of metrics: a row a model and recipe."""
    for (dataset, protocol, definition), chosen in tables_of(summaries).items():
        say(f"{dataset}: {protocol}")
        columns, rows = comparison_rows(chosen)
        shown = [place for place, _ in enumerate(columns) if any(row[place] for row in rows)]
        print_table(
            [columns[place] for place in shown],
            [[row[place] for place in shown] for row in rows],
            right=columns[3:-1],
        )
        say(definition)
    for summary in summaries:
        more("summaries", members(summary))


def print_summary(summary: Summary, *, every_metric: bool = True) -> None:
    """Print the test metrics of one model, the paper's beside ours: all, or the headline and the paper's."""
    first = summary.first
    seeds = len(summary.records)
    title = f"{first.model} on {summary.dataset}, recipe {summary.recipe}: {summary.protocol}, "
    title += f"{seeds} seeds" if seeds > 1 else f"seed {first.seed}"
    say(title)
    if summary.changes:
        say(f"{MARK} changed: {describe_changes(summary.changes)}")
    more("summaries", members(summary))
    if not summary.metrics():
        say("Trained on all data: nothing is held out to measure the model on.")
        return
    columns = ("metric (test)", "paper", "ours", "difference")
    rows = metric_rows(summary)
    shown = [row for row in rows if every_metric or row[0] in summary.task.headline or row[1]]
    print_table(columns, shown, right=columns[1:])
    if len(shown) < len(rows):
        say(f"--verbose, or `tfzoo results`, shows {len(rows) - len(shown)} more metrics.")
    say(first.headline)
    if summary.source:
        say(f"Paper: {summary.source}. {summary.remark}".rstrip())


def members(summary: Summary) -> dict[str, Any]:
    """Return a summary as a member of the JSON document."""
    first = summary.first
    return {
        "model": first.model,
        "dataset": summary.dataset,
        "recipe": summary.recipe,
        "changes": summary.changes,
        "protocol": summary.protocol,
        "trained_on": summary.trained_on,
        "seeds": [record.seed for record in summary.records],
        "metrics": {
            metric: {
                "paper": summary.reported(metric),
                "ours": summary.mean(metric),
                "deviation": summary.deviation(metric),
            }
            for metric in summary.metrics()
        },
        "paper": summary.source or None,
    }
