"""Plots of one trained model: where it errs, and where its vectors lie.

Needs matplotlib (extra ``plots``). Each plot is written as PNG and as SVG.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzoo.evaluation.groups import GroupFigures, Groups
from tfzoo.reporting.figures import new_figure, save_figure

COLOURS = ("#3b6ea5", "#d9822b")
MOST_COLOURS = 9
LENGTH_METRICS = ("hr", "precision", "recall", "ndcg", "map", "mrr")
OTHER = "#bbbbbb"


@dataclass(frozen=True)
class GroupPanel:
    """Figures, or shares, of groups of test cases.

    Attributes:
        axis: what the groups are made by.
        unit: what the cases are, in the plural.
        groups: of the test cases.
        figures: name -> figures with their intervals.
        shares: name -> share of each group, drawn as bars instead.
    """

    axis: str
    unit: str
    groups: Groups
    figures: Mapping[str, GroupFigures]
    shares: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Cloud:
    """Projected vectors.

    Attributes:
        title: whose vectors.
        places: coordinates ``[n, 2 or 3]``.
        shares: share of the variance along each axis.
        feature: what the colours mean; empty for a single colour.
        values: value of the feature of each vector ``[n]``, or None.
    """

    title: str
    places: NDArray[np.float64]
    shares: NDArray[np.float64]
    feature: str = ""
    values: NDArray | None = None


def plot_groups(panels: Sequence[GroupPanel], title: str, target: Path) -> list[Path]:
    """Draw figures of groups as points with 95 % intervals, and shares as bars.

    Args:
        panels: side by side.
        title: above them.
        target: path without its ending.

    Returns:
        The files written.

    Raises:
        UsageError: matplotlib is missing.
    """
    figure, all_axes = new_figure(5.6 * len(panels), 3.9, ncols=len(panels), squeeze=False)
    for axes, panel in zip(all_axes[0], panels, strict=True):
        places = np.arange(len(panel.groups.sizes))
        for number, (name, found) in enumerate(panel.figures.items()):
            spread = np.stack([found.values - found.low, found.high - found.values])
            aside = 0.12 * (number - (len(panel.figures) - 1) / 2)
            style = {"color": COLOURS[number % 2], "marker": "o", "capsize": 3, "linewidth": 1.2}
            axes.errorbar(places + aside, found.values, yerr=spread, label=name, **style)
        for number, (name, shares) in enumerate(panel.shares.items()):
            aside = 0.4 * (number - (len(panel.shares) - 1) / 2)
            axes.bar(places + aside, shares, width=0.4, color=COLOURS[number % 2], label=name)
        axes.set_xticks(places, panel.groups.labels, fontsize=8)
        axes.set_xlabel(f"{panel.axis}\n(number of {panel.unit})", fontsize=9)
        axes.set_ylabel("share" if panel.shares else "mean, 95 % interval", fontsize=9)
        axes.grid(axis="y", alpha=0.3)
        axes.legend(fontsize=8)
    figure.suptitle(title, fontsize=10)
    return save_figure(figure, target)


def plot_lengths(lines: Mapping[str, Mapping[str, float]], title: str, target: Path) -> list[Path]:
    """Draw metrics of ranked lists against their length, a panel for each metric.

    Args:
        lines: model -> metric with length, such as ``ndcg@10`` -> value.
        title: above the panels.
        target: path without its ending.

    Returns:
        The files written.

    Raises:
        UsageError: matplotlib is missing.
    """
    metrics = [
        metric
        for metric in LENGTH_METRICS
        if any(f"{metric}@" in name for found in lines.values() for name in found)
    ]
    rows = -(-len(metrics) // 2)
    figure, all_axes = new_figure(9.0, 3.0 * rows + 0.6, nrows=rows, ncols=2, squeeze=False)
    for axes, metric in zip(all_axes.flat, metrics, strict=False):
        for model, found in lines.items():
            points = sorted(
                (int(name.partition("@")[2]), value)
                for name, value in found.items()
                if name.startswith(f"{metric}@")
            )
            lengths, values = [k for k, _ in points], [value for _, value in points]
            axes.plot(lengths, values, marker=".", linewidth=1.2, label=model)
        axes.set_ylabel(f"{metric}@k")
        axes.set_xlabel("length k of the list")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    for axes in all_axes.flat[len(metrics) :]:
        axes.set_visible(False)
    handles, labels = all_axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, ncols=4, loc="outside lower center")
    figure.suptitle(title, fontsize=10)
    return save_figure(figure, target)


def plot_clouds(clouds: Sequence[Cloud], title: str, target: Path) -> list[Path]:
    """Draw projected vectors, coloured by their most frequent values.

    Args:
        clouds: side by side, all of two or all of three dimensions.
        title: above them.
        target: path without its ending.

    Returns:
        The files written.

    Raises:
        UsageError: matplotlib is missing.
    """
    dimensions = clouds[0].places.shape[1]
    projection: dict[str, Any] = {"subplot_kw": {"projection": "3d"}} if dimensions == 3 else {}
    figure, all_axes = new_figure(6.2 * len(clouds), 5.0, ncols=len(clouds), squeeze=False, **projection)
    for axes, cloud in zip(all_axes[0], clouds, strict=True):
        # 2,000 shapes at most are drawn as such: an SVG of a hundred thousand opens in no browser.
        style = {"s": 8, "alpha": 0.7, "linewidths": 0, "rasterized": len(cloud.places) > 2000}
        for name, colour, rows in _coloured(cloud):
            axes.scatter(*cloud.places[rows].T, color=colour, label=name, **style)
        for number, (name, share) in enumerate(zip("xyz", cloud.shares, strict=False), 1):
            text = f"component {number}, {100 * share:.1f} % of variance"
            getattr(axes, f"set_{name}label")(text, fontsize=8)
        if dimensions == 3:
            axes.tick_params(labelsize=7)
            # The layout does not know how far the labels of three axes reach.
            axes.set_box_aspect(None, zoom=0.85)
        axes.set_title(cloud.title + (f", coloured by {cloud.feature}" if cloud.feature else ""), fontsize=9)
        if cloud.feature:
            axes.legend(fontsize=7, markerscale=2, loc="best" if dimensions == 2 else "upper left")
    figure.suptitle(title, fontsize=10)
    return save_figure(figure, target)


def _coloured(cloud: Cloud) -> list[tuple[str, Any, NDArray[np.bool_]]]:
    """Return name, colour and rows of each value; the rare ones share a colour, below the others."""
    if cloud.values is None:
        return [(cloud.title, COLOURS[0], np.ones(len(cloud.places), bool))]
    from matplotlib import colormaps

    frequency = Counter(value for value in cloud.values.tolist() if value)
    shown = sorted(frequency, key=lambda value: (-frequency[value], value))[:MOST_COLOURS]
    rest = ~np.isin(cloud.values, shown)
    others = [("other", OTHER, rest)] if rest.any() else []
    # The eighth colour of the palette is a grey, as that of the others.
    colours = [colormaps["tab10"](number) for number in range(MOST_COLOURS + 1) if number != 7]
    return others + [
        (value, colour, cloud.values == value) for value, colour in zip(shown, colours, strict=False)
    ]
