"""What the installation says of itself: its version and what it needs."""

from __future__ import annotations

import configparser
import importlib.metadata
import re
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "tfzoo"
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")


@dataclass(frozen=True)
class Requirement:
    """A package that is needed.

    Attributes:
        name: of the package, as package indexes have it.
        versions: those that will do, such as ``>=2.18,<3``; empty for any.
        extra: of tfzoo, which needs it; empty where tfzoo itself does.
    """

    name: str
    versions: str
    extra: str = ""


def version() -> str:
    """Return the version of tfzoo.

    ``setup.cfg`` is the one place that has it. A checkout reads it there, since another version may be
    installed beside the checkout, and an editable installation keeps that of the day it was made.
    """
    config = _setup_cfg()
    return importlib.metadata.version(PACKAGE) if config is None else config["metadata"]["version"]


def python_versions() -> str:
    """Return the versions of Python that will do, such as ``>=3.10``."""
    config = _setup_cfg()
    if config is None:
        return importlib.metadata.metadata(PACKAGE)["Requires-Python"]
    return config["options"]["python_requires"]


def requirements() -> list[Requirement]:
    """Return everything that tfzoo and its extras need, in the order of ``setup.cfg``."""
    config = _setup_cfg()
    if config is None:
        return [_parse(line) for line in importlib.metadata.requires(PACKAGE) or []]
    needed = {"": config["options"]["install_requires"], **config["options.extras_require"]}
    return [_parse(line, extra) for extra, lines in needed.items() for line in lines.split("\n") if line]


def _parse(line: str, extra: str = "") -> Requirement:
    text, _, marker = line.partition(";")
    match = re.match(r"\s*([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*\(?([^)]*)", text)
    found = _EXTRA.search(marker)
    name, versions = match.groups() if match else (text.strip(), "")
    return Requirement(name, versions.strip(), found[1] if found else extra)


def _setup_cfg() -> configparser.ConfigParser | None:
    """Return the ``setup.cfg`` of a checkout, None where the package is installed by itself."""
    path = Path(__file__).parents[1] / "setup.cfg"
    config = configparser.ConfigParser()
    if not path.is_file() or not config.read(path, encoding="utf-8"):
        return None
    return config if config.get("metadata", "name", fallback="") == PACKAGE else None
