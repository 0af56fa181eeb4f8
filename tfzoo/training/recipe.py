"""Recipes: from a name or a YAML file, and overrides, to checked settings."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from tfzoo.discovery import list_protocols as list_protocols
from tfzoo.discovery import list_recipes as list_recipes
from tfzoo.errors import UsageError, nearest
from tfzoo.models import ModelInfo, model_info
from tfzoo.models.registry import check_options
from tfzoo.problems import PROBLEMS, automatic_arguments
from tfzoo.training.changes import changed_settings
from tfzoo.training.settings import Recipe, Reported, is_number, parse, require_read
from tfzoo.training.yaml_text import parse_yaml, read_yaml

AUTO = "auto"
# Says which tables the runs of a recipe are part of; no setting.
_TABLES = "tables"


def declared_tables(model: str) -> list[tuple[str, str, str]]:
    """Return the runs that recipes of ``model`` name under ``tables``, which are part of tables by that.

    Returns:
        Name of the table, name of the data set and name of the recipe of each.

    Raises:
        UsageError: ``tables`` does not map names of tables to lists of data sets.
    """
    runs = []
    for recipe in list_recipes(model):
        tables = _read(model_info(model), recipe)[1].get(_TABLES, {})
        if not isinstance(tables, dict) or not all(isinstance(names, list) for names in tables.values()):
            raise UsageError(
                f"recipe '{recipe}' of {model}: '{_TABLES}' must hold lists of data sets by the name of a "
                f"table, such as quick: [ml-100k]. Received {tables!r}."
            )
        runs += [(table, str(dataset), recipe) for table, names in tables.items() for dataset in names]
    return runs


def reported_runs(model: str) -> list[tuple[str, str, Reported]]:
    """Return the printed figures that the recipes of ``model`` hold for single data sets.

    Returns:
        Name of the data set, name of the recipe, and the figures; those that a recipe inherits are left
        out, as they stand with the recipe that it builds on.
    """
    runs = []
    for recipe in list_recipes(model):
        per_dataset = _read(model_info(model), recipe)[1].get("datasets") or {}
        for dataset, values in per_dataset.items():
            reported = load_recipe(model, dataset, recipe).reported if "reported" in (values or {}) else None
            if reported is not None:
                runs.append((str(dataset), recipe, reported))
    return runs


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
        recipe: name of a recipe of the package, or path of a YAML file, whose recipe has the ``name`` that it
            states, or else that of the file.
        overrides: texts ``group.key=value`` that replace single values, values in YAML.
        protocol: one of `list_protocols`, to divide and measure by instead of the recipe's own;
            it becomes part of the recipe's name.

    Returns:
        The resolved recipe; its ``changes`` say what is not as in the recipe that has the name.

    Raises:
        UsageError: unknown model, recipe, protocol, key, or a value of the wrong type.
    """
    info = model_info(model)
    name, values = _values(info, dataset, recipe, protocol)
    where = f"recipe '{name}' of {model}"
    # A protocol replaces what the recipe says of the split.
    own = {} if protocol is not None else _read(info, recipe)[1]
    overrides, of_package = list(overrides), recipe
    if _is_file(recipe) and _read(info, recipe)[0] in list_recipes(model):
        # A file of one's own that is named as a recipe of the package is a change of that.
        of_package = _read(info, recipe)[0]
    if not overrides and of_package == recipe:
        settings = _check(info, values, where)
        _check_split(info, own, dataset, (), settings)
        return settings
    base = values if of_package == recipe else _values(info, dataset, of_package, protocol)[1]
    base = copy.deepcopy(base)
    for override in overrides:
        _override(values, override)
    changed = _check(info, values, where)
    _check_split(info, own, dataset, overrides, changed)
    changes = changed_settings(_check(info, base, where), changed)
    return changed.model_copy(update={"changes": changes})


def _check_split(
    info: ModelInfo, own: dict[str, Any], dataset: str, overrides: Iterable[str], settings: Recipe
) -> None:
    """Refuse what a recipe or the overrides say of a split that its kind does not read.

    What is said of one kind may stay in a recipe where a data set or an override has another kind.
    """
    overridden: dict[str, Any] = {}
    for override in overrides:
        _override(overridden, override)
    of_dataset = (own.get("datasets") or {}).get(dataset) or {}
    groups = [one.get("split") or {} for one in (own, of_dataset, overridden)]
    for number, group in enumerate(groups):
        replaced = any("kind" in later for later in groups[number + 1 :])
        if "kind" in group or not replaced:
            require_read(group, settings.split.kind, f"recipe '{settings.name}' of {info.name}")


def recorded_recipe(values: dict[str, Any], where: str) -> Recipe:
    """Return the recipe of a record; raises `UsageError` where this version would not take its settings.

    Settings that older records lack are left out of it, so that its fingerprint stays what it was.

    Args:
        values: of the record.
        where: what to name in messages.
    """
    recipe: Recipe = parse(Recipe, values, where)
    _check(model_info(recipe.model), {key: value for key, value in values.items() if key != "changes"}, where)
    return recipe


def _values(info: ModelInfo, dataset: str, recipe: str, protocol: str | None) -> tuple[str, dict[str, Any]]:
    """Return the name and the values of a recipe, with what it builds on and the protocol, unchecked."""
    name, values = _read(info, recipe)
    values.pop(_TABLES, None)
    bases = [recipe]
    while "base" in values:
        bases.append(str(values.pop("base")))
        if bases[-1] in bases[:-1]:
            raise UsageError(f"Recipes build on each other without end: {' -> '.join(bases)}.")
        inherited = _read(info, bases[-1])[1]
        inherited.pop(_TABLES, None)
        # It is of the settings of the base.
        inherited.pop("budget", None)
        if "description" in values:
            # What the base says of its settings for a data set is not true of those that build on them.
            inherited = _without_descriptions(inherited)
        values = _merge(inherited, values)
    values = _for_dataset(values, dataset, f"recipe '{name}' of {info.name}")
    own_protocol = values.pop("protocol", None)
    if protocol is not None:
        values = _merge({**values, "filter": {}, "split": {}, "reported": None}, _protocol(protocol))
        name = f"{name}-{protocol}"
    elif own_protocol is not None:
        values = _merge(_protocol(str(own_protocol)), values)
    if "split" not in values and PROBLEMS[info.task].predicts_ratings:
        values["split"] = _split_of(dataset)
    return name, {**values, "model": info.name, "name": name}


def _check(info: ModelInfo, values: dict[str, Any], where: str) -> Recipe:
    """Return the recipe that the values stand for; raises `UsageError` as `load_recipe`."""
    if "changes" in values:
        raise UsageError(f"{where}: 'changes' is not a setting; it is worked out.")
    settings: Recipe = parse(Recipe, values, where)
    name = settings.name
    if settings.pretraining is not None and info.pretraining is None:
        raise UsageError(
            f"recipe '{name}': model '{info.name}' has no parts to pre-train; leave 'pretraining' out."
        )
    problem = PROBLEMS[info.task]
    task = parse(problem.Settings, settings.task, f"{where}, task")
    builder = _check_builder(info, settings.builder, name, (*problem.automatic, *automatic_arguments()))
    step = _check_step(info, settings.step, where)
    return settings.model_copy(
        update={"task": task.model_dump(mode="json"), "builder": builder, "step": step}
    )


def fit_on_all(overrides: Iterable[str]) -> list[str]:
    """Return further overrides, by which the final model is trained on every interaction.

    Args:
        overrides: those that are given, see `load_recipe`. Epochs among them are trained as they are;
            without, validation chooses how many first.
    """
    given = any(text.partition("=")[0].strip() == "training.epochs" for text in overrides)
    as_given = ["training.patience=null", "training.restore_best=false"] if given else []
    return ["training.fit_on=all", *as_given]


def resolve_builder(recipe: Recipe, automatic: dict[str, Any]) -> dict[str, Any]:
    """Replace each ``auto`` among the builder's arguments by the task's value."""
    return {key: automatic[key] if value == AUTO else value for key, value in recipe.builder.items()}


def _split_of(dataset: str) -> dict[str, Any]:
    """Return how the ratings of a data set are divided where a recipe does not say."""
    text = (files("tfzoo.recipes") / "splits.yaml").read_text(encoding="utf-8")
    return dict(parse_yaml(text, "splits.yaml").get(dataset, {}))


def _protocol(name: str) -> dict[str, Any]:
    known = list_protocols()
    if name not in known:
        raise UsageError(f"Unknown protocol '{name}'. {nearest(name, known)}")
    text = (files("tfzoo.recipes") / "protocols" / f"{name}.yaml").read_text(encoding="utf-8")
    return _groups(parse_yaml(text, name), name)


def _read(info: ModelInfo, recipe: str) -> tuple[str, dict[str, Any]]:
    path = Path(recipe)
    if _is_file(recipe):
        values = _groups(read_yaml(path), str(path))
        return values.pop("name", path.stem), values
    known = list_recipes(info.name)
    if recipe not in known:
        raise UsageError(
            f"Unknown recipe '{recipe}' of {info.name}. {nearest(recipe, known)} "
            "A recipe of your own is given as the path of a .yaml file."
        )
    text = (files("tfzoo.recipes") / info.name / f"{recipe}.yaml").read_text(encoding="utf-8")
    return recipe, _groups(parse_yaml(text, recipe), recipe)


def _is_file(recipe: str) -> bool:
    return Path(recipe).suffix in (".yaml", ".yml")


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
    if "min_rating" in changes:
        # Another threshold is of the scale that is said beside it, if any.
        merged.pop("min_rating_of", None)
    for key, value in changes.items():
        # Figures of another source are another statement: nothing of the old one belongs to it. Nor are
        # the ranges of two searches one space.
        replaced = key == "reported" and isinstance(value, dict) and "source" in value
        replaced |= key == "search"
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
    if name == "min_rating":
        target.pop("min_rating_of", None)
    target[name] = parse_yaml(text, f"--set {override}: the value")


def _check_step(info: ModelInfo, values: dict[str, Any], where: str) -> dict[str, Any]:
    """Check the settings of a model's own step, and fill in what is left out."""
    if info.step is None:
        if values:
            raise UsageError(f"{where}: '{info.name}' has no training step of its own; leave 'step' out.")
        return {}
    settings: BaseModel = parse(info.step.Settings, values, f"{where}, step")
    return settings.model_dump(mode="json")


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
    for key, value in given.items():
        if isinstance(value, bool) and is_number(hints[key]):
            raise UsageError(
                f"recipe '{recipe}' of {info.name}, builder: '{key}' is a number. Received {value}."
            )
    checked = parse(schema, given, f"recipe '{recipe}' of {info.name}, builder").model_dump(mode="json")
    return {key: AUTO if key in automatic else checked[key] for key in options}
