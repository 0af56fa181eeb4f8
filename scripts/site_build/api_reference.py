"""A page of the API for each room of the package, made of what its sources say."""

from __future__ import annotations

import ast
from pathlib import Path

# Commands and settings are no modules to import from.
LEFT_OUT = {"cli", "recipes", "pretrained_models"}


def api_pages(package: Path) -> dict[str, str]:
    """Return the pages of a package, without importing it.

    Args:
        package: folder with its sources.

    Returns:
        Path of a page -> Markdown that the reference plugin fills in.
    """
    rooms = sorted(
        folder
        for folder in package.iterdir()
        if (folder / "__init__.py").is_file() and folder.name not in LEFT_OUT
    )
    modules = sorted(package.glob("[!_]*.py"))
    names = [*(room.name for room in rooms), *(path.stem for path in modules)]
    pages = {f"api/{name}.md": f"# {package.name}.{name}\n\n::: {package.name}.{name}\n" for name in names}
    index = ["# API reference", "", _docstring(package / "__init__.py"), ""]
    index += ["| name | stands in |", "| --- | --- |"]
    for name, module in sorted(_homes(package / "__init__.py").items()):
        page = f"{module.split('.')[1]}.md"
        whole = f"{package.name}.{name}" == module
        anchor = "" if whole else f"#{module}.{name}"
        index.append(f"| [`{package.name}.{name}`]({page}{anchor}) | `{module}` |")
    index += ["", "## Modules", "", "| module | what |", "| --- | --- |"]
    for name, source in zip(names, [*(room / "__init__.py" for room in rooms), *modules], strict=True):
        index.append(f"| [`{package.name}.{name}`]({name}.md) | {_docstring(source)} |")
    return {**pages, "api/index.md": "\n".join(index) + "\n"}


def _docstring(path: Path) -> str:
    """Return the first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def _homes(path: Path) -> dict[str, str]:
    """Return public name -> module, from the table by which the package imports them when they are used."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["_HOMES"]:
            return dict(ast.literal_eval(node.value))
    raise LookupError(f"{path} has no table _HOMES of its public names.")
