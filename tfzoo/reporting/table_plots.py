"""Which plots belong to a table of results: what draws them, and what a page says of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfzoo.reporting.plots import (
    comparison_name,
    cutoffs,
    plot_comparison,
    plot_curves,
    plot_cutoffs,
)
from tfzoo.reporting.summary import Summary, curve_points


@dataclass(frozen=True)
class TablePlot:
    """One plot of a table.

    Attributes:
        name: of the file, without its ending.
        text: for who cannot see it.
        draw: from the path without its ending to the files written.
    """

    name: str
    text: str
    draw: Callable[[Path], list[Path]]


def table_plots(dataset: str, protocol: str, summaries: Sequence[Summary], metric: str) -> list[TablePlot]:
    """Return the plots of one table.

    Args:
        dataset: its name.
        protocol: of the table.
        summaries: the rows.
        metric: that the table's first plot shows, with its length where it is of ranked lists.

    Returns:
        The metric beside the printed figures; the metric against the length of the list where it
        was measured at several; the training curves of the records that have some.
    """
    text = f"{metric}, ours beside the printed figures"
    plots = [_plot(dataset, protocol, metric, text, functools.partial(plot_comparison, summaries, metric))]
    name = metric.partition("@")[0]
    if any(len(cutoffs(summary, name)) > 1 for summary in summaries):
        draw = functools.partial(plot_cutoffs, summaries, name)
        plots.append(
            _plot(dataset, protocol, f"{name} by length", f"{name} against the length of the list", draw)
        )
    if any(curve_points(summary.first) for summary in summaries):
        draw = functools.partial(plot_curves, summaries)
        plots.append(
            _plot(dataset, protocol, "training", "training loss and validation against the epoch", draw)
        )
    return plots


def _plot(dataset: str, protocol: str, what: str, text: str, draw: Callable[[Path], list[Path]]) -> TablePlot:
    return TablePlot(comparison_name(dataset, protocol, what), text, draw)
