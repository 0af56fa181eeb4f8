"""``tfzoo models``: what there is to train, and on what."""

from __future__ import annotations

import argparse

from tfzoo.cli.catalogue import all_known
from tfzoo.cli.output import answer, more, print_table, say
from tfzoo.discovery import list_protocols, list_recipes
from tfzoo.reporting.finding import find
from tfzoo.reporting.kept import kept_datasets


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    rows = []
    for info in find(all_known(options), options.pattern):
        recipes, paper = list_recipes(info.name), str(info.paper)
        rows.append((info.name, info.task, ", ".join(recipes), paper))
        more("models", {"name": info.name, "task": info.task, "recipes": recipes, "paper": paper})
    print_table(("model", "task", "recipes", "paper"), rows)
    protocols, datasets = list_protocols(), _datasets()
    say(f"Protocols for ranked lists: {', '.join(protocols)}.")
    say(f"Data sets: {', '.join(datasets)}, or --data FILE.")
    answer(protocols=protocols, datasets=datasets)


def _datasets() -> list[str]:
    kept = kept_datasets()
    if kept is not None:
        return kept
    from tfzoo.data.datasets import list_datasets

    return list_datasets()
