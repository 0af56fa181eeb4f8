"""Finds models by name, task, family and year."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from tfzoo.errors import UsageError, nearest
from tfzoo.models.registry import Paper


class Described(Protocol):
    """What models are found by."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def task(self) -> str:
        """Name of its learning problem."""

    @property
    def family(self) -> str:
        """What kind of model it is."""

    @property
    def paper(self) -> Paper:
        """Where it was published."""


One = TypeVar("One", bound=Described)


def find(
    everything: Sequence[One],
    pattern: str = "*",
    *,
    task: str | None = None,
    family: str | None = None,
    year: str | None = None,
) -> list[One]:
    """Return the models that fit everything given, in their order.

    Args:
        everything: all models.
        pattern: a name with wildcards.
        task: of the model.
        family: of the model.
        year: of the paper, such as ``2017``, ``2010..2020``, ``2015..`` or ``..2014``; papers that
            print none do not fit.

    Raises:
        UsageError: no model fits; the message names the nearest choice.
    """
    named = [info for info in everything if fnmatch.fnmatch(info.name, pattern)]
    if not named:
        hint = nearest(pattern, [info.name for info in everything])
        raise UsageError(f"No model matches '{pattern}'. {hint}")
    for option, value, known in (
        ("task", task, {info.task for info in everything}),
        ("family", family, {info.family for info in everything}),
    ):
        if value is not None and value not in known:
            raise UsageError(f"No model has the {option} '{value}'. {nearest(value, sorted(known))}")
    low, high = _years(year) if year is not None else (None, None)
    found = [
        info
        for info in named
        if task in (None, info.task) and family in (None, info.family)
        if year is None or (info.paper.year is not None and _within(info.paper.year, low, high))
    ]
    if not found:
        asked: Mapping[str, str | None] = {"--task": task, "--family": family, "--year": year}
        filters = " ".join(f"{name} {value}" for name, value in asked.items() if value is not None)
        raise UsageError(f"No model fits '{pattern}' {filters}. {_years_known(everything)}")
    return found


def _years(text: str) -> tuple[int | None, int | None]:
    match = re.fullmatch(r"(\d{4})|(\d{4})?\.\.(\d{4})?", text)
    if match is None or text == "..":
        raise UsageError(
            f"--year takes a year, or two with dots between, such as 2017 or 2010..2020. Received '{text}'."
        )
    single, low, high = match.groups()
    first, last = int(single or low or 0) or None, int(single or high or 0) or None
    if first and last and first > last:
        raise UsageError(f"--year {text} ends before it begins; did you mean {last}..{first}?")
    return first, last


def _within(year: int, low: int | None, high: int | None) -> bool:
    return (low is None or year >= low) and (high is None or year <= high)


def _years_known(models: Sequence[Described]) -> str:
    years = sorted({info.paper.year for info in models if info.paper.year is not None})
    return f"Papers of the models are from {years[0]} to {years[-1]}."
