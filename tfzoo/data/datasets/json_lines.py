"""Files with one JSON object a line as data frames, with damaged lines refused."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

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
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number} is no JSON object: {error}.") from error
        if not isinstance(row, dict):
            raise DataError(
                f"{path}, line {number}: expected one JSON object a line, found a {type(row).__name__}."
            )
        rows.append(row)
    keys = dict.fromkeys(key for row in rows for key in row)
    # Column by column, since pandas would turn missing numbers into NaN and whole ones into floats.
    return pd.DataFrame({key: pd.Series([row.get(key) for row in rows], dtype=object) for key in keys})
