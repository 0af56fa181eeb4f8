"""What the lists of models show of each: its best recorded figure, and where it stands among others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfzoo.errors import UsageError, nearest
from tfzoo.models import ModelInfo, list_models, model_info
from tfzoo.reporting.summary import Summary, load_records, record_paths, split_name, summarise

DATASET = "ml-100k"
RESULTS = Path("results")
RECIPES = ("tuned", "paper")
RECONSTRUCTION = "reconstruction"


def summaries_by_model(folder: Path | None) -> dict[str, list[Summary]]:
    """Read the records below a folder.

    Args:
        folder: of records, or of runs; None for `RESULTS`, where any folder of that name may lie, or none.

    Returns:
        Model -> its summaries; a model without records is missing.

    Raises:
        UsageError: the given folder does not exist or holds no record.
    """
    found: dict[str, list[Summary]] = {}
    if folder is None and not record_paths(RESULTS):
        return found
    for summary in summarise(load_records([folder or RESULTS])):
        found.setdefault(summary.first.model, []).append(summary)
    return found


def best_summary(summaries: Sequence[Summary]) -> Summary | None:
    """Return the summary that speaks for a model.

    Recipes that leak or test a hypothesis never do: it is ``tuned`` or ``paper`` on ml-100k where there
    are records of it, else on the first other data set. Of both, if one protocol divides for both,
    the better one; else ``tuned``.
    """
    known = [summary for summary in summaries if summary.recipe in RECIPES]
    if not known:
        return None
    known.sort(key=lambda s: (s.first.dataset != DATASET, s.first.dataset, RECIPES.index(s.recipe)))
    first = known[0]
    rivals = [s for s in known if s.first.dataset == first.first.dataset and s.protocol == first.protocol]
    metric, sign = first.task.headline[0], 1 if first.task.maximize else -1
    return max(rivals, key=lambda s: sign * s.mean(metric))


def figure_text(summary: Summary | None) -> str:
    """Return the headline figure of a summary, such as ``rmse 0.9162 ± 0.0032 (ml-100k, tuned)``."""
    if summary is None:
        return "no record"
    metric = summary.task.headline[0]
    return f"{metric} {summary.text(metric)} ({summary.first.dataset}, {summary.recipe})"


def protocol_text(summary: Summary) -> str:
    """Return the first words of a summary's protocol, and how many seeds it has."""
    seeds = len(summary.records)
    return f"{split_name(summary.protocol)}, {seeds} seed{'s' if seeds > 1 else ''}"


def find_models(
    pattern: str = "*", *, task: str | None = None, family: str | None = None, year: str | None = None
) -> list[ModelInfo]:
    """Return the models that fit everything given, by name.

    Args:
        pattern: a name with wildcards.
        task: of the model.
        family: of the model.
        year: of the paper, such as ``2017``, ``2010..2020``, ``2015..`` or ``..2014``; papers that
            print none do not fit.

    Raises:
        UsageError: no model fits; the message names the nearest choice.
    """
    names = list_models(pattern)
    if not names:
        raise UsageError(f"No model matches '{pattern}'. {nearest(pattern, list_models())}")
    everything = [model_info(name) for name in list_models()]
    for option, value, known in (
        ("task", task, {info.task for info in everything}),
        ("family", family, {info.family for info in everything}),
    ):
        if value is not None and value not in known:
            raise UsageError(f"No model has the {option} '{value}'. {nearest(value, sorted(known))}")
    low, high = _years(year) if year is not None else (None, None)
    found = [
        info
        for info in map(model_info, names)
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


def _years_known(models: Sequence[ModelInfo]) -> str:
    years = sorted({info.paper.year for info in models if info.paper.year is not None})
    return f"Papers of the models are from {years[0]} to {years[-1]}."
