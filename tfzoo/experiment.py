"""A recipe applied to data: everything that is fixed before training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzoo.data.click_log import ClickLog
from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Split
from tfzoo.data.unused import unused_interactions
from tfzoo.errors import DataError, TfzooError, UsageError, check_seed
from tfzoo.evaluation import Evaluator, build_evaluator
from tfzoo.inputs import Known, automatic_value
from tfzoo.machine import memory_limit
from tfzoo.models import create_model, model_info
from tfzoo.models.size import require_memory
from tfzoo.problems import automatic_arguments
from tfzoo.tasks import Task, get_task
from tfzoo.tasks.tables import check_tables
from tfzoo.training.distributed import Distribution
from tfzoo.training.fingerprints import of_data, only_stated, settings_of
from tfzoo.training.optimizers import copies_while_training
from tfzoo.training.own_step import MakeStep
from tfzoo.training.recipe import AUTO, resolve_builder
from tfzoo.training.record import RunRecord
from tfzoo.training.scales import follow_scale, refuse_negative
from tfzoo.training.settings import Recipe, what_counts
from tfzoo.training.splitting import apply_filter, make_split, with_everything, with_validation
from tfzoo.training.start import Start


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
        unused: interactions that the filter or the rule of the split left out, see `unused_interactions`.
        data_fingerprint: of the data as it was read, see `Interactions.fingerprint`.
        update: what tells an update of an earlier run from others of the same data, see `tfzoo.updates`; None
            for a run that begins anew.
        start: what an update goes on from; None where it is not to be trained.
    """

    recipe: Recipe
    data: dict[str, Any]
    interactions: Interactions
    split: Split
    task: Task
    seed: int
    unused: Interactions | None = None
    data_fingerprint: str = ""
    update: Mapping[str, Any] | None = None
    start: Start | None = None

    @classmethod
    def prepare(
        cls,
        recipe: Recipe,
        interactions: Interactions | ClickLog,
        seed: int,
        data: dict[str, Any] | None = None,
    ) -> Experiment:
        """Split the data and bind the task; raises `UsageError` or `DataError` on bad settings."""
        check_seed(seed)
        info = model_info(recipe.model)
        task_class = get_task(info.task)
        task = task_class(task_class.Settings(**recipe.task))
        if isinstance(interactions, Interactions):
            recipe, notes = follow_scale(recipe, interactions)
            if notes:
                interactions = replace(interactions, notes=(*interactions.notes, *notes))
            kept = task.table(_filtered(interactions, recipe, notes))
        else:
            kept = task.table(apply_filter(interactions, recipe.filter))
        task.check(kept)
        if isinstance(kept, Interactions) and kept.rating is not None:
            refuse_negative(recipe, info, float(kept.rating.min()), kept.name)
        if isinstance(kept, Interactions) and recipe.split.kind == "given":
            split = make_split(interactions, recipe.split, seed, recipe.filter)
        else:
            split = make_split(kept, recipe.split, seed)
        task.check_split(split)
        unused = None
        if isinstance(interactions, Interactions) and isinstance(split.train, Interactions):
            unused = unused_interactions(interactions, split, copies=recipe.split.oversample)
        if not task.reads_all_parts:
            kept = kept.take(np.arange(0))
        data = data or {"dataset": interactions.name}
        return cls(recipe, data, kept, split, task, seed, unused, interactions.fingerprint())

    def refitted(self) -> Experiment:
        """Return the experiment whose training part is what the final model is trained on."""
        training = self.recipe.training
        # What an update goes on from was refitted before.
        if not training.trains_again or self.update is not None:
            return self
        whole = training.fit_on == "all"
        split = with_everything(self.split, self.interactions) if whole else with_validation(self.split)
        refitted = replace(self, split=split)
        refitted.task.check_split(refitted.split)
        return refitted

    def known_beside_training(self) -> list[Interactions]:
        """Return what is known of users beside the training part; the parts may overlap with it."""
        split = self.split
        parts = [split.validation, split.test, *split.variants.values(), split.fold_in, self.unused]
        return [part for part in parts if part is not None]

    def data_served(self) -> list[str]:
        """Return fingerprints of the data that the version before this one's export may be of."""
        # An update follows the model that it went on from.
        return [self.data_fingerprint, *([] if self.update is None else [self.update["data"]])]

    def fingerprint(self) -> str:
        """Return a text that changes with the settings, the seed and the data."""
        return next(self._fingerprints(self._settings()))

    def is_of(self, record: RunRecord) -> bool:
        """Tell whether a record is of these very settings, seed and data, be it of an earlier version."""
        if record.fingerprint == self.fingerprint():
            return True
        settings = self._settings()
        if self.update is not None or settings_of(record) != settings:
            return False
        return record.fingerprint in self._fingerprints(only_stated(settings, record.recipe))

    def differs_by_seed(self, record: RunRecord) -> bool:
        """Tell whether a record is of these settings and data, whatever its seed."""
        settings, recorded = what_counts(self.recipe, self.task.settings), settings_of(record)
        # Records of earlier versions do not know their data.
        same_data = record.data_fingerprint in (None, self.data_fingerprint)
        same_precision = record.precision == keras.config.dtype_policy().name
        # Two files may hold the same settings.
        same_settings = recorded is not None and {**recorded, "name": ""} == {**settings, "name": ""}
        # The data of an update do not say which share of the earlier ones is trained on again.
        same_replay = (record.continues or {}).get("replay") == (self.update or {}).get("replay")
        return same_settings and same_data and same_precision and same_replay

    def _settings(self) -> dict[str, Any]:
        settings = what_counts(self.recipe, self.task.settings)
        return settings if self.update is None else {**settings, "update": dict(self.update)}

    def _fingerprints(self, settings: dict[str, Any]) -> Iterator[str]:
        """Return the fingerprint with these settings, then as earlier versions would have written it."""
        return of_data(self.split, settings, self.seed, keras.config.dtype_policy().name)

    def build(self, distribution: Distribution | None = None, **changes: Any) -> keras.Model:
        """Build the model with initial weights that depend on the seed alone.

        Args:
            distribution: the devices that it will be trained on; None for one.
            **changes: builder arguments that replace the recipe's.
        """
        if keras.config.floatx() != "float32":
            raise UsageError(
                f"Keras' own settings (keras.config.floatx) say {keras.config.floatx()}, expected float32. "
                "Call keras.config.set_floatx('float32') first, or correct keras.json."
            )
        options = {**(self.builder_options() if self.start is None else self.start.builder), **changes}
        self._check_memory(options)
        precision = keras.config.dtype_policy()
        keras.utils.clear_session()  # Also sets the precision back to float32.
        keras.config.set_dtype_policy(precision)
        keras.utils.set_random_seed(self.seed)
        train = self.split.train
        with (distribution or Distribution()).scope():
            model = create_model(self.recipe.model, train.num_users, train.num_items, **options)
        solve = model_info(self.recipe.model).solve
        if solve is not None:
            solve(model, self.task.matrix(train))
            _check_solved(model)
        self.task.prepare(model, self.split, self.interactions)
        if self.start is not None and model.trainable_weights:
            self.start.give_weights(model, solved=solve is not None)
        return model

    def _check_memory(self, options: dict[str, Any]) -> None:
        """Refuse a model that cannot fit before anything is made; memory of GPUs is not known beforehand."""
        limit, train = memory_limit(), self.split.train
        if limit is not None and not tf.config.get_visible_devices("GPU"):
            copies = copies_while_training(self.recipe.training)
            require_memory(self.recipe.model, train.num_users, train.num_items, options, copies, limit)

    def step(self) -> MakeStep | None:
        """Return what makes the model's own training step; None where it has none."""
        own = model_info(self.recipe.model).step
        return None if own is None else lambda tools: own(tools, own.Settings(**self.recipe.step))

    def builder_options(self) -> dict[str, Any]:
        """Return the recipe's builder arguments, what is automatic worked out."""
        given, train = self.recipe.builder, self.split.train
        sizes = [name for name in model_info(self.recipe.model).sizes if name not in given]
        wanted = {*sizes, *(key for key, value in given.items() if value == AUTO)}
        of_inputs = wanted & set(automatic_arguments())
        automatic = {name: automatic_value(name, Known((train,), self.task.settings)) for name in of_inputs}
        if wanted - of_inputs:
            automatic |= self.task.builder_arguments(train)
        return {**resolve_builder(self.recipe, automatic), **{name: automatic[name] for name in sizes}}

    def features(self, model: keras.Model) -> Any:
        """Return what turns ids into the inputs of ``model``; raises `UsageError` for one of other data."""
        check_tables(model, self.split.train)
        return self.task.features(model, self.split, self.interactions)

    def evaluator(self, model: keras.Model) -> Evaluator:
        """Return what measures ``model`` on the parts of the data."""
        return build_evaluator(self.task, model, self.features(model), self.split)


def _filtered(interactions: Interactions, recipe: Recipe, notes: list[str]) -> Interactions | ClickLog:
    """Apply the filter; where nothing is left by it, say too where its least rating comes from."""
    try:
        return apply_filter(interactions, recipe.filter)
    except DataError as error:
        raise DataError(
            " ".join([str(error), *(f"{note[:1].upper()}{note[1:]}." for note in notes)])
        ) from None


def _check_solved(model: keras.Model) -> None:
    for weight in model.weights:
        if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
            raise TfzooError(
                f"The closed form of '{model.name}' gives weights '{weight.path}' that are not finite. Try a "
                "larger builder.l2 where the model has one, or other data."
            )
