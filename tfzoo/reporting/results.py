"""From run records to tables: ours beside the paper's, as mean and deviation over seeds."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Sequence

from tfzoo.reporting.plan import list_tables, missing_models
from tfzoo.reporting.summary import REFITTED, Summary, split_name
from tfzoo.reporting.table_plots import table_plots
from tfzoo.reporting.verdicts import row_verdict

VALIDATION = re.compile(r", [\d.]+ % of the rest for validation")

PER_LOOK_UP = (
    "Not trained again since the trainer adds up the gradients of a row, as Adam is published, before the "
    "optimizer squares them ([why](performance.md#adam-on-embedding-tables)):"
)


def metric_rows(summary: Summary) -> list[tuple[str, str, str, str]]:
    """Return rows (metric, paper, ours, difference) of the test metrics of one summary."""
    rows = []
    for metric in summary.metrics():
        reported = summary.reported(metric)
        paper = "" if reported is None else _printed(reported)
        gap = "" if reported is None else f"{summary.mean(metric) - reported:+.4f}"
        rows.append((metric, paper, summary.text(metric), gap))
    return rows


def tables_of(summaries: Sequence[Summary]) -> dict[tuple[str, str, str], list[Summary]]:
    """Return the summaries that belong into one table, by data set, protocol and definition of metrics."""
    tables: dict[tuple[str, str, str], list[Summary]] = defaultdict(list)
    for summary in summaries:
        # However many training rows validate: the folds that test are the same.
        protocol = VALIDATION.sub("", summary.protocol.replace(REFITTED, ""))
        tables[summary.first.dataset, protocol, summary.first.headline].append(summary)
    return dict(sorted(tables.items()))


def markdown(summaries: Sequence[Summary]) -> str:
    """Return a Markdown page with one table per data set.

    Args:
        summaries: from `summarise`.
    """
    lines = [
        "# Results",
        "",
        "Written by `tfzoo results` from the run records in `results/`; every figure has a record.",
        "Settings and epochs are chosen on validation; a figure is the mean and the standard deviation",
        "of the test part over the seeds. The verdict on a row is the worst of its printed figures:",
        "*reproduced* (ours rounds to the printed figure, or lies within 1 % of it), *better*, *not",
        "reproduced*, or *not comparable*: the printed figure is of another protocol, or the model is a",
        "reconstruction, because its paper could not be read in full.",
        "`results.csv` has every metric, its gap and the command that trains it again.",
        "",
        _effort(summaries),
    ]
    for (dataset, protocol, definition), chosen in tables_of(summaries).items():
        metrics = _headline(chosen)
        printed = _printed_metrics(chosen)
        columns = ["model", "recipe", "trained on", "seeds"]
        for metric in metrics:
            columns += [f"{metric} printed", f"{metric} ours"] if metric in printed else [metric]
        columns += ["verdict"] if printed else []
        columns += ["parameters", "seconds"]
        lines += ["", f"## {dataset}: {split_name(protocol)}", ""]
        lines += [f"Protocol: {protocol}.", "", f"Metrics: {definition}.", ""]
        lines += [_row(columns), _row(["---"] * len(columns))]
        lines += [_row(cells) for summary in chosen for cells in _rows(summary, metrics, printed)]
        metric = plotted_metric(chosen)
        for plot in table_plots(dataset, protocol, chosen, metric):
            lines += ["", f"![{plot.text}](plots/{plot.name}.png)"]
        sources = [
            f"- {summary.first.model} {summary.recipe}: {summary.first.paper['source']}"
            for summary in chosen
            if summary.first.paper is not None
        ]
        if sources:
            lines += ["", "Where the printed figures stand:", "", *sources]
        old = [
            f"{summary.first.model} {summary.recipe}"
            for summary in chosen
            if any(r.gradients == "per look-up" and r.timing.get("epochs") for r in summary.records)
        ]
        if old:
            lines += ["", f"{PER_LOOK_UP} {', '.join(old)}."]
        for remark in dict.fromkeys(summary.remark for summary in chosen if summary.remark):
            lines += ["", remark]
    lines += ["", "## Not yet", "", "Printed figures that nothing was run for here.", ""]
    lines += [_row(["table", "model", "data set", "printed", "why"]), _row(["---"] * 5)]
    for name, title in list_tables().items():
        for row in missing_models([name]):
            figures = ", ".join(f"{metric} {_printed(figure)}" for metric, figure in row["metrics"].items())
            lines.append(_row([title, row["name"], row["dataset"], figures, row["why"]]))
    lines += [
        "",
        "Run again with `python scripts/reproduce.py --table TABLE --seeds N` (tables: "
        f"{', '.join(f'`{name}`' for name in list_tables())}), or one row with "
        "`python scripts/train.py --model MODEL --dataset DATASET --recipe RECIPE --seeds N`.",
    ]
    return "\n".join(lines) + "\n"


def _effort(summaries: Sequence[Summary]) -> str:
    """Return what it takes to train everything again."""
    records = [record for summary in summaries for record in summary.records]
    hours = sum(record.timing["train_seconds"] for record in records) / 3600
    return (
        f"{len(records)} runs stand behind this page; their recorded training times add up to {hours:.1f} "
        "hours, one after another. `python scripts/reproduce.py --all --fresh` trains the tables again."
    )


def plotted_metric(summaries: Sequence[Summary]) -> str:
    """Return the metric that a table's plot shows: the first that a paper prints, else the first."""
    printed = _printed_metrics(summaries)
    return next((metric for metric in _headline(summaries) if metric in printed), _headline(summaries)[0])


def _headline(summaries: Sequence[Summary]) -> list[str]:
    return list(dict.fromkeys(metric for summary in summaries for metric in summary.task.headline))


def _printed_metrics(summaries: Sequence[Summary]) -> set[str]:
    return {
        metric
        for metric in _headline(summaries)
        if any(summary.reported(metric) is not None for summary in summaries)
    }


def _rows(summary: Summary, metrics: Sequence[str], printed: set[str]) -> list[list[str]]:
    """Return one row for the test part, and one for each variant of it."""
    return [_cells(summary, metrics, printed, part) for part in summary.parts]


def _cells(summary: Summary, metrics: Sequence[str], printed: set[str], part: str) -> list[str]:
    seconds = statistics.fmean(record.timing["train_seconds"] for record in summary.records)
    figures = []
    for metric in metrics:
        if metric in printed:
            reported = summary.reported(metric) if part == "test" else None
            figures.append("" if reported is None else _printed(reported))
        figures.append(summary.text(metric, part) if metric in summary.metrics(part) else "")
    return [
        summary.first.model + (f" ({part})" if part != "test" else ""),
        summary.recipe,
        "train + validation" if summary.refitted else "train",
        str(len(summary.records)),
        *figures,
        *([row_verdict(summary) if part == "test" else ""] if printed else []),
        f"{summary.first.parameters:,}",
        f"{seconds:.0f}",
    ]


def _printed(figure: float) -> str:
    """Return a paper's figure with three decimals, or four where it has as many."""
    return f"{figure:.3f}" if round(figure, 3) == figure else f"{figure:.4f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
