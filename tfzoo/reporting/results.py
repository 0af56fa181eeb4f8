"""From run records to tables: ours beside the paper's, as mean and deviation over seeds."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence

from tfzoo.models import list_models
from tfzoo.reporting.intervals import Intervals, interval_lines
from tfzoo.reporting.opening import opening
from tfzoo.reporting.plan import list_tables, not_run
from tfzoo.reporting.ranking import Comparison, comparisons
from tfzoo.reporting.summary import Summary, split_name
from tfzoo.reporting.table_plots import table_plots
from tfzoo.reporting.verdicts import row_verdict
from tfzoo.training.changes import MARK, describe_changes, short_hash

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


def comparison_rows(summaries: Sequence[Summary]) -> tuple[list[str], list[list[str]]]:
    """Return the columns and the rows of one table that compares summaries, ours before a paper's figure.

    Args:
        summaries: of one data set, protocol and definition of metrics, see `tables_of`.
    """
    metrics, printed = _headline(summaries)[:4], _printed_metrics(summaries)
    rows = []
    for summary in summaries:
        cells = []
        for metric in metrics:
            cell = summary.text(metric) if metric in summary.metrics() else ""
            reported = summary.reported(metric)
            cells.append(cell if reported is None else f"{cell} ({_printed(reported)})")
        seeds = str(len(summary.records))
        rows.append([summary.first.model, summary.recipe, summary.trained_on, seeds, *cells, summary.note])
    heads = [f"{metric} (paper)" if metric in printed else metric for metric in metrics]
    return ["model", "recipe", "trained on", "seeds", *heads, "note"], rows


def tables_of(summaries: Sequence[Summary]) -> dict[tuple[str, str, str], list[Summary]]:
    """Return the summaries that belong into one table, by data set, protocol and definition of metrics."""
    tables: dict[tuple[str, str, str], list[Summary]] = defaultdict(list)
    for summary in summaries:
        # However many training rows validate: the folds that test are the same.
        tables[summary.dataset, summary.measured, summary.first.headline].append(summary)
    return dict(sorted(tables.items()))


def markdown(summaries: Sequence[Summary], intervals: Sequence[Intervals] = ()) -> str:
    """Return a Markdown page with one table per data set.

    Args:
        summaries: from `summarise`.
        intervals: of the differences between ranked rows, from `read_intervals`.
    """
    tables = tables_of(summaries)
    compared = {key: comparisons(chosen, plotted_metric(chosen)) for key, chosen in tables.items()}
    lines = [
        "# Results",
        "",
        "Written by `tfzoo results` from the run records in `results/`; every figure has a record.",
        "Settings and epochs are chosen on validation; a figure is the mean and the standard deviation",
        "of the test part over the seeds. The verdict on a row is the worst of its printed figures.",
        "*Reproduced*: the printed figure lies within two standard errors of ours, or ours rounds to it, and",
        "both differ by no more than 0.3 % (errors) or 1 % (rankings). *Better*: ours is better by more than",
        "both. *Above the printed figure*: ours is better (for errors: smaller), though not by that much, or",
        "there is one seed. *Defaults*: a tuned recipe beside another library's defaults. *Not comparable*:",
        "the printed figure is of another split, other training data or other settings than the recipe's, or",
        "the model is a reconstruction, because its paper could not be read in full.",
        "Rows are ranked, by their means alone, where they learned from equal data and have the same",
        "seeds; all others of a table stand apart. Where the test cases of two of them or more are kept, a",
        "second table has their differences, by a paired bootstrap that draws users with all their cases",
        "of all seeds (`tfzoo significance`); how another seed would train is not in its intervals.",
        "`results.csv` has every metric, its gap and the command that trains it again.",
        "",
        _effort(summaries),
        "",
        "## In short",
        "",
        *opening(compared),
    ]
    for (dataset, protocol, definition), chosen in tables.items():
        metrics = _headline(chosen)
        printed = _printed_metrics(chosen)
        lines += ["", f"## {dataset}: {split_name(protocol)}", ""]
        lines += [f"Protocol: {protocol}.", "", f"Metrics: {definition}."]
        for comparison in compared[dataset, protocol, definition]:
            lines += ["", f"{comparison.title}.", "", *_table(comparison, metrics, printed)]
            lines += interval_lines(comparison, intervals)
        metric = plotted_metric(chosen)
        for plot in table_plots(dataset, protocol, chosen, metric):
            lines += ["", f"![{plot.text}](plots/{plot.name}.png)"]
        sources = [f"- {summary.label}: {summary.source}" for summary in chosen if summary.source]
        if sources:
            lines += ["", "Where the printed figures stand:", "", *sources]
        changed = [f"- {s.label}: `{describe_changes(s.changes)}`" for s in chosen if s.changes]
        absent = [f"- {s.label}: {s.note}" for s in chosen if s.first.model not in list_models()]
        if absent:
            lines += ["", "Known by their records alone:", "", *absent]
        if changed:
            lines += ["", f"{MARK} With settings that are not those of the recipe:", "", *changed]
        old = [
            summary.label
            for summary in chosen
            if any(r.gradients == "per look-up" and r.timing.get("epochs") for r in summary.records)
        ]
        if old:
            lines += ["", f"{PER_LOOK_UP} {', '.join(old)}."]
        for remark in dict.fromkeys(summary.remark for summary in chosen if summary.remark):
            lines += ["", remark]
    lines += ["", "## Not yet", "", "Printed figures that nothing was run for here.", ""]
    lines += [_row(["model", "recipe", "data set", "printed", "where", "why"]), _row(["---"] * 6)]
    recorded = {(s.first.model, s.first.dataset, s.recipe) for s in summaries}
    for row in not_run(recorded):
        figures = ", ".join(f"{metric} {_printed(figure)}" for metric, figure in row.metrics.items())
        lines.append(_row([row.model, row.recipe, row.dataset, figures, row.source, row.why]))
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
    return list(dict.fromkeys(metric for summary in summaries for metric in summary.headline))


def _printed_metrics(summaries: Sequence[Summary]) -> set[str]:
    return {
        metric
        for metric in _headline(summaries)
        if any(summary.reported(metric) is not None for summary in summaries)
    }


def _table(comparison: Comparison, metrics: Sequence[str], printed: set[str]) -> list[str]:
    columns = ["model", "recipe", "trained on", "seeds"]
    for metric in metrics:
        columns += [f"{metric} printed", f"{metric} ours"] if metric in printed else [metric]
    columns += ["verdict"] if printed else []
    columns += ["parameters", "seconds"]
    columns = ["rank", *columns] if comparison.metric else columns
    lines = [_row(columns), _row(["---"] * len(columns))]
    for place, summary in enumerate(comparison.summaries, 1):
        for number, cells in enumerate(_rows(summary, metrics, printed)):
            # A variant of the test part is no rival of the whole.
            rank = [str(place) if number == 0 else ""] if comparison.metric else []
            lines.append(_row([*rank, *cells]))
    return lines


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
        summary.recipe + (f" {short_hash(summary.changes)}" if summary.changes else ""),
        summary.trained_on,
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
