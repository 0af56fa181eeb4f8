"""YAML as recipes need it: plain values only, each key once, of a bounded size."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from tfzoo.errors import UsageError

MAX_BYTES = 1 << 20


class _Loader(yaml.SafeLoader):
    """Refuses references, by which few lines can stand for billions of values, and repeated keys.

    Plain values are read by the core schema of YAML 1.2: ``yes`` and ``1:30`` are texts, ``010`` is ten.
    """

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.constructor.ConstructorError(
                None, None, f"references such as *{event.anchor} are not taken", event.start_mark
            )
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a text or a number", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {str(key)[:60]!r} stands there twice", key_node.start_mark
                )
            seen.add(key)
        made: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return made


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    text = str(loader.construct_scalar(node)).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


_Loader.yaml_implicit_resolvers = {}
# "Core Schema", section 10.3.2 of YAML 1.2.2.
for _tag, _pattern, _first in (
    ("null", "null|Null|NULL|~|", ["n", "N", "~", ""]),
    ("bool", "true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", "[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)


def parse_yaml(text: str, where: str) -> Any:
    """Return the values that a YAML text stands for.

    Args:
        text: the text.
        where: what to name in messages, such as the file.

    Raises:
        UsageError: it is no valid YAML, makes objects of Python, repeats a key, refers to other
            parts of itself, or is longer than a megabyte.
    """
    if len(text) > MAX_BYTES:
        raise UsageError(f"{where} is larger than {MAX_BYTES:,} bytes; that is no recipe.")
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        # Values that look like numbers or dates and are none raise errors that are not YAML's.
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f" in line {mark.line + 1}"
        problem = getattr(error, "problem", None) or str(error)
        words = " ".join(problem.split())[:300]
        shown = "".join(letter if letter.isprintable() else "?" for letter in words)
        raise UsageError(f"{where} is not valid YAML: {shown}{line}.") from None


def read_yaml(path: Path) -> Any:
    """Return the values of a YAML file; raises `UsageError` as `parse_yaml`, or where it is not read."""
    # Not Path.is_file, which raises for names that are too long.
    if not os.path.isfile(path):
        raise UsageError(f"Recipe file not found: {path}")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path} is larger than {MAX_BYTES:,} bytes; that is no recipe.")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a text file in UTF-8.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from None
    return parse_yaml(text, str(path))
