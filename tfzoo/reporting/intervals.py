"""By how much the rows of a table differ, with intervals, from test cases that are kept beside the records.

The cases of ``results/NAME/seed-N.json`` lie in ``seed-N.cases.npz`` beside it: too large for git, and
rebuilt by ``tfzoo significance``. In git are their checksums, ``cases.json`` beside them, and what was
computed of them, ``intervals.json`` in the folder of all records.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tfzoo.errors import DataError, UsageError
from tfzoo.evaluation.cases import Cases
from tfzoo.evaluation.comparison import compare_cases, holm
from tfzoo.files import write_text
from tfzoo.reporting.ranking import Comparison, seeds_text
from tfzoo.reporting.summary import Summary
from tfzoo.training.record import RunRecord

FILE = "intervals.json"
CHECKSUMS = "cases.json"
RESAMPLES = 10_000
# Values of cases have seven digits.
CLOSE = 1e-5
Share = Annotated[float, Field(ge=0, le=1)]


class Interval(BaseModel):
    """The difference of one row from the reference: row - reference.

    Attributes:
        row: label of the row.
        difference: mean over the seeds.
        low: lower end of its 95 % interval.
        high: its upper end.
        p_value: two-sided, that it is 0.
        corrected: the p value by Holm over the comparisons of its table.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    row: str
    difference: float
    low: float
    high: float
    p_value: Share
    corrected: Share


class Intervals(BaseModel):
    """The comparisons of rows that are ranked together, all with the best of them.

    Attributes:
        dataset: of the table.
        protocol: how the test part came about and was measured.
        trained_on: what all have learned from.
        metric: they are ranked by.
        seeds: all have.
        reference: label of the best row with kept cases.
        unit: what a case is.
        clusters: how many users or sessions were drawn.
        resamples: how often.
        rows: the others with kept cases, in their order.
    """

    model_config = ConfigDict(extra="forbid")

    dataset: str
    protocol: str
    trained_on: str
    metric: str
    seeds: tuple[int, ...]
    reference: str
    unit: str
    clusters: int
    resamples: int
    rows: tuple[Interval, ...]

    def are_of(self, comparison: Comparison) -> bool:
        """Tell whether they are of these rows as their records are now."""
        rows, metric = {row.label: row for row in comparison.summaries}, self.metric
        first = comparison.summaries[0]
        mine = self.dataset, self.protocol, self.trained_on, metric, self.seeds
        if mine != (first.dataset, first.measured, first.trained_on, comparison.metric, first.seeds):
            return False
        if not {self.reference, *(interval.row for interval in self.rows)} <= set(rows):
            return False
        best = rows[self.reference].mean(metric)
        return all(
            abs(rows[each.row].mean(metric) - best - each.difference) < 2 * CLOSE for each in self.rows
        )


_FILE = TypeAdapter(list[Intervals])


def cases_path(record: RunRecord, folder: Path) -> Path:
    """Return where the test cases of a collected record are kept."""
    return folder / record.run_name / f"seed-{record.seed}.cases.npz"


def keep_cases(record: RunRecord, cases: Cases, folder: Path) -> Path:
    """Write the test cases of a record beside it, and their checksum.

    Args:
        record: a collected one.
        cases: of the test part.
        folder: of all records.

    Raises:
        UsageError: the cases do not give the record's figures.
    """
    recorded = record.metrics["test"]
    for metric in cases.metrics:
        ours = cases.figure(metric)
        if metric in recorded and abs(ours - recorded[metric]) > CLOSE:
            raise UsageError(
                f"{record.run_name} seed {record.seed}: the cases give {metric} {ours:.6f}, the record says "
                f"{recorded[metric]:.6f}. They are of another run; train it again and collect its record."
            )
    path = cases_path(record, folder)
    cases.save(path)
    known = _checksums(path.parent)
    known[f"seed-{record.seed}"] = cases.checksum()
    write_text(path.parent / CHECKSUMS, json.dumps(known, indent=1, sort_keys=True) + "\n")
    return path


def kept_cases(record: RunRecord, folder: Path) -> Cases | None:
    """Return the kept test cases of a record; None where there are none, or not those of the checksum."""
    path = cases_path(record, folder)
    if not path.is_file():
        return None
    cases = Cases.load(path)
    return cases if cases.checksum() == _checksums(path.parent).get(f"seed-{record.seed}") else None


def measure(comparison: Comparison, folder: Path) -> Intervals | None:
    """Compare the best of ranked rows with each other one, as far as their test cases are kept.

    Args:
        comparison: rows that are ranked.
        folder: of all records, with the kept cases beside them.

    Returns:
        None where fewer than two rows have the cases of all their seeds, or their cases lack the metric.
    """
    metric = comparison.metric
    rows = [(summary, cases) for summary in comparison.summaries if (cases := _cases_of(summary, folder))]
    rows = [(summary, cases) for summary, cases in rows if metric in cases[0].metrics]
    if metric is None or len(rows) < 2:
        return None
    (best, reference), *others = rows
    found = [compare_cases(cases, reference, metric, resamples=RESAMPLES) for _, cases in others]
    return Intervals(
        dataset=best.dataset,
        protocol=best.measured,
        trained_on=best.trained_on,
        metric=metric,
        seeds=best.seeds,
        reference=best.label,
        unit=reference[0].unit,
        clusters=found[0].clusters,
        resamples=RESAMPLES,
        rows=tuple(
            Interval(
                row=summary.label,
                difference=round(each.first - each.second, 6),
                low=round(each.low, 6),
                high=round(each.high, 6),
                p_value=round(each.p_value, 6),
                corrected=round(float(corrected), 6),
            )
            for (summary, _), each, corrected in zip(
                others, found, holm([each.p_value for each in found]), strict=True
            )
        ),
    )


def write_intervals(found: Iterable[Intervals], folder: Path) -> Path:
    """Write intervals into the folder of all records, and return the file."""
    path = folder / FILE
    write_text(path, _FILE.dump_json(list(found), indent=1).decode() + "\n")
    return path


def read_intervals(folders: Iterable[Path]) -> list[Intervals]:
    """Return the intervals that lie in some folders of records.

    Raises:
        DataError: a file of them is damaged.
    """
    found: list[Intervals] = []
    for path in (folder / FILE for folder in folders):
        if path.is_file():
            try:
                found += _FILE.validate_json(path.read_bytes())
            except ValidationError as error:
                reason = error.errors(include_url=False)[0]["msg"]
                raise DataError(
                    f"{path} holds no intervals: {reason}. Write it again: tfzoo significance."
                ) from None
    return found


def interval_lines(comparison: Comparison, known: Sequence[Intervals]) -> list[str]:
    """Return the differences of ranked rows as lines of Markdown; none where none are known of them."""
    for found in known:
        if found.are_of(comparison):
            return ["", _sentence(found, comparison), "", *_table(found)]
    return []


def _sentence(found: Intervals, comparison: Comparison) -> str:
    drawn = {"ratings": "users", "events": "sequences"}.get(found.unit, found.unit)
    text = (
        f"Differences from `{found.reference}` in {found.metric}, mean over {seeds_text(found.seeds)}; 95 % "
        f"intervals and p values of {found.resamples:,} resamples of the {found.clusters:,} {drawn}, p "
        f"corrected for the {len(found.rows)} comparisons by Holm's rule."
    )
    shown = {found.reference, *(interval.row for interval in found.rows)}
    absent = [f"`{row.label}`" for row in comparison.summaries if row.label not in shown]
    return text + (f" No test cases are kept of {', '.join(absent)}." if absent else "")


def _table(found: Intervals) -> list[str]:
    lines = ["| row | difference | 95 % interval | p, corrected |", "| --- | --- | --- | --- |"]
    for row in found.rows:
        interval = f"{row.low:+.4f} to {row.high:+.4f}"
        lines.append(f"| {row.row} | {row.difference:+.4f} | {interval} | {row.corrected:.4f} |")
    return lines


def _cases_of(summary: Summary, folder: Path) -> list[Cases]:
    """Return the kept cases of all seeds of a row; none where those of one are missing."""
    found = []
    for record in summary.records:
        cases = kept_cases(record, folder)
        if cases is None:
            return []
        found.append(cases)
    return found


def _checksums(folder: Path) -> dict[str, str]:
    path = folder / CHECKSUMS
    known: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return known
