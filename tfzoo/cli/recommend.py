"""``tfzoo recommend``: ask an exported SavedModel."""

from __future__ import annotations

import argparse

from rich.table import Table

from tfzoo.cli.common import console, say
from tfzoo.errors import UsageError
from tfzoo.serving.client import LocalClient
from tfzoo.serving.export import latest_version


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    if options.k < 1:
        raise UsageError(f"--k must be at least 1. Received {options.k}.")
    client = LocalClient(latest_version(options.export_dir / f"{options.model}-{options.dataset}"))
    exclude = [item for item in options.exclude.split(",") if item]
    if options.history is None:
        who = f"user {options.user}"
        answer = client.recommend(options.user, options.k, exclude)
    else:
        history = [item for item in options.history.split(",") if item]
        who = f"history {', '.join(history)}"
        answer = client.recommend_from_history(history, options.k, exclude)
    if not answer.known_user:
        say(f"{who[0].upper()}{who[1:]} is not in the training data: popular items.")
    say(f"{options.model} on {options.dataset}: top {options.k} for {who}")
    table = Table()
    table.add_column("rank", justify="right")
    table.add_column("item")
    if client.titles:
        table.add_column("title")
    table.add_column("score" if answer.known_user else "interactions", justify="right")
    for rank, (item, score) in enumerate(zip(answer.item_ids, answer.scores, strict=True), start=1):
        title = [client.titles.get(str(item), "")] if client.titles else []
        table.add_row(str(rank), str(item), *title, f"{score:.3f}" if answer.known_user else f"{score:.0f}")
    console.print(table)
