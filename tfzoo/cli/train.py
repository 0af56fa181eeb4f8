"""``tfzoo train``: from a recipe and data to records, a table and a SavedModel."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tfzoo.cli.common import check_writable, configure_device, console, data_source, load_data, say
from tfzoo.cli.display import print_summary
from tfzoo.cli.export import export_run
from tfzoo.cli.sharded import ShardedExperiment, is_sharded, refuse_columns
from tfzoo.cli.tensorboard import Board
from tfzoo.data.shards import open_shards
from tfzoo.errors import UsageError
from tfzoo.experiment import Experiment
from tfzoo.models import model_info
from tfzoo.reporting.summary import summarise
from tfzoo.runs import run as run_experiment
from tfzoo.runs import run_folder
from tfzoo.tasks import Task, get_task
from tfzoo.tasks.streamed import reading_shards
from tfzoo.training.checkpoint import TrainingState
from tfzoo.training.distributed import Distribution
from tfzoo.training.recipe import load_recipe
from tfzoo.training.record import RunRecord
from tfzoo.training.settings import Recipe
from tfzoo.training.strategies import open_distribution


def run(options: argparse.Namespace) -> None:
    """Run the command; every input is checked before anything is written."""
    if options.seeds is not None and options.seeds < 1:
        raise UsageError(f"--seeds must be at least 1. Received {options.seeds}.")
    if options.seed < 0:
        raise UsageError(f"--seed must be 0 or more. Received {options.seed}.")
    seeds = list(range(options.seeds)) if options.seeds else [options.seed]
    name = options.dataset if options.data is None else ""
    overrides = list(options.overrides)
    if options.min_rating is not None:
        overrides.append(f"filter.min_rating={options.min_rating}")
    recipe = load_recipe(options.model, name, options.recipe, overrides, protocol=options.protocol)
    check_writable(options.output, "--output")
    if not options.no_export:
        check_writable(options.export_dir, "--export-dir")
    configure_device(options)
    distribution = open_distribution(options.strategy)
    if distribution.strategy is not None:
        say("Training on {replicas} devices, {workers} process(es).".format(**distribution.describe()))

    if is_sharded(options.data):
        _train_shards(options, recipe, seeds, distribution)
        return
    source = data_source(options, get_task(model_info(options.model).task))
    interactions = load_data(source)
    if options.min_rating is not None and interactions.rating is None:
        raise UsageError(f"--min-rating {options.min_rating:g}: '{interactions.name}' has no ratings.")
    say(interactions.describe())
    for note in interactions.notes:
        say(f"  {note}")
    experiments = [Experiment.prepare(recipe, interactions, seed, source) for seed in seeds]
    for note in experiments[0].interactions.notes[len(interactions.notes) :]:
        say(f"  {note}")
    del interactions  # The experiments hold what they need of it.
    runs = [_train(experiment, options, distribution) for experiment in experiments]
    if not distribution.is_chief:
        say(f"Worker {distribution.worker} is done; worker 0 writes the record and the export.")
        return
    _finish(experiments, runs, options)


def _train_shards(
    options: argparse.Namespace, recipe: Recipe, seeds: list[int], distribution: Distribution
) -> None:
    """Train on a folder of shards."""
    refuse_columns(options)
    if distribution.strategy is not None:
        raise UsageError("Shards train on one device only.")
    shards = open_shards(options.data)
    say(f"{shards.name}: {len(shards):,} interactions in {len(shards.shards)} shards, read as training goes")
    experiments = [ShardedExperiment.of_shards(recipe, shards, seed) for seed in seeds]
    if experiments[0].task.evaluation == "ranking":
        say("  an item that the user has can be drawn as a negative")
    with reading_shards():
        runs = [_train(experiment, options, distribution) for experiment in experiments]
    _finish(experiments, runs, options)


def _finish(
    experiments: Sequence[Experiment], runs: list[tuple[RunRecord, Path]], options: argparse.Namespace
) -> None:
    """Print the table of all seeds, and export the best one."""
    records = [record for record, _ in runs]
    for summary in summarise(records):
        print_summary(summary)
    say(f"Records: {runs[0][1].parent}")
    if not options.no_export:
        best = best_run(experiments[0].task, records)
        version = export_run(experiments[best].refitted(), *runs[best], options.export_dir)
        say(f"SavedModel: {version}")


def best_run(task: Task, records: list[RunRecord]) -> int:
    """Return the position of the record that validation prefers; the first where it saw none."""

    def figure(position: int) -> float:
        value = records[position].metrics.get("validation", {}).get(task.monitor, 0.0)
        return -value if task.maximize else value

    return min(range(len(records)), key=figure)


def _train(
    experiment: Experiment, options: argparse.Namespace, distribution: Distribution
) -> tuple[RunRecord, Path]:
    output, resume = options.output, options.resume
    recipe, seed, task = experiment.recipe, experiment.seed, experiment.task
    epochs = recipe.training.epochs
    folder = run_folder(output, recipe, experiment.interactions.name, seed)
    board = Board(folder, resume=resume) if options.tensorboard and distribution.is_chief else None
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(f"{recipe.model} seed {seed}", total=epochs, status="starting")

        def show(state: TrainingState) -> None:
            if board is not None:
                board.on_epoch(state)
            status = f"loss {state.history[-1]['loss']:.4f}"
            if state.best_epoch:
                status += (
                    f" best validation {task.monitor} {state.best_value:.4f} in epoch {state.best_epoch}"
                )
            progress.update(bar, completed=state.epoch, status=status)
            if not console.is_terminal and state.epoch % max(1, epochs // 10) == 0:
                say(f"{recipe.model} seed {seed} epoch {state.epoch}/{epochs} {status}")

        record, folder = run_experiment(
            experiment,
            output,
            resume=resume,
            on_epoch=show,
            on_stage=None if board is None else board.on_stage,
            distribution=distribution,
        )
        progress.update(bar, total=record.timing["epochs"], completed=record.timing["epochs"])
    shown = " ".join(f"{metric} {record.metrics['test'][metric]:.4f}" for metric in task.headline)
    epochs_run = (
        f", best epoch {record.best_epoch} of {record.timing['epochs']:.0f}" if record.best_epoch else ""
    )
    say(f"{recipe.model} seed {seed}: test {shown}{epochs_run}, {record.timing['train_seconds']:.0f} s")
    if board is not None:
        board.finish(experiment, record)
        say(f"TensorBoard: {board.folder}")
    return record, folder
