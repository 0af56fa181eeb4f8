"""Files with one JSON object a line as data frames, with damaged lines refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from tfzoo.data.datasets.columns import is_unicode
from tfzoo.data.datasets.text_files import UTF8, text_blocks, text_rows
from tfzoo.errors import DataError

JSON = (".json", ".jsonl")


def read_json_lines(path: Path, encoding: str = UTF8) -> pd.DataFrame:
    """Read a file with one JSON object a line.

    Args:
        path: the file, packed if its name ends in ``.gz``.
        encoding: of its text.

    Returns:
        One row an object, in the order of the file, values as JSON has them; None where an
        object lacks a key that others have.

    Raises:
        DataError: the file is empty, damaged, in another encoding, or a line is no JSON object.
    """
    rows = list(_objects(path, encoding, in_memory=True))
    return _frame(rows, _keys(path, rows))


def json_line_keys(path: Path, encoding: str) -> list[str]:
    """Return the keys of all objects of a file, in the order of their first use; see `read_json_lines`."""
    return _keys(path, _objects(path, encoding, in_memory=False))


def json_line_parts(path: Path, encoding: str, keys: list[str], rows: int | None) -> Iterator[pd.DataFrame]:
    """Yield the values of some keys, as `read_json_lines` gives them, at most ``rows`` objects at a time."""
    objects = _objects(path, encoding, in_memory=False)
    while part := list(islice(objects, rows)):
        yield _frame(part, keys)


def _objects(path: Path, encoding: str, *, in_memory: bool) -> Iterator[dict[str, Any]]:
    blocks = text_blocks(path, encoding, in_memory=in_memory, any_break=False)
    lines = (line for text in text_rows(path, blocks) for line in text.split("\n"))
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number} is no JSON object: {error}.") from error
        if not isinstance(row, dict):
            raise DataError(
                f"{path}, line {number}: expected one JSON object a line, found a {type(row).__name__}."
            )
        yield row


def _keys(path: Path, rows: Iterable[dict[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for row in rows for key in row)
    for key in keys:
        if not is_unicode(key):
            raise DataError(f"{path}: the key {key!a} has half a character (a lone surrogate) in it.")
    return list(keys)


def _frame(rows: list[dict[str, Any]], keys: list[str]) -> pd.DataFrame:
    # Column by column, since pandas would turn missing numbers into NaN and whole ones into floats.
    return pd.DataFrame({key: pd.Series([row.get(key) for row in rows], dtype=object) for key in keys})


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object; Python's own reader would keep the last of two values and drop the first."""
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!a} stands there twice")
    return made
