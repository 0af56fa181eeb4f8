"""Checks of single columns: raw values in, arrays of one type out, or an error that names the row."""

from __future__ import annotations

import math
import re
import sys
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError

MAX_ID_LENGTH = 256
# "007" and "-0" stay text: as numbers they would fall together with "7" and "0".
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
# Control characters would break the vocabulary file, lone surrogates cannot be written at all.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_EXACT_FLOAT = 2**53
_BOOLEANS = frozenset((bool, np.bool_))


def row_error(source: str, row: int, column: str, problem: str) -> DataError:
    """Return an error about one cell.

    Args:
        source: file or data frame.
        row: row number, counted from 0.
        column: name of the column.
        problem: what was found and what was expected.

    Returns:
        The error, with the row counted from 1.
    """
    return DataError(
        f"{source}, row {row + 1} (counted from 1 without the header), column '{column}': {problem}."
    )


def read_ids(values: pd.Series, source: str) -> tuple[Vocabulary, NDArray[np.int32]]:
    """Turn a column of raw ids into a vocabulary and dense ids.

    Whole numbers, and texts that all spell whole numbers, become int64; other texts stay as they
    are.

    Args:
        values: the column; its name is used in messages.
        source: file or data frame, for messages.

    Returns:
        The vocabulary and the dense ids, int32 ``[n]``.

    Raises:
        DataError: an id is missing, is neither text nor a whole number, has blanks around it or
            control characters in it, or texts and numbers are mixed.
    """
    column = str(values.name)
    _refuse_odd_kinds(values, source)
    # Distinct ids are far fewer than rows, so only they are looked at one by one.
    codes, distinct = pd.factorize(values)
    if (codes < 0).any():
        raise row_error(source, int(np.argmax(codes < 0)), column, "empty id")
    raw = np.asarray(distinct, dtype=object).tolist()
    numeric = np.array([not isinstance(value, str) for value in raw])
    if numeric.any() and not numeric.all():
        odd = int(np.argmax(numeric != numeric[0]))
        kinds = ("number", "text") if numeric[0] else ("text", "number")
        raise row_error(
            source,
            int(np.argmax(codes == odd)),
            column,
            f"mixed id types, {kinds[1]} {raw[odd]!r} after {kinds[0]} {raw[0]!r} in row 1; "
            "make all ids of the column text or all of them whole numbers",
        )
    problem = _number_problem if numeric.all() else _text_problem
    for code, value in enumerate(raw):
        if found := problem(value):
            raise row_error(source, int(np.argmax(codes == code)), column, found)
    if numeric.all() or all(_INTEGER.fullmatch(value) for value in raw):
        ids = np.array([int(value) for value in raw], np.int64)
    else:
        ids = np.array(raw, str)
    order = np.argsort(ids)
    dense = np.empty(len(ids), np.int32)
    dense[order] = np.arange(1, len(ids) + 1)
    return Vocabulary(ids[order]), dense[codes]


def read_ratings(values: pd.Series, source: str, scale: tuple[float, float] | None) -> NDArray[np.float32]:
    """Turn a column of ratings into float32 ``[n]``.

    Raises:
        DataError: a rating is no finite number or lies outside ``scale``.
    """
    numbers = _numbers(values).astype(np.float64, copy=False)
    highest = np.finfo(np.float32).max
    wrong = ~((numbers >= -highest) & (numbers <= highest))
    expected = "a finite number"
    if scale is not None and not wrong.any():
        wrong = (numbers < scale[0]) | (numbers > scale[1])
        expected = f"a number from {scale[0]:g} to {scale[1]:g}"
    if wrong.any():
        row = int(np.argmax(wrong))
        raise row_error(
            source, row, str(values.name), f"rating {_shown(values.iloc[row])}, expected {expected}"
        )
    return numbers.astype(np.float32)


def read_times(values: pd.Series, source: str) -> NDArray[np.int64]:
    """Turn a column of times into int64 ``[n]``: whole seconds since 1970, dates taken as UTC.

    Raises:
        DataError: a value is neither a number nor an ISO date.
    """
    if pd.api.types.infer_dtype(values, skipna=True) in ("datetime64", "datetime", "date"):
        dates = pd.to_datetime(values, utc=True, errors="coerce")
        wrong = dates.isna().to_numpy()
    else:
        numbers = _numbers(values)
        if numbers.dtype.kind == "i" and numbers.min(initial=0) > np.iinfo(np.int64).min:
            # A copy: the column can be the caller's own memory.
            return np.array(numbers)
        wrong = ~(np.abs(numbers.astype(np.float64)) < 2.0**63)
        if not wrong.any():
            return np.floor(numbers).astype(np.int64)
        if wrong[0] and values.dtype.kind not in "iuf":
            dates = pd.to_datetime(values.astype(str), utc=True, errors="coerce", format="ISO8601")
            wrong = dates.isna().to_numpy()
    if wrong.any():
        row = int(np.argmax(wrong))
        raise row_error(
            source,
            row,
            str(values.name),
            f"time {_shown(values.iloc[row])}, expected seconds since 1970 in every row or an ISO date "
            "such as 2024-05-01T12:00:00 in every row",
        )
    return dates.dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)


def read_texts(values: pd.Series, source: str) -> NDArray[np.object_]:
    """Turn a column of texts into an object array ``[n]`` of str; missing ones become empty.

    Raises:
        DataError: a value is no text.
    """
    missing = values.isna().to_numpy()
    texts = values.to_numpy(dtype=object, copy=True)
    texts[missing] = ""
    wrong = np.array([not isinstance(text, str) for text in texts], bool)
    if wrong.any():
        row = int(np.argmax(wrong))
        kind = type(texts[row]).__name__
        raise row_error(source, row, str(values.name), f"value {texts[row]!r} of type {kind}, expected text")
    broken = next((row for row, text in enumerate(texts) if not is_unicode(text)), None)
    if broken is not None:
        raise row_error(source, broken, str(values.name), "half a character (a lone surrogate) in the text")
    return texts


def is_unicode(text: str) -> bool:
    """Tell whether a text can be written as UTF-8; half of an escaped pair of JSON cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _numbers(values: pd.Series) -> NDArray:
    """Return the values as int64 or float64, NaN where they are no numbers."""
    if values.dtype.kind in "bmM":
        # pandas would take truth values for 1 and 0, and dates for their count of ticks.
        return np.full(len(values), np.nan)
    if values.dtype == object and not _BOOLEANS.isdisjoint(map(type, values)):
        values = values.mask(values.map(lambda value: isinstance(value, (bool, np.bool_))), None)
    try:
        numbers = pd.to_numeric(values, errors="coerce")
    except OverflowError:
        numbers = pd.to_numeric(values.map(_as_float), errors="coerce")
    if numbers.dtype.kind in "iu" and not numbers.hasnans:
        return numbers.to_numpy(np.int64)
    return numbers.to_numpy(np.float64, na_value=np.nan)


def _as_float(value: object) -> object:
    """Return whole numbers beyond any float as infinity, other values as they are."""
    return math.inf if isinstance(value, int) and abs(value) > sys.float_info.max else value


def _refuse_odd_kinds(values: pd.Series, source: str) -> None:
    """Refuse lists and objects, which no table of ids takes, and truth values, which equal 1 and 0."""
    if values.dtype != object:
        return
    odd = {kind for kind in set(map(type, values)) if kind in _BOOLEANS or kind.__hash__ is None}
    if odd:
        row = next(row for row, value in enumerate(values) if type(value) in odd)
        value = values.iloc[row]
        problem = f"id {_shown(value)} of type {type(value).__name__}, expected text or a whole number"
        raise row_error(source, row, str(values.name), problem)


def _number_problem(value: Any) -> str | None:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        return f"id {value!r} of type {type(value).__name__}, expected text or a whole number"
    if isinstance(value, (float, np.floating)) and not (
        value.is_integer() and abs(float(value)) < _EXACT_FLOAT
    ):
        return f"id {value!r}, expected text or a whole number"
    number: int = int(value)
    if not -(2**63) <= number < 2**63:
        return f"id {value!r} does not fit into 64 bits; give the ids as text"
    return None


def _text_problem(value: str) -> str | None:
    if not value:
        return "empty id"
    if len(value) > MAX_ID_LENGTH:
        return f"id of {len(value):,} characters, {_shown(value)}, expected at most {MAX_ID_LENGTH}"
    if found := _UNPRINTABLE.search(value):
        return f"id {_shown(value)} has a line break or control character {found.group()!a} in it"
    if value != value.strip():
        return f"id {_shown(value)} has a blank before or after it"
    return None


def _shown(value: object) -> str:
    text = ascii(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
