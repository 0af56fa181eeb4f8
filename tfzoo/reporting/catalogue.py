"""What the lists of models show of each: its best recorded figure, and where it stands among others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tfzoo.models import ModelInfo, list_models, model_info
from tfzoo.reporting.finding import find
from tfzoo.reporting.kept import RESULTS
from tfzoo.reporting.summary import Summary, load_records, record_paths, split_name, summarise

DATASET = "ml-100k"
# For models that read texts or impressions, which the former has not got.
REVIEWS = "amazon-musical-instruments"
CLICKS = "frappe"
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
    """Return the first words of a summary's protocol, what was trained on, and how many seeds it has."""
    seeds = len(summary.records)
    return f"{split_name(summary.protocol)}, {summary.trained_on}, {seeds} seed{'s' if seeds > 1 else ''}"


def find_models(
    pattern: str = "*", *, task: str | None = None, family: str | None = None, year: str | None = None
) -> list[ModelInfo]:
    """Return the models that fit everything given, by name; see `find`."""
    return find(list(map(model_info, list_models())), pattern, task=task, family=family, year=year)
