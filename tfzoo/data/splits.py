"""Train, validation and test parts as pure functions of the interactions and a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.interactions import Interactions
from tfzoo.errors import DataError, UsageError


@dataclass(frozen=True, eq=False)
class Split:
    """Three disjoint parts of one data set, over the same vocabularies.

    Attributes:
        train: what models and statistics may learn from.
        validation: what settings and the best epoch are chosen on.
        test: what is reported, once.
        protocol: one line that says how the parts were made.
    """

    train: Interactions
    validation: Interactions
    test: Interactions
    protocol: str

    def __post_init__(self) -> None:
        for part in ("train", "validation", "test"):
            if len(getattr(self, part)) == 0:
                sizes = ", ".join(f"{p} {len(getattr(self, p))}" for p in ("train", "validation", "test"))
                raise DataError(
                    f"The {part} part is empty ({self.protocol}; {sizes}). Use more data or other ratios."
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
    if len(ratios) != 3 or not (min(ratios) > 0 and abs(sum(ratios) - 1) <= 1e-6):
        raise UsageError(f"split.ratios must be three positive numbers that add up to 1. Received {ratios}.")
    rows = _shuffled(interactions, seed)
    first = round(len(rows) * ratios[0])
    second = round(len(rows) * (ratios[0] + ratios[1]))
    shares = "/".join(f"{100 * ratio:g}" for ratio in ratios)
    return _parts(
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
    rows = _shuffled(interactions, seed)
    parts = np.array_split(rows, folds)
    rest = np.concatenate([part for number, part in enumerate(parts) if number != fold])
    protocol = f"{folds}-fold, fold {fold}, {100 * validation:g} % of the rest for validation, seed {seed}"
    return _hold_out(interactions, rest, parts[fold], validation, seed, protocol)


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
    return _hold_out(interactions, order, np.sort(test_rows), validation, seed, protocol)


def drop_cold(split: Split) -> Split:
    """Remove validation and test rows whose user or item has no training interaction."""
    known_user = split.train.user_counts() > 0
    known_item = split.train.item_counts() > 0

    def warm(part: Interactions) -> Interactions:
        return part.take(np.flatnonzero(known_user[part.user_id] & known_item[part.item_id]))

    return Split(
        split.train,
        warm(split.validation),
        warm(split.test),
        split.protocol + ", cold users and items dropped",
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


def _shuffled(interactions: Interactions, seed: int) -> NDArray:
    """Return the row numbers in a random order that does not depend on the order of the file."""
    last_keys = [key for key in (interactions.rating, interactions.timestamp) if key is not None]
    canonical = np.lexsort((*last_keys, interactions.item_id, interactions.user_id))
    return canonical[np.random.default_rng([seed]).permutation(len(canonical))]


def _hold_out(
    interactions: Interactions, rest: NDArray, test: NDArray, validation: float, seed: int, protocol: str
) -> Split:
    if not 0 < validation < 1:
        raise UsageError(f"split.validation must lie between 0 and 1. Received {validation}.")
    cut = max(1, round(len(rest) * validation))
    return _parts(interactions, rest[cut:], rest[:cut], test, protocol)


def _parts(
    interactions: Interactions, train: NDArray, validation: NDArray, test: NDArray, protocol: str
) -> Split:
    return Split(interactions.take(train), interactions.take(validation), interactions.take(test), protocol)
