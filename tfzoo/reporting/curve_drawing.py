"""The training curve of one record as a small SVG, without a library for plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from tfzoo.reporting.summary import Summary, curve_points
from tfzoo.training.record import RunRecord

WIDTH, HEIGHT = 560, 260
LEFT, RIGHT, TOP, BOTTOM = 62, 62, 26, 40
LOSS, METRIC, BEST = "#3b6ea5", "#b9650f", "#555555"
TICKS = 5
Points = list[tuple[float, float]]


def draw_curve(record: RunRecord) -> str | None:
    """Draw loss and validation metric against the epoch, the best epoch marked.

    Args:
        record: with the history of its epochs.

    Returns:
        An SVG document, the same for the same record; None where the record has no two epochs.
    """
    rows = curve_points(record)
    monitor = f"val_{Summary((record,)).task.monitor}"
    loss = [(row["epoch"], row["loss"]) for row in rows if "loss" in row]
    metric = [(row["epoch"], row[monitor]) for row in rows if monitor in row]
    shown = [points for points in (loss, metric) if len(points) > 1]
    if not shown:
        return None
    title = f"{record.model} on {record.dataset}, recipe {record.recipe_name}, seed {record.seed}"
    last = max(epoch for points in shown for epoch, _ in points)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}">',
        f"<title>{escape(title)}</title>",
        "<style>text{font:11px sans-serif;fill:#222}path{fill:none;stroke-width:1.6}</style>",
        '<rect width="100%" height="100%" rx="6" fill="#fff"/>',
        f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}V{TOP}" stroke="#999"/>',
        *_epochs(last),
    ]
    if record.best_epoch:
        x = _x(record.best_epoch, last)
        lines.append(
            f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{BEST}" stroke-dasharray="4 3"/>'
            f'<text x="{x:.1f}" y="{TOP - 6}" text-anchor="middle">best epoch, {record.best_epoch}</text>'
        )
    if len(loss) > 1:
        lines += _line(loss, last, "training loss", LOSS, left=True)
    if len(metric) > 1:
        lines += _line(metric, last, monitor, METRIC, left=False)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _line(points: Points, last: float, name: str, colour: str, *, left: bool) -> list[str]:
    """Return a curve with its axis and its name."""
    values = [value for _, value in points]
    ticks = _ticks(min(values), max(values))
    low, high = min(ticks[0], *values), max(ticks[-1], *values)
    scale = (HEIGHT - TOP - BOTTOM) / (high - low)
    places = [
        f"{_x(epoch, last):.1f} {HEIGHT - BOTTOM - scale * (value - low):.1f}" for epoch, value in points
    ]
    x, anchor = (LEFT - 6, "end") if left else (WIDTH - RIGHT + 6, "start")
    step = ticks[1] - ticks[0]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    lines = [
        f'<text x="{x}" y="{HEIGHT - BOTTOM - scale * (tick - low) + 4:.1f}" text-anchor="{anchor}" '
        f'style="fill:{colour}">{tick:.{decimals}f}</text>'
        for tick in ticks
    ]
    where = (8, "start") if left else (WIDTH - 8, "end")
    return [
        f'<path d="M{"L".join(places)}" stroke="{colour}"/>',
        *lines,
        f'<text x="{where[0]}" y="{HEIGHT - 8}" text-anchor="{where[1]}" style="fill:{colour}">'
        f"{escape(name)}</text>",
    ]


def _epochs(last: float) -> list[str]:
    """Return the labels of the axis of the epochs, whole numbers alone."""
    step = max(1.0, _step(last))
    numbers = [1, *(int(step * place) for place in range(1, int(last / step) + 1) if step * place > 1)]
    labels = [
        f'<text x="{_x(number, last):.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{number}</text>'
        for number in numbers
    ]
    return [*labels, f'<text x="{WIDTH / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">epoch</text>']


def _x(epoch: float, last: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (epoch - 1) / max(1, last - 1)


def _ticks(low: float, high: float) -> Sequence[float]:
    step = _step(high - low if high > low else abs(high) or 1.0)
    # A figure on a tick may lie beside it by rounding.
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * number for number in range(first, max(last, first + 1) + 1)]


def _step(span: float) -> float:
    """Return 1, 2 or 5 times a power of ten, so that about `TICKS` of them make the span."""
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= span / TICKS)
