"""Plots of records: training curves, and printed figures beside ours.

Needs matplotlib (extra ``plots``). Each plot is written as PNG and as SVG.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfzoo.errors import UsageError
from tfzoo.reporting.figures import new_figure, save_figure
from tfzoo.reporting.summary import Summary, curve_points, split_name
from tfzoo.training.record import RunRecord

OURS, OTHER_DATA, PRINTED, BEST = "#3b6ea5", "#9bb8d3", "#d9822b", "#555555"


def comparison_name(dataset: str, protocol: str, metric: str) -> str:
    """Return the file name, without its ending, of a plot of printed figures beside ours."""
    return re.sub("[^a-z0-9]+", "-", f"{dataset} {split_name(protocol)} {metric}".lower()).strip("-")


def plot_comparison(summaries: Sequence[Summary], metric: str, target: Path) -> list[Path]:
    """Draw a bar for each model, with the deviation over seeds, and a mark where a paper prints a figure.

    Bars of models that have not learned from the same data as the first have another colour.

    Args:
        summaries: of one data set and protocol; those without the metric are left out.
        metric: of the test part.
        target: path without its ending.

    Returns:
        The files written.

    Raises:
        UsageError: matplotlib is missing, or no summary has the metric.
    """
    shown = [summary for summary in summaries if metric in summary.metrics()]
    if not shown:
        raise UsageError(f"No run has the metric '{metric}'.")
    figure, axes = new_figure(max(5.0, 0.6 * len(shown) + 2.5), 3.6)
    places = range(len(shown))
    means = [summary.mean(metric) for summary in shown]
    deviations = [summary.deviation(metric) or 0.0 for summary in shown]
    colours = dict.fromkeys(summary.trained_on for summary in shown)
    for number, data in enumerate(colours):
        chosen = [place for place in places if shown[place].trained_on == data]
        heights, errors = ([values[place] for place in chosen] for values in (means, deviations))
        look: dict[str, Any] = {
            "color": OTHER_DATA if number else OURS,
            "hatch": "//" if number > 1 else None,
        }
        name = f"ours, trained on {data}"
        axes.bar(chosen, heights, yerr=errors, capsize=3, width=0.6, label=name, **look)
    printed = [(place, summary.reported(metric)) for place, summary in enumerate(shown)]
    marks = [(place, value) for place, value in printed if value is not None]
    if marks:
        axes.scatter(*zip(*marks, strict=True), marker="D", color=PRINTED, zorder=3, label="printed")
    values = [*means, *(value for _, value in marks)]
    # The differences are what is looked for, and errors never come near 0.
    low, high = min(values), max(values)
    margin = max(high - low, 0.02 * high)
    axes.set_ylim(max(0.0, low - margin), high + 0.4 * margin)
    labels = [summary.label.replace(" ", "\n", 1) for summary in shown]
    axes.set_xticks(list(places), labels, rotation=45, ha="right", fontsize=8)
    axes.set_ylabel(f"{metric} ({'more' if shown[0].task.maximizes(metric) else 'less'} is better)")
    axes.set_title(f"{shown[0].dataset}, {split_name(shown[0].protocol)}", fontsize=10)
    axes.legend(fontsize=8)
    return save_figure(figure, target)


def plot_history(record: RunRecord, target: Path) -> list[Path]:
    """Draw loss and validation metric against the epoch, the best epoch marked.

    Args:
        record: of a run, with its history.
        target: path without its ending.

    Returns:
        The files written.

    Raises:
        UsageError: matplotlib is missing, or the record has no history, as closed forms and
            most collected records.
    """
    epochs = curve_points(record)
    if not epochs:
        raise UsageError(f"The record of {record.model} on {record.dataset} has no history to plot.")
    figure, axes = new_figure(6.0, 3.6)
    axes.plot(*_line(epochs, "loss"), color=OURS, label="training loss")
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    monitor = f"val_{Summary((record,)).task.monitor}"
    if any(monitor in epoch for epoch in epochs):
        right = axes.twinx()
        right.plot(*_line(epochs, monitor), color=PRINTED, marker=".", label=monitor)
        right.set_ylabel(monitor)
        right.legend(loc="upper right", fontsize=8)
    if record.best_epoch:
        axes.axvline(record.best_epoch, color=BEST, linestyle="--", label=f"best epoch, {record.best_epoch}")
    axes.set_title(
        f"{record.model} on {record.dataset}, {record.recipe_name}, seed {record.seed}", fontsize=10
    )
    axes.legend(loc="upper left", fontsize=8)
    return save_figure(figure, target)


def plot_cutoffs(summaries: Sequence[Summary], metric: str, target: Path) -> list[Path]:
    """Draw a metric of ranked lists against their length.

    Args:
        summaries: of one data set and protocol; those with fewer than two lengths are left out.
        metric: without its length, such as ``ndcg``.
        target: path without its ending.

    Returns:
        The files written.

    Raises:
        UsageError: matplotlib is missing, or no summary has the metric at two lengths.
    """
    lines = {summary.label: cutoffs(summary, metric) for summary in summaries}
    lines = {name: points for name, points in lines.items() if len(points) > 1}
    if not lines:
        raise UsageError(f"No run has the metric '{metric}' at two lengths of the list.")
    figure, axes = new_figure(6.0, 3.6)
    for name, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker=".", label=name)
    axes.set_xlabel("length of the list")
    axes.set_ylabel(f"{metric}@k")
    first = summaries[0]
    axes.set_title(f"{first.dataset}, {split_name(first.protocol)}", fontsize=10)
    axes.legend(fontsize=7)
    return save_figure(figure, target)


def cutoffs(summary: Summary, metric: str) -> list[tuple[int, float]]:
    """Return the lengths of lists that a metric was measured at, and its means."""
    names = [name for name in summary.metrics() if name.startswith(f"{metric}@")]
    return sorted((int(name.rpartition("@")[2]), summary.mean(name)) for name in names)


def plot_curves(summaries: Sequence[Summary], target: Path) -> list[Path]:
    """Draw loss, and validation metric, of several models against the epoch, the best epochs marked.

    Args:
        summaries: of one data set and protocol; of each the lowest seed is drawn, and those
            without a history are left out.
        target: path without its ending.

    Returns:
        The files written.

    Raises:
        UsageError: matplotlib is missing, or no record has a history.
    """
    shown = [summary for summary in summaries if curve_points(summary.first)]
    if not shown:
        raise UsageError("No record has a history to plot.")
    monitors = list(dict.fromkeys(summary.task.monitor for summary in shown))
    figure, (left, right) = new_figure(10.0, 4.2 + 0.12 * len(shown), ncols=2)
    for number, summary in enumerate(shown):
        epochs, style = curve_points(summary.first), {"color": f"C{number % 10}", "linewidth": 1.2}
        # Past the ten colours there are, lines differ in their dashes.
        style["linestyle"] = ("-", "--", ":")[number // 10 % 3]
        left.plot(*_line(epochs, "loss"), label=summary.label, **style)
        monitor = f"val_{summary.task.monitor}"
        right.plot(*_line(epochs, monitor), **style)
        best = [epoch for epoch in epochs if epoch["epoch"] == summary.first.best_epoch]
        right.plot(*_line(best, monitor), marker="o", **style)
    left.set_ylabel("training loss, of each model's own kind")
    right.set_ylabel(f"validation {' or '.join(monitors)}, the best epoch marked")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    figure.legend(fontsize=7, ncols=4, loc="outside lower center")
    first = shown[0]
    figure.suptitle(f"{first.dataset}, {split_name(first.protocol)}", fontsize=10)
    return save_figure(figure, target)


def _line(epochs: Sequence[dict[str, float]], name: str) -> tuple[list[float], list[float]]:
    """Return x and y of the epochs that have a figure."""
    rows = [epoch for epoch in epochs if name in epoch]
    return [row["epoch"] for row in rows], [row[name] for row in rows]
