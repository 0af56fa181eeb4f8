"""From the settings of a recipe to the parts of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tfzoo.data.click_log import ClickLog
from tfzoo.data.click_splits import random_click_split
from tfzoo.data.datasets import given_split_of
from tfzoo.data.datasets.sessions import sessions_split
from tfzoo.data.filters import filter_interactions, restricted
from tfzoo.data.interactions import Interactions
from tfzoo.data.ranking_splits import chronological_split, leave_out_split, per_user_split
from tfzoo.data.splits import Split, drop_cold, k_fold_split, oversample, random_split
from tfzoo.data.strong_split import strong_generalization_split
from tfzoo.errors import UsageError
from tfzoo.training.settings import REFITTED, FilterSettings, SplitSettings


def apply_filter(interactions: Interactions | ClickLog, settings: FilterSettings) -> Interactions | ClickLog:
    """Return the interactions that the settings keep; raises `DataError` where none is left.

    Data without ratings is all positive: there `min_rating` has nothing to choose from.

    Raises:
        UsageError: a click log is to be filtered, which has no ratings, users or items.
    """
    if isinstance(interactions, ClickLog):
        if settings != FilterSettings():
            raise UsageError(
                f"'{interactions.name}' is a click log, which is not filtered; leave filter out."
            )
        return interactions
    return _filtered(interactions, settings)


def _filtered(interactions: Interactions, settings: FilterSettings) -> Interactions:
    options = settings.model_dump(exclude={"min_rating_of"})
    if interactions.rating is None:
        options["min_rating"] = None
    return filter_interactions(interactions, **options)


def make_split(
    interactions: Interactions | ClickLog,
    settings: SplitSettings,
    seed: int,
    filtered: FilterSettings | None = None,
) -> Split:
    """Divide the data as the settings say.

    Args:
        interactions: the whole data set.
        settings: how to divide it.
        seed: fixes what is drawn.
        filtered: which interactions to keep, see `apply_filter`. What someone has published names rows of
            the whole data set: its parts are filtered, where else the filter comes before the split.

    Raises:
        UsageError: the settings do not fit the data set, such as a given split it does not have.
        DataError: a part would be empty.
    """
    if isinstance(interactions, ClickLog):
        return _split_clicks(interactions, settings, seed)
    kept = interactions if filtered is None else _filtered(interactions, filtered)
    if settings.kind == "given" and filtered is not None and len(kept) < len(interactions):
        split = _split(oversample(interactions, settings.oversample), settings, seed)
        split = restricted(split, kept, filtered.min_rating)
    else:
        split = _split(oversample(kept, settings.oversample), settings, seed)
    return drop_cold(split) if settings.cold == "drop" else split


def _split(source: Interactions, settings: SplitSettings, seed: int) -> Split:
    if settings.kind == "random":
        return random_split(source, seed=seed, ratios=settings.ratios)
    if settings.kind == "chronological":
        return chronological_split(source, seed=seed, ratios=settings.ratios)
    if settings.kind == "per-user":
        return per_user_split(source, seed=seed, ratios=settings.ratios)
    if settings.kind == "leave-out":
        return leave_out_split(source, seed=seed, leave=settings.leave, negatives=settings.negatives)
    if settings.kind == "strong-generalization":
        held_out = settings.held_out_users or max(1, source.num_users // 10)
        return strong_generalization_split(source, seed=seed, held_out_users=held_out)
    if settings.kind == "sessions":
        return sessions_split(
            source, seed=seed, test_seconds=settings.test_seconds, validation=settings.validation
        )
    if settings.kind == "k-fold":
        if settings.fold is None:
            seed, fold = divmod(seed, settings.folds)
        else:
            fold = settings.fold
        return k_fold_split(
            source, seed=seed, folds=settings.folds, fold=fold, validation=settings.validation
        )
    if settings.name is None:
        raise UsageError("A given split needs split.name, such as u1 for ml-100k.")
    return given_split_of(source, settings.name, seed=seed, validation=settings.validation)


def _split_clicks(log: ClickLog, settings: SplitSettings, seed: int) -> Split:
    changed = {"kind", "ratios", "name", "validation"} ^ set(SplitSettings.model_fields)
    for name in sorted(changed):
        if getattr(settings, name) != SplitSettings.model_fields[name].default:
            raise UsageError(f"split.{name} is for interactions; '{log.name}' is a click log.")
    if settings.kind == "random":
        return random_click_split(log, seed=seed, ratios=settings.ratios)
    if settings.kind != "given":
        raise UsageError(
            f"A click log is divided by split.kind random or given. Received {settings.kind!r}, which needs "
            "users and items."
        )
    if settings.name is None:
        raise UsageError("A given split needs split.name, such as x1 for frappe.")
    return given_split_of(log, settings.name, seed=seed, validation=settings.validation)


def with_validation(split: Split) -> Split:
    """Return the split with its validation part added to the training part, to train once more on.

    Raises:
        UsageError: validation users are held out with a history of their own.
    """
    if split.fold_in is not None:
        raise UsageError("training.refit does not go with held-out users; set training.refit=false.")
    train = joined((split.train, split.validation))
    return replace(split, train=train, protocol=split.protocol + REFITTED, in_training=("validation",))


def with_everything(split: Split, interactions: Interactions) -> Split:
    """Return the split with every interaction in its training part, to train a model for use.

    Validation and test stay as they were, though what is trained cannot be measured on them any more.

    Args:
        split: the parts.
        interactions: the whole data set; without rows where nobody keeps them beside the parts.
    """
    parts = (split.train, split.validation, split.test, split.fold_in)
    train = interactions if len(interactions) else joined([part for part in parts if part is not None])
    protocol = split.protocol + ", then trained on all data"
    return replace(split, train=train, fold_in=None, protocol=protocol, in_training=("validation", "test"))


def joined(parts: Sequence[Any]) -> Any:
    """Return the rows of several parts of one table, one part after the other."""
    first, *others = parts
    if isinstance(first, ClickLog):
        for part in others:
            first = first.joined(part)
        return first
    columns: dict[str, Any] = {
        column: np.concatenate([getattr(part, column) for part in parts])
        for column in ("user_id", "item_id", "rating", "timestamp", "text")
        if getattr(first, column) is not None
    }
    return replace(first, **columns)
