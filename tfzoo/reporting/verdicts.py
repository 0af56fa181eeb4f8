"""Whether ours are the paper's figures: one rule for all tables."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields

from tfzoo.reporting.summary import Summary

REPRODUCED, BETTER, NOT_REPRODUCED = "reproduced", "better", "not reproduced"
# On the better side of it, though by no more than chance or than what is called reproduced allows.
ABOVE = "above the printed figure"
# Of a tuned recipe beside another library's defaults.
DEFAULTS = "defaults"
NOT_COMPARABLE = "not comparable"
# How far a reproduced figure may lie from the printed one, as a share of it.
OF_ERRORS, OF_RANKINGS = 0.003, 0.01
STANDARD_ERRORS = 2


@dataclass(frozen=True)
class Line:
    """One metric of one model, ours beside the printed one; None where a paper prints none.

    Attributes:
        trained_on: see `Summary.trained_on`.
        gap: ours - printed.
        verdict: see `verdict`; ``not comparable`` where the printed figures are of another protocol, of
            other settings or of a model that is reconstructed here; ``defaults`` for a tuned recipe
            beside another library's defaults; empty without a printed figure.
        reason: why there is no verdict, and why ours differ, where that is known.
        seconds: of training, mean over the seeds.
        command: trains the runs again.
    """

    dataset: str
    protocol: str
    model: str
    recipe: str
    trained_on: str
    part: str
    metric: str
    source: str
    printed: float | None
    ours: float
    deviation: float | None
    seeds: int
    gap: float | None
    verdict: str
    reason: str
    parameters: int
    seconds: float
    command: str


def verdict(ours: float, printed: float, error: float | None, *, maximize: bool) -> str:
    """Compare a figure with a printed one of the same settings, split and training data.

    Args:
        ours: mean over the seeds.
        printed: the paper's.
        error: standard error of ours; None for one seed.
        maximize: whether more is better.

    Returns:
        ``reproduced`` if the printed figure lies within two standard errors of ours, or ours rounds to
        it, and both differ by no more than 0.3 % (errors) or 1 % (where more is better); ``better`` if
        ours is better by more than both; ``above the printed figure`` if ours is better, though not by
        that much, or has no standard error; else ``not reproduced``.
    """
    # Three at least: a recipe's 0.92 is a paper's .920.
    decimals = max(3, len(f"{printed:.10g}".partition(".")[2]))
    gap = abs(ours - printed)
    close = gap <= (OF_RANKINGS if maximize else OF_ERRORS) * abs(printed)
    within = error is not None and gap <= STANDARD_ERRORS * error
    if close and (within or round(ours, decimals) == printed):
        return REPRODUCED
    if (ours > printed) != maximize:
        return NOT_REPRODUCED
    return ABOVE if close or within or error is None else BETTER


def row_verdict(summary: Summary) -> str:
    """Return the verdict on all printed metrics of a summary: the worst of them; empty without any."""
    found = {line.verdict for line in lines(summary) if line.verdict}
    for worst in (NOT_COMPARABLE, DEFAULTS, NOT_REPRODUCED, REPRODUCED, ABOVE, BETTER):
        if worst in found:
            return worst
    return ""


def lines(summary: Summary) -> Iterator[Line]:
    """Yield a line for each metric of each test part of a summary."""
    first = summary.first
    command = _command(summary)
    # These read the recipe again: once for all metrics.
    why, source, defaults = summary.incomparable, summary.source, summary.defaults
    reason = " ".join(filter(None, (why, summary.remark)))
    task = None if why else summary.task
    seconds = sum(record.timing["train_seconds"] for record in summary.records) / len(summary.records)
    for part in summary.parts:
        for metric in summary.metrics(part):
            printed = summary.reported(metric) if part == "test" else None
            ours = summary.mean(metric, part)
            found = ""
            if printed is not None:
                found = NOT_COMPARABLE
                if task is not None and defaults:
                    found = DEFAULTS
                elif task is not None:
                    error = summary.standard_error(metric)
                    found = verdict(ours, printed, error, maximize=task.maximizes(metric))
            yield Line(
                dataset=summary.dataset,
                protocol=summary.protocol,
                model=first.model,
                recipe=summary.recipe,
                trained_on=summary.trained_on,
                part=part,
                metric=metric,
                source="" if printed is None else source,
                printed=printed,
                ours=ours,
                deviation=summary.deviation(metric, part),
                seeds=len(summary.records),
                gap=None if printed is None else ours - printed,
                verdict=found,
                reason="" if printed is None else reason,
                parameters=first.parameters,
                seconds=seconds,
                command=command,
            )


def _command(summary: Summary) -> str:
    """Return what trains the runs of a summary again."""
    first, changes = summary.first, dict(summary.changes)
    words = ["--model", first.model]
    if "dataset" in first.data:
        words += ["--dataset", first.dataset]
    else:
        words += ["--data", str(first.data.get("file") or first.data.get("shards"))]
    words += ["--recipe", str(first.recipe["name"])]
    if "precision" in changes:
        words += ["--precision", str(changes.pop("precision"))]
    for key, value in changes.items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    return shlex.join(["python", "scripts/train.py", *words, "--seeds", str(len(summary.records))])


def csv_text(summaries: Sequence[Summary]) -> str:
    """Return all lines of all summaries as CSV, figures with six decimals."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [field.name for field in fields(Line)], lineterminator="\n")
    writer.writeheader()
    for summary in summaries:
        for line in lines(summary):
            cells = asdict(line)
            for name in ("ours", "deviation", "gap", "printed"):
                cells[name] = "" if cells[name] is None else f"{cells[name]:.6f}"
            writer.writerow({**cells, "seconds": f"{line.seconds:.0f}"})
    return buffer.getvalue()
