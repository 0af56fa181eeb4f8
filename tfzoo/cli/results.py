"""``tfzoo results``: tables from run records."""

from __future__ import annotations

import argparse

from tfzoo.cli.common import say
from tfzoo.cli.display import print_summary
from tfzoo.files import write_text
from tfzoo.reporting.results import markdown
from tfzoo.reporting.summary import collect, load_records, summarise
from tfzoo.reporting.verdicts import csv_text


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    records = load_records(options.folders)
    summaries = summarise(records)
    for summary in summaries:
        print_summary(summary)
    if options.collect is not None:
        for record in records:
            collect(record, options.collect)
        say(f"{len(records)} records copied to {options.collect}")
    for path, write in ((options.markdown, markdown), (options.csv, csv_text)):
        if path is not None:
            write_text(path, write(summaries))
            say(f"Written: {path}")
