"""A log of impressions: what was shown under which circumstances, and whether it was clicked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.interactions import Interactions, check_ids, check_name, frozen
from tfzoo.data.side_features import MOST_CATEGORIES, SEPARATOR
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError


@dataclass(frozen=True, eq=False)
class Category:
    """A column of categories.

    Attributes:
        vocabulary: of the raw values of the whole log, those of parts that training never sees too.
        codes: int32 ``[n]``: 0 where the value is missing, else the value's place in the vocabulary from 1.
    """

    vocabulary: Vocabulary
    codes: NDArray[np.int32]

    @classmethod
    def of(cls, values: NDArray) -> Category:
        """Return the column of raw values ``[n]``, of which none is missing."""
        vocabulary = Vocabulary.from_values(values)
        return cls(vocabulary, vocabulary.lookup(values))


@dataclass(frozen=True, eq=False)
class ClickLog:
    """Impressions as columns; there need not be users or items among them.

    Attributes:
        label: float32 ``[n]``, 1 for a click and 0 for none.
        categories: name -> column of categories.
        numbers: name -> float32 ``[n]``, NaN where the number is missing.
        name: short name of the data set, used in folder names.
        notes: what the reader kept, dropped or changed, one sentence each.
    """

    label: NDArray[np.float32]
    categories: Mapping[str, Category] = field(default_factory=dict)
    numbers: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    name: str = "clicks"
    notes: tuple[str, ...] = ()

    # No table of a model has a row for a user or an item of such a log: all are rows of fields.
    num_users = 0
    num_items = 0

    def __post_init__(self) -> None:
        check_name(self.name)
        object.__setattr__(self, "label", frozen(np.array(self.label, np.float32)))
        if self.label.ndim != 1 or not np.isin(self.label, (0, 1)).all():
            raise DataError("The labels of a click log must be 0 or 1, in one dimension.")
        if both := set(self.categories) & set(self.numbers):
            raise DataError(f"Column '{sorted(both)[0]}' cannot hold categories and numbers.")
        if not self.categories and not self.numbers:
            raise DataError("A click log needs at least one column beside the label.")
        numbers = {name: frozen(np.array(one, np.float32)) for name, one in self.numbers.items()}
        object.__setattr__(self, "numbers", numbers)
        columns = {**{name: one.codes for name, one in self.categories.items()}, **numbers}
        for name, values in columns.items():
            if values.shape != self.label.shape:
                raise DataError(
                    f"Column '{name}' must have one value per impression. Received shape {values.shape}, "
                    f"expected {self.label.shape}."
                )
        for name, one in self.categories.items():
            check_ids(one.codes, len(one.vocabulary), name)
        for name, values in numbers.items():
            if np.isinf(values).any():
                raise DataError(f"Column '{name}', row {int(np.argmax(np.isinf(values)))}: no finite number.")

    @classmethod
    def of(cls, data: Interactions, positive_from: float) -> ClickLog:
        """Take ratings for impressions, and those of at least ``positive_from`` for clicks.

        The columns are ``user_id``, ``item_id`` and the side features with one value an id: numbers, and
        texts of at most 100 categories. Lists of categories, such as genres, are left out.

        Raises:
            DataError: there are no ratings.
        """
        categories = {
            "user_id": Category(data.users, data.user_id),
            "item_id": Category(data.items, data.item_id),
        }
        numbers: dict[str, NDArray[np.float32]] = {}
        left_out = []
        sides = (("user", data.user_features, data.user_id), ("item", data.item_features, data.item_id))
        for side, features, ids in sides:
            for feature, values in features.items():
                name = feature if feature not in {*categories, *numbers} else f"{side}_{feature}"
                if values.dtype.kind in "iufb":
                    numbers[name] = values[ids].astype(np.float32)
                    continue
                texts = np.asarray(values[1:], str)
                several = np.char.find(texts, SEPARATOR).max(initial=-1) >= 0
                known = np.unique(texts[texts != ""])
                if several or not 0 < len(known) <= MOST_CATEGORIES:
                    left_out.append(feature)
                    continue
                vocabulary = Vocabulary(known)
                categories[name] = Category(vocabulary, vocabulary.lookup(np.concatenate([[""], texts]))[ids])
        note = f"ratings of {positive_from:g} and more count as clicks"
        if left_out:
            note += f"; left out, as lists or texts of many values: {', '.join(left_out)}"
        label = (data.ratings >= positive_from).astype(np.float32)
        return cls(label, categories, numbers, data.name, (*data.notes, note))

    def __len__(self) -> int:
        return len(self.label)

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that other rows would not give."""
        digest = hashlib.sha256()
        self.digest(digest)
        return digest.hexdigest()[:16]

    def take(self, rows: NDArray) -> ClickLog:
        """Return the impressions at the given row numbers, with the same vocabularies."""
        return replace(
            self,
            label=self.label[rows],
            categories={
                name: Category(one.vocabulary, one.codes[rows]) for name, one in self.categories.items()
            },
            numbers={name: values[rows] for name, values in self.numbers.items()},
        )

    def canonical_rows(self) -> NDArray[np.int64]:
        """Return the row numbers in an order that does not depend on that of the file."""
        codes = [one.codes for one in self.categories.values()]
        return np.lexsort([self.label, *self.numbers.values(), *codes])

    def joined(self, other: ClickLog) -> ClickLog:
        """Return the rows of this part, then those of another part of the same log."""
        return replace(
            self,
            label=np.concatenate([self.label, other.label]),
            categories={
                name: Category(one.vocabulary, np.concatenate([one.codes, other.categories[name].codes]))
                for name, one in self.categories.items()
            },
            numbers={
                name: np.concatenate([values, other.numbers[name]]) for name, values in self.numbers.items()
            },
        )

    def is_part_of_the_table_of(self, other: Any) -> bool:
        """Tell whether both are rows of one log, so that codes mean the same in them."""
        return (
            isinstance(other, ClickLog)
            and list(self.categories) == list(other.categories)
            and list(self.numbers) == list(other.numbers)
            and all(
                one.vocabulary is other.categories[name].vocabulary
                or one.vocabulary == other.categories[name].vocabulary
                for name, one in self.categories.items()
            )
        )

    def digest(self, sha: hashlib._Hash) -> None:
        """Add the rows to a fingerprint."""
        sha.update(self.label.data)
        for name, one in self.categories.items():
            sha.update(name.encode() + b"\0")
            sha.update(np.ascontiguousarray(one.codes).data)
        for name, values in self.numbers.items():
            sha.update(name.encode() + b"\0")
            sha.update(np.ascontiguousarray(values).data)

    def describe(self) -> str:
        """Return one line: counts of impressions, columns and clicks."""
        values = sum(len(one.vocabulary) for one in self.categories.values())
        share = f", {self.label.mean(dtype=np.float64):.2%} clicked" if len(self) else ""
        return (
            f"{self.name}: {len(self):,} impressions, {len(self.categories)} fields of {values:,} values, "
            f"{len(self.numbers)} numbers{share}"
        )
