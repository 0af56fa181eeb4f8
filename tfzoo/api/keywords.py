"""Settings of a recipe as keyword arguments of Python."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tfzoo.errors import UsageError, nearest
from tfzoo.models.registry import ModelInfo
from tfzoo.problems import PROBLEMS
from tfzoo.training.settings import FilterSettings, SplitSettings, TrainingSettings

DIVIDER = "__"


def overrides_of(info: ModelInfo, settings: Mapping[str, Any]) -> list[str]:
    """Return keyword arguments as texts ``group.key=value``, as `load_recipe` takes them.

    Args:
        info: of the model.
        settings: values by the name of a setting, or by ``group__name``.

    Raises:
        UsageError: a name is of no group or of several, or a value is no number, text, truth value, None
            or list of such.
    """
    groups = _groups(info)
    texts = []
    for key, value in settings.items():
        group, divider, name = key.partition(DIVIDER)
        if not divider:
            group, name = _group_of(key, groups), key
        elif group not in groups:
            raise UsageError(f"Unknown group of settings '{group}' in {key}. {nearest(group, groups)}")
        try:
            texts.append(f"{group}.{name}={json.dumps(value)}")
        except TypeError:
            raise UsageError(
                f"{key} must be a number, a text, True, False, None or a list of them. "
                f"Received {type(value).__name__}."
            ) from None
    return texts


def _groups(info: ModelInfo) -> dict[str, list[str]]:
    groups = {
        "training": list(TrainingSettings.model_fields),
        "builder": [name for name in info.options if name not in info.sizes],
        "task": list(PROBLEMS[info.task].Settings.model_fields),
        "filter": list(FilterSettings.model_fields),
        "split": list(SplitSettings.model_fields),
    }
    if info.step is not None:
        groups["step"] = list(info.step.Settings.model_fields)
    return groups


def _group_of(name: str, groups: Mapping[str, list[str]]) -> str:
    found = [group for group, names in groups.items() if name in names]
    if not found:
        known = sorted({other for names in groups.values() for other in names})
        raise UsageError(f"Unknown setting '{name}'. {nearest(name, known)}")
    if len(found) > 1:
        choices = " or ".join(f"{group}{DIVIDER}{name}" for group in found)
        raise UsageError(f"The setting '{name}' occurs in several groups: say {choices}.")
    return found[0]
