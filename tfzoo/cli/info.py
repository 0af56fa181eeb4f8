"""``tfzoo info``: one model's page in short."""

from __future__ import annotations

import argparse

from tfzoo.cli.catalogue import facts, figures
from tfzoo.cli.list import RECONSTRUCTION
from tfzoo.cli.output import answer, print_table, say
from tfzoo.errors import UsageError, nearest
from tfzoo.models import list_models
from tfzoo.models.registry import Paper
from tfzoo.reporting.kept import RESULTS


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    if options.model not in list_models():
        raise UsageError(f"Unknown model '{options.model}'. {nearest(options.model, list_models())}")
    info = facts(options.model, options)
    recorded = figures([options.model], options)[options.model]
    answer(**info, **recorded)
    say(f"{info['name']}: {info['summary']}")
    paper = Paper(**info["paper"])
    rows = [
        ("paper", f"{paper} {paper.url}".strip()),
        ("task, family", f"{info['task']}, {info['family']}"),
    ]
    if info["reconstruction"]:
        rows.append((RECONSTRUCTION, "the paper could not be read in full; see the differences below"))
    for tensor in info["tensors"]:
        rows.append((tensor["way"], f"{tensor['name']} {tensor['dtype']} {tensor['shape']}"))
    rows.append(("parameters", f"{info['parameters']}; on ml-100k {info['parameters_on_ml_100k']:,}"))
    for name, description in recorded["recipes"].items():
        rows.append((f"recipe {name}", description))
    print_table(("what", "how"), rows, head=False)
    if recorded["figures"]:
        shown = [tuple(row.values()) for row in recorded["figures"]]
        print_table(tuple(recorded["figures"][0]), shown)
    else:
        say(f"No record of {info['name']} in {options.results or RESULTS}.")
    say(f"Differences from the paper: {info['differences']}")
    say(f"Train it: {recorded['train']}")
