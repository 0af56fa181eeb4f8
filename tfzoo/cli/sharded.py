"""``tfzoo train`` on a folder of shards: the training part stays on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfzoo.data.interactions import Interactions
from tfzoo.data.shards import ShardedInteractions
from tfzoo.data.splits import Negatives, Split
from tfzoo.errors import UsageError, check_seed
from tfzoo.evaluation import Evaluator, build_evaluator
from tfzoo.evaluation.rating import RatingEvaluator
from tfzoo.experiment import Experiment
from tfzoo.models import model_info
from tfzoo.tasks import get_task
from tfzoo.tasks.streamed import StreamedTrain, streamed_task
from tfzoo.training.scales import refuse_negative
from tfzoo.training.settings import FilterSettings, Recipe

DRAWN = 99
HELD_OUT = (5, 5)
# Options that say how a file is read -> what they are where they are not given.
UNSET = {
    "user_col": "user_id",
    "item_col": "item_id",
    "rating_col": None,
    "time_col": None,
    "text_col": None,
    "sep": None,
    "no_header": False,
    "encoding": "utf-8",
    "quoting": "csv",
    "time_unit": "auto",
    "min_rating": None,
    "duplicates": None,
    "rating_scale": None,
    "label_col": None,
    "field_cols": None,
    "number_cols": None,
}


class ShardedExperiment(Experiment):
    """An experiment whose training part is streamed."""

    @classmethod
    def of_shards(cls, recipe: Recipe, shards: ShardedInteractions, seed: int) -> ShardedExperiment:
        """Hold out a share of the pairs, and bind the task.

        The shares are those of a recipe with a random split, else 5 % each; which pairs they hold does
        not depend on the seed. Lists are ranked among `DRAWN` items drawn with replacement.

        Raises:
            UsageError: the model or a setting needs all interactions in memory.
        """
        check_seed(seed)
        if recipe.training.fit_on == "all":
            raise UsageError("training.fit_on=all needs all interactions in memory; shards train on train.")
        if recipe.filter != FilterSettings():
            raise UsageError("Shards are trained on as they are; filter the data before 'tfzoo shard'.")
        recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update={"refit": False})})
        info = model_info(recipe.model)
        if shards.rating_range is not None:
            refuse_negative(recipe, info, shards.rating_range[0], shards.name)
        task_class = get_task(info.task)
        task = streamed_task(task_class(task_class.Settings(**recipe.task)))
        _, validation, test = recipe.split.ratios
        random = recipe.split.kind == "random"
        held_out = (max(1, round(100 * validation)), max(1, round(100 * test))) if random else HELD_OUT
        parts = {part: shards.load(part, held_out) for part in ("validation", "test")}
        train = _train_part(shards, held_out, list(parts.values()))
        task.check(train)  # type: ignore[arg-type]
        protocol = f"{held_out[0]} % of the pairs for validation, {held_out[1]} % for test, by their hash"
        negatives = {}
        if task.ranks_lists:
            draws = np.random.default_rng([seed, 3])
            negatives = {part: _drawn(rows, draws) for part, rows in parts.items()}
            protocol += f", {DRAWN} drawn items, seed {seed}"
        split = Split(train, parts["validation"], parts["test"], protocol, negatives=negatives)  # type: ignore[arg-type]
        data = {"shards": str(shards.folder.resolve()), "checksum": shards.checksum}
        return cls(recipe, data, parts["test"], split, task, seed, data_fingerprint=shards.checksum[:16])

    def _fingerprints(self, settings: dict[str, Any]) -> Iterator[str]:
        known = [settings, self.seed, keras.config.dtype_policy().name, self.data["checksum"]]
        yield hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def evaluator(self, model: keras.Model) -> Evaluator:
        """Return what measures ``model`` on the parts that are in memory."""
        features = self.features(model)
        if self.task.predicts_ratings:
            return _HeldOutRatings(self.task, model, features, self.split)
        return build_evaluator(self.task, model, features, self.split)


class _HeldOutRatings(RatingEvaluator):
    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what can be measured."""
        return ("validation", "test")


def _train_part(
    shards: ShardedInteractions, held_out: tuple[int, int], others: list[Interactions]
) -> StreamedTrain:
    counts = {
        "user": shards.counts["user"] - sum(part.user_counts() for part in others),
        "item": shards.counts["item"] - sum(part.item_counts() for part in others),
    }
    train = StreamedTrain(shards, held_out, counts)
    if shards.rating_scale is None:
        return train
    total = shards.rating_sum - sum(float(part.ratings.sum(dtype=np.float64)) for part in others)
    return replace(train, mean_rating=total / len(train))


def _drawn(rows: Interactions, random: np.random.Generator) -> Negatives:
    users = np.unique(rows.user_id)
    drawn = random.integers(1, rows.num_items + 1, (len(users), DRAWN), dtype=np.int32)
    return Negatives(users, drawn)


def is_sharded(data: Path | None) -> bool:
    """Tell whether ``--data`` names a folder, which only shards are."""
    return data is not None and data.is_dir()


def refuse_columns(options: Any) -> None:
    """Raise `UsageError` for options that say how a file is read: shards have been read already."""
    for option in given_columns(options):
        raise UsageError(f"{option} is for files; give it to 'tfzoo shard'.")


def given_columns(options: Any) -> list[str]:
    """Return the options that say how a file is read, among those that are given."""
    return [f"--{name.replace('_', '-')}" for name, unset in UNSET.items() if getattr(options, name) != unset]
