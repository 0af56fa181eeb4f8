"""From columns of a click log to what models read, fitted on the training part alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.click_log import Category, ClickLog
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError

Scale = Literal["standard", "log"]


@dataclass(frozen=True, eq=False)
class CategoryEncoder:
    """Rows of an embedding table for the values of a column: row 0 for unknown, rare and missing ones.

    Attributes:
        vocabulary: the values with a row of their own; the value at position ``i`` has row ``i + 1``.
        rows: int32, the row of each code of the column.
        counts: int64 ``[size]``, training impressions of each row.
    """

    vocabulary: Vocabulary
    rows: NDArray[np.int32]
    counts: NDArray[np.int64]

    @classmethod
    def fit(cls, column: Category, name: str, min_count: int = 1) -> CategoryEncoder:
        """Give a row to each value that occurs at least ``min_count`` times.

        Args:
            column: of the training part.
            name: of the column, for messages.
            min_count: impressions that a value must have.

        Raises:
            DataError: no value has so many.
        """
        counts = np.bincount(column.codes, minlength=len(column.vocabulary) + 1)
        kept = counts >= max(1, min_count)
        kept[0] = False
        if not kept.any():
            often = "at all" if min_count <= 1 else f"{min_count} times"
            raise DataError(
                f"No value of field '{name}' occurs {often} in the training part: leave the field out"
                + (", or lower task.min_count." if min_count > 1 else ".")
            )
        rows = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
        found = np.bincount(rows[column.codes], minlength=int(kept.sum()) + 1)
        return cls(Vocabulary(column.vocabulary.ids[kept[1:]]), rows, found)

    @property
    def size(self) -> int:
        """Number of rows, row 0 included."""
        return len(self.vocabulary) + 1

    def encode(self, codes: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the rows of codes of the column, the same shape."""
        return self.rows[codes]


@dataclass(frozen=True)
class NumberEncoder:
    """How a number is brought to mean 0 and deviation 1 over the training part.

    Attributes:
        mean: of the known numbers, after the logarithm where there is one.
        deviation: of them; 1 where all are equal.
        marks_missing: a second column says which numbers are missing, as some are in training.
        logarithm: ``sign(x) log(1 + |x|)`` comes first.
    """

    mean: float
    deviation: float
    marks_missing: bool
    logarithm: bool

    @classmethod
    def fit(cls, values: NDArray[np.float32], name: str, scale: Scale = "standard") -> NumberEncoder:
        """Measure the numbers of the training part, NaN where one is missing.

        Raises:
            DataError: none is known.
        """
        known = values[np.isfinite(values)].astype(np.float64)
        if len(known) == 0:
            raise DataError(f"Number '{name}' is missing in the whole training part: leave it out.")
        if scale == "log":
            known = np.sign(known) * np.log1p(np.abs(known))
        deviation = float(known.std())
        # Equal numbers have a deviation of rounding errors alone.
        equal = float(known.max()) == float(known.min())
        return cls(float(known.mean()), 1.0 if equal else deviation, len(known) < len(values), scale == "log")

    @property
    def width(self) -> int:
        """Number of columns."""
        return 1 + self.marks_missing


@dataclass(frozen=True)
class Encoders:
    """The encoders of all columns, in the order of the log.

    Attributes:
        categories: name -> encoder.
        numbers: name -> encoder.
    """

    categories: dict[str, CategoryEncoder]
    numbers: dict[str, NumberEncoder]

    @classmethod
    def fit(cls, train: ClickLog, *, min_count: int = 1, scale: Scale = "standard") -> Encoders:
        """Fit all columns; raises `DataError` for a column that tells nothing, see the encoders."""
        categories = {
            name: CategoryEncoder.fit(column, name, min_count) for name, column in train.categories.items()
        }
        numbers = {name: NumberEncoder.fit(values, name, scale) for name, values in train.numbers.items()}
        return cls(categories, numbers)

    @property
    def field_sizes(self) -> list[int]:
        """Rows of each field of categories."""
        return [one.size for one in self.categories.values()]

    @property
    def dense_size(self) -> int:
        """Columns of all numbers together."""
        return sum(one.width for one in self.numbers.values())

    def fields(self, log: ClickLog) -> NDArray[np.int32]:
        """Return the rows of all fields, int32 ``[n, F]``."""
        columns = [one.encode(log.categories[name].codes) for name, one in self.categories.items()]
        return np.stack(columns, axis=1) if columns else np.zeros((len(log), 0), np.int32)

    def raw_numbers(self, log: ClickLog) -> NDArray[np.float32]:
        """Return the numbers as they are, float32 ``[n, N]``, NaN where one is missing."""
        columns = [log.numbers[name] for name in self.numbers]
        return np.stack(columns, axis=1) if columns else np.zeros((len(log), 0), np.float32)

    def save(self, folder: Path) -> None:
        """Write ``fields.json``, and for each field of categories its values, one a line."""
        folder.mkdir(parents=True, exist_ok=True)
        described: dict[str, Any] = {"categories": [], "numbers": []}
        for number, (name, one) in enumerate(self.categories.items()):
            file = f"field-{number}.txt"
            one.vocabulary.save(folder / file)
            entry = {"name": name, "type": one.vocabulary.dtype, "file": file, "size": one.size}
            described["categories"].append(entry)
        for name, number_encoder in self.numbers.items():
            described["numbers"].append({"name": name, **vars(number_encoder)})
        (folder / "fields.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
