"""A recipe applied to data: everything that is fixed before training."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Split
from tfzoo.errors import TfzooError, UsageError
from tfzoo.evaluation import Evaluator, build_evaluator
from tfzoo.models import create_model, model_info
from tfzoo.tasks import Task, get_task
from tfzoo.tasks.tables import check_tables
from tfzoo.training.distributed import Distribution
from tfzoo.training.recipe import resolve_builder
from tfzoo.training.settings import Recipe
from tfzoo.training.splitting import apply_filter, make_split, with_validation


@dataclass(frozen=True)
class Experiment:
    """A recipe applied to data with one seed: everything that is fixed before training.

    Attributes:
        recipe: the resolved recipe.
        data: where the interactions came from, for the record.
        interactions: the whole data set, filtered; without its rows where the task reads those of the
            split alone, since large data should not be held twice.
        split: its parts.
        task: the model's learning problem.
        seed: fixes split, initialisation, dropout and order.
    """

    recipe: Recipe
    data: dict[str, Any]
    interactions: Interactions
    split: Split
    task: Task
    seed: int

    @classmethod
    def prepare(
        cls, recipe: Recipe, interactions: Interactions, seed: int, data: dict[str, Any] | None = None
    ) -> Experiment:
        """Split the data and bind the task; raises `UsageError` or `DataError` on bad settings."""
        if seed < 0:
            raise UsageError(f"--seed must be 0 or more. Received {seed}.")
        task_class = get_task(model_info(recipe.model).task)
        task = task_class(task_class.Settings(**recipe.task))
        kept = apply_filter(interactions, recipe.filter)
        task.check(kept)
        split = make_split(kept, recipe.split, seed)
        task.check_split(split)
        if not task.reads_all_parts:
            kept = kept.take(np.arange(0))
        return cls(recipe, data or {"dataset": interactions.name}, kept, split, task, seed)

    def refitted(self) -> Experiment:
        """Return the experiment whose training part is what the final model is trained on."""
        if not self.recipe.training.refit:
            return self
        refitted = replace(self, split=with_validation(self.split))
        refitted.task.check_split(refitted.split)
        return refitted

    def fingerprint(self) -> str:
        """Return a text that changes with the settings, the seed and the data."""
        digest = hashlib.sha256()
        split = self.split
        parts = [split.train, split.validation, split.test, split.fold_in, *split.variants.values()]
        for part in parts:
            if part is None:
                continue
            for column in (part.user_id, part.item_id, part.rating, part.timestamp):
                # A view: a copy of the bytes of large data would be hundreds of megabytes.
                digest.update(b"" if column is None else np.ascontiguousarray(column).data)
            digest.update(b"" if part.text is None else "\0".join(part.text).encode())
        for negatives in split.negatives.values():
            digest.update(np.ascontiguousarray(negatives.item_id).data)
        recipe = self.recipe.model_dump(mode="json", exclude={"reported", "description"})
        policy = keras.config.dtype_policy().name
        digest.update(json.dumps([recipe, self.seed, policy], sort_keys=True).encode())
        return digest.hexdigest()

    def build(self, distribution: Distribution | None = None, **changes: Any) -> keras.Model:
        """Build the model with initial weights that depend on the seed alone.

        Args:
            distribution: the devices that it will be trained on; None for one.
            **changes: builder arguments that replace the recipe's.
        """
        precision = keras.config.dtype_policy()
        keras.utils.clear_session()  # Also sets the precision back to float32.
        keras.config.set_dtype_policy(precision)
        keras.utils.set_random_seed(self.seed)
        train = self.split.train
        options = {**self.builder_options(), **changes}
        with (distribution or Distribution()).scope():
            model = create_model(self.recipe.model, train.num_users, train.num_items, **options)
        solve = model_info(self.recipe.model).solve
        if solve is not None:
            solve(model, self.task.matrix(train))
            _check_solved(model)
        self.task.prepare(model, self.split, self.interactions)
        return model

    def builder_options(self) -> dict[str, Any]:
        """Return the recipe's builder arguments, what is automatic worked out."""
        return resolve_builder(self.recipe, self.task.builder_arguments(self.split.train))

    def features(self, model: keras.Model) -> Any:
        """Return what turns ids into the inputs of ``model``; raises `UsageError` for one of other data."""
        check_tables(model, self.split.train)
        return self.task.features(model, self.split, self.interactions)

    def evaluator(self, model: keras.Model) -> Evaluator:
        """Return what measures ``model`` on the parts of the data."""
        return build_evaluator(self.task, model, self.features(model), self.split)


def _check_solved(model: keras.Model) -> None:
    for weight in model.weights:
        if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
            raise TfzooError(
                f"The closed form of '{model.name}' gives weights '{weight.path}' that are not finite. Try a "
                "larger builder.l2 where the model has one, or other data."
            )
