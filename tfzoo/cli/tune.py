"""``tfzoo tune``: search for settings by validation, and write the best ones into a recipe file."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tfzoo.cli.common import check_writable, configure_device, data_source, load_data
from tfzoo.cli.output import answer, mention, more, print_table, say, working
from tfzoo.cli.sharded import is_sharded
from tfzoo.data_notes import notes_on
from tfzoo.errors import TfzooError, UsageError, check_seed
from tfzoo.experiment import Experiment
from tfzoo.models import model_info
from tfzoo.tasks import get_task
from tfzoo.training.recipe import load_recipe
from tfzoo.tuning.search_file import Search
from tfzoo.tuning.searching import MOST_TRIALS, Found, check_count, describe_trial, search_settings
from tfzoo.tuning.space import space_of
from tfzoo.tuning.study import Study, optuna
from tfzoo.tuning.trials import check_folds

SHOWN = 10
POLL_SECONDS = 0.5
MOST_JOBS = 256


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
    search = Search.of(
        recipe, space, experiment, options.folds, precision=options.precision, device=options.device
    )
    metric = experiment.task.monitor

    def begin(held: int) -> None:
        if held:
            mention(f"The search in {options.output} goes on after {held} trials.")
        for path, values in space.items():
            mention(f"  {path}: {values}")

    found = search_settings(
        search,
        recipe,
        experiment,
        options.output,
        options.trials,
        on_begin=begin,
        on_trial=lambda trial: mention(describe_trial(trial, metric)),
        try_all=(lambda study: _in_processes(study, options, metric)) if options.jobs > 1 else None,
    )
    _tell(found, experiment.task.maximize, options)


def _check(options: argparse.Namespace) -> None:
    check_seed(options.seed)
    check_count("trials", options.trials, MOST_TRIALS)
    check_count("jobs", options.jobs, MOST_JOBS)
    if is_sharded(options.data):
        raise UsageError("A search takes data in memory; give a file of a part of the data.")


def _in_processes(study: Study, options: argparse.Namespace, metric: str) -> None:
    """Let several processes try, and say what they have tried."""
    threads = str(max(1, (os.cpu_count() or 1) // options.jobs))
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": threads, "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, "-m", "tfzoo.cli.tune_worker", str(options.output), str(options.trials)]
    # Files, since a pipe that nobody reads would hold a worker up once it is full.
    logs = [tempfile.TemporaryFile("w+") for _ in range(options.jobs)]  # noqa: SIM115
    told = {trial.number for trial in study.trials()}
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
                    mention(describe_trial(trial, metric))
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


def _tell(found: Found, maximize: bool, options: argparse.Namespace) -> None:
    """Print the best trials, and where table, plot and recipe lie."""
    if found.without_plot:
        mention(f"No plot: {found.without_plot}")
    _print_trials(found, maximize)
    budget, best = found.budget, found.best
    say(f"{budget}: best {budget.metric} {budget.value:.4f} in trial {best.number}.")
    for file in found.written:
        say(f"Written: {file}")
    say(f"Recipe: {found.recipe}")
    say(f"Train it: {_train_command(found.recipe, options)}")
    answer(
        recipe=found.recipe,
        best=best.number,
        budget=budget.model_dump(mode="json"),
        written=found.written,
    )


def _print_trials(found: Found, maximize: bool) -> None:
    sign = -1.0 if maximize else 1.0
    space = found.budget.space
    order = sorted(
        (trial for trial in found.trials if trial.state == "complete"),
        key=lambda trial: (sign * float(trial.value or 0.0), trial.number),
    )
    columns = ("trial", found.budget.metric, *(path.partition(".")[2] for path in space), "epochs", "s")
    rows = [
        (
            str(trial.number),
            f"{trial.value:.4f}",
            *(str(trial.settings[path]) for path in space),
            str(trial.epochs),
            f"{trial.seconds:.1f}",
        )
        for trial in order[:SHOWN]
    ]
    print_table(columns, rows, right=columns)
    for trial in found.trials:
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
