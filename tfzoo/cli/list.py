"""``tfzoo list``: the models that fit what is asked for."""

from __future__ import annotations

import argparse

from tfzoo.cli.catalogue import all_known, figures
from tfzoo.cli.output import more, print_table
from tfzoo.reporting.finding import find

RECONSTRUCTION = "reconstruction"
COLUMNS = ("name", "task", "family", "year", "paper", "best recorded figure")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    everything = all_known(options)
    found = find(everything, options.pattern, task=options.task, family=options.family, year=options.year)
    best = figures([info.name for info in found], options)
    rows = []
    for info in found:
        figure = best[info.name]["best"]
        if info.reconstruction:
            figure = f"{figure}; {RECONSTRUCTION}"
        paper = f"{info.paper.authors}: {info.paper.title}"
        rows.append((info.name, info.task, info.family, str(info.paper.year or ""), paper, figure))
        more("models", dict(zip(COLUMNS, rows[-1], strict=True)))
    print_table(COLUMNS, rows)
