"""``tfzoo pages``: write the page of every model."""

from __future__ import annotations

import argparse

from tfzoo.cli.common import check_writable, say
from tfzoo.errors import UsageError
from tfzoo.reporting.catalogue import summaries_by_model
from tfzoo.reporting.pages import write_pages


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    check_writable(options.docs, "--docs")
    if not options.results.is_dir():
        raise UsageError(f"--results {options.results} is not a folder; records are collected there.")
    folder = options.docs / "models"
    written = list(write_pages(folder, summaries_by_model(options.results)))
    pages = sum(path.suffix == ".md" for path in written)
    say(f"Written: {pages} pages and {len(written) - pages} drawings to {folder}")
