"""Which settings a search tries: those that a recipe names, or those that every model of a kind has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfzoo.errors import UsageError, nearest
from tfzoo.models import ModelInfo, model_info
from tfzoo.models.registry import COUNTS
from tfzoo.training.recipe import recorded_recipe
from tfzoo.training.search import Range
from tfzoo.training.settings import Recipe

GROUPS = ("builder", "step", "task", "training")
# Other values of these make other data or another final model, not a better one.
FIXED = ("training.fit_on", "training.refit", "training.checkpoint_seconds", "training.steps_per_call")
# Their weights are worked out, not learned in steps.
WITHOUT_STEPS = ("closed-form", "neighbourhood", "baseline")
EXAMPLE = "search: {training.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}}"


def space_of(recipe: Recipe) -> dict[str, Range]:
    """Return what a recipe says under ``search``, or a space that goes by the names of its settings.

    Raises:
        UsageError: a path leads to no setting that can be searched, a value in it is not one of the
            setting, or the recipe says nothing and the model has no setting that every search tries.
    """
    info = model_info(recipe.model)
    space = dict(recipe.search) or default_space(recipe, info)
    if not space and info.family in WITHOUT_STEPS and set(info.options) <= set(COUNTS):
        raise UsageError(
            f"'{recipe.model}' has no setting that could be better than another, so there is nothing to "
            "search for: train it as it is, with 'tfzoo train'."
        )
    if not space:
        raise UsageError(
            f"There is no setting of '{recipe.model}' that every search would try. Write what to try into a "
            f"recipe file and give it with --recipe, such as {_example(info)}"
        )
    for path, values in space.items():
        _check_path(path)
        for value in values.examples():
            with_settings(recipe, {path: value})
    return space


def _example(info: ModelInfo) -> str:
    """Return what a recipe may say, of a setting that the model has."""
    if info.family not in WITHOUT_STEPS:
        return EXAMPLE
    option = next(name for name in info.options if name not in COUNTS)
    return f"search: {{builder.{option}: {{choices: [{info.options[option].default}, ...]}}}}"


def default_space(recipe: Recipe, info: ModelInfo) -> dict[str, Range]:
    """Return ranges around a recipe's own values of the settings that matter most.

    These are the learning rate and the size of vectors where the model has them, a penalty ``l2`` or
    ``lookup_l2`` above 0, and the number of neighbours and the shrinkage of neighbourhoods.
    """
    found: dict[str, Range] = {}
    if info.family not in WITHOUT_STEPS:
        found["training.learning_rate"] = _around(recipe.training.learning_rate, 10)
    factors = {
        "embedding_dim": 4,
        "factors": 4,
        "latent_dim": 4,
        "l2": 100,
        "lookup_l2": 100,
        "neighbours": 4,
        "shrinkage": 30,
    }
    for name, factor in factors.items():
        value = value_of(recipe, f"builder.{name}")
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            found[f"builder.{name}"] = _around(value, factor)
    return found


def _around(value: float, factor: int) -> Range:
    if isinstance(value, int):
        return Range(low=max(1, value // factor), high=max(2, value * factor), log=True)
    return Range(low=float(f"{value / factor:.6g}"), high=float(f"{value * factor:.6g}"), log=True)


def value_of(recipe: Recipe, path: str) -> Any:
    """Return a recipe's value of a setting, or the builder's own default; None where there is neither."""
    group, _, name = path.partition(".")
    values = recipe.model_dump(mode="json").get(group) or {}
    if name in values:
        return values[name]
    option = model_info(recipe.model).options.get(name) if group == "builder" else None
    return None if option is None or option.default is option.empty else option.default


def with_settings(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """Return a recipe with some settings replaced, and without its search and what belonged to the old ones.

    Args:
        recipe: the resolved recipe.
        settings: ``group.key`` -> value.

    Raises:
        UsageError: one is no setting, or has no such value.
    """
    values = recipe.model_dump(mode="json")
    values |= {"changes": {}, "search": {}, "budget": None}
    for path, value in settings.items():
        group, _, name = path.partition(".")
        values[group][name] = value
    return recorded_recipe(values, f"search, {', '.join(settings)}")


def _check_path(path: str) -> None:
    group, divider, name = path.partition(".")
    if not divider or not name:
        raise UsageError(
            f"search: '{path}' is no path of a setting, expected group.key such as training.learning_rate."
        )
    if group in ("filter", "split") or path in FIXED:
        raise UsageError(
            f"search: '{path}' would change what trials are measured on or how, not how good they are."
        )
    if group not in GROUPS:
        raise UsageError(f"search: unknown group '{group}' in '{path}'. {nearest(group, GROUPS)}")
