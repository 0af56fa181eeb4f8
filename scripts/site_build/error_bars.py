"""Small drawings of our mean, its deviation and the paper's figure on one scale."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

WIDTH, HEIGHT, MARGIN = 160, 20, 8


class Figures(Protocol):
    """What is drawn of a row."""

    @property
    def ours(self) -> float:
        """Mean over the seeds."""

    @property
    def deviation(self) -> float | None:
        """Over the seeds; None for one."""

    @property
    def printed(self) -> float | None:
        """The paper's."""


@dataclass(frozen=True)
class Scale:
    """What the left and the right end of a drawing stand for."""

    low: float
    high: float

    def place(self, figure: float) -> float:
        """Return where a figure lies, in units of the drawing."""
        span = self.high - self.low
        share = (figure - self.low) / span if span else 0.5
        return round(MARGIN + share * (WIDTH - 2 * MARGIN), 1)


def scale_of(rows: Iterable[Figures]) -> Scale:
    """Return the scale on which all figures of some rows lie, with their deviations."""
    ends = []
    for row in rows:
        spread = row.deviation or 0.0
        ends += [row.ours - spread, row.ours + spread]
        ends += [] if row.printed is None else [row.printed]
    return Scale(min(ends), max(ends))


def error_bar(ours: float, deviation: float | None, printed: float | None, scale: Scale) -> str:
    """Draw one row; its figures stand in the cells beside it, so readers of text skip the drawing.

    Args:
        ours: mean.
        deviation: half the length of the bar; None for no bar.
        printed: the paper's figure, a lozenge; None for none.
        scale: of all rows it is compared with.

    Returns:
        SVG without styles of its own.
    """
    middle = HEIGHT / 2
    parts = [f'<path class="axis" d="M{MARGIN} {middle:g}H{WIDTH - MARGIN}"/>']
    if printed is not None:
        x = scale.place(printed)
        parts.append(f'<path class="paper" d="M{x} {middle - 7:g}l5 7l-5 7l-5-7z"/>')
    if deviation:
        low, high = scale.place(ours - deviation), scale.place(ours + deviation)
        caps = "".join(f"M{end} {middle - 4:g}v8" for end in (low, high))
        parts.append(f'<path class="deviation" d="M{low} {middle:g}H{high}{caps}"/>')
    parts.append(f'<circle class="ours" cx="{scale.place(ours)}" cy="{middle:g}" r="3.5"/>')
    title = f"<title>scale from {scale.low:.4f} to {scale.high:.4f}</title>"
    return (
        f'<svg class="error-bar" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'aria-hidden="true" focusable="false">{title}{"".join(parts)}</svg>'
    )
