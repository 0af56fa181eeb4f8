"""What commands print: text and tables for people, or one JSON document for programs.

Nothing heavy is imported here, since commands that answer at once print too.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from tfzoo.cli.mode import answer as answer
from tfzoo.cli.mode import mode
from tfzoo.cli.mode import more as more

console = Console(markup=False)


def shows_progress() -> bool:
    """Whether what goes on is shown in a line that changes."""
    return console.is_terminal and not (mode.quiet or mode.json)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show what goes on while the block runs, on a terminal that shows such things."""
    if not shows_progress():
        yield
        return
    with console.status(what):
        yield


def say(text: str) -> None:
    """Print a line of the results: on a terminal wrapped between words, else as it is."""
    if not mode.json:
        console.print(_wrapped(text), highlight=False, soft_wrap=True)


def mention(text: str) -> None:
    """Print a line that says what goes on, or what is to be known of the data."""
    if mode.json and not mode.quiet:
        print(text, file=sys.stderr)
    elif not mode.quiet:
        say(text)


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = (), head: bool = True
) -> None:
    """Print a table in which no word is broken.

    Args:
        columns: their headings.
        rows: a text for each column.
        right: headings of the columns whose texts end below each other.
        head: print the headings.

    Where the terminal is too narrow for the longest words, each row is a paragraph.
    """
    if mode.json:
        return
    shown = [list(columns), *map(list, rows)] if head else list(map(list, rows))
    widths = _widths(list(zip(*shown, strict=True)), console.width)
    if widths is None:
        _print_paragraphs(columns, rows)
        return
    table = Table(show_header=head)
    for name, width in zip(columns, widths, strict=True):
        table.add_column(name, justify="right" if name in right else "left", width=width)
    for row in rows:
        table.add_row(*row)
    console.print(table, soft_wrap=False)


def _widths(cells: Sequence[Sequence[str]], available: int) -> list[int] | None:
    """Return widths of columns that fit together without a broken word, None where there are none."""
    least = [max((cell_len(word) for text in column for word in text.split()), default=1) for column in cells]
    widths = [max([1, *(cell_len(line) for text in column for line in text.split("\n"))]) for column in cells]
    room = available - 3 * len(cells) - 1
    if sum(least) > room:
        return None
    while sum(widths) > room:
        widest = max(range(len(widths)), key=lambda n: (widths[n] > least[n], widths[n]))
        widths[widest] -= 1
    return widths


def _print_paragraphs(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for first, *rest in rows:
        for line in _lines(first, console.width) or [""]:
            console.print(line, highlight=False, soft_wrap=True)
        text = "; ".join(f"{name} {cell}" for name, cell in zip(columns[1:], rest, strict=True) if cell)
        for line in _lines(text, console.width - 4):
            console.print(f"    {line}", highlight=False, soft_wrap=True)


def _wrapped(text: str) -> str:
    if not console.is_terminal:
        return text
    return "\n".join(line for whole in text.split("\n") for line in _indented(whole))


def _indented(line: str) -> list[str]:
    indent = line[: len(line) - len(line.lstrip())]
    return [indent + part for part in _lines(line.strip(), console.width - len(indent))] or [""]


def _lines(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(1, width), break_long_words=False, break_on_hyphens=False)
