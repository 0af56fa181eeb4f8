"""``tfzoo compare``: two trained runs on the same test cases."""

from __future__ import annotations

import argparse

import numpy as np
from rich.table import Table

from tfzoo.cli.common import configure_device, console, evaluator_of, reopen, say
from tfzoo.errors import UsageError
from tfzoo.evaluation.comparison import paired_bootstrap


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    if options.seed < 0:
        raise UsageError(f"--seed must be 0 or more. Received {options.seed}.")
    configure_device(options)
    values, names = [], []
    for folder in (options.first, options.second):
        experiment, record = reopen(folder, options.data)
        values.append(evaluator_of(folder, experiment, options.part).cases(options.part))
        names.append(f"{record.model} {record.recipe['name']}")
    if not np.array_equal(values[0].keys, values[1].keys):
        raise UsageError(
            f"{options.first} and {options.second} were not tested on the same cases; train both with the "
            "same data, split and seed."
        )
    say(f"{names[0]} against {names[1]}: {options.part}, paired bootstrap over {values[0].unit}")
    table = Table()
    for column in ("metric", "first", "second", "difference", "95 % interval", "p"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for metric in values[0].metrics:
        if metric not in values[1].metrics:
            continue
        (first, figure), (second, _) = (side.metrics[metric] for side in values)
        found = paired_bootstrap(first, second, seed=options.seed, figure=figure)
        table.add_row(
            metric,
            f"{found.first:.4f}",
            f"{found.second:.4f}",
            f"{found.first - found.second:+.4f}",
            f"{found.low:+.4f} to {found.high:+.4f}",
            f"{found.p_value:.3f}",
        )
    console.print(table)
