"""Times: what numbers count, which fractions are kept, and that whatever orders by time orders by them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.zoo import table
from tfzoo.data.datasets import from_dataframe
from tfzoo.data.datasets.sessions import sessions_split
from tfzoo.data.datasets.times import TimeColumn
from tfzoo.data.interactions import Interactions
from tfzoo.data.ranking_splits import chronological_split, leave_out_split
from tfzoo.data.sessions import Sessions
from tfzoo.errors import DataError, UsageError

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def read(values: Any, **options: Any) -> Interactions:
    frame = pd.DataFrame({"user_id": range(len(values)), "item_id": range(len(values))})
    frame["t"] = values
    return from_dataframe(frame, rating_col=None, time_col="t", least=1, **options)


def seconds(data: Interactions) -> list[Fraction]:
    assert data.timestamp is not None
    return [Fraction(int(tick), data.ticks_per_second) for tick in data.timestamp]


@pytest.mark.parametrize(
    ("values", "ticks", "timestamp"),
    [
        ([1_700_000_000, 0, -5], 1, [1_700_000_000, 0, -5]),
        ([1_700_000_000_000, 1_600_000_000_000], 1, [1_700_000_000, 1_600_000_000]),
        ([1_700_000_000_001, 0], 1000, [1_700_000_000_001, 0]),
        ([1_700_000_000_000_000, 0], 1, [1_700_000_000, 0]),
        ([1_700_000_000_000_500, 0], 10**6, [1_700_000_000_000_500, 0]),
        ([1_700_000_000_500_000, 0], 1000, [1_700_000_000_500, 0]),
        ([1_700_000_000_123_456_789, 0], 10**9, [1_700_000_000_123_456_789, 0]),
        ([1_700_000_000_123_000_000, 0], 1000, [1_700_000_000_123, 0]),
        ([1.9, 2.0, -0.5], 1000, [1900, 2000, -500]),
        (["1700000000.3", "1700000000.1"], 1000, [1_700_000_000_300, 1_700_000_000_100]),
        (["1700000000.000000001", "1700000000"], 10**9, [1_700_000_000_000_000_001, 1_700_000_000 * 10**9]),
        (["-0.5", "+1.25", " 2 ", "3."], 1000, [-500, 1250, 2000, 3000]),
        (["1.5e3", "1"], 1, [1500, 1]),
        (["1700000000123.5", "1700000000000"], 10**6, [1_700_000_000_123_500, 1_700_000_000_000_000]),
        (["1970-01-01T00:00:01.123Z", "1970-01-01"], 1000, [1123, 0]),
        (["1970-01-01T00:00:00.1234567891Z", "1970-01-01"], 10**9, [123_456_789, 0]),
        # Nanoseconds of 64 bits end in 2262, and the year 9999 has microseconds.
        (["9999-12-31T00:00:00.123456789Z", "1970-01-01"], 10**6, [253_402_214_400_123_456, 0]),
        (["253402300799.0000000001", "0"], 1, [253_402_300_799, 0]),
        (pd.DatetimeIndex(np.array([1, 86_400 * 10**9], "M8[ns]")), 10**9, [1, 86_400 * 10**9]),
        ([EPOCH + timedelta(microseconds=7), EPOCH], 10**6, [7, 0]),
        (pd.period_range("1970-01-02", periods=2, freq="D"), 1, [86_400, 172_800]),
    ],
)
def test_units_and_fractions(values: Any, ticks: int, timestamp: list[int]) -> None:
    data = read(values)
    assert data.timestamp is not None
    assert (data.ticks_per_second, data.timestamp.tolist()) == (ticks, timestamp)
    noted = [note for note in data.notes if "are read as" in note or "are kept, in" in note]
    numbers = not isinstance(values, (pd.DatetimeIndex, pd.PeriodIndex)) and not isinstance(
        values[0], datetime
    )
    small = not numbers or "-" in str(values[0]) or float(values[0]) < 253_402_300_800
    assert len(noted) == (ticks > 1) + (not small)


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_that_is_given(unit: str) -> None:
    data = read([1_600_000_000_000, 5], time_unit=unit)
    assert seconds(data) == [Fraction(1_600_000_000_000, UNITS[unit]), Fraction(5, UNITS[unit])]
    with pytest.raises(UsageError, match="Unknown --time-unit 'm'"):
        read([1, 2], time_unit="m")


@given(
    whole=st.lists(st.integers(-(10**10), 10**10), min_size=2, max_size=6),
    digits=st.lists(st.text("0123456789", max_size=9), min_size=6, max_size=6),
    size=st.integers(1, 6),
)
def test_texts_are_read_as_decimals_in_any_parts(whole: list[int], digits: list[str], size: int) -> None:
    texts = [f"{number}.{part}" if part else str(number) for number, part in zip(whole, digits, strict=False)]
    exact = [Fraction(Decimal(text)) for text in texts]
    column = TimeColumn("file", "s")
    parts = [pd.Series(texts[at : at + size], name="t") for at in range(0, len(texts), size)]
    raw = [column.read(part, number * size) for number, part in enumerate(parts)]
    ticks = column.ticks_per_second
    found = [Fraction(int(tick), ticks) for each in raw for tick in column.ticks(each)]
    if max(abs(number) for number in whole) + 1 < 2**63 // 10**9:
        assert found == exact
        # No coarser unit would do.
        assert ticks == 1 or any((number * (ticks // 1000)).denominator > 1 for number in exact)
    assert sorted(range(len(texts)), key=lambda at: (exact[at], at)) == sorted(
        range(len(texts)), key=lambda at: (found[at], exact[at], at)
    )


@given(numbers=st.lists(st.floats(0, 2e9), min_size=2, max_size=6))
def test_floats_keep_their_order(numbers: list[float]) -> None:
    found = seconds(read(numbers))
    order = sorted(range(len(numbers)), key=lambda at: numbers[at])
    assert [found[at] for at in order] == sorted(found)
    # Beyond some seconds of 1970 floats are further apart than nanoseconds.
    if min(numbers) > 2**23:
        assert len(set(found)) == len(set(numbers))


def test_two_units_in_one_column_are_refused() -> None:
    with pytest.raises(DataError, match=r"row 3 .* microseconds and time 1600000000 in row 2 like sec"):
        read([0, 1_600_000_000, 1_600_000_000_000_000])
    # Small numbers, such as 0 for a time that is not known, are of any unit.
    assert seconds(read([-1000, 1_600_000_000_000, 0])) == [-1, 1_600_000_000, 0]
    assert seconds(read([1_600_000_000, 1_600_000_000_000], time_unit="s"))[1] == 1_600_000_000_000


def test_ties_are_counted_for_each_user() -> None:
    frame = pd.DataFrame({"user_id": [1, 1, 1, 2, 2], "item_id": [1, 2, 3, 1, 2], "t": [5, 5, 6, 5, 6]})
    data = from_dataframe(frame, rating_col=None, time_col="t")
    assert data.notes[-1] == (
        "2 rows have the same 't' as another row of their user; such rows keep the order in which they stand"
    )
    apart = from_dataframe(frame.assign(t=[5.1, 5.0, 6, 5, 6]), rating_col=None, time_col="t")
    assert not any("another row of their user" in note for note in apart.notes)
    # Too many ticks and users for one number a cell.
    far = frame.assign(t=[-(2**62), -(2**62), 0, 2**62, 2**62])
    assert "4 rows have" in from_dataframe(far, rating_col=None, time_col="t", time_unit="ns").notes[-1]


FRACTIONS = pd.DataFrame(
    {
        "user_id": [1, 1, 1, 2, 2, 2, 3, 3, 3],
        "item_id": list("cbaabcbac"),
        "t": [0.3, 0.2, 0.1, 100.3, 100.2, 100.1, 200.3, 200.2, 200.1],
    }
)
FORMS = {
    "numbers": 1_700_000_000 + FRACTIONS["t"].round(1),
    "texts": (1_700_000_000 + FRACTIONS["t"].round(1)).astype(str),
    "milliseconds": (1_700_000_000_000 + 1000 * FRACTIONS["t"]).round().astype(int),
    "dates": [
        (EPOCH + timedelta(seconds=1_700_000_000, milliseconds=round(1000 * t))).isoformat()
        for t in FRACTIONS["t"]
    ],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("turned", [False, True])
def test_fractions_order_events_in_every_use(form: str, turned: bool) -> None:
    frame = FRACTIONS.assign(t=FORMS[form])
    data = from_dataframe(frame[::-1] if turned else frame, rating_col=None, time_col="t")

    def items(part: Interactions) -> dict[int, str]:
        users = data.users.decode(part.user_id).tolist()
        return dict(zip(users, data.items.decode(part.item_id).tolist(), strict=True))

    split = leave_out_split(data, seed=0)
    assert (items(split.test), items(split.validation)) == (
        {1: "c", 2: "a", 3: "b"},
        {1: "b", 2: "b", 3: "a"},
    )
    split = chronological_split(data, seed=0, ratios=(0.4, 0.3, 0.3))
    assert (items(split.test), items(split.train)) == ({1: "c", 2: "a", 3: "b"}, {1: "a", 2: "c", 3: "c"})
    sessions = Sessions.of(data)
    assert data.users.decode(sessions.user_id).tolist() == [1, 2, 3]
    assert data.items.decode(sessions.item_id).tolist() == list("abccbacab")


@pytest.mark.parametrize("form", FORMS)
def test_of_repeated_rows_the_first_or_last_in_time_is_kept(form: str) -> None:
    frame = FRACTIONS.assign(t=FORMS[form], item_id="z")
    frame = pd.concat([frame, frame.assign(item_id="y")])
    kept = {
        policy: seconds(from_dataframe(frame, rating_col=None, time_col="t", duplicates=policy))
        for policy in ("first", "last")
    }
    late = [1_700_000_000 + Fraction(3, 10), 1_700_000_100 + Fraction(3, 10), 1_700_000_200 + Fraction(3, 10)]
    assert kept["last"] == late * 2
    assert kept["first"] == [time - Fraction(2, 10) for time in late] * 2


def test_the_last_day_is_a_day_whatever_a_tick_is() -> None:
    # Sessions of two events, one every 6 hours and 1 ms: the fifth ends 4 ms more than a day before the last.
    start = np.arange(9) * 21_600_001
    users, items = np.repeat(np.arange(1, 10), 2), np.tile([1, 2], 9)
    times = np.repeat(start, 2) + np.tile([0, 1], 9)
    data = table(users, items, timestamp=times, ticks_per_second=1000)
    split = sessions_split(data, seed=0, validation=0.2)
    assert np.unique(split.test.user_id).tolist() == [6, 7, 8, 9]


def test_times_that_are_no_whole_numbers_are_not_cut() -> None:
    plain = table([1, 2], [1, 2])
    with pytest.raises(DataError, match="'timestamp' must hold whole numbers; see ticks_per_second"):
        Interactions(plain.users, plain.items, plain.user_id, plain.item_id, timestamp=np.array([1.5, 2]))
    with pytest.raises(DataError, match="ticks_per_second must be 1 or more"):
        Interactions(plain.users, plain.items, plain.user_id, plain.item_id, ticks_per_second=0)
