"""``tfzoo tune``: search for settings by validation, and write the best ones into a recipe file."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfzoo.cli.common import check_writable, configure_device, data_source, load_data
from tfzoo.cli.memory import is_out_of_memory, out_of_memory
from tfzoo.cli.output import answer, mention, more, print_table, say, working
from tfzoo.cli.search_file import Search
from tfzoo.cli.sharded import is_sharded
from tfzoo.data_notes import notes_on
from tfzoo.errors import TfzooError, UsageError, check_seed
from tfzoo.experiment import Experiment
from tfzoo.files import hold_folder
from tfzoo.models import model_info
from tfzoo.tasks import get_task
from tfzoo.training.recipe import load_recipe
from tfzoo.training.settings import Recipe
from tfzoo.tuning.outcome import budget_of, plot_trials, write_recipe, write_table
from tfzoo.tuning.space import space_of, value_of, with_settings
from tfzoo.tuning.study import Study, Trial, optuna
from tfzoo.tuning.trials import Outcome, Report, check_folds, measure, with_recipe

SHOWN = 10
POLL_SECONDS = 0.5
MOST_TRIALS, MOST_JOBS = 100_000, 256


def run(options: argparse.Namespace) -> None:
    """Run the command; the folder is begun once all options are known to be good."""
    _check(options)
    optuna()
    overrides = list(options.overrides)
    if options.min_rating is not None:
        overrides.append(f"filter.min_rating={options.min_rating}")
    name = options.dataset if options.data is None else ""
    recipe = load_recipe(options.model, name, options.recipe, overrides, protocol=options.protocol)
    space = space_of(recipe)
    check_writable(options.output, "--output")
    configure_device(options)
    source = data_source(options, get_task(model_info(options.model).task))
    with working("reading the data"):
        interactions = load_data(source)
    mention(interactions.describe())
    experiment = Experiment.prepare(recipe, interactions, options.seed, source)
    for note in (*experiment.interactions.notes, *notes_on(experiment)):
        mention(f"  {note}")
    check_folds(experiment, options.folds)
    search = Search.of(recipe, space, experiment, options.folds, options)
    with hold_folder(options.output):
        resumed = search.claim(options.output)
        study = study_of(search, experiment, options.output)
        first = {path: value_of(recipe, path) for path in space}
        within = all(values.holds(first[path]) for path, values in space.items())
        study.begin(first if within else None)
        if resumed:
            mention(f"The search in {options.output} goes on after {len(study.trials())} trials.")
        for path, values in space.items():
            mention(f"  {path}: {values}")
        if options.jobs > 1:
            _in_processes(study, options, experiment.task.monitor)
        else:
            tell = _teller(study, experiment.task.monitor)
            study.run(options.trials, measuring(search, recipe, experiment), tell)
        _finish(study, recipe, experiment, options)


def _check(options: argparse.Namespace) -> None:
    check_seed(options.seed)
    for name, most in (("trials", MOST_TRIALS), ("jobs", MOST_JOBS)):
        value = getattr(options, name)
        if not 1 <= value <= most:
            raise UsageError(f"--{name} must be at least 1 and at most {most}. Received {value}.")
    if is_sharded(options.data):
        raise UsageError("A search takes data in memory; give a file of a part of the data.")


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


def _teller(study: Study, metric: str) -> Any:
    def tell(trial: Trial) -> None:
        settings = ", ".join(f"{path.partition('.')[2]} {value}" for path, value in trial.settings.items())
        figure = "" if trial.value is None else f" {metric} {trial.value:.4f}"
        state = {"complete": "", "pruned": ", ended early", "failed": f" failed: {trial.reason}"}[trial.state]
        mention(f"trial {trial.number}:{figure}{state} ({settings}), {trial.seconds:.1f} s")

    return tell


def _in_processes(study: Study, options: argparse.Namespace, metric: str) -> None:
    """Let several processes try, and say what they have tried."""
    threads = str(max(1, (os.cpu_count() or 1) // options.jobs))
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": threads, "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, "-m", "tfzoo.cli.tune_worker", str(options.output), str(options.trials)]
    # Files, since a pipe that nobody reads would hold a worker up once it is full.
    logs = [tempfile.TemporaryFile("w+") for _ in range(options.jobs)]  # noqa: SIM115
    tell, told = _teller(study, metric), {trial.number for trial in study.trials()}
    # A worker ends when its input does, so that none outlives this process.
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log, env=environment, text=True)
        for log in logs
    ]
    try:
        while True:
            running = any(worker.poll() is None for worker in workers)
            for trial in study.trials():
                if trial.number not in told:
                    told.add(trial.number)
                    tell(trial)
            if not running:
                break
            time.sleep(POLL_SECONDS)
    finally:
        for worker in workers:
            worker.terminate()
            worker.communicate()
    for worker, log in zip(workers, logs, strict=True):
        log.seek(0)
        lines = log.read().strip().splitlines()
        log.close()
        if worker.returncode:
            last = lines[-1] if lines else f"exit status {worker.returncode}"
            raise TfzooError(f"A process of the search has ended: {last}. The same command goes on.")


def _finish(study: Study, recipe: Recipe, experiment: Experiment, options: argparse.Namespace) -> None:
    """Write table, plot and recipe, and print the best trials."""
    metric, trials, folder = experiment.task.monitor, study.trials(), options.output
    written = [write_table(trials, metric, list(study.space), folder)]
    best = study.best()
    try:
        written += plot_trials(trials, metric, folder, maximize=study.maximize)
    except UsageError as error:
        mention(f"No plot: {error}")
    budget = budget_of(
        study, metric=metric, rows=len(experiment.split.train), seed=options.seed, folds=options.folds
    )
    path = write_recipe(recipe, best, budget, folder)
    _print_trials(trials, best, metric, study)
    say(f"{budget}: best {metric} {budget.value:.4f} in trial {best.number}.")
    for file in written:
        say(f"Written: {file}")
    say(f"Recipe: {path}")
    say(f"Train it: {_train_command(path, options)}")
    answer(recipe=path, best=best.number, budget=budget.model_dump(mode="json"), written=written)


def _print_trials(trials: Sequence[Trial], best: Trial, metric: str, study: Study) -> None:
    sign = -1.0 if study.maximize else 1.0
    order = sorted(
        (trial for trial in trials if trial.state == "complete"),
        key=lambda trial: (sign * float(trial.value or 0.0), trial.number),
    )
    columns = ("trial", metric, *(path.partition(".")[2] for path in study.space), "epochs", "s")
    rows = [
        (
            str(trial.number),
            f"{trial.value:.4f}",
            *(str(trial.settings[path]) for path in study.space),
            str(trial.epochs),
            f"{trial.seconds:.1f}",
        )
        for trial in order[:SHOWN]
    ]
    print_table(columns, rows, right=columns)
    for trial in trials:
        more("trials", vars(trial))


def _train_command(path: Path, options: argparse.Namespace) -> str:
    """Return the command that trains with the recipe, as it would be typed."""
    words = ["tfzoo", "train", "--model", options.model]
    if options.data is None:
        words += ["--dataset", options.dataset]
    else:
        words += ["--data", str(options.data)]
        for option in ("user-col", "item-col", "rating-col", "time-col", "text-col", "label-col"):
            value = getattr(options, option.replace("-", "_"))
            if value not in (None, "user_id" if option == "user-col" else "item_id"):
                words += [f"--{option}", value]
    return shlex.join([*words, "--recipe", str(path)])
