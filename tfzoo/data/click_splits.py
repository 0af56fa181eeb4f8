"""Train, validation and test parts of click logs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.click_log import ClickLog
from tfzoo.data.splits import Split, check_ratios
from tfzoo.errors import DataError


def random_click_split(
    log: ClickLog, *, seed: int, ratios: tuple[float, float, float] = (0.7, 0.15, 0.15)
) -> Split:
    """Divide the impressions at random.

    The result depends on the set of impressions and the seed, not on their order in the file.

    Args:
        log: the impressions.
        seed: which of the random splits to make.
        ratios: shares of train, validation and test; they must add up to 1.

    Raises:
        UsageError: a ratio is not positive or they do not add up to 1.
        DataError: a part would be empty.
    """
    check_ratios(ratios)
    rows = log.canonical_rows()
    np.random.default_rng([seed]).shuffle(rows)
    first, second = (round(len(rows) * share) for share in (ratios[0], ratios[0] + ratios[1]))
    shares = "/".join(f"{100 * ratio:g}" for ratio in ratios)
    train, validation, test = np.split(rows, [first, second])
    return click_split(log, train, validation, test, f"random {shares}, seed {seed}")


def click_split(log: ClickLog, train: NDArray, validation: NDArray, test: NDArray, protocol: str) -> Split:
    """Make a split out of row numbers of its parts; raises `DataError` where a part would be empty."""
    train_log, validation_log, test_log = (log.take(rows) for rows in (train, validation, test))
    return Split(train_log, validation_log, test_log, protocol)  # type: ignore[arg-type]


def check_labels(split: Split) -> None:
    """Raise `DataError` unless every part has impressions with a click and without one."""
    for part in ("train", "validation", "test"):
        label = getattr(split, part).label
        if not 0 < np.count_nonzero(label) < len(label):
            what = "without a click" if label.any() else "with a click"
            raise DataError(
                f"The {part} part has no impression {what} ({split.protocol}): AUC compares impressions with "
                "and without a click. Use more data or other ratios."
            )
