"""Train, validation and test parts as pure functions of the interactions and a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.cells import sorted_cells
from tfzoo.data.interactions import Interactions, check_ids
from tfzoo.errors import DataError, UsageError


@dataclass(frozen=True, eq=False)
class Negatives:
    """Items that each user is ranked on besides the held-out ones, for sampled ranking.

    Attributes:
        user_id: int32 ``[n]``, distinct users.
        item_id: int32 ``[n, m]``, their items, one row a user; 0 stands for no item, where a
            user has fewer than ``m``.
    """

    user_id: NDArray[np.int32]
    item_id: NDArray[np.int32]

    def __post_init__(self) -> None:
        for column in ("user_id", "item_id"):
            values = np.array(getattr(self, column), dtype=np.int32)
            values.setflags(write=False)
            object.__setattr__(self, column, values)
        if self.item_id.ndim != 2 or self.user_id.shape != self.item_id.shape[:1]:
            raise DataError(
                "Negatives need one row of items a user: shapes [n] and [n, m]. Received "
                f"{self.user_id.shape} and {self.item_id.shape}."
            )
        if len(np.unique(self.user_id)) < len(self.user_id):
            raise DataError("Negatives name a user twice; there is one row a user.")

    def __len__(self) -> int:
        return len(self.user_id)

    def of_users(self, users: NDArray) -> Negatives:
        """Return the rows of the given users only; users without a row are passed over."""
        rows = np.isin(self.user_id, users)
        return Negatives(self.user_id[rows], self.item_id[rows])


@dataclass(frozen=True, eq=False)
class Split:
    """Three disjoint parts of one data set, over the same vocabularies.

    Attributes:
        train: what models and statistics may learn from.
        validation: what settings and the best epoch are chosen on.
        test: what is reported, once.
        protocol: one line that says how the parts were made.
        fold_in: known history of users whom training never sees; None where all users are
            training users.
        negatives: ``"validation"`` and ``"test"`` -> the items that the users of that part are
            ranked on; empty for ranking over all items.
        variants: further test parts by name, measured as the test part is, with its negatives.
        notes: what the rule has left out of the parts, one sentence each.
        in_training: names of the parts whose rows the training part has as well, as the final model is
            trained on them.
    """

    train: Interactions
    validation: Interactions
    test: Interactions
    protocol: str
    fold_in: Interactions | None = None
    negatives: Mapping[str, Negatives] = field(default_factory=dict)
    variants: Mapping[str, Interactions] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    in_training: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part in ("train", "validation", "test"):
            if len(getattr(self, part)) == 0:
                sizes = ", ".join(f"{p} {len(getattr(self, p))}" for p in ("train", "validation", "test"))
                raise DataError(
                    f"The {part} part is empty ({self.protocol}; {sizes}). Use more data or other ratios."
                )
        known = {"validation": self.validation, "test": self.test, "fold-in": self.fold_in, **self.variants}
        for name, rows in known.items():
            # An id of another vocabulary would stand for another user or item, within the table or past it.
            if rows is not None and not rows.is_part_of_the_table_of(self.train):
                raise DataError(
                    f"The {name} part and the train part have different vocabularies ({rows.num_users} and "
                    f"{self.train.num_users} users, {rows.num_items} and {self.train.num_items} items); all "
                    "parts must be rows of one table."
                )
        for part, negatives in self.negatives.items():
            if part not in ("validation", "test"):
                raise DataError(f"Only the validation and test parts have negatives. Received {part!r}.")
            check_ids(negatives.item_id.ravel(), self.train.num_items, f"negatives of {part}")
            lacking = np.setdiff1d(getattr(self, part).user_id, negatives.user_id)
            if len(lacking):
                raise DataError(
                    f"{len(lacking)} users of the {part} part have no negatives, such as {lacking[0]}."
                )


def random_split(
    interactions: Interactions, *, seed: int, ratios: tuple[float, float, float] = (0.7, 0.15, 0.15)
) -> Split:
    """Split the interactions at random into train, validation and test.

    The result depends on the set of interactions and the seed, not on their order in the file.

    Args:
        interactions: the data set.
        seed: which of the random splits to make.
        ratios: shares of train, validation and test; they must add up to 1.

    Returns:
        The three parts.

    Raises:
        UsageError: a ratio is not positive or they do not add up to 1.
        DataError: a part would be empty.
    """
    check_ratios(ratios)
    rows = shuffled_rows(interactions, seed)
    first = round(len(rows) * ratios[0])
    second = round(len(rows) * (ratios[0] + ratios[1]))
    shares = "/".join(f"{100 * ratio:g}" for ratio in ratios)
    return split_at_rows(
        interactions, rows[:first], rows[first:second], rows[second:], f"random {shares}, seed {seed}"
    )


def k_fold_split(
    interactions: Interactions, *, seed: int, folds: int = 5, fold: int = 0, validation: float = 0.1
) -> Split:
    """Make fold number ``fold`` of a k-fold cross-validation the test part.

    Args:
        interactions: the data set.
        seed: fixes the partition; the folds of one seed are disjoint and cover all rows.
        folds: number of folds, at least 2.
        fold: which one is the test part, ``0..folds - 1``.
        validation: share of the other folds that becomes the validation part.

    Returns:
        The three parts.

    Raises:
        UsageError: ``folds``, ``fold`` or ``validation`` is out of range.
        DataError: a part would be empty.
    """
    if folds < 2 or not 0 <= fold < folds:
        raise UsageError(
            f"split.folds must be at least 2 and split.fold in 0..folds-1. Received {folds} and {fold}."
        )
    rows = shuffled_rows(interactions, seed)
    parts = np.array_split(rows, folds)
    rest = np.concatenate([part for number, part in enumerate(parts) if number != fold])
    rest_of = f"{100 * validation:g} % of the rest for validation"
    protocol = f"{folds}-fold cross-validation, {rest_of}, fold {fold}, seed {seed}"
    return hold_out(interactions, rest, parts[fold], validation, protocol)


def given_split(
    interactions: Interactions,
    train_rows: NDArray,
    test_rows: NDArray,
    *,
    name: str,
    seed: int,
    validation: float = 0.1,
) -> Split:
    """Use train and test rows that someone else has published.

    Args:
        interactions: the data set.
        train_rows: row numbers of the published training part.
        test_rows: row numbers of the published test part.
        name: what the publisher calls the split, for the protocol line.
        seed: fixes which training rows become the validation part.
        validation: share of the training rows that becomes the validation part.

    Returns:
        The three parts.

    Raises:
        UsageError: ``validation`` is out of range.
        DataError: a row is named twice, or a part would be empty.
    """
    rows = np.concatenate([train_rows, test_rows])
    if len(np.unique(rows)) < len(rows):
        raise DataError(f"Split '{name}': the given train and test rows overlap, or name a row twice.")
    order = np.random.default_rng([seed]).permutation(np.sort(train_rows))
    protocol = f"given split {name}, {100 * validation:g} % of train for validation, seed {seed}"
    return hold_out(interactions, order, np.sort(test_rows), validation, protocol)


def drop_cold(split: Split) -> Split:
    """Remove held-out rows whose user or item has no training interaction.

    Users with a fold-in history count as known. Negatives of users who are left stay as they
    are; variants of the test part are treated as it is, and left out where nothing remains.
    """
    known_user = split.train.user_counts() > 0
    if split.fold_in is not None:
        known_user |= split.fold_in.user_counts() > 0
    known_item = split.train.item_counts() > 0

    def warm(part: Interactions) -> Interactions:
        return part.take(np.flatnonzero(known_user[part.user_id] & known_item[part.item_id]))

    parts = {"validation": warm(split.validation), "test": warm(split.test)}
    variants = {name: warm(part) for name, part in split.variants.items()}
    return replace(
        split,
        validation=parts["validation"],
        test=parts["test"],
        protocol=split.protocol + ", cold users and items dropped",
        negatives={part: kept.of_users(parts[part].user_id) for part, kept in split.negatives.items()},
        variants={name: part for name, part in variants.items() if len(part)},
    )


def oversample(interactions: Interactions, times: int) -> Interactions:
    """Repeat every interaction ``times`` times.

    Splitting the result at random leaks test rows into training. It exists to measure that leak.
    """
    if times < 1:
        raise UsageError(f"split.oversample must be at least 1. Received {times}.")
    if times == 1:
        return interactions
    repeated = interactions.take(np.tile(np.arange(len(interactions)), times))
    return replace(
        repeated, notes=(*interactions.notes, f"every interaction repeated {times} times: test rows leak")
    )


def check_ratios(ratios: tuple[float, float, float]) -> None:
    """Raise `UsageError` unless the ratios are three positive numbers that add up to 1."""
    if len(ratios) != 3 or not (min(ratios) > 0 and abs(sum(ratios) - 1) <= 1e-6):
        raise UsageError(f"split.ratios must be three positive numbers that add up to 1. Received {ratios}.")


def shuffled_rows(interactions: Interactions, seed: int) -> NDArray:
    """Return the row numbers in a random order that does not depend on the order of the file."""
    user_id, item_id = interactions.user_id, interactions.item_id
    canonical, first = sorted_cells(user_id, item_id, interactions.num_items + 1)
    if not first.all():
        last_keys = [key for key in (interactions.rating, interactions.timestamp) if key is not None]
        canonical = np.lexsort((*last_keys, item_id, user_id))
    # As canonical[permutation], in place.
    np.random.default_rng([seed]).shuffle(canonical)
    return canonical


def hold_out(
    interactions: Interactions, rest: NDArray, test: NDArray, validation: float, protocol: str
) -> Split:
    """Make the first share ``validation`` of the rows ``rest`` the validation part, at least one row."""
    if not 0 < validation < 1:
        raise UsageError(f"split.validation must lie between 0 and 1. Received {validation}.")
    cut = max(1, round(len(rest) * validation))
    return split_at_rows(interactions, rest[cut:], rest[:cut], test, protocol)


def split_at_rows(
    interactions: Interactions, train: NDArray, validation: NDArray, test: NDArray, protocol: str
) -> Split:
    """Make a split out of row numbers of its parts."""
    return Split(interactions.take(train), interactions.take(validation), interactions.take(test), protocol)
