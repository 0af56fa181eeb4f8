"""Parts that are found by name: a new one is a new file that registers itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from typing import Any, TypeVar

from tfzoo.errors import UsageError, nearest

Part = TypeVar("Part")


class Registry(Mapping[str, Part]):
    """Parts of one kind by name, in alphabetical order of their names.

    The modules of a package are imported when a name is first asked for; other packages register theirs
    when they are imported.

    Args:
        what: what a part is called in messages, such as ``task``.
        package: name of the package whose modules register parts.
    """

    def __init__(self, what: str, package: str) -> None:
        self._what, self._package = what, package
        self._parts: dict[str, Part] = {}
        self._loaded = False

    def register(self, name: str) -> Callable[[Any], Any]:
        """Return a decorator that puts a part into the registry and returns it unchanged.

        Raises:
            ValueError: the name is taken.
        """

        def add(part: Any) -> Any:
            if name in self._parts:
                raise ValueError(f"A {self._what} named '{name}' is registered already.")
            self._parts[name] = part
            return part

        return add

    def __getitem__(self, name: str) -> Part:
        if name not in self._parts:
            self._load()
        if name not in self._parts:
            raise UsageError(f"Unknown {self._what} '{name}'. {nearest(name, self._parts)}")
        return self._parts[name]

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._parts))

    def __len__(self) -> int:
        self._load()
        return len(self._parts)

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self._package)
        for module in pkgutil.walk_packages(package.__path__, f"{self._package}."):
            importlib.import_module(module.name)


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
