"""Whether ours are the paper's figures: one rule for all tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields

from tfzoo.reporting.summary import Summary

REPRODUCED, BETTER, NOT_REPRODUCED = "reproduced", "better", "not reproduced"
NOT_COMPARABLE = "not comparable"
TOLERANCE = 0.01


@dataclass(frozen=True)
class Line:
    """One metric of one model, ours beside the printed one; None where a paper prints none.

    Attributes:
        gap: ours - printed.
        verdict: see `verdict`; ``not comparable`` for reconstructed models and for figures of another
            protocol; empty without a printed figure.
        reason: why ours differ, where that is known.
        seconds: of training, mean over the seeds.
        command: trains the runs again.
    """

    dataset: str
    protocol: str
    model: str
    recipe: str
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


def verdict(ours: float, printed: float, *, maximize: bool) -> str:
    """Compare a figure with a printed one.

    Args:
        ours: mean over the seeds.
        printed: the paper's.
        maximize: whether more is better.

    Returns:
        ``reproduced`` if ours rounds to the printed figure or lies within 1 % of it, else
        ``better`` or ``not reproduced``.
    """
    # Three at least: a recipe's 0.92 is a paper's .920.
    decimals = max(3, len(f"{printed:.10g}".partition(".")[2]))
    if round(ours, decimals) == printed or abs(ours - printed) <= TOLERANCE * abs(printed):
        return REPRODUCED
    return BETTER if (ours > printed) == maximize else NOT_REPRODUCED


def row_verdict(summary: Summary) -> str:
    """Return the verdict on all printed metrics of a summary: the worst of them; empty without any."""
    found = {line.verdict for line in lines(summary) if line.verdict}
    for worst in (NOT_COMPARABLE, NOT_REPRODUCED, REPRODUCED, BETTER):
        if worst in found:
            return worst
    return ""


def lines(summary: Summary) -> Iterator[Line]:
    """Yield a line for each metric of each test part of a summary."""
    first = summary.first
    command = (
        f"python scripts/train.py --model {first.model} --dataset {first.dataset} --recipe {summary.recipe} "
        f"--seeds {len(summary.records)}"
    )
    # These read the recipe again: once for all metrics.
    maximize, remark, comparable = summary.task.maximize, summary.remark, summary.comparable
    seconds = sum(record.timing["train_seconds"] for record in summary.records) / len(summary.records)
    for part in summary.parts:
        for metric in summary.metrics(part):
            printed = summary.reported(metric) if part == "test" else None
            ours = summary.mean(metric, part)
            found = ""
            if printed is not None:
                found = verdict(ours, printed, maximize=maximize) if comparable else NOT_COMPARABLE
            yield Line(
                dataset=first.dataset,
                protocol=summary.protocol,
                model=first.model,
                recipe=summary.recipe,
                part=part,
                metric=metric,
                source="" if printed is None or first.paper is None else str(first.paper["source"]),
                printed=printed,
                ours=ours,
                deviation=summary.deviation(metric, part),
                seeds=len(summary.records),
                gap=None if printed is None else ours - printed,
                verdict=found,
                reason="" if printed is None else remark,
                parameters=first.parameters,
                seconds=seconds,
                command=command,
            )


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
