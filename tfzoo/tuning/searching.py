"""A search from its first trial to the recipe file that it ends with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfzoo.errors import TfzooError, UsageError
from tfzoo.experiment import Experiment
from tfzoo.files import hold_folder
from tfzoo.machine import is_out_of_memory, out_of_memory
from tfzoo.training.search import Budget
from tfzoo.training.settings import Recipe
from tfzoo.tuning.outcome import budget_of, plot_trials, write_recipe, write_table
from tfzoo.tuning.search_file import Search
from tfzoo.tuning.space import value_of, with_settings
from tfzoo.tuning.study import Study, Trial
from tfzoo.tuning.trials import Outcome, Report, measure, with_recipe

MOST_TRIALS = 100_000


@dataclass(frozen=True)
class Found:
    """What a search has found.

    Attributes:
        recipe: file with the best settings, which a training takes.
        best: the best trial.
        trials: all trials, in the order in which they were begun.
        budget: what they have cost.
        written: the table of the trials, and plots of them.
        without_plot: why there is no plot; an empty text where there is one.
    """

    recipe: Path
    best: Trial
    trials: list[Trial]
    budget: Budget
    written: list[Path]
    without_plot: str = ""


def check_count(name: str, value: int, most: int) -> None:
    """Raise `UsageError` for a number of trials or processes that makes no search."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise UsageError(f"--{name} must be at least 1 and at most {most}. Received {value}.")


def search_settings(
    search: Search,
    recipe: Recipe,
    experiment: Experiment,
    folder: Path,
    trials: int,
    *,
    on_begin: Callable[[int], None] | None = None,
    on_trial: Callable[[Trial], None] | None = None,
    try_all: Callable[[Study], None] | None = None,
) -> Found:
    """Try settings until there are so many trials, and write what was found.

    Args:
        search: what the trials have in common; the folder is its own from now on.
        recipe: resolved, whose settings the first trial has.
        experiment: the recipe applied to the data.
        folder: of the search; one that was interrupted is gone on with.
        trials: how many, those that the folder holds among them.
        on_begin: called once, with the number of trials that the folder held, 0 for a new search.
        on_trial: called after each trial of this process.
        try_all: tries instead of this process, such as by several others.

    Raises:
        TfzooError: the folder holds another search or other files, or no trial ended with a figure.
    """
    with hold_folder(folder):
        search.claim(folder)
        study = study_of(search, experiment, folder)
        first = {path: value_of(recipe, path) for path in search.space}
        within = all(values.holds(first[path]) for path, values in search.space.items())
        study.begin(first if within else None)
        if on_begin is not None:
            on_begin(len(study.trials()))
        if try_all is not None:
            try_all(study)
        else:
            study.run(trials, measuring(search, recipe, experiment), on_trial)
        return _write(search, study, recipe, experiment, folder)


def _write(search: Search, study: Study, recipe: Recipe, experiment: Experiment, folder: Path) -> Found:
    """Write table, plot and recipe."""
    metric, trials = experiment.task.monitor, study.trials()
    written = [write_table(trials, metric, list(study.space), folder)]
    best, without_plot = study.best(), ""
    try:
        written += plot_trials(trials, metric, folder, maximize=study.maximize)
    except UsageError as error:
        without_plot = str(error)
    rows = len(experiment.split.train)
    budget = budget_of(study, metric=metric, rows=rows, seed=search.seed, folds=search.folds)
    return Found(write_recipe(recipe, best, budget, folder), best, trials, budget, written, without_plot)


def study_of(search: Search, experiment: Experiment, folder: Path) -> Study:
    """Open the trials of a search."""
    warm_up = 0 if search.folds else max(1, experiment.recipe.training.epochs // 10)
    maximize = experiment.task.maximize
    return Study(folder, search.space, seed=search.seed, maximize=maximize, warm_up=warm_up)


def measuring(search: Search, recipe: Recipe, experiment: Experiment) -> Any:
    """Return what trains with settings, on the parts of the data of an experiment."""

    def call(settings: dict[str, Any], report: Report) -> Outcome:
        try:
            return measure(with_recipe(experiment, with_settings(recipe, settings)), report, search.folds)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            # Smaller settings may do.
            raise TfzooError(out_of_memory(error)) from error

    return call


def describe_trial(trial: Trial, metric: str) -> str:
    """Return a line on a trial that has ended: its figure, settings and time."""
    settings = ", ".join(f"{path.partition('.')[2]} {value}" for path, value in trial.settings.items())
    figure = "" if trial.value is None else f" {metric} {trial.value:.4f}"
    state = {"complete": "", "pruned": ", ended early", "failed": f" failed: {trial.reason}"}[trial.state]
    return f"trial {trial.number}:{figure}{state} ({settings}), {trial.seconds:.1f} s"
