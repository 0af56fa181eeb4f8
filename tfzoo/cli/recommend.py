"""``tfzoo recommend``: ask an exported SavedModel."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from tfzoo.cli.item_lists import items_of, listed_items, notes_on_unknown
from tfzoo.cli.output import answer, print_table, say
from tfzoo.cli.paths import RUNS, export_of
from tfzoo.cli.recommend_all import run as write_all
from tfzoo.errors import TfzooError, UsageError
from tfzoo.serving.client import LocalClient
from tfzoo.serving.export import latest_version, read_metadata, versions

MOST_NAMED = 5


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    if options.k < 1:
        raise UsageError(f"--k must be at least 1. Received {options.k}.")
    if options.all_users:
        write_all(options)
        return
    for name in ("run", "output", "data"):
        if getattr(options, name) is not None:
            raise UsageError(f"--{name} goes with --all-users.")
    version = _version(options)
    # The items first: an export without lists is refused before it is loaded.
    known = items_of(version)
    client = LocalClient(version)
    exclude = listed_items(options.exclude, options.exclude_file, "--exclude", known)
    notes = notes_on_unknown(exclude, "--exclude", known)
    if options.user is not None:
        who = f"user {options.user}"
        found = client.recommend(options.user, options.k, exclude)
    else:
        history = listed_items(options.history or [], options.history_file, "--history", known)
        notes += notes_on_unknown(history, "--history", known)
        who = f"history {', '.join(history)}" if history else "an empty history"
        found = client.recommend_from_history(history, options.k, exclude)
    if len(found.item_ids) < options.k:
        left = f"only {len(found.item_ids)} items are" if len(found.item_ids) else "no item is"
        notes.append(f"--k {options.k}: {left} left to recommend.")
    for note in notes:
        say(note)
    if options.user is None and not history:
        say("The history is empty: popular items.")
    elif not found.known_user:
        say(f"{who[0].upper()}{who[1:]} is not in the training data: popular items.")
    described = read_metadata(version)
    asked = f"{described.get('model', options.model)} on {described.get('dataset', options.dataset)}"
    say(f"{asked}: top {len(found.item_ids)} for {who}")
    what = "score" if found.known_user else "interactions"
    rows, items = [], []
    for rank, (item, score) in enumerate(zip(found.item_ids, found.scores, strict=True), start=1):
        title = [client.titles.get(str(item), "")] if client.titles else []
        rows.append((str(rank), str(item), *title, f"{score:.3f}" if found.known_user else f"{score:.0f}"))
        items.append({"rank": rank, "item": item, **({"title": title[0]} if title else {}), what: score})
    columns = ("rank", "item", *(["title"] if client.titles else []), what)
    print_table(columns, rows, right=("rank", what))
    answer(export=version, known_user=found.known_user, items=items, notes=notes)


def _version(options: argparse.Namespace) -> Path:
    """Return the export to ask: by a path, by the name it was given, or by model and data set."""
    if os.sep in options.model:
        return export_of(Path(options.model))
    named = options.export_dir / options.model
    made_up = options.export_dir / f"{options.model}-{options.dataset}"
    if versions(made_up):
        return latest_version(made_up)
    if versions(named):
        return latest_version(named)
    raise TfzooError(f"No exported model in {made_up}. {_advice(options)}")


def _advice(options: argparse.Namespace) -> str:
    """Return which command makes the export that is asked for, in the form that the user has typed."""
    script = Path(sys.argv[0]).name == "recommend.py"
    form = "python scripts/{}.py".format if script else "tfzoo {}".format
    exports = sorted(folder.name for folder in options.export_dir.glob("*") if versions(folder))
    known = f"There are exports of {', '.join(exports[:MOST_NAMED])}. " if exports else ""
    runs = sorted(RUNS.glob(f"{options.model}-{options.dataset}-*"))
    if runs:
        return f"{known}Export its run with: {form('export')} --run {shlex.quote(str(runs[0]))}"
    made = next((name for name in exports if name.startswith(f"{options.model}-")), None)
    if made is not None:
        dataset = shlex.quote(made.removeprefix(f"{options.model}-"))
        return (
            f"There is one of other data: {form('recommend')} --model {options.model} --dataset {dataset} ..."
        )
    train = f"{form('train')} --model {options.model} --dataset {options.dataset}"
    return f"{known}Train and export it with: {train}"
