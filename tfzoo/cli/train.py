"""``tfzoo train``: from a recipe and data to records, a table and a SavedModel."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tfzoo.cli.common import check_name, check_writable, configure_device, data_source, load_data
from tfzoo.cli.display import print_summary
from tfzoo.cli.export import TOLD, export_run
from tfzoo.cli.output import answer, console, mention, say, working
from tfzoo.cli.paths import best_run
from tfzoo.cli.progress import training_progress
from tfzoo.cli.sharded import ShardedExperiment, is_sharded, refuse_columns
from tfzoo.cli.tensorboard import Board
from tfzoo.data.shards import open_shards
from tfzoo.data_notes import notes_on, notes_on_shards
from tfzoo.errors import UsageError, check_seed, check_seeds
from tfzoo.experiment import Experiment
from tfzoo.files import hold_folder
from tfzoo.models import model_info
from tfzoo.reporting.summary import summarise
from tfzoo.runs import run as run_experiment
from tfzoo.serving.export import refuse_other_data
from tfzoo.tasks import get_task
from tfzoo.tasks.streamed import reading_shards
from tfzoo.training.checkpoint import TrainingState
from tfzoo.training.distributed import Distribution
from tfzoo.training.folders import STAGES, refuse_another_run, run_folder
from tfzoo.training.recipe import fit_on_all, load_recipe
from tfzoo.training.record import FILE_NAME, RunRecord
from tfzoo.training.settings import Recipe
from tfzoo.training.strategies import open_distribution

FULL_PRECISION = "float32"


def run(options: argparse.Namespace) -> None:
    """Run the command; every input is checked before anything is written."""
    if options.seeds is not None:
        check_seeds(options.seeds)
    check_seed(options.seed)
    seeds = list(range(options.seeds)) if options.seeds else [options.seed]
    check_name(options.name)
    name = options.dataset if options.data is None else ""
    overrides = list(options.overrides)
    if options.fit_on == "all":
        overrides += fit_on_all(overrides)
    if options.min_rating is not None:
        overrides.append(f"filter.min_rating={options.min_rating}")
    recipe = load_recipe(options.model, name, options.recipe, overrides, protocol=options.protocol)
    check_writable(options.output, "--output")
    if not options.no_export:
        check_writable(options.export_dir, "--export-dir")
    configure_device(options)
    if recipe.budget is not None:
        mention(f"The settings of '{recipe.name}' are of a search: {recipe.budget}.")
    if options.precision != FULL_PRECISION:
        recipe = recipe.model_copy(update={"changes": {**recipe.changes, "precision": options.precision}})
    distribution = open_distribution(options.strategy)
    if distribution.strategy is not None:
        mention("Training on {replicas} devices, {workers} process(es).".format(**distribution.describe()))

    if is_sharded(options.data):
        _train_shards(options, recipe, seeds, distribution)
        return
    source = data_source(options, get_task(model_info(options.model).task))
    with working("reading the data"):
        interactions = load_data(source)
    if options.min_rating is not None and getattr(interactions, "rating", None) is None:
        raise UsageError(f"--min-rating {options.min_rating:g}: '{interactions.name}' has no ratings.")
    mention(interactions.describe())
    for note in interactions.notes:
        mention(f"  {note}")
    with working("dividing the data"):
        experiments = [Experiment.prepare(recipe, interactions, seed, source) for seed in seeds]
    for note in (*experiments[0].interactions.notes[len(interactions.notes) :], *notes_on(experiments[0])):
        mention(f"  {note}")
    del interactions  # The experiments hold what they need of it.
    if distribution.is_chief:
        _check_folders(experiments, options)
    runs = [train_one(experiment, options, distribution) for experiment in experiments]
    if not distribution.is_chief:
        say(f"Worker {distribution.worker} is done; worker 0 writes the record and the export.")
        return
    _finish(experiments, runs, options)


def _check_folders(experiments: Sequence[Experiment], options: argparse.Namespace) -> None:
    """Refuse to train over another run before the first seed is trained, and say what is not gone on with."""
    for experiment in experiments:
        name = experiment.interactions.name
        folder = run_folder(options.output, experiment.recipe, name, experiment.seed, options.name)
        with hold_folder(folder):
            # Who else trains there is told before anything is said of what lies there.
            pass
        if options.resume and not folder.exists():
            mention(f"There is nothing to resume in {folder}; training starts anew.")
        if not options.overwrite:
            refuse_another_run(folder, experiment, experiment.fingerprint())
        if not (options.no_export or options.overwrite):
            model = experiment.recipe.model
            target = options.export_dir / (options.name or f"{model}-{name}")
            refuse_other_data(target, model, experiment.data_served(), TOLD)
        if not (options.resume or options.overwrite) and (folder / FILE_NAME).is_file():
            mention(f"The finished run in {folder} is trained again; with --resume its record is taken.")
        elif not options.resume and any((folder / stage).is_file() for stage in STAGES):
            mention(f"The interrupted run in {folder} is not gone on with, since --resume is not given.")


def _train_shards(
    options: argparse.Namespace, recipe: Recipe, seeds: list[int], distribution: Distribution
) -> None:
    """Train on a folder of shards."""
    refuse_columns(options)
    if distribution.strategy is not None:
        raise UsageError("Shards train on one device only.")
    shards = open_shards(options.data)
    mention(
        f"{shards.name}: {len(shards):,} interactions in {len(shards.shards)} shards, read as training goes"
    )
    experiments = [ShardedExperiment.of_shards(recipe, shards, seed) for seed in seeds]
    if experiments[0].task.ranks_lists:
        mention("  an item that the user has can be drawn as a negative")
    for note in notes_on_shards(experiments[0], shards):
        mention(f"  {note}")
    if distribution.is_chief:
        _check_folders(experiments, options)
    with reading_shards():
        runs = [train_one(experiment, options, distribution) for experiment in experiments]
    _finish(experiments, runs, options)


def _finish(
    experiments: Sequence[Experiment], runs: list[tuple[RunRecord, Path]], options: argparse.Namespace
) -> None:
    """Print the table of all seeds, and export the best one."""
    records = [record for record, _ in runs]
    for summary in summarise(records):
        print_summary(summary, every_metric=options.verbose)
    say(f"Records: {runs[0][1].parent}")
    answer(records=[folder for _, folder in runs])
    if not options.no_export:
        best = best_run(experiments[0].task, records)
        version = export_run(
            experiments[best].refitted(), *runs[best], options.export_dir, overwrite=options.overwrite
        )
        say(f"SavedModel: {version}")
        answer(exported=version)


def train_one(
    experiment: Experiment, options: argparse.Namespace, distribution: Distribution
) -> tuple[RunRecord, Path]:
    """Train one experiment, show how far it is, and return its record and folder.

    Args:
        experiment: what to train.
        options: ``output``, ``name``, ``resume``, ``overwrite`` and ``tensorboard`` of the command line.
        distribution: the devices.
    """
    output, resume = options.output, options.resume
    recipe, seed, task = experiment.recipe, experiment.seed, experiment.task
    epochs = recipe.training.epochs
    folder = run_folder(output, recipe, experiment.interactions.name, seed, options.name)
    board = Board(folder, resume=resume) if options.tensorboard and distribution.is_chief else None
    with training_progress() as progress:
        bar = progress.add_task(f"{recipe.model} seed {seed}", total=epochs, steps="", status="building")
        finished = 0

        def on_steps(done: int, steps: int) -> None:
            # The first call of a block of steps compiles it.
            doing = f"step {done}/{steps}" if done or finished else "compiling"
            progress.update(bar, completed=finished + done / steps, steps=doing)

        def on_stage(stage: str) -> None:
            nonlocal finished
            finished = 0
            progress.update(bar, completed=0, steps="", status=stage or "starting")
            if board is not None:
                board.on_stage(stage)

        def show(state: TrainingState) -> None:
            nonlocal finished
            finished = state.epoch
            if board is not None:
                board.on_epoch(state)
            status = f"loss {state.history[-1]['loss']:.4f}"
            if state.best_epoch:
                status += (
                    f" best validation {task.monitor} {state.best_value:.4f} in epoch {state.best_epoch}"
                )
            best = f" best {task.monitor} {state.best_value:.4f}" if state.best_epoch else ""
            short = f"loss {state.history[-1]['loss']:.4f}{best}"
            progress.update(bar, completed=state.epoch, steps="", status=short)
            if not console.is_terminal and state.epoch % max(1, epochs // 10) == 0:
                mention(f"{recipe.model} seed {seed} epoch {state.epoch}/{epochs} {status}")

        record, folder = run_experiment(
            experiment,
            output,
            name=options.name,
            resume=resume,
            overwrite=options.overwrite,
            on_epoch=show,
            on_stage=on_stage,
            on_steps=on_steps,
            distribution=distribution,
        )
        done = record.timing.get("epochs", len(record.history))
        progress.update(bar, total=done, completed=done)
    measured = record.metrics.get("test", {})
    figures = [f"{metric} {measured[metric]:.4f}" for metric in task.headline if metric in measured]
    shown = f"test {' '.join(figures)}" if figures else "trained on all data"
    epochs_run = f", best epoch {record.best_epoch} of {done:.0f}" if record.best_epoch else ""
    mention(f"{recipe.model} seed {seed}: {shown}{epochs_run}, {record.timing['train_seconds']:.0f} s")
    if board is not None:
        board.finish(experiment, record)
        say(f"TensorBoard: {board.folder}")
    return record, folder
