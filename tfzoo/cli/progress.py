"""The line that shows how far a training is."""

from __future__ import annotations

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from tfzoo.cli.output import console, shows_progress

# Below it the line has no room for a bar that tells more than its numbers.
WIDE = 110


def training_progress() -> Progress:
    """Return a line with the epochs and steps done, the last loss, the best figure and the time left.

    A task of it needs the fields ``steps`` and ``status``.
    """
    cut = Column(no_wrap=True, overflow="ellipsis")
    return Progress(
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=30 if console.width >= WIDE else 5),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[steps]}", table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[status]}", table_column=cut),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        console=console,
        disable=not shows_progress(),
    )
