"""``tfzoo compare``: two trained models on the same test cases, over all seeds that both have."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from tfzoo.cli.common import configure_device, evaluator_of, reopen
from tfzoo.cli.output import answer, more, print_table, say
from tfzoo.cli.paths import runs_of
from tfzoo.errors import check_seed
from tfzoo.evaluation.comparison import compare_cases
from tfzoo.training.changes import describe_changes


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    check_seed(options.seed)
    configure_device(options)
    sides = [_Side(runs, options) for runs in _pairs(options.first, options.second)]
    first, second = sides
    say(f"{first.name} against {second.name}: {options.part}, paired bootstrap over {first.drawn}")
    say(f"Trained on: {first.trained_on} (first), {second.trained_on} (second)")
    if first.trained_on != second.trained_on:
        say("They have not learned from equal data: a difference need not be one of the models.")
    columns = ("metric", "first", "second", "difference", "95 % interval", "p")
    rows = []
    for metric in first.cases[0].metrics:
        if metric not in second.cases[0].metrics:
            continue
        found = compare_cases(first.cases, second.cases, metric, seed=options.seed)
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
    answer(
        first=options.first,
        second=options.second,
        runs=len(first.runs),
        part=options.part,
        unit=first.cases[0].unit,
        trained_on=[side.trained_on for side in sides],
    )


class _Side:
    """One of the two that are compared: its runs, a seed each, and their test cases."""

    def __init__(self, runs: list[Path], options: argparse.Namespace) -> None:
        self.runs, self.cases = runs, []
        for folder in runs:
            experiment, record = reopen(folder, options.data)
            self.cases.append(evaluator_of(folder, experiment, options.part).cases(options.part))
        changes = f" ({describe_changes(record.changes)})" if record.changes else ""
        self.name = f"{record.model} {record.recipe_name}{changes}"
        self.trained_on = record.trained_on

    @property
    def drawn(self) -> str:
        """What the bootstrap draws."""
        unit = self.cases[0].unit
        return {"ratings": "the users of ratings", "events": "the sequences of events"}.get(unit, unit)


def _pairs(first: Path, second: Path) -> tuple[list[Path], list[Path]]:
    """Return the runs of two sides, those of the seeds that both have; else the first of each."""
    sides = [{run.absolute().name: run for run in runs_of(path)} for path in (first, second)]
    common = [name for name in sides[0] if name in sides[1]]
    chosen = [[side[name] for name in common] if common else [next(iter(side.values()))] for side in sides]
    if any(len(side) > 1 for side in sides):
        say(f"Compared: {', '.join(common) or f'{chosen[0][0]} and {chosen[1][0]}'}")
    return chosen[0], chosen[1]
