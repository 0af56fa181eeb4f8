"""What is to be said of data before a model is trained on it, beyond what its reader notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfzoo.data.cells import first_of_cells
from tfzoo.data.datasets.times import ties_noted
from tfzoo.data.shards import ShardedInteractions
from tfzoo.data.splits import Split
from tfzoo.evaluation.ranking import known_pairs
from tfzoo.experiment import Experiment
from tfzoo.tasks import Task

# Share of test pairs that nobody could recommend, from which that is said.
_NOTEWORTHY = 0.1
_BY_TIME = ("chronological", "leave-out", "sessions")


@dataclass(frozen=True)
class Wording:
    """How whoever reads the notes would ask for something else.

    Attributes:
        min_rating: the option for the least rating that counts.
        rating_scale: the option for the scale of ratings.
        keep_seen: the option by which an export lists known items; an empty text for none.
    """

    min_rating: str
    rating_scale: str
    keep_seen: str

    @property
    def which_count(self) -> str:
        """What says which ratings are positive."""
        return f"{self.min_rating} says which count"


COMMAND_LINE = Wording("--min-rating", "--rating-scale", "--keep-seen")
PYTHON = Wording("min_rating=", "rating_scale= of tfzoo.from_dataframe", "")


def notes_on(experiment: Experiment, wording: Wording = COMMAND_LINE) -> list[str]:
    """Return what makes the figures of an experiment less, or other, than they seem; one sentence each.

    Args:
        experiment: the prepared experiment.
        wording: of the options that are named.
    """
    split = experiment.split
    notes: list[str] = [*split.notes]
    if experiment.task.needs.clicks:
        return _on_clicks(split)
    notes += _on_lacking_features(experiment)
    if "dataset" in experiment.data and experiment.recipe.split.kind in _BY_TIME:
        notes += _on_ties(split)
    if split.train.rating is not None:
        rating = split.train.ratings
        scale, those = split.train.rating_scale, f"{int((rating <= 0).sum()):,} ratings of the training part"
        every = f"all {len(rating):,} ratings of the training part"
        found = (float(rating.min()), float(rating.max()))
        notes += _on_ratings(experiment, wording, found, scale, those, every)
    if not experiment.task.asks_every_event and not split.negatives:
        notes += _on_known_pairs(split, experiment.task, wording)
    if experiment.task.ranks_lists:
        notes += _on_cold_items(split, experiment.recipe.training.refit)
    notes += _on_cutoffs(split, getattr(experiment.task.settings, "cutoffs", ()))
    if experiment.task.asks_every_event:
        notes += _on_repeats(split, wording)
    return notes


def notes_on_shards(experiment: Experiment, shards: ShardedInteractions) -> list[str]:
    """Return what `notes_on` says of the ratings, for a training part that stays on disk."""
    if shards.rating_range is None:
        return []
    scale = shards.rating_scale
    return _on_ratings(experiment, COMMAND_LINE, shards.rating_range, scale, "ratings", "all ratings")


def _on_clicks(split: Split) -> list[str]:
    parts: dict[str, Any] = {"training": split.train, "test": split.test}
    rates = [f"{part.label.mean(dtype=np.float64):.2%} of the {name} part" for name, part in parts.items()]
    return [f"clicked are {' and '.join(rates)}"]


def _on_ties(split: Split) -> list[str]:
    # Of files the reader has said it, of all their rows.
    parts = [part for part in (split.train, split.validation, split.test) if part.timestamp is not None]
    if not parts:
        return []
    users = np.concatenate([part.user_id for part in parts])
    return ties_noted(users, np.concatenate([np.asarray(part.timestamp) for part in parts]), "time")


def _on_ratings(
    experiment: Experiment,
    wording: Wording,
    found: tuple[float, float],
    scale: tuple[float, float] | None,
    those: str,
    every: str,
) -> list[str]:
    if experiment.task.predicts_ratings:
        if found[0] < found[1]:
            return []
        option = f"; {wording.rating_scale} gives the scale they are of" if scale == found else ""
        return [f"all ratings are {found[0]:g}: nothing can be learned from equal ratings{option}"]
    if experiment.recipe.filter.min_rating is not None:
        return []
    if 0 < found[0] < found[1] and not _is_graded(experiment.task):
        told = f"{every}, {found[0]:g} to {found[1]:g}, count as positive, low ones too"
        return [f"{told}; {wording.which_count}"]
    if found[0] > 0:
        return []
    if _is_graded(experiment.task):
        told = f"{those} are 0 or less: they are trained towards 0, and count as positive"
        return [f"{told}; {wording.which_count}"]
    return [f"{those} are 0 or less and count as positive like all others; {wording.which_count}"]


def _is_graded(task: Task) -> bool:
    """Return whether positives are trained towards their ratings, so that low ones count less."""
    return getattr(task.settings, "labels", "binary") == "rating"


def _on_lacking_features(experiment: Experiment) -> list[str]:
    tables = [name for name in ("user_features", "item_features") if name in experiment.recipe.builder]
    if not tables:
        return []
    sizes = experiment.builder_options()
    if any(sizes[name] for name in tables):
        return []
    name = experiment.split.train.name
    return [
        f"'{name}' has no side features of users or items: {experiment.recipe.model} learns from ids alone"
    ]


def _on_known_pairs(split: Split, task: Task, wording: Wording) -> list[str]:
    again = known_pairs(split.test, [split.train, split.validation])
    if not again:
        return []
    told = f"{again:,} test pairs of a user and an item are among those of training too"
    if task.predicts_ratings:
        return [f"{told}, which makes figures better than they are for new pairs"]
    listed = f", and an export recommends them with {wording.keep_seen}" if wording.keep_seen else ""
    return [f"{told}: known items are ranked as well{listed}"]


def _on_repeats(split: Split, wording: Wording) -> list[str]:
    test = split.test
    repeats = len(test) - len(first_of_cells(test.user_id, test.item_id, test.num_items + 1))
    if not repeats:
        return []
    told = f"{repeats:,} of {len(test):,} test events repeat an item of their session, and items of the"
    exception = f" but for {wording.keep_seen}" if wording.keep_seen else ""
    return [f"{told} session are ranked; the lists of an export leave them out{exception}"]


def _on_cutoffs(split: Split, cutoffs: Sequence[int]) -> list[str]:
    """Say which lists are so long that no item is left out of them."""
    if "test" in split.negatives:
        # The held-out item is ranked among them.
        ranked = split.negatives["test"].item_id.shape[1] + 1
    else:
        ranked = int(np.count_nonzero(split.train.item_counts()))
    return [
        f"lists of {cutoff} hold all {ranked} items that are ranked: recall and hit rate at {cutoff} are 1, "
        "or nearly, whatever the model"
        for cutoff in cutoffs
        if cutoff >= ranked
    ]


def _on_cold_items(split: Split, refit: bool) -> list[str]:
    trained = split.train.item_counts() > 0
    if refit:
        trained |= split.validation.item_counts() > 0
    cold = int(np.count_nonzero(~trained[split.test.item_id]))
    if cold < _NOTEWORTHY * len(split.test):
        return []
    return [f"{cold:,} of {len(split.test):,} test rows have an item that training lacks, and are missed"]
