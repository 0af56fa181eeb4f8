"""What was changed of a recipe: its name, as it is printed, must not stand for other settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

# What a recipe says of itself does not change a run.
SAID = ("model", "name", "description", "reported", "leaks", "changes", "search", "budget")
MARK = "*"


def changed_settings(base: BaseModel, resolved: BaseModel) -> dict[str, Any]:
    """Return the settings of a resolved recipe that are not those of another.

    Args:
        base: the recipe as it stands in the package or in a file.
        resolved: the same with overrides.

    Returns:
        ``group.key`` -> the new value, sorted; empty where both are the same run.
    """
    before, after = (flat_settings(recipe.model_dump(mode="json")) for recipe in (base, resolved))
    return differences(before, after)


def flat_settings(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a recipe that a run depends on, ``group.key`` -> value."""
    return dict(_flat({key: value for key, value in recipe.items() if key not in SAID}, ""))


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``after`` has that ``before`` does not have, sorted by key."""
    missing = object()
    return {key: after[key] for key in sorted(after) if before.get(key, missing) != after[key]}


def short_hash(changes: Mapping[str, Any]) -> str:
    """Return six hexadecimal digits that tell changes apart; an empty text for none."""
    if not changes:
        return ""
    text = json.dumps(changes, sort_keys=True)
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:6]


def describe_changes(changes: Mapping[str, Any]) -> str:
    """Return changes as ``--set`` takes them, such as ``training.epochs=5, filter.min_rating=4.0``."""
    return ", ".join(f"{key}={json.dumps(value)}" for key, value in changes.items())


def run_name(model: str, dataset: str, recipe: str, changes: Mapping[str, Any]) -> str:
    """Return ``<model>-<dataset>-<recipe>``, with a short hash of what was changed of the recipe."""
    return "-".join(filter(None, (model, dataset, recipe, short_hash(changes))))


def _flat(values: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found += _flat(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found
