"""Columns of times: numbers or dates become whole ticks since 1970, as coarse ones as lose nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow  # type: ignore[import-untyped]
from numpy.typing import NDArray
from pyarrow import compute

from tfzoo.data.cells import shared_cells
from tfzoo.data.datasets.columns import numbers_of, row_error, shown
from tfzoo.errors import DataError, UsageError, nearest

# Name of a unit -> how many of them make a second, and what messages call it.
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
AUTO = "auto"
_CALLED = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_NAMES, _TICKS = list(UNITS), list(UNITS.values())
# The end of the year 9999 in seconds. Larger numbers count something finer; in that finer unit they lie
# after 1978, so that sizes tell the units apart.
_LAST_SECOND = 253_402_300_799
# Numbers below this, such as 0 for an unknown time, are small in any unit.
_SMALL = 10**8
_LARGEST = 2**63
# Numbers from one bound to the next have the size of one unit.
_BOUNDS = (_SMALL, *((_LAST_SECOND + 1) * ticks for ticks in _TICKS[:-1]), _LARGEST)
_EXACT_FLOAT = 2**53
# Dates written as numbers, to the day, minute or second: what to divide them by to have the day.
_CALENDARS = (1, 10**4, 10**6)
_FIRST_DAY, _LAST_DAY = 1900_01_01, 2100_12_31
_FRACTION = r"^\s*(?P<sign>[+-]?)(?P<whole>[0-9]{1,18})\.(?P<part>[0-9]*)\s*$|^\s*(?P<n>[+-]?[0-9]{1,18})\s*$"


@dataclass(frozen=True)
class RawTimes:
    """Times as they stand in a column.

    Attributes:
        values: int64 ``[n]``, the times multiplied by ``parts``.
        parts: a power of 1000.
        dates: they are dates, in seconds; else numbers of the column's own unit.
    """

    values: NDArray[np.int64]
    parts: int
    dates: bool


class TimeColumn:
    """One column of times, read part by part; which unit it has is known after its last part.

    Args:
        source: file or data frame, for messages.
        unit: one of `UNITS`, or ``auto`` to tell it by the size of the numbers.

    Raises:
        UsageError: there is no such unit.
    """

    def __init__(self, source: str, unit: str = AUTO) -> None:
        if unit not in (AUTO, *UNITS):
            raise UsageError(f"Unknown --time-unit {unit!r}. {nearest(unit, (AUTO, *UNITS))}")
        self._source, self._given, self._column = source, unit, ""
        self._dates: bool | None = None
        # Power of 1000 that divides all times.
        self._coarse = len(_TICKS)
        self._largest = 0
        # Position of a unit -> a row whose number has the size of this unit, and the number.
        self._seen: dict[int, tuple[int, int]] = {}
        self._calendar = True

    def read(self, values: pd.Series, start: int = 0) -> RawTimes:
        """Return the times of a part of the column, and learn from it.

        Args:
            values: the part.
            start: number of its first row, counted from 0.

        Raises:
            DataError: a value is neither a number nor an ISO date, or not what the first row is.
        """
        raw = self.parse(values, start)
        self._column, self._dates = str(values.name), raw.dates
        self._coarse = min(self._coarse, _coarseness(raw.values) - _TICKS.index(raw.parts))
        lowest, highest = int(raw.values.min()) // raw.parts, int(raw.values.max()) // raw.parts
        self._largest = max(self._largest, highest, -lowest)
        if not raw.dates:
            self._learn(raw, start, max(highest, -lowest))
            self._calendar &= raw.parts == 1 and _are_calendar(raw.values, lowest, highest)
        return raw

    def parse(self, values: pd.Series, start: int = 0) -> RawTimes:
        """Return the times of a part of the column, see `read`."""
        if isinstance(values.dtype, pd.PeriodDtype):
            values = values.dt.to_timestamp()
        if pd.api.types.infer_dtype(values, skipna=True) in ("datetime64", "datetime", "date"):
            dates = pd.to_datetime(values, utc=True, errors="coerce")
        elif self._dates and not pd.api.types.is_numeric_dtype(values):
            dates = _parsed_dates(values)
        else:
            numbers = numbers_of(values)
            wrong = _no_times(numbers)
            if not wrong.any() and not self._dates:
                return RawTimes(*_fractions(values, numbers), dates=False)
            if not wrong[0] or self._dates is not None or pd.api.types.is_numeric_dtype(values):
                raise self._wrong(values, wrong if wrong.any() else ~wrong, start)
            dates = _parsed_dates(values)
        wrong = dates.isna().to_numpy()
        if wrong.any() or self._dates is False:
            raise self._wrong(values, wrong if wrong.any() else ~wrong, start)
        moments = dates.dt.tz_localize(None).to_numpy()
        return RawTimes(moments.astype(np.int64), UNITS[np.datetime_data(moments.dtype)[0]], dates=True)

    @property
    def unit(self) -> str:
        """The unit of the numbers; seconds for dates."""
        if self._dates:
            return "s"
        if self._given != AUTO:
            return self._given
        return _NAMES[max(self._seen, default=0)]

    @property
    def ticks_per_second(self) -> int:
        """The fewest ticks a second that tell all times apart, as far as they fit into 64 bits."""
        return self._ticks(self.unit)

    def check(self) -> None:
        """Raise `DataError` where numbers have the sizes of two units."""
        if self._given == AUTO and len(self._seen) > 1:
            (fine, (row, value)), (coarse, (other, second)) = sorted(self._seen.items(), reverse=True)[:2]
            problem = (
                f"time {value} looks like {_CALLED[_NAMES[fine]]} and time {second} in row {other + 1} like "
                f"{_CALLED[_NAMES[coarse]]}; give all in one unit, or say which it is with --time-unit"
            )
            raise row_error(self._source, row, self._column, problem)

    def ticks(self, raw: RawTimes) -> NDArray[np.int64]:
        """Return times in ticks since 1970, see `ticks_per_second`; int64 ``[n]``."""
        unit = "s" if raw.dates else self.unit
        have, want = UNITS[unit] * raw.parts, self._ticks(unit)
        if have == want:
            return raw.values
        return raw.values * (want // have) if want > have else raw.values // (have // want)

    def notes(self) -> list[str]:
        """Return what was done to the times, a sentence each."""
        notes, unit = [], self.unit
        if unit != "s":
            why = "by their size; --time-unit s for seconds" if self._given == AUTO else "as --time-unit says"
            notes.append(f"times in '{self._column}' are read as {_CALLED[unit]} ({why})")
        if self._dates is False and self._calendar and self._given == AUTO:
            notes.append(
                f"times in '{self._column}' look like dates without dashes, but are read as {_CALLED[unit]}; "
                "write dates as 2024-05-01T12:00:00"
            )
        if self.ticks_per_second > 1:
            kept = _CALLED[_NAMES[_TICKS.index(self.ticks_per_second)]]
            notes.append(f"fractions of a second in '{self._column}' are kept, in {kept}")
        return notes

    def _ticks(self, unit: str) -> int:
        power = min(max(_TICKS.index(UNITS[unit]) - self._coarse, 0), len(_TICKS) - 1)
        while power and (self._largest // UNITS[unit] + 1) * _TICKS[power] >= _LARGEST:
            power -= 1
        return _TICKS[power]

    def _learn(self, raw: RawTimes, start: int, largest: int) -> None:
        """Note a row of each unit that the sizes of the numbers speak of."""
        for position, least in enumerate(_BOUNDS[:-1]):
            if largest < least:
                return
            if position not in self._seen:
                whole = np.abs(raw.values // raw.parts)
                found = (whole >= least) & (whole < _BOUNDS[position + 1])
                if found.any():
                    row = int(np.argmax(found))
                    self._seen[position] = (start + row, int(raw.values[row] // raw.parts))

    def _wrong(self, values: pd.Series, wrong: NDArray[np.bool_], start: int) -> DataError:
        row = int(np.argmax(wrong))
        problem = (
            f"time {shown(values.iloc[row])}, expected seconds since 1970 in every row or an ISO date such "
            "as 2024-05-01T12:00:00 in every row"
        )
        return row_error(self._source, start + row, str(values.name), problem)


def ties_noted(user_id: NDArray[np.int32], timestamp: NDArray[np.int64], column: str) -> list[str]:
    """Return what is to be said of rows of one user with equal times, which whatever orders by time keeps."""
    tied = tied_rows(user_id, timestamp)
    if not tied:
        return []
    return [
        f"{tied:,} rows have the same {column} as another row of their user; such rows keep the order in "
        "which they stand"
    ]


def tied_rows(user_id: NDArray[np.int32], timestamp: NDArray[np.int64]) -> int:
    """Return how many rows have the time of another row of the same user."""
    first = int(timestamp.min())
    span = int(timestamp.max()) - first + 1
    if span * (int(user_id.max()) + 1) >= _LARGEST:
        _, timestamp = np.unique(timestamp, return_inverse=True)
        first, span = 0, int(timestamp.max()) + 1
    return shared_cells(user_id, timestamp - first, span)


def _parsed_dates(values: pd.Series) -> pd.Series:
    texts = values.astype(str)
    dates = pd.to_datetime(texts, utc=True, errors="coerce", format="ISO8601")
    if dates.isna().any():
        # One fraction of nine digits makes nanoseconds of all, which end with the year 2262.
        texts = texts.str.replace(r"(\.[0-9]{6})[0-9]+", r"\1", regex=True)
        dates = pd.to_datetime(texts, utc=True, errors="coerce", format="ISO8601")
    return dates


def _fractions(values: pd.Series, numbers: NDArray) -> tuple[NDArray[np.int64], int]:
    """Return numbers as whole ones and the power of 1000 that they were multiplied by."""
    if numbers.dtype.kind == "i":
        # A copy: the column can be the caller's own memory.
        return np.array(numbers), 1
    if not pd.api.types.is_numeric_dtype(values):
        found = _decimals(values)
        if found is not None:
            return found
    top = float(np.abs(numbers).max())
    for parts in _TICKS:
        if parts > 1 and top * parts >= _EXACT_FLOAT:
            break
        whole = np.rint(numbers * parts)
        # Then a float is the nearest one to a decimal of so many digits, and no two are that of the same.
        if (whole / parts == numbers).all():
            return whole.astype(np.int64), parts
    parts = next(parts for parts in reversed(_TICKS) if parts == 1 or top * parts < _LARGEST / 2)
    whole = np.floor(numbers)
    return whole.astype(np.int64) * parts + np.floor((numbers - whole) * parts).astype(np.int64), parts


def _decimals(values: pd.Series) -> tuple[NDArray[np.int64], int] | None:
    """Read texts digit by digit, for floats tell no nanoseconds apart; None where one is no plain number."""
    texts = pyarrow.array(values.astype(str).to_numpy(object), pyarrow.string())
    found = compute.extract_regex(texts, _FRACTION)
    if found.null_count:
        return None
    sign, whole, part, plain = (found.field(number) for number in range(4))
    is_plain = np.asarray(compute.not_equal(plain, ""))
    whole = np.where(is_plain, _whole_numbers(plain), _whole_numbers(whole))
    minus = np.asarray(compute.equal(sign, "-"))
    digits = int(compute.max(compute.utf8_length(compute.utf8_rtrim(part, "0"))).as_py())
    power = min(-(-digits // 3), len(_TICKS) - 1)
    while power and (int(np.abs(whole).max()) + 1) * _TICKS[power] >= _LARGEST:
        power -= 1
    padded = compute.utf8_rpad(part, 3 * power, "0")
    rest = _whole_numbers(compute.utf8_slice_codeunits(padded, 0, 3 * power))
    result = whole * _TICKS[power] + rest
    return np.where(minus, -result, result), _TICKS[power]


def _no_times(numbers: NDArray) -> NDArray[np.bool_]:
    """Tell which numbers are missing, or do not fit into 64 bits."""
    if numbers.dtype.kind == "i":
        return np.asarray(numbers == np.iinfo(np.int64).min)
    return np.asarray(~(np.abs(numbers) < _LARGEST))


def _whole_numbers(texts: pyarrow.Array) -> NDArray[np.int64]:
    texts = compute.utf8_ltrim(texts, "+")
    filled = compute.if_else(compute.equal(texts, ""), "0", texts)
    found: NDArray[np.int64] = compute.cast(filled, pyarrow.int64()).to_numpy(zero_copy_only=False)
    return found


def _coarseness(values: NDArray[np.int64]) -> int:
    """Return the largest power of 1000, up to the sixth, that divides all values; of zeros the sixth."""
    power = 0
    # The first values tell that of most columns.
    for part in (values[:1000], values):
        power = 0
        while power < 6 and not (part % 1000 ** (power + 1)).any():
            power += 1
        if power == 0:
            return 0
    return power


def _are_calendar(values: NDArray[np.int64], lowest: int, highest: int) -> bool:
    """Tell whether numbers such as 20240501 or 20240501120000 are dates."""
    for rest in _CALENDARS:
        if lowest // rest >= _FIRST_DAY and highest // rest <= _LAST_DAY:
            day, clock = values // rest, values % rest * (_CALENDARS[-1] // rest) // 100
            fits = [(day // 100 % 100 - 1, 12), (day % 100 - 1, 31), (clock // 100, 24), (clock % 100, 60)]
            return all(((part >= 0) & (part < end)).all() for part, end in fits)
    return False
