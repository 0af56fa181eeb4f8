"""One run from data to record: split, build, train, evaluate, save."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfzoo.data.datasets import given_rows
from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Split, drop_cold, given_split, k_fold_split, oversample, random_split
from tfzoo.errors import TfzooError, UsageError
from tfzoo.evaluation.evaluator import HEADLINE, evaluate_ratings, validate_ratings
from tfzoo.models import create_model, model_info
from tfzoo.tasks import get_task
from tfzoo.tasks.rating import PairFeatures, RatingTask
from tfzoo.training.checkpoint import TrainingState, save_model
from tfzoo.training.recipe import resolve_builder
from tfzoo.training.record import FILE_NAME, RunRecord, environment
from tfzoo.training.settings import Recipe, SplitSettings
from tfzoo.training.trainer import Trainer

CHECKPOINT = "checkpoint.npz"
MODEL = "model.keras"


@dataclass(frozen=True)
class Experiment:
    """A recipe applied to data with one seed: everything that is fixed before training.

    Attributes:
        recipe: the resolved recipe.
        data: where the interactions came from, for the record.
        interactions: the whole data set.
        split: its parts.
        task: the model's learning problem.
        seed: fixes split, initialisation, dropout and order.
    """

    recipe: Recipe
    data: dict[str, Any]
    interactions: Interactions
    split: Split
    task: RatingTask
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
        split = make_split(interactions, recipe.split, seed)
        return cls(recipe, data or {"dataset": interactions.name}, interactions, split, task, seed)

    @property
    def rating_scale(self) -> tuple[float, float]:
        """Lowest and highest rating that predictions are clipped to."""
        scale: tuple[float, float] = self.task.builder_arguments(self.split.train)["rating_scale"]
        return scale

    def fingerprint(self) -> str:
        """Return a text that changes with the settings, the seed and the data."""
        digest = hashlib.sha256()
        for part in (self.split.train, self.split.validation, self.split.test):
            for column in (part.user_id, part.item_id, part.ratings):
                digest.update(np.ascontiguousarray(column).tobytes())
        recipe = self.recipe.model_dump(mode="json", exclude={"reported", "description"})
        policy = keras.config.dtype_policy().name
        digest.update(json.dumps([recipe, self.seed, policy], sort_keys=True).encode())
        return digest.hexdigest()

    def build(self) -> keras.Model:
        """Build the model with initial weights that depend on the seed alone."""
        precision = keras.config.dtype_policy()
        keras.utils.clear_session()  # Also sets the precision back to float32.
        keras.config.set_dtype_policy(precision)
        keras.utils.set_random_seed(self.seed)
        options = resolve_builder(self.recipe, self.task.builder_arguments(self.split.train))
        train = self.split.train
        return create_model(self.recipe.model, train.num_users, train.num_items, **options)

    def features(self, model: keras.Model) -> PairFeatures:
        """Return what turns ids into the inputs of ``model``."""
        source = self.task.row_source(self.split.train, self.interactions)
        return self.task.features(model, source)

    def evaluate(self, model: keras.Model, *parts: str) -> dict[str, dict[str, float]]:
        """Return the metrics of the named parts (``train``, ``validation``, ``test``)."""
        predict = self.task.predictor(model, self.features(model))
        return {
            part: evaluate_ratings(predict, getattr(self.split, part), self.rating_scale) for part in parts
        }


def make_split(interactions: Interactions, settings: SplitSettings, seed: int) -> Split:
    """Divide the data as the settings say.

    Raises:
        UsageError: the settings do not fit the data set, such as a given split it does not have.
        DataError: a part would be empty.
    """
    source = oversample(interactions, settings.oversample)
    if settings.kind == "random":
        split = random_split(source, seed=seed, ratios=settings.ratios)
    elif settings.kind == "k-fold":
        split = k_fold_split(
            source, seed=seed, folds=settings.folds, fold=settings.fold, validation=settings.validation
        )
    else:
        if settings.name is None:
            raise UsageError("A given split needs split.name, such as u1 for ml-100k.")
        train, test = given_rows(interactions.name, interactions, settings.name)
        split = given_split(
            interactions, train, test, name=settings.name, seed=seed, validation=settings.validation
        )
    return drop_cold(split) if settings.cold == "drop" else split


def run_folder(output: Path, recipe: Recipe, dataset: str, seed: int) -> Path:
    """Return ``OUTPUT/<model>-<dataset>-<recipe>/seed-<n>``."""
    return output / f"{recipe.model}-{dataset}-{recipe.name}" / f"seed-{seed}"


def run(
    experiment: Experiment,
    output: Path,
    *,
    resume: bool = False,
    on_epoch: Callable[[TrainingState], None] | None = None,
) -> tuple[RunRecord, Path]:
    """Train, evaluate and record one experiment.

    Args:
        experiment: from `Experiment.prepare`.
        output: folder of all runs.
        resume: continue from a checkpoint, or return the record of a finished run.
        on_epoch: called after each epoch.

    Returns:
        The record and the run's folder, which holds ``record.json``, ``model.keras``,
        ``vocabulary/`` and, while training goes on, ``checkpoint.npz``.
    """
    recipe, seed = experiment.recipe, experiment.seed
    folder = run_folder(output, recipe, experiment.interactions.name, seed)
    fingerprint = experiment.fingerprint()
    finished = _finished_run(folder, fingerprint) if resume else None
    if finished is not None:
        return finished, folder
    model = experiment.build()
    if not resume:
        _forget(folder)
    folder.mkdir(parents=True, exist_ok=True)
    features = experiment.features(model)
    predict = experiment.task.predictor(model, features)
    scale, validation = experiment.rating_scale, experiment.split.validation
    trainer = Trainer(model, experiment.task, features, experiment.split.train, recipe.training, seed=seed)
    state = trainer.fit(
        lambda: validate_ratings(predict, validation, scale),
        checkpoint=folder / CHECKPOINT,
        resume=resume,
        fingerprint=fingerprint,
        on_epoch=on_epoch,
    )
    experiment.task.finish(model, experiment.split.train)
    save_model(model, folder / MODEL)
    experiment.interactions.save_vocabularies(folder / "vocabulary")
    record = _record(experiment, model, state, fingerprint)
    record.save(folder)
    _forget(folder, CHECKPOINT)
    return record, folder


def load_model(folder: Path) -> keras.Model:
    """Load the trained model of a run; raises `UsageError` where there is none."""
    path = folder / MODEL
    if not path.is_file():
        raise UsageError(f"No trained model at {path}. Train first, or give another --run.")
    model: keras.Model = keras.saving.load_model(path, compile=False)
    return model


def _record(experiment: Experiment, model: keras.Model, state: TrainingState, fingerprint: str) -> RunRecord:
    started = time.perf_counter()
    metrics = experiment.evaluate(model, "train", "validation", "test")
    seconds = time.perf_counter() - started
    examples = state.epoch * len(experiment.split.train)
    reported = experiment.recipe.reported
    return RunRecord(
        model=experiment.recipe.model,
        task=experiment.task.name,
        dataset=experiment.interactions.name,
        data=experiment.data,
        protocol=experiment.split.protocol,
        recipe=experiment.recipe.model_dump(mode="json"),
        seed=experiment.seed,
        fingerprint=fingerprint,
        parameters=sum(math.prod(weight.shape) for weight in model.trainable_variables),
        metrics=metrics,
        headline=HEADLINE,
        best_epoch=state.best_epoch,
        paper=None if reported is None else reported.model_dump(mode="json"),
        history=state.history,
        timing={
            "train_seconds": round(state.seconds, 3),
            "epochs": state.epoch,
            "examples_per_second": round(examples / max(state.seconds, 1e-9)),
            "evaluate_seconds": round(seconds, 3),
        },
        precision=keras.config.dtype_policy().name,
        **environment(),
    )


def _forget(folder: Path, *names: str) -> None:
    """Remove files of an earlier run, and what a killed one left of them half-written."""
    for name in names or (FILE_NAME, CHECKPOINT, MODEL):
        for path in (folder / name, *folder.glob(f".{name}.*")):
            if path.is_file():
                path.unlink()


def _finished_run(folder: Path, fingerprint: str) -> RunRecord | None:
    """Return the record of a finished run with the same settings and data, if there is one."""
    if not (folder / FILE_NAME).is_file():
        return None
    record = RunRecord.load(folder)
    if record.fingerprint != fingerprint:
        raise TfzooError(
            f"{folder} holds a finished run with other settings or other data. "
            "Repeat its settings, choose another --output, or run again without --resume."
        )
    return record
