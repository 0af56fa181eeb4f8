"""Empty figures, and files of drawn ones. Needs matplotlib (extra ``plots``)."""

from __future__ import annotations

import functools
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from tfzoo.errors import UsageError
from tfzoo.files import write_atomically

FORMATS = ("png", "svg")


def new_figure(width: float, height: float, **subplots: Any) -> tuple[Any, Any]:
    """Return an empty figure and its axes.

    Args:
        width: in inches.
        height: in inches.
        **subplots: for `matplotlib.figure.Figure.subplots`, such as ``ncols=2``; the axes of
            several are an array.

    Raises:
        UsageError: matplotlib is missing.
    """
    try:
        # Without pyplot: no state of the process is touched, and no display is needed.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("Plots need an extra: pip install 'tfzoo[plots]'.") from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(**subplots)


def save_figure(figure: Any, target: Path) -> list[Path]:
    """Write a figure as PNG and as SVG, atomically; the same figure gives the same bytes.

    Args:
        figure: from `new_figure`.
        target: path without its ending.

    Returns:
        The files written.
    """
    from matplotlib import rc_context

    written = []
    for ending in FORMATS:
        buffer = BytesIO()
        metadata = {"Date": None} if ending == "svg" else {}
        # Without a salt, the names inside an SVG are random.
        with rc_context({"svg.hashsalt": target.name}):
            figure.savefig(buffer, format=ending, dpi=120, metadata=metadata)
        path = target.with_name(f"{target.name}.{ending}")
        write_atomically(path, functools.partial(_put, buffer.getvalue()))
        written.append(path)
    return written


def _put(content: bytes, file: IO[bytes]) -> None:
    file.write(content)
