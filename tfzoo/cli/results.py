"""``tfzoo results``: tables from run records."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from tfzoo.cli.display import print_comparison, print_summary
from tfzoo.cli.output import more, say
from tfzoo.cli.paths import is_export, runs_of
from tfzoo.files import write_text
from tfzoo.reporting.intervals import read_intervals
from tfzoo.reporting.results import markdown, plotted_metric, tables_of
from tfzoo.reporting.summary import Summary, collect, load_records, record_paths, summarise
from tfzoo.reporting.table_plots import table_plots
from tfzoo.reporting.verdicts import csv_text


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    records = load_records(place for folder in options.folders for place in _places(folder))
    summaries = summarise(records)
    if len(summaries) == 1:
        print_summary(summaries[0])
    else:
        print_comparison(summaries)
    if options.collect is not None:
        for record in records:
            collect(record, options.collect)
        say(f"{len(records)} records copied to {options.collect}")
    pages = (
        (options.markdown, lambda: markdown(summaries, read_intervals(options.folders))),
        (options.csv, lambda: csv_text(summaries)),
    )
    for path, text in pages:
        if path is not None:
            write_text(path, text())
            say(f"Written: {path}")
            more("written", path)
    if options.plots is not None:
        for path in write_plots(summaries, options.plots):
            say(f"Written: {path}")
            more("written", path)


def _places(folder: Path) -> list[Path]:
    """Return where records are to be read for a path: an export stands for its run."""
    known = folder.is_file() or not folder.exists() or record_paths(folder)
    return [folder] if known or not is_export(folder) else runs_of(folder)


def write_plots(summaries: Sequence[Summary], folder: Path) -> Iterator[Path]:
    """Draw the plots of each table, see `table_plots`.

    Args:
        summaries: of all records.
        folder: for the plots.

    Returns:
        The files, as they are written.
    """
    for (dataset, protocol, _), chosen in tables_of(summaries).items():
        for plot in table_plots(dataset, protocol, chosen, plotted_metric(chosen)):
            yield from plot.draw(folder / plot.name)
