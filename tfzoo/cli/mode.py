"""How much a command prints, and in which form; without anything that could be missing."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Mode:
    """What the options say, and the JSON document so far."""

    quiet: bool = False
    json: bool = False
    answer: dict[str, Any] = field(default_factory=dict)


mode = Mode()


def output_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--quiet``, ``--verbose`` and ``--json``."""
    group = parser.add_argument_group("output")
    amount = group.add_mutually_exclusive_group()
    amount.add_argument("--quiet", action="store_true", help="print results and errors alone")
    amount.add_argument(
        "--verbose", action="store_true", help="print what TensorFlow and its drivers have to say too"
    )
    group.add_argument(
        "--json",
        action="store_true",
        help="print the results as one JSON document, all else to standard error",
    )


def start_output(options: argparse.Namespace) -> None:
    """Print from now on as the options say."""
    mode.quiet, mode.json = getattr(options, "quiet", False), getattr(options, "json", False)
    mode.answer = {}


def finish_output() -> None:
    """Print the JSON document, if one is wanted."""
    if mode.json:
        print(json.dumps(_plain(mode.answer), indent=2, allow_nan=False))


def answer(**values: Any) -> None:
    """Add members to the JSON document."""
    mode.answer.update(values)


def more(name: str, value: Any) -> None:
    """Add an element to a list of the JSON document."""
    mode.answer.setdefault(name, []).append(value)


def _plain(value: Any) -> Any:
    """Return what JSON has for a value; numbers that it lacks are null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if hasattr(value, "item"):
        return _plain(value.item())
    return str(value)
