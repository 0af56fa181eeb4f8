"""``tfzoo significance``: intervals of the differences between the rows of tables."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tfzoo.cli.common import configure_device, evaluator_of, reopen
from tfzoo.cli.output import answer, mention, more, say
from tfzoo.evaluation.cases import Cases
from tfzoo.models import model_info
from tfzoo.reporting.intervals import (
    Intervals,
    keep_cases,
    kept_cases,
    measure,
    read_intervals,
    write_intervals,
)
from tfzoo.reporting.ranking import Comparison, comparisons
from tfzoo.reporting.results import plotted_metric, tables_of
from tfzoo.reporting.summary import load_records, summarise
from tfzoo.training.record import FILE_NAME, RunRecord


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    configure_device(options)
    ranked = _ranked(options.results)
    wanted = [one for one in ranked if options.dataset in (None, one.summaries[0].dataset)]
    rebuilt, missing = 0, []
    for record in (record for one in wanted for summary in one.summaries for record in summary.records):
        if kept_cases(record, options.results) is None:
            cases = _cases(record, options.results, options.runs)
            if cases is None:
                missing.append(f"{record.run_name} seed {record.seed}")
                continue
            mention(f"Kept: {keep_cases(record, cases, options.results)}")
            rebuilt += 1
    say(f"{rebuilt} runs: test cases rebuilt. {len(missing)} runs: no model of them in {options.runs}.")
    for name in missing:
        more("missing", name)
    found = _measured(ranked, options.results)
    path = write_intervals(found, options.results)
    say(f"Written: {path}, {sum(len(one.rows) for one in found)} differences in {len(found)} tables")
    answer(rebuilt=rebuilt, written=path, tables=len(found))


def _ranked(results: Path) -> list[Comparison]:
    """Return what is ranked in the tables of all records below a folder."""
    tables = tables_of(summarise(load_records([results]))).values()
    return [one for rows in tables for one in comparisons(rows, plotted_metric(rows)) if one.metric]


def _measured(ranked: Sequence[Comparison], results: Path) -> list[Intervals]:
    """Return the intervals of all that is ranked, or those known before, of more rows."""
    known = read_intervals([results])
    found = []
    for comparison in ranked:
        before = [one for one in known if one.are_of(comparison)]
        now = measure(comparison, results)
        candidates = [*([now] if now is not None else []), *before]
        found += sorted(candidates, key=lambda one: -len(one.rows))[:1]
    return found


def _cases(record: RunRecord, results: Path, runs: Path) -> Cases | None:
    """Return the test cases of a record, from its trained model or its closed form; None without both."""
    trained = runs / record.run_name / f"seed-{record.seed}"
    if (trained / FILE_NAME).is_file() and _same(RunRecord.load(trained), record):
        experiment, _ = reopen(trained, None)
        return evaluator_of(trained, experiment, "test").cases("test")
    if model_info(record.model).solve is None:
        return None
    experiment, _ = reopen(results / record.run_name / f"seed-{record.seed}.json", None)
    if experiment.step() is not None:
        return None
    model = experiment.build()
    if model.trainable_variables:
        return None
    return experiment.evaluator(model).cases("test")


def _same(run: RunRecord, record: RunRecord) -> bool:
    return run.metrics["test"] == record.metrics["test"]
