"""Raw ids to dense ids and back: 0 is unknown, known ids are 1..n."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfzoo.errors import DataError

INTEGER = "int64"
STRING = "string"


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """A list of distinct raw ids; the raw id at position ``i`` has the dense id ``i + 1``.

    Attributes:
        ids: raw ids, shape ``[n]``, int64 or str, distinct; sorted, but for those that `extended` put behind.
        appended: how many of them it put there.
    """

    ids: NDArray
    appended: int = 0
    # What sorts the ids; None where they are sorted.
    _order: NDArray | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        ids = np.asarray(self.ids)
        if ids.ndim != 1 or len(ids) == 0:
            raise DataError("A vocabulary needs at least one id in a one-dimensional array.")
        if ids.dtype.kind in "iu" and not _beyond_int64(ids).any():
            ids = ids.astype(np.int64)
        elif ids.dtype.kind in "UTO":
            ids = ids.astype(str)
            if any(not text or "\n" in text or "\r" in text for text in ids.tolist()):
                raise DataError("Text ids must not be empty and must not hold a line break.")
        else:
            raise DataError(
                f"Ids must be integers or strings, integers within 64 bits. Received dtype {ids.dtype}."
            )
        order = np.argsort(ids, kind="stable") if self.appended else None
        ascending = ids if order is None else ids[order]
        if np.any(ascending[1:] <= ascending[:-1]):
            raise DataError("The ids of a vocabulary must be sorted and distinct.")
        ids.setflags(write=False)
        object.__setattr__(self, "ids", ids)
        object.__setattr__(self, "_order", order)

    @classmethod
    def from_values(cls, values: ArrayLike) -> Vocabulary:
        """Build the vocabulary of all distinct ``values`` (integers or strings, any shape)."""
        ids = np.asarray(values)
        if ids.dtype == object:
            ids = np.array(ids.tolist())
        return cls(np.unique(ids))

    def extended(self, raw: ArrayLike) -> Vocabulary:
        """Return the vocabulary with further ids behind the known ones, whose dense ids stay what they are.

        Args:
            raw: ids of any shape, known ones among them.

        Raises:
            DataError: this vocabulary has whole numbers, and one of the ids is none.
        """
        values = np.unique(np.asarray(raw))
        new = values[self.lookup(values) == 0]
        if len(new) == 0:
            return self
        if self.dtype == STRING:
            new = np.unique(new.astype(str))
        elif new.dtype.kind not in "iu":
            new, valid = _as_integers(new)
            if not valid.all():
                wrong = values[self.lookup(values) == 0][~valid][0]
                raise DataError(f"The known ids are whole numbers, and {str(wrong)!r} is none.")
        return Vocabulary(np.concatenate([self.ids, new]), self.appended + len(new))

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self.dtype == other.dtype and np.array_equal(self.ids, other.ids)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.ids[:3].tolist()))
        return f"<Vocabulary of {len(self):,} ids: {shown}{', ...' if len(self) > 3 else ''}>"

    @property
    def dtype(self) -> str:
        """``"int64"`` or ``"string"``."""
        return INTEGER if self.ids.dtype.kind == "i" else STRING

    def lookup(self, raw: ArrayLike) -> NDArray[np.int32]:
        """Return the dense id of each raw id, int32, same shape; 0 where it is unknown.

        Integers given to a string vocabulary are read as their decimal text, and the other way
        round where the text is a whole number, so that ``"42"`` from a command line finds 42.
        """
        values = np.asarray(raw)
        if self.dtype == INTEGER and values.dtype.kind not in "iu":
            values, valid = _as_integers(values)
        else:
            valid = ~_beyond_int64(values)
            values = values.astype(np.int64 if self.dtype == INTEGER else str)
        at = np.searchsorted(self.ids, values, sorter=self._order).clip(max=len(self.ids) - 1)
        at = at if self._order is None else self._order[at]
        return np.where(valid & (self.ids[at] == values), at + 1, 0).astype(np.int32)

    def decode(self, dense: ArrayLike) -> NDArray:
        """Return the raw ids of dense ids 1..n; raises `DataError` for 0 or ids above n."""
        index = np.asarray(dense)
        if index.size and (index.min() < 1 or index.max() > len(self)):
            raise DataError(f"Dense ids must lie in 1..{len(self)}. Received {index.min()} to {index.max()}.")
        return self.ids[index - 1]

    def save(self, path: str | Path) -> None:
        """Write one id a line (UTF-8); line ``i``, counted from 1, has the dense id ``i``."""
        Path(path).write_text("\n".join(map(str, self.ids.tolist())) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path, dtype: str) -> Vocabulary:
        """Read what `save` wrote; ``dtype`` is ``"int64"`` or ``"string"``."""
        lines = Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")
        ids = np.array(lines, dtype=np.int64 if dtype == INTEGER else str)
        # What `extended` put behind begins, at the latest, where the order first breaks.
        breaks = np.flatnonzero(ids[1:] <= ids[:-1])
        return cls(ids, len(ids) - 1 - int(breaks[0]) if len(breaks) else 0)


def _as_integers(values: NDArray) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Read texts as whole numbers; the second array says which of them are."""
    texts = values.astype(str)
    valid = np.array([_is_integer(text) for text in texts.ravel()], bool).reshape(texts.shape)
    return np.where(valid, texts, "0").astype(np.int64), valid


def _beyond_int64(values: NDArray) -> NDArray[np.bool_]:
    """Tell which values are unsigned integers that a signed one cannot hold."""
    if values.dtype.kind != "u":
        return np.zeros(values.shape, bool)
    return np.asarray(values > np.iinfo(np.int64).max)


def _is_integer(text: str) -> bool:
    """Tell whether a text is how Python prints an integer of 64 bits."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19):
        return False
    return str(int(text)) == text and -(2**63) <= int(text) < 2**63
