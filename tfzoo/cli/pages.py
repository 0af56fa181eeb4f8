"""``tfzoo pages``: write the page of every model."""

from __future__ import annotations

import argparse

from tfzoo.cli.common import check_writable
from tfzoo.cli.mending import checkout
from tfzoo.cli.output import answer, say
from tfzoo.errors import UsageError
from tfzoo.files import write_text
from tfzoo.models.registry import declared_in
from tfzoo.reporting.answers import keep_answers
from tfzoo.reporting.catalogue import summaries_by_model
from tfzoo.reporting.kept import FILE
from tfzoo.reporting.pages import write_pages


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    check_writable(options.docs, "--docs")
    if not options.results.is_dir():
        raise UsageError(f"--results {options.results} is not a folder; records are collected there.")
    folder = options.docs / "models"
    summaries = summaries_by_model(options.results)
    written = list(write_pages(folder, summaries))
    pages = sum(path.suffix == ".md" for path in written)
    root = checkout()
    if root is not None and options.docs.resolve() == root / "docs":
        write_text(FILE, keep_answers(sorted(declared_in()), summaries, options.results))
        say(f"Written: {FILE}")
    answer(folder=folder, written=written)
    say(f"Written: {pages} pages and {len(written) - pages} drawings to {folder}")
