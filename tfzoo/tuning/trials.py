"""One trial: a training whose validation figure says how good some settings are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfzoo.errors import UsageError
from tfzoo.experiment import Experiment
from tfzoo.runs import train_for_validation
from tfzoo.tasks import get_task
from tfzoo.training.checkpoint import TrainingState
from tfzoo.training.settings import Recipe
from tfzoo.training.splitting import with_validation

# Told the number of an epoch or fold and the figure so far; raises to end the trial.
Report = Callable[[int, float], None]


@dataclass(frozen=True)
class Outcome:
    """What a trial has found.

    Attributes:
        value: figure of the validation part, or the mean of those of all folds.
        epochs: that were trained, in all folds together.
        best_epoch: whose weights were judged; 0 where there are no epochs, or several folds.
    """

    value: float
    epochs: int
    best_epoch: int


def with_recipe(experiment: Experiment, recipe: Recipe) -> Experiment:
    """Return an experiment of other settings on the same parts of the data.

    Args:
        experiment: from `Experiment.prepare`.
        recipe: whose filter and split are those of the experiment's.
    """
    info_task = type(experiment.task)
    task = info_task(info_task.Settings(**recipe.task))
    if task.monitor != experiment.task.monitor:
        raise UsageError(f"search: trials would be judged by {experiment.task.monitor} and {task.monitor}.")
    # As the data's own scale has made it.
    kept = recipe.model_copy(update={"filter": experiment.recipe.filter})
    return replace(experiment, recipe=kept, task=task)


def check_folds(experiment: Experiment, folds: int | None) -> None:
    """Raise `UsageError` where a search cannot divide what it trains on into folds."""
    if folds is None:
        return
    if folds < 2:
        raise UsageError(f"--folds must be at least 2. Received {folds}.")
    task = get_task(experiment.task.name)
    if not task.predicts_ratings:
        raise UsageError(
            f"--folds is for models of ratings, whose rows are divided; '{experiment.recipe.model}' is "
            "judged by ranked lists on the validation part."
        )
    rows = len(experiment.split.train) + len(experiment.split.validation)
    if folds > rows:
        raise UsageError(f"--folds {folds}: there are {rows} rows to divide.")


def measure(experiment: Experiment, report: Report, folds: int | None = None) -> Outcome:
    """Train with the settings of an experiment, and judge them without its test part.

    Args:
        experiment: with the settings of the trial.
        report: called after every validation, or after every fold.
        folds: divide training and validation part into so many folds, and train without each of them;
            None to train on the training part and judge by the validation part.
    """
    if folds is None:
        value, state = train_for_validation(experiment, on_epoch=_reporting(experiment, report))
        return Outcome(value, state.epoch, state.best_epoch)
    values: list[float] = []
    epochs = 0
    for number, fold in enumerate(folds_of(experiment, folds)):
        value, state = train_for_validation(fold)
        values.append(value)
        epochs += state.epoch
        if number + 1 < folds:
            report(number + 1, float(np.mean(values)))
    return Outcome(float(np.mean(values)), epochs, 0)


def folds_of(experiment: Experiment, folds: int) -> list[Experiment]:
    """Return an experiment for each fold of training and validation part, which is its validation part."""
    pool: Any = with_validation(experiment.split).train
    order = np.random.default_rng([experiment.seed, folds]).permutation(len(pool))
    parts = [np.sort(part) for part in np.array_split(order, folds)]
    found = []
    for held in parts:
        others = np.setdiff1d(np.arange(len(pool)), held, assume_unique=True)
        split = replace(experiment.split, train=pool.take(others), validation=pool.take(held))
        found.append(replace(experiment, split=split))
    return found


def _reporting(experiment: Experiment, report: Report) -> Callable[[TrainingState], None]:
    metric = f"val_{experiment.task.monitor}"

    def on_epoch(state: TrainingState) -> None:
        if metric in state.history[-1]:
            report(state.epoch, state.history[-1][metric])

    return on_epoch
