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
    modules = sorted(path for path in package.glob("[!_]*.py"))
    pages = {f"api/{room.name}.md": _page(f"{package.name}.{room.name}", [room.name]) for room in rooms}
    pages |= {f"api/{path.stem}.md": _page(f"{package.name}.{path.stem}", [path.stem]) for path in modules}
    index = ["# API reference", "", _docstring(package / "__init__.py"), ""]
    index += ["| name | stands in |", "| --- | --- |"]
    for name, module in sorted(_homes(package / "__init__.py").items()):
        page = f"{module.split('.')[1]}.md"
        whole = f"{package.name}.{name}" == module
        anchor = "" if whole else f"#{module}.{name}"
        index.append(f"| [`{package.name}.{name}`]({page}{anchor}) | `{module}` |")
    index += ["", "## Modules", "", "| module | what |", "| --- | --- |"]
    for source in [*(room / "__init__.py" for room in rooms), *modules]:
        name = source.parent.name if source.stem == "__init__" else source.stem
        index.append(f"| [`{package.name}.{name}`]({name}.md) | {_docstring(source)} |")
    return {**pages, "api/index.md": "\n".join(index) + "\n"}


def _page(title: str, modules: list[str]) -> str:
    package = title.partition(".")[0]
    return f"# {title}\n\n" + "\n\n".join(f"::: {package}.{module}" for module in modules) + "\n"


def _docstring(path: Path) -> str:
    """Return the first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def _homes(path: Path) -> dict[str, str]:
    """Return public name -> module, from the table by which the package imports them when they are used."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["_HOMES"]:
            return dict(ast.literal_eval(node.value))
    raise LookupError(f"{path} has no table _HOMES of its public names.")
