"""Recipes: from a name or a YAML file, and overrides, to checked settings."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import ConfigDict, create_model

from tfzoo.errors import UsageError, nearest
from tfzoo.models import ModelInfo, model_info
from tfzoo.models.registry import check_options
from tfzoo.tasks import get_task
from tfzoo.training.settings import Recipe, parse
from tfzoo.training.yaml_text import parse_yaml, read_yaml

AUTO = "auto"


def list_recipes(model: str) -> list[str]:
    """Return the names of the recipes that the package has for ``model``."""
    folder = files("tfzoo.recipes") / model
    if not folder.is_dir():
        return []
    return sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )


def list_protocols() -> list[str]:
    """Return the names of the protocols of the package: filter, split and cutoffs by one name."""
    entries = (files("tfzoo.recipes") / "protocols").iterdir()
    return sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml"))


def load_recipe(
    model: str,
    dataset: str,
    recipe: str = "paper",
    overrides: Iterable[str] = (),
    *,
    protocol: str | None = None,
) -> Recipe:
    """Read a recipe, apply overrides, and check every value.

    Args:
        model: name of a registered model.
        dataset: name of the data set; the file may hold settings and reported figures for it.
        recipe: name of a recipe of the package, or path of a YAML file.
        overrides: texts ``group.key=value`` that replace single values, values in YAML.
        protocol: one of `list_protocols`, to divide and measure by instead of the recipe's own;
            it becomes part of the recipe's name.

    Returns:
        The resolved recipe.

    Raises:
        UsageError: unknown model, recipe, protocol, key, or a value of the wrong type.
    """
    info = model_info(model)
    name, values = _read(info, recipe)
    bases = [recipe]
    while "base" in values:
        bases.append(str(values.pop("base")))
        if bases[-1] in bases[:-1]:
            raise UsageError(f"Recipes build on each other without end: {' -> '.join(bases)}.")
        inherited = _read(info, bases[-1])[1]
        if "description" in values:
            # What the base says of its settings for a data set is not true of those that build on them.
            inherited = _without_descriptions(inherited)
        values = _merge(inherited, values)
    values = _for_dataset(values, dataset, f"recipe '{name}' of {model}")
    own_protocol = values.pop("protocol", None)
    if protocol is not None:
        values = _merge({**values, "filter": {}, "split": {}, "reported": None}, _protocol(protocol))
        name = f"{name}-{protocol}"
    elif own_protocol is not None:
        values = _merge(_protocol(str(own_protocol)), values)
    values = {**values, "model": model, "name": name}
    for override in overrides:
        _override(values, override)
    settings: Recipe = parse(Recipe, values, f"recipe '{name}' of {model}")
    if settings.pretraining is not None and info.pretraining is None:
        raise UsageError(
            f"recipe '{name}': model '{model}' has no parts to pre-train; leave 'pretraining' out."
        )
    task_class = get_task(info.task)
    task = parse(task_class.Settings, settings.task, f"recipe '{name}' of {model}, task")
    builder = _check_builder(info, settings.builder, name, task_class.automatic)
    return settings.model_copy(update={"task": task.model_dump(mode="json"), "builder": builder})


def resolve_builder(recipe: Recipe, automatic: dict[str, Any]) -> dict[str, Any]:
    """Replace each ``auto`` among the builder's arguments by the task's value."""
    return {key: automatic[key] if value == AUTO else value for key, value in recipe.builder.items()}


def _protocol(name: str) -> dict[str, Any]:
    known = list_protocols()
    if name not in known:
        raise UsageError(f"Unknown protocol '{name}'. {nearest(name, known)}")
    text = (files("tfzoo.recipes") / "protocols" / f"{name}.yaml").read_text(encoding="utf-8")
    return _groups(parse_yaml(text, name), name)


def _read(info: ModelInfo, recipe: str) -> tuple[str, dict[str, Any]]:
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml"):
        return path.stem, _groups(read_yaml(path), str(path))
    known = list_recipes(info.name)
    if recipe not in known:
        raise UsageError(
            f"Unknown recipe '{recipe}' of {info.name}. {nearest(recipe, known)} "
            "A recipe of your own is given as the path of a .yaml file."
        )
    text = (files("tfzoo.recipes") / info.name / f"{recipe}.yaml").read_text(encoding="utf-8")
    return recipe, _groups(parse_yaml(text, recipe), recipe)


def _groups(values: Any, where: str) -> dict[str, Any]:
    values = values or {}
    if not isinstance(values, dict):
        raise UsageError(f"{where}: expected groups of settings. Received {type(values).__name__}.")
    return values


def _for_dataset(values: dict[str, Any], dataset: str, where: str) -> dict[str, Any]:
    """Apply what the recipe says for one data set, and drop what it says for others."""
    common = {key: value for key, value in values.items() if key != "datasets"}
    per_dataset = values.get("datasets") or {}
    changes = per_dataset.get(dataset) or {} if isinstance(per_dataset, dict) else per_dataset
    if not isinstance(changes, dict):
        raise UsageError(
            f"{where}: 'datasets' must hold groups of settings by the name of a data set, such as "
            f"'{dataset}'. Received {changes!r}."
        )
    return _merge(common, changes)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(base)
    for key, value in changes.items():
        # Figures of another source are another statement: nothing of the old one belongs to it.
        replaced = key == "reported" and isinstance(value, dict) and "source" in value
        both = isinstance(value, dict) and isinstance(merged.get(key), dict) and not replaced
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _without_descriptions(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a recipe without what it says of its settings for single data sets."""
    per_dataset = values.get("datasets")
    if not isinstance(per_dataset, dict):
        return values
    kept = {
        name: {key: value for key, value in changes.items() if key != "description"}
        if isinstance(changes, dict)
        else changes
        for name, changes in per_dataset.items()
    }
    return {**values, "datasets": kept}


def _override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    *groups, name = key.strip().split(".")
    if not separator or not groups or not name:
        raise UsageError(f"--set takes group.key=value, such as training.epochs=5. Received '{override}'.")
    target = values
    for group in groups:
        inner = target.setdefault(group, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set {override}: '{group}' is a value, not a group.")
        target = inner
    target[name] = parse_yaml(text, f"--set {override}: the value")


def _check_builder(
    info: ModelInfo, options: dict[str, Any], recipe: str, can_be_automatic: tuple[str, ...]
) -> dict[str, Any]:
    """Check the builder's arguments against its signature, and convert them to its types."""
    check_options(info, options)
    automatic = {key for key, value in options.items() if value == AUTO}
    for key in automatic - set(can_be_automatic):
        raise UsageError(
            f"recipe '{recipe}' of {info.name}, builder: '{key}' cannot be '{AUTO}', only "
            f"{' and '.join(can_be_automatic)} can."
        )
    hints = get_type_hints(info.builder)
    fields: dict[str, Any] = {key: (hints[key], ...) for key in options if key not in automatic}
    schema = create_model("Builder", __config__=ConfigDict(extra="forbid"), **fields)
    given = {key: value for key, value in options.items() if key not in automatic}
    checked = parse(schema, given, f"recipe '{recipe}' of {info.name}, builder").model_dump(mode="json")
    return {key: AUTO if key in automatic else checked[key] for key in options}
