"""Checks of single columns: raw values in, arrays of one type out, or an error that names the row."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError

MAX_ID_LENGTH = 256
# "007" and "-0" stay text: as numbers they would fall together with "7" and "0".
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
# Control characters would break the vocabulary file, lone surrogates cannot be written at all.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# Up to this share of texts among ids that spell whole numbers, they are taken for a mistake.
_FEW_ODD = 0.1
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


class IdColumn:
    """One column of raw ids, read part by part.

    Whole numbers of 64 bits, and texts that all spell such numbers, become int64; other texts stay as
    they are.

    Args:
        source: file or data frame, for messages.

    Attributes:
        notes: which id has made texts of a column that otherwise holds whole numbers.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._first: Any = None
        self.notes: list[str] = []
        self._known: Vocabulary | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of all parts that were read; raises `DataError` where there was none."""
        if self._known is None:
            raise DataError(f"{self._source} has no data rows.")
        return self._known

    def read(self, values: pd.Series, start: int = 0) -> tuple[Vocabulary, NDArray[np.int32]]:
        """Add the ids of a part of the column.

        Args:
            values: the part; its name is used in messages.
            start: number of its first row, counted from 0.

        Returns:
            The vocabulary of the part alone and its dense ids, int32 ``[n]``.

        Raises:
            DataError: an id is missing, is neither text nor a whole number, has blanks around it or
                control characters in it, or texts and numbers are mixed.
        """
        part, dense = self.parse(values, start)
        self._known = part if self._known is None else _merged(self._known, part)
        return part, dense

    def parse(self, values: pd.Series, start: int = 0) -> tuple[Vocabulary, NDArray[np.int32]]:
        """Return what `read` returns, and add nothing."""
        column = str(values.name)

        def wrong(row: int, problem: str) -> DataError:
            return row_error(self._source, start + row, column, problem)

        _refuse_odd_kinds(values, wrong)
        # Distinct ids are far fewer than rows, so only they are looked at one by one.
        codes, distinct = pd.factorize(values)
        if (codes < 0).any():
            raise wrong(int(np.argmax(codes < 0)), "empty id")
        raw = np.asarray(distinct, dtype=object).tolist()
        self._first = raw[0] if self._first is None else self._first
        is_text = isinstance(self._first, str)
        if (
            odd := next((code for code, id_ in enumerate(raw) if isinstance(id_, str) != is_text), None)
        ) is not None:
            kinds = ("text", "number") if is_text else ("number", "text")
            raise wrong(
                int(np.argmax(codes == odd)),
                f"mixed id types, {kinds[1]} {raw[odd]!r} after {kinds[0]} {self._first!r} in row 1; "
                "make all ids of the column text or all of them whole numbers",
            )
        problem = _text_problem if is_text else _number_problem
        for code, value in enumerate(raw):
            if found := problem(value):
                raise wrong(int(np.argmax(codes == code)), found)
        odd_texts = [code for code, id_ in enumerate(raw) if is_text and not _spells_integer(id_)]
        if 0 < len(odd_texts) <= _FEW_ODD * len(raw):
            row = start + int(np.argmax(codes == odd_texts[0])) + 1
            others = f" and {len(odd_texts) - 1:,} others" if len(odd_texts) > 1 else ""
            self.notes.append(
                f"ids of '{column}' are texts, because of {raw[odd_texts[0]]!r} in row {row}{others}"
            )
        ids = np.array(raw, str) if odd_texts else np.array([int(value) for value in raw], np.int64)
        order = np.argsort(ids)
        dense = np.empty(len(ids), np.int32)
        dense[order] = np.arange(1, len(ids) + 1)
        return Vocabulary(ids[order]), dense[codes]


def _merged(known: Vocabulary, new: Vocabulary) -> Vocabulary:
    if known.dtype == new.dtype:
        return Vocabulary(np.union1d(known.ids, new.ids))
    # Texts that all spelled numbers so far: they are texts like the others after all.
    return Vocabulary(np.union1d(known.ids.astype(str), new.ids.astype(str)))


def _spells_integer(text: str) -> bool:
    """Tell whether a text is how an integer of 64 bits is printed, and no other text is."""
    return _INTEGER.fullmatch(text) is not None and -(2**63) <= int(text) < 2**63


def read_ratings(
    values: pd.Series, source: str, scale: tuple[float, float] | None, start: int = 0
) -> NDArray[np.float32]:
    """Turn a column of ratings, or a part whose first row has the number ``start``, into float32 ``[n]``.

    Raises:
        DataError: a rating is no finite number or lies outside ``scale``.
    """
    numbers = numbers_of(values).astype(np.float64, copy=False)
    highest = np.finfo(np.float32).max
    wrong = ~((numbers >= -highest) & (numbers <= highest))
    expected = "a finite number"
    if scale is not None and not wrong.any():
        wrong = (numbers < scale[0]) | (numbers > scale[1])
        expected = f"a number from {scale[0]:g} to {scale[1]:g}"
    if wrong.any():
        row = int(np.argmax(wrong))
        problem = f"rating {shown(values.iloc[row])}, expected {expected}"
        raise row_error(source, start + row, str(values.name), problem)
    return numbers.astype(np.float32)


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


def numbers_of(values: pd.Series) -> NDArray:
    """Return the values as int64 or float64, NaN where they are no numbers."""
    if values.dtype.kind in "bmM" or isinstance(values.dtype, pd.PeriodDtype):
        # pandas would take truth values for 1 and 0, and dates for their count of ticks or days.
        return np.full(len(values), np.nan)
    if values.dtype == object and not _BOOLEANS.isdisjoint(map(type, values)):
        values = values.mask(values.map(lambda value: isinstance(value, (bool, np.bool_))), None)
    try:
        numbers = pd.to_numeric(values, errors="coerce")
    except OverflowError:
        numbers = pd.to_numeric(values.map(_as_float), errors="coerce")
    if numbers.dtype.kind in "iu" and not numbers.hasnans and numbers.max() <= np.iinfo(np.int64).max:
        return numbers.to_numpy(np.int64)
    return numbers.to_numpy(np.float64, na_value=np.nan)


def _as_float(value: object) -> object:
    """Return whole numbers beyond any float as infinity, other values as they are."""
    return math.inf if isinstance(value, int) and abs(value) > sys.float_info.max else value


def _refuse_odd_kinds(values: pd.Series, wrong: Callable[[int, str], DataError]) -> None:
    """Refuse lists and objects, which no table of ids takes, and truth values, which equal 1 and 0."""
    if values.dtype != object:
        return
    odd = {kind for kind in set(map(type, values)) if kind in _BOOLEANS or kind.__hash__ is None}
    if odd:
        row = next(row for row, value in enumerate(values) if type(value) in odd)
        value = values.iloc[row]
        raise wrong(row, f"id {shown(value)} of type {type(value).__name__}, expected text or a whole number")


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
        return f"id of {len(value):,} characters, {shown(value)}, expected at most {MAX_ID_LENGTH}"
    if found := _UNPRINTABLE.search(value):
        return f"id {shown(value)} has a line break or control character {found.group()!a} in it"
    if value != value.strip():
        return f"id {shown(value)} has a blank before or after it"
    return None


def shown(value: object) -> str:
    """Return a value as messages show it, cut where it is long."""
    text = ascii(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
