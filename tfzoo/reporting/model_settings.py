"""The settings of a model's recipes, beside each other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tfzoo.models import ModelInfo
from tfzoo.problems import PROBLEMS
from tfzoo.training.recipe import list_recipes, load_recipe
from tfzoo.training.settings import FilterSettings, Recipe, SplitSettings, TrainingSettings

BESIDE = ("paper", "tuned")
# Shown even where they have their default.
ALWAYS = (
    "split.kind",
    "task.loss",
    "training.optimizer",
    "training.learning_rate",
    "training.batch_size",
    "training.epochs",
    "training.patience",
)


def recipes_of(info: ModelInfo, dataset: str) -> dict[str, Recipe]:
    """Return the recipes of a model as they are for a data set; ``paper`` and ``tuned`` come first."""
    names = sorted(list_recipes(info.name), key=lambda name: (name not in BESIDE, name))
    return {name: load_recipe(info.name, dataset, name) for name in names}


def setting_rows(
    info: ModelInfo, recipes: Mapping[str, Recipe], *, trained: bool
) -> list[tuple[str, list[str]]]:
    """Return what the recipes ``paper`` and ``tuned`` set.

    Args:
        info: of the model.
        recipes: from `recipes_of`.
        trained: gradient descent finds the weights; if not, how it would is left out.

    Returns:
        Rows of a setting, as ``--set`` takes it, and its value in each recipe, in YAML. Settings of the
        builder are those that a recipe names; others are there if a recipe differs from the default.
    """
    columns = [dict(_settings(info, recipe)) for name, recipe in recipes.items() if name in BESIDE]
    defaults = dict(_defaults(info))
    named = {key for name in BESIDE if name in recipes for key in recipes[name].builder}
    keys = list(dict.fromkeys(key for column in columns for key in column))
    rows = []
    for key in keys:
        group, _, option = key.partition(".")
        values = [column.get(key, defaults.get(key)) for column in columns]
        if not trained and group in ("training", "pretraining"):
            continue
        if group == "builder":
            shown = option in named
        else:
            shown = key in ALWAYS or any(value != defaults.get(key) for value in values)
        if shown:
            rows.append((key, [_yaml(value) for value in values]))
    return rows


def _settings(info: ModelInfo, recipe: Recipe) -> Iterator[tuple[str, Any]]:
    defaults = {key: parameter.default for key, parameter in info.options.items()}
    for key, default in defaults.items():
        if key not in ("num_users", "num_items"):
            yield f"builder.{key}", recipe.builder.get(key, _plain(default))
    values = recipe.model_dump(mode="json")
    for group in ("filter", "split", "task", "training", "pretraining"):
        yield from _flat(group, values[group])


def _defaults(info: ModelInfo) -> Iterator[tuple[str, Any]]:
    groups = {
        "filter": FilterSettings(),
        "split": SplitSettings(),
        "task": PROBLEMS[info.task].Settings(),
        "training": TrainingSettings(),
    }
    for group, settings in groups.items():
        yield from _flat(group, settings.model_dump(mode="json"))


def _flat(group: str, values: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _flat(f"{group}.{key}", value)
    elif values is not None or "." in group:
        yield group, values


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _yaml(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)
