"""``tfzoo list``: the models that fit what is asked for."""

from __future__ import annotations

import argparse

from rich.table import Table

from tfzoo.cli.common import console
from tfzoo.reporting.catalogue import (
    RECONSTRUCTION,
    best_summary,
    figure_text,
    find_models,
    summaries_by_model,
)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    found = find_models(options.pattern, task=options.task, family=options.family, year=options.year)
    summaries = summaries_by_model(options.results)
    table = Table()
    for column in ("name", "task", "family", "year", "paper", "best recorded figure"):
        table.add_column(column, no_wrap=column == "name")
    for info in found:
        figure = figure_text(best_summary(summaries.get(info.name, [])))
        if info.reconstruction:
            figure = f"{figure}; {RECONSTRUCTION}"
        paper = f"{info.paper.authors}: {info.paper.title}"
        table.add_row(info.name, info.task, info.family, str(info.paper.year or ""), paper, figure)
    console.print(table)
