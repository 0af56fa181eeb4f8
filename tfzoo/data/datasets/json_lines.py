"""Files with one JSON object a line as data frames, with damaged lines refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from tfzoo.data.datasets.columns import is_unicode
from tfzoo.data.datasets.delimited import read_text
from tfzoo.errors import DataError

JSON = (".json", ".jsonl")


def read_json_lines(path: Path) -> pd.DataFrame:
    """Read a file with one JSON object a line.

    Args:
        path: the file, UTF-8, packed if its name ends in ``.gz``.

    Returns:
        One row an object, in the order of the file, values as JSON has them; None where an
        object lacks a key that others have.

    Raises:
        DataError: the file is empty, damaged, not UTF-8, or a line is no JSON object.
    """
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        try:
            row = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number} is no JSON object: {error}.") from error
        if not isinstance(row, dict):
            raise DataError(
                f"{path}, line {number}: expected one JSON object a line, found a {type(row).__name__}."
            )
        rows.append(row)
    keys = dict.fromkeys(key for row in rows for key in row)
    for key in keys:
        if not is_unicode(key):
            raise DataError(f"{path}: the key {key!a} has half a character (a lone surrogate) in it.")
    # Column by column, since pandas would turn missing numbers into NaN and whole ones into floats.
    return pd.DataFrame({key: pd.Series([row.get(key) for row in rows], dtype=object) for key in keys})


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object; Python's own reader would keep the last of two values and drop the first."""
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!a} stands there twice")
    return made
