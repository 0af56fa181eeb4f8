"""The answers on models that come with the package, so that nothing heavy need be imported to give them.

`tfzoo pages` writes them. An answer counts only as long as the files that it was made from are the same:
the module and the recipes of the model, and its records.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from tfzoo.errors import UsageError
from tfzoo.models.registry import Paper, declared_in

FILE = Path(__file__).with_name("kept.json")
RESULTS = Path("results")
RECORD_PATTERNS = ("record.json", "seed-*.json")


@dataclass(frozen=True)
class Known:
    """What lists of models show of one; as `tfzoo.models.ModelInfo` has it."""

    name: str
    task: str
    family: str
    paper: Paper
    summary: str
    reconstruction: bool

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Known:
        """Return what the facts of a model hold."""
        names = ("name", "task", "family", "summary", "reconstruction")
        return cls(paper=Paper(**facts["paper"]), **{name: facts[name] for name in names})


def kept_facts(name: str) -> dict[str, Any] | None:
    """Return what is known of a model whatever the records; None where it has changed since or is new."""
    entry = _kept()["models"].get(name)
    if entry is None or entry["sources"] != sources_mark(name):
        return None
    facts: dict[str, Any] = entry["facts"]
    return facts


def kept_figures(name: str, records: Mapping[str, str]) -> dict[str, Any] | None:
    """Return what the records say of a model; None where others are kept.

    Args:
        name: of a model that has kept facts.
        records: marks of the records of all models, from `records_marks`.
    """
    entry = _kept()["models"][name]
    for part in ("recorded", "bare"):
        if entry[part]["records"] == records.get(name, ""):
            figures: dict[str, Any] = entry[part]["answer"]
            return figures
    return None


def kept_datasets() -> list[str] | None:
    """Return the names of the data sets; None where their modules have changed since."""
    entry = _kept().get("datasets", {"sources": None})
    if entry["sources"] != datasets_mark():
        return None
    names: list[str] = entry["names"]
    return names


def sources_mark(name: str) -> str:
    """Return what changes with the module and the recipes of a model; empty for one of another package."""
    module = _modules().get(name)
    if module is None:
        return ""
    folder = files("tfzoo.recipes") / name
    recipes = sorted(folder.iterdir(), key=lambda file: file.name) if folder.is_dir() else []
    return _mark(file.read_bytes() for file in (files("tfzoo.models") / module, *recipes))


def datasets_mark() -> str:
    """Return what changes with the modules of the data sets."""
    # By its path: to ask for a package's files imports the package, and this one needs pandas.
    folder = Path(__file__).parents[1] / "data" / "datasets"
    return _mark(file.read_bytes() for file in sorted(folder.glob("*.py")))


def records_marks(folder: Path | None) -> dict[str, str]:
    """Return, for every model with records below a folder, what changes with them.

    Args:
        folder: of records; None for `RESULTS`, where any folder of that name may lie, or none.

    Raises:
        UsageError: the given folder does not exist or holds no record.
    """
    root = folder or RESULTS
    paths = sorted(path for pattern in RECORD_PATTERNS for path in root.rglob(pattern))
    if folder is not None and not paths:
        raise UsageError(f"No run records below {folder}.")
    texts: dict[str, list[bytes]] = {}
    for path in paths:
        content = path.read_bytes()
        try:
            model = str(json.loads(content)["model"])
        except (ValueError, KeyError, TypeError):
            # What is wrong with it is found, and said, by who reads it as a record.
            model = ""
        texts.setdefault(model, []).append(content)
    return {model: _mark(contents) for model, contents in texts.items()}


@cache
def _modules() -> dict[str, str]:
    return declared_in()


@cache
def _kept() -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"models": {}}
    return kept


def _mark(contents: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for content in contents:
        # Checkouts of some systems have other ends of lines.
        digest.update(hashlib.sha256(content.replace(b"\r\n", b"\n")).digest())
    return digest.hexdigest()[:16]
