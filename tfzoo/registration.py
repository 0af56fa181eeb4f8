"""Makes the classes of saved models known to Keras before their modules are imported.

A ``.keras`` file names what it holds, such as ``tfzoo>IdEmbedding``, and Keras finds only what was
registered. Importing every layer for that would make ``import tfzoo`` wait for Keras and its backend; so
each name gets a stand-in, as soon as Keras is there, that imports its module when a file asks for it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = "tfzoo"
_DECLARATION = re.compile(
    rf'^@keras\.saving\.register_keras_serializable\("{PACKAGE}"\)\n(?:@.*\n)*(?:class|def) (\w+)',
    re.MULTILINE,
)


class Later:
    """Stands for a registered class or function, and imports it when it is first used."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return getattr(self._import(), attribute)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call what it stands for."""
        return self._import()(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<{self._module}.{self._name}, not imported yet>"

    def _import(self) -> Any:
        return getattr(import_module(self._module), self._name)


def registered_names() -> dict[str, str]:
    """Return name -> module of every class that a saved model may hold, read from the package's source."""
    root = Path(__file__).parent
    found: dict[str, str] = {}
    for path in root.rglob("*.py"):
        module = ".".join([PACKAGE, *path.relative_to(root).with_suffix("").parts])
        found |= dict.fromkeys(_DECLARATION.findall(path.read_text(encoding="utf-8")), module)
    return found


def register() -> None:
    """Tell Keras the names, now if it is imported, else at the end of its import."""
    if "keras" in sys.modules:
        _tell_keras()
    elif not any(isinstance(finder, _KerasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _KerasFinder())


def _tell_keras() -> None:
    import keras

    known = keras.saving.get_custom_objects()
    for name, module in registered_names().items():
        # What is imported has registered itself.
        known.setdefault(f"{PACKAGE}>{name}", Later(module, name))


class _KerasFinder(MetaPathFinder):
    """Leaves the import of Keras to the other finders, and registers the names after it."""

    def __init__(self) -> None:
        self._asking = False

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "keras" or self._asking:
            return None
        self._asking = True
        try:
            spec = find_spec(name)
        finally:
            self._asking = False
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            sys.meta_path.remove(self)
            _tell_keras()

        # The loader is of this import alone.
        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
