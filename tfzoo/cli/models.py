"""``tfzoo models``: what there is to train, and on what."""

from __future__ import annotations

import argparse

from rich.table import Table

from tfzoo.cli.common import console, say
from tfzoo.data.datasets import list_datasets
from tfzoo.errors import UsageError, nearest
from tfzoo.models import list_models, model_info
from tfzoo.training.recipe import list_protocols, list_recipes


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    names = list_models(options.pattern)
    if not names:
        raise UsageError(f"No model matches '{options.pattern}'. {nearest(options.pattern, list_models())}")
    table = Table()
    for column in ("model", "task", "recipes", "paper"):
        table.add_column(column)
    for name in names:
        info = model_info(name)
        table.add_row(name, info.task, ", ".join(list_recipes(name)), str(info.paper))
    console.print(table)
    say(f"Protocols for ranked lists: {', '.join(list_protocols())}.")
    say(f"Data sets: {', '.join(list_datasets())}, or --data FILE.")
