"""From the settings of a recipe to the parts of the data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tfzoo.data.datasets import given_split_of
from tfzoo.data.datasets.sessions import sessions_split
from tfzoo.data.filters import filter_interactions
from tfzoo.data.interactions import Interactions
from tfzoo.data.ranking_splits import chronological_split, leave_out_split, per_user_split
from tfzoo.data.splits import Split, drop_cold, k_fold_split, oversample, random_split
from tfzoo.data.strong_split import strong_generalization_split
from tfzoo.errors import UsageError
from tfzoo.training.settings import FilterSettings, SplitSettings


def apply_filter(interactions: Interactions, settings: FilterSettings) -> Interactions:
    """Return the interactions that the settings keep; raises `DataError` where none is left.

    Data without ratings is all positive: there `min_rating` has nothing to choose from.
    """
    options = settings.model_dump()
    if interactions.rating is None:
        options["min_rating"] = None
    return filter_interactions(interactions, **options)


def make_split(interactions: Interactions, settings: SplitSettings, seed: int) -> Split:
    """Divide the data as the settings say.

    Raises:
        UsageError: the settings do not fit the data set, such as a given split it does not have.
        DataError: a part would be empty.
    """
    split = _split(oversample(interactions, settings.oversample), settings, seed)
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


def with_validation(split: Split) -> Split:
    """Return the split with its validation part added to the training part, to train once more on.

    Raises:
        UsageError: validation users are held out with a history of their own.
    """
    if split.fold_in is not None:
        raise UsageError("training.refit does not go with held-out users; set training.refit=false.")
    train, validation = split.train, split.validation
    columns: dict[str, Any] = {
        column: np.concatenate([getattr(train, column), getattr(validation, column)])
        for column in ("user_id", "item_id", "rating", "timestamp", "text")
        if getattr(train, column) is not None
    }
    protocol = split.protocol + ", refitted with validation"
    return replace(split, train=replace(train, **columns), protocol=protocol)
