"""Which runs a table is made of, and which of them have no record yet."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from tfzoo.errors import UsageError, check_seeds, nearest
from tfzoo.models import list_models, model_info
from tfzoo.training.recipe import declared_tables, reported_runs
from tfzoo.training.record import FILE_NAME


@dataclass(frozen=True)
class Job:
    """One run: a model on a data set with a recipe and a seed."""

    model: str
    dataset: str
    recipe: str
    seed: int

    @property
    def name(self) -> str:
        """Name of the folder of its runs."""
        return f"{self.model}-{self.dataset}-{self.recipe}"

    def record(self, folders: Iterable[Path]) -> Path | None:
        """Return its record below one of the folders, of runs or of collected records, or None."""
        for folder in folders:
            for path in (
                folder / self.name / f"seed-{self.seed}" / FILE_NAME,
                folder / self.name / f"seed-{self.seed}.json",
            ):
                if path.is_file():
                    return path
        return None


def list_tables() -> dict[str, str]:
    """Return the titles of the tables that can be reproduced, by name."""
    return {name: table["title"] for name, table in _tables().items()}


def missing_models(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of tables that nothing is run for: ``name``, ``dataset``, ``metrics``, ``why``."""
    return [row for name in names for row in _table(name).get("others", [])]


@dataclass(frozen=True)
class Missing:
    """Printed figures that nothing was run for.

    Attributes:
        model: name of the model, or the paper's own where no recipe has the figures.
        recipe: name of the recipe; empty where none has them.
        source: where they stand.
        why: what nothing was run for.
    """

    model: str
    recipe: str
    dataset: str
    metrics: Mapping[str, float]
    source: str
    why: str


def not_run(recorded: Container[tuple[str, str, str]]) -> list[Missing]:
    """Return the printed figures of all recipes and all tables that have no record.

    Args:
        recorded: model, data set and recipe of what has a record.
    """
    of_tables = [
        Missing(row["name"], "", row["dataset"], row["metrics"], title, row["why"])
        for name, title in list_tables().items()
        for row in missing_models([name])
    ]
    reasons = {(row.dataset, tuple(sorted(row.metrics.items()))): row.why for row in of_tables}
    of_recipes = [
        Missing(
            model,
            recipe,
            dataset,
            reported.metrics,
            reported.source,
            reasons.pop((dataset, tuple(sorted(reported.metrics.items()))), "no run is recorded"),
        )
        for model in list_models()
        for dataset, recipe, reported in reported_runs(model)
        if (model, dataset, recipe) not in recorded
    ]
    # A row of a paper that a recipe has, too, is that recipe's.
    left = [row for row in of_tables if (row.dataset, tuple(sorted(row.metrics.items()))) in reasons]
    return [*of_recipes, *left]


def plan(names: Sequence[str], models: Sequence[str], seeds: int) -> list[Job]:
    """Return the runs of some tables, each once, seed by seed.

    Args:
        names: of tables; all if empty.
        models: keep the runs of these models alone; all if empty.
        seeds: seeds ``0..seeds-1`` of each.

    Raises:
        UsageError: there is no such table or model, or no run is left.
    """
    check_seeds(seeds)
    for model in models:
        model_info(model)
    jobs: dict[Job, None] = {}
    for name in names or _tables():
        for model, dataset, recipe in _runs(name):
            if models and model not in models:
                continue
            for seed in range(seeds):
                jobs[Job(model, dataset, recipe, seed)] = None
    if not jobs:
        raise UsageError(f"No run of {', '.join(models)} is part of {', '.join(names) or 'any table'}.")
    return sorted(jobs, key=lambda job: job.seed)


def _runs(name: str) -> Iterator[tuple[str, str, str]]:
    """Yield model, data set and recipe of a table: of its own list, then of the recipes that name it."""
    for group in _table(name)["runs"]:
        for model in group["models"]:
            yield model, group["dataset"], group["recipe"]
    for model in list_models():
        for table, dataset, recipe in declared_tables(model):
            if table == name:
                yield model, dataset, recipe


def _table(name: str) -> dict[str, Any]:
    tables = _tables()
    if name not in tables:
        raise UsageError(f"There is no table '{name}'. {nearest(name, tables)}")
    table: dict[str, Any] = tables[name]
    return table


def _tables() -> dict[str, Any]:
    text = (files("tfzoo.recipes") / "tables.yaml").read_text(encoding="utf-8")
    tables: dict[str, Any] = yaml.safe_load(text)
    return tables
