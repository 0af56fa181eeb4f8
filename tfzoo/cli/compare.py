"""``tfzoo compare``: two trained runs on the same test cases."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np

from tfzoo.cli.common import configure_device, evaluator_of, reopen
from tfzoo.cli.output import answer, more, print_table, say
from tfzoo.cli.paths import runs_of
from tfzoo.errors import UsageError, check_seed
from tfzoo.evaluation.comparison import paired_bootstrap
from tfzoo.training.changes import describe_changes


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    check_seed(options.seed)
    configure_device(options)
    values, names, trained_on = [], [], []
    pair = _pair(options.first, options.second)
    for folder in pair:
        experiment, record = reopen(folder, options.data)
        values.append(evaluator_of(folder, experiment, options.part).cases(options.part))
        changes = f" ({describe_changes(record.changes)})" if record.changes else ""
        names.append(f"{record.model} {record.recipe_name}{changes}")
        trained_on.append(record.trained_on)
    if not np.array_equal(values[0].keys, values[1].keys):
        raise UsageError(
            f"{options.first} and {options.second} were not tested on the same cases; train both with the "
            "same data, split and seed."
        )
    say(f"{names[0]} against {names[1]}: {options.part}, paired bootstrap over {values[0].unit}")
    say(f"Trained on: {trained_on[0]} (first), {trained_on[1]} (second)")
    if trained_on[0] != trained_on[1]:
        say("They have not learned from equal data: a difference need not be one of the models.")
    columns = ("metric", "first", "second", "difference", "95 % interval", "p")
    rows = []
    for metric in values[0].metrics:
        if metric not in values[1].metrics:
            continue
        (first, figure), (second, _) = (side.metrics[metric] for side in values)
        found = paired_bootstrap(first, second, seed=options.seed, figure=figure)
        row = (
            metric,
            f"{found.first:.4f}",
            f"{found.second:.4f}",
            f"{found.first - found.second:+.4f}",
            f"{found.low:+.4f} to {found.high:+.4f}",
            f"{found.p_value:.3f}",
        )
        rows.append(row)
        more("metrics", {"metric": metric, **asdict(found)})
    print_table(columns, rows, right=columns[1:])
    answer(first=pair[0], second=pair[1], part=options.part, unit=values[0].unit, trained_on=trained_on)


def _pair(first: Path, second: Path) -> tuple[Path, Path]:
    """Return two runs; of the seeds of a run the first that both have."""
    sides = [{run.absolute().name: run for run in runs_of(path)} for path in (first, second)]
    common = [name for name in sides[0] if name in sides[1]]
    chosen = [side[common[0]] if common else next(iter(side.values())) for side in sides]
    if any(len(side) > 1 for side in sides):
        say(f"Compared: {chosen[0]} and {chosen[1]}")
    return chosen[0], chosen[1]
