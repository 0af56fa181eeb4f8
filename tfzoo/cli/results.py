"""``tfzoo results``: tables from run records."""

from __future__ import annotations

import argparse

from tfzoo.cli.common import say
from tfzoo.cli.display import print_summary
from tfzoo.files import write_atomically
from tfzoo.reporting.results import collect, load_records, markdown, summarise


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
    if options.markdown is not None:
        text = markdown(summaries)
        write_atomically(options.markdown, lambda file: file.write(text.encode()))
        say(f"Written: {options.markdown}")
