#!/usr/bin/env python
"""Write the stubs by which type checkers and editors know what `tfzoo` and `tfzoo.models` import lazily."""

from importlib import import_module
from pathlib import Path

import tfzoo
from tfzoo.models import registry

ROOT = Path(__file__).parents[1]
HEAD = "# Written by scripts/write_stubs.py.\n"


def stubs() -> dict[Path, str]:
    """Return path -> text of every stub."""
    modules = {name: "tfzoo" for name, home in tfzoo._HOMES.items() if home == f"tfzoo.{name}"}
    homes = {**tfzoo._HOMES, **modules}
    lines = [f"from {home} import {name} as {name}" for name, home in homes.items()]
    lines.append("__version__: str")
    # What a package other than this one registers is known at run time alone.
    models = [
        f"from {builder.__module__} import {name} as {name}"
        for name, builder in registry.builders().items()
        if builder.__module__.startswith("tfzoo.models.")
    ]
    public = import_module("tfzoo.models").__all__
    models += [f"from tfzoo.models.registry import {name} as {name}" for name in public]
    return {
        ROOT / "tfzoo" / "__init__.pyi": HEAD + "\n".join(sorted(lines)) + "\n",
        ROOT / "tfzoo" / "models" / "__init__.pyi": HEAD + "\n".join(sorted(models)) + "\n",
    }


def main() -> None:
    """Write them."""
    for path, text in stubs().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
