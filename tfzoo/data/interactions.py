"""The one in-memory table that every data set becomes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_LONGEST_NAME = 80


@dataclass(frozen=True, eq=False)
class Interactions:
    """User-item interactions as columns, with the vocabularies that give the ids their meaning.

    Attributes:
        users: vocabulary of raw user ids; dense user ids are ``1..num_users``.
        items: vocabulary of raw item ids; dense item ids are ``1..num_items``.
        user_id: int32 ``[n]``.
        item_id: int32 ``[n]``.
        rating: float32 ``[n]`` or None for implicit feedback.
        timestamp: int64 ``[n]``, since 1970 in ticks of which a second has ``ticks_per_second``, or None.
        text: object ``[n]`` of str, the review of each interaction (may be empty), or None.
        item_features: name -> values, shape ``[num_items + 1]``, row 0 for the unknown item
            (``title`` and ``genres`` where the data set has them).
        user_features: the same for users.
        rating_scale: lowest and highest rating that the data set allows.
        name: short name of the data set, used in folder names.
        notes: what the reader kept, dropped or changed, one sentence each.
        ticks_per_second: 1 where all times are whole seconds.
    """

    users: Vocabulary
    items: Vocabulary
    user_id: NDArray[np.int32]
    item_id: NDArray[np.int32]
    rating: NDArray[np.float32] | None = None
    timestamp: NDArray[np.int64] | None = None
    item_features: Mapping[str, NDArray] = field(default_factory=dict)
    user_features: Mapping[str, NDArray] = field(default_factory=dict)
    rating_scale: tuple[float, float] | None = None
    name: str = "interactions"
    notes: tuple[str, ...] = ()
    text: NDArray[np.object_] | None = None
    ticks_per_second: int = 1

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.ticks_per_second < 1:
            raise DataError(f"ticks_per_second must be 1 or more. Received {self.ticks_per_second}.")
        if np.ndim(self.user_id) != 1:
            raise DataError(f"Column 'user_id' must have one dimension. Received {np.ndim(self.user_id)}.")
        check_ids(np.asarray(self.user_id), len(self.users), "user_id")
        check_ids(np.asarray(self.item_id), len(self.items), "item_id")
        columns = {
            "user_id": np.int32,
            "item_id": np.int32,
            "rating": np.float32,
            "timestamp": np.int64,
            "text": object,
        }
        for column, dtype in columns.items():
            values = getattr(self, column)
            if values is None:
                continue
            # What nobody can write to any more need not be copied: tables of many millions of rows share it.
            if not (isinstance(values, np.ndarray) and values.dtype == dtype and _is_frozen(values)):
                given, values = values, np.array(values, dtype=dtype)
                if column == "timestamp" and not np.array_equal(given, values):
                    raise DataError("Column 'timestamp' must hold whole numbers; see ticks_per_second.")
            if values.shape != np.shape(self.user_id):
                raise DataError(
                    f"Column '{column}' must have one value per interaction. Received shape "
                    f"{values.shape}, expected {np.shape(self.user_id)}."
                )
            if column == "rating" and not np.isfinite(values).all():
                row = int(np.argmax(~np.isfinite(values)))
                raise DataError(f"Column 'rating', row {row}: {values[row]} is not a finite float32 number.")
            values.setflags(write=False)
            object.__setattr__(self, column, values)

    def __len__(self) -> int:
        return len(self.user_id)

    def __repr__(self) -> str:
        return f"<Interactions {self.describe()}>"

    def to_dataframe(self) -> pd.DataFrame:
        """Return a data frame with one row for each interaction, of raw ids.

        Returns:
            Columns ``user_id`` and ``item_id``, missing for an unknown one, and ``rating``, ``timestamp`` (in
            ticks, see ``ticks_per_second``) and ``text`` where the data has them; what
            `tfzoo.from_dataframe` reads.
        """
        import pandas as pd

        columns = {"user_id": _raw(self.users, self.user_id), "item_id": _raw(self.items, self.item_id)}
        given = {name: getattr(self, name) for name in ("rating", "timestamp", "text")}
        return pd.DataFrame(columns | {name: values for name, values in given.items() if values is not None})

    @property
    def num_users(self) -> int:
        """Number of known users; tables have one row more, row 0, for the unknown user."""
        return len(self.users)

    @property
    def num_items(self) -> int:
        """Number of known items; tables have one row more, row 0, for the unknown item."""
        return len(self.items)

    @property
    def ratings(self) -> NDArray[np.float32]:
        """The ratings; raises `DataError` where the data set has none."""
        if self.rating is None:
            raise DataError(f"'{self.name}' has no ratings; this task needs them (--rating-col).")
        return self.rating

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that other rows, or other ids, would not give."""
        digest = hashlib.sha256()
        for vocabulary in (self.users, self.items):
            digest.update("\0".join(map(str, vocabulary.ids.tolist())).encode(errors="replace"))
        self.digest(digest)
        return digest.hexdigest()[:16]

    def take(self, rows: NDArray) -> Interactions:
        """Return the interactions at the given row numbers, with the same vocabularies."""
        return replace(
            self,
            user_id=frozen(self.user_id[rows]),
            item_id=frozen(self.item_id[rows]),
            rating=None if self.rating is None else frozen(self.rating[rows]),
            timestamp=None if self.timestamp is None else frozen(self.timestamp[rows]),
            text=None if self.text is None else frozen(self.text[rows]),
        )

    def user_counts(self) -> NDArray[np.int64]:
        """Number of interactions of each user, shape ``[num_users + 1]``."""
        return np.bincount(self.user_id, minlength=self.num_users + 1)

    def item_counts(self) -> NDArray[np.int64]:
        """Number of interactions of each item, shape ``[num_items + 1]``."""
        return np.bincount(self.item_id, minlength=self.num_items + 1)

    def is_part_of_the_table_of(self, other: Any) -> bool:
        """Tell whether both have the same users and items, so that dense ids mean the same in them."""
        return isinstance(getattr(other, "users", None), Vocabulary) and all(
            mine is yours or mine == yours
            for mine, yours in ((self.users, other.users), (self.items, other.items))
        )

    def digest(self, sha: hashlib._Hash) -> None:
        """Add the rows to a fingerprint."""
        for column in (self.user_id, self.item_id, self.rating, self.timestamp):
            # A view: a copy of the bytes of large data would be hundreds of megabytes.
            sha.update(b"" if column is None else np.ascontiguousarray(column).data)
        sha.update(b"" if self.text is None else "\0".join(self.text).encode())

    def save_vocabularies(self, folder: Path) -> None:
        """Write ``users.txt`` and ``items.txt``, one raw id a line, and their types."""
        folder.mkdir(parents=True, exist_ok=True)
        self.users.save(folder / "users.txt")
        self.items.save(folder / "items.txt")
        types = {"users": self.users.dtype, "items": self.items.dtype}
        (folder / "types.json").write_text(json.dumps(types) + "\n", encoding="utf-8")

    def describe(self) -> str:
        """Return one line: counts, density and, with ratings, their mean."""
        density = len(self) / (self.num_users * self.num_items)
        text = (
            f"{self.name}: {len(self):,} interactions, {self.num_users:,} users, "
            f"{self.num_items:,} items, density {density:.2%}"
        )
        if self.rating is not None and len(self):
            text += f", mean rating {self.rating.mean(dtype=np.float64):.4f}"
        return text


def check_name(name: str) -> None:
    """Raise `DataError` for a name of data that could lead out of the folder that is named after it."""
    if len(name) > _LONGEST_NAME or not name.isprintable() or set(name) & set("/\\"):
        raise DataError(
            f"The name of data must have at most {_LONGEST_NAME} letters, without slashes and line breaks: "
            f"folders are named after it. Received {name[:_LONGEST_NAME]!a}."
        )


def _raw(vocabulary: Vocabulary, dense: NDArray) -> NDArray:
    """Return raw ids, None where the dense id is 0."""
    if (dense > 0).all():
        return vocabulary.decode(dense)
    return np.concatenate([np.array([None]), vocabulary.ids.astype(object)])[dense]


def frozen(values: NDArray) -> NDArray:
    """Forbid writing to an array that nobody else has, so that `Interactions` takes it without a copy."""
    values.setflags(write=False)
    return values


def _is_frozen(values: NDArray) -> bool:
    """Tell whether an array is read-only and no window on another one, which could change."""
    return values.base is None and not values.flags.writeable


def check_ids(ids: NDArray, known: int, column: str) -> None:
    """Raise `DataError` unless every dense id lies in ``0..known``.

    Keras reads row -1 of a table for id -1, and XLA reads the last row for ids above it, both
    without a word: so ids are checked before they reach a model.
    """
    # Casting to int32 would read 1.9 as 1, and nan as any id.
    if ids.size and ids.dtype.kind not in "iu":
        raise DataError(f"Column '{column}' must hold whole numbers. Received dtype {ids.dtype}.")
    wrong = (ids < 0) | (ids > known)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"Column '{column}', row {row}: id {ids[row]} lies outside 0..{known}.")
