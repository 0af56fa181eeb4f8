"""One run from data to record: train, evaluate, save."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from tfzoo.errors import TfzooError, UsageError
from tfzoo.evaluation import build_evaluator
from tfzoo.experiment import Experiment
from tfzoo.files import hold_folder, remove_leftovers, writing
from tfzoo.training.checkpoint import TrainingState, save_model
from tfzoo.training.distributed import Distribution
from tfzoo.training.pretraining import pretrain
from tfzoo.training.record import FILE_NAME, RunRecord, environment
from tfzoo.training.settings import Recipe
from tfzoo.training.trainer import Trainer

CHECKPOINT = "checkpoint.npz"
STAGES = ("checkpoint-pilot.npz", CHECKPOINT, "checkpoint-refit.npz")
MODEL = "model.keras"
LOST = (
    "Start all workers again with the same command and --resume: training goes on from the last checkpoint "
    "that the chief has written in {}."
)


def run_folder(output: Path, recipe: Recipe, dataset: str, seed: int) -> Path:
    """Return ``OUTPUT/<model>-<dataset>-<recipe>/seed-<n>``."""
    return output / f"{recipe.model}-{dataset}-{recipe.name}" / f"seed-{seed}"


def run(
    experiment: Experiment,
    output: Path,
    *,
    resume: bool = False,
    on_epoch: Callable[[TrainingState], None] | None = None,
    on_stage: Callable[[str], None] | None = None,
    distribution: Distribution | None = None,
) -> tuple[RunRecord, Path]:
    """Train, evaluate and record one experiment.

    Args:
        experiment: from `Experiment.prepare`.
        output: folder of all runs.
        resume: continue from a checkpoint, or return the record of a finished run.
        on_epoch: called after each epoch.
        on_stage: called before each training with ``pilot``, ``refit``, or an empty text for the
            training between them; epochs count from 1 in each.
        distribution: the devices and hosts to train on; None for one device. Of several processes the
            chief alone reads and writes files in the run's folder.

    Returns:
        The record and the run's folder, which holds ``record.json``, ``model.keras``,
        ``vocabulary/`` and, while training goes on, ``checkpoint.npz``.

    Raises:
        TfzooError: another process is training in the folder, a file cannot be written, or another
            process of the training was lost.
    """
    folder = run_folder(output, experiment.recipe, experiment.interactions.name, experiment.seed)
    devices = distribution or Distribution()
    options = _Options(folder, resume, experiment.fingerprint(), on_epoch, on_stage, devices)
    with devices.watched(LOST.format(folder)), hold_folder(folder) if devices.is_chief else nullcontext():
        devices.require_same(options.fingerprint, "settings, data, seed and precision")
        record = _finished_run(folder, options.fingerprint) if resume and devices.is_chief else None
        if not devices.share(record is not None):
            record = _run(experiment, options)
        if devices.is_chief:
            # After the record: who was killed in between has the record, and forgets them here.
            _forget(folder, *STAGES)
        return _record_of_chief(record, devices), folder


def _record_of_chief(record: RunRecord | None, devices: Distribution) -> RunRecord:
    """Return the chief's record; the others wait here until it has written everything."""
    if devices.workers > 1 or record is None:
        record = RunRecord.model_validate(
            devices.share(None if record is None else record.model_dump(mode="json"))
        )
    return record


@dataclass(frozen=True)
class _Options:
    folder: Path
    resume: bool
    fingerprint: str
    on_epoch: Callable[[TrainingState], None] | None
    on_stage: Callable[[str], None] | None
    devices: Distribution


def _run(experiment: Experiment, options: _Options) -> RunRecord:
    folder, devices = options.folder, options.devices
    # Settings that make no model are refused before anything is removed or written.
    final, trial = experiment.refitted(), experiment.task.pilot()
    model = experiment.build(devices, **trial)
    if devices.is_chief:
        if not options.resume:
            _forget(folder, FILE_NAME, *STAGES, MODEL)
        folder.mkdir(parents=True, exist_ok=True)
    changes = _pilot(experiment, model, options) if trial else {}
    model, state, metrics = _select(
        experiment, experiment.build(devices, **changes) if trial else model, options
    )
    if final is not experiment:
        model, state = _refit(final, options, changes, state)
    started = time.perf_counter()
    evaluator = final.evaluator(model)
    trained_on = {"validation"} if final is not experiment else set()
    measured = {
        part: evaluator.evaluate(part) for part in evaluator.parts if part not in {*metrics, *trained_on}
    }
    metrics.update(measured)
    _refuse_no_numbers(metrics)
    if changes:
        metrics["found"] = changes
    seconds = time.perf_counter() - started
    if devices.is_chief:
        save_model(model, folder / MODEL)
        with writing(folder / "vocabulary"):
            experiment.interactions.save_vocabularies(folder / "vocabulary")
    record = _record(final, model, state, metrics, evaluator.protocol, options.fingerprint, seconds)
    record.hardware.update(devices.describe())
    if devices.is_chief:
        record.save(folder)
    return record


def _pilot(experiment: Experiment, model: keras.Model, options: _Options) -> dict[str, Any]:
    """Train once with what the task wants to try, and return the builder arguments it learned."""
    model, _ = _train(experiment, model, options, STAGES[0])
    return experiment.task.after_pilot(model)


def _select(
    experiment: Experiment, model: keras.Model, options: _Options
) -> tuple[keras.Model, TrainingState, dict[str, dict[str, float]]]:
    """Train with validation; where a refit follows, measure what it will have trained on."""
    training = experiment.recipe.training
    if training.refit and training.patience is None and not training.restore_best:
        return model, TrainingState(best_epoch=training.epochs), {}
    model, state = _train(experiment, model, options, CHECKPOINT)
    if not training.refit:
        return model, state, {}
    return model, state, {"validation": experiment.evaluator(model).evaluate("validation")}


def _refit(
    final: Experiment, options: _Options, changes: dict[str, Any], chosen: TrainingState
) -> tuple[keras.Model, TrainingState]:
    """Train anew on train and validation for the epochs that validation has chosen."""
    model, state = _train(
        final, final.build(options.devices, **changes), options, STAGES[2], epochs=chosen.best_epoch
    )
    history = [*chosen.history, *({**row, "refit": 1.0} for row in state.history)]
    return model, replace(
        chosen, epoch=chosen.epoch + state.epoch, seconds=chosen.seconds + state.seconds, history=history
    )


def _train(
    experiment: Experiment,
    model: keras.Model,
    options: _Options,
    checkpoint: str,
    *,
    epochs: int | None = None,
) -> tuple[keras.Model, TrainingState]:
    """Train a model, if it has anything to train; ``epochs`` without validation where given."""
    if not model.trainable_variables:
        return model, TrainingState()
    features, training = experiment.features(model), experiment.recipe.training
    pretraining = experiment.recipe.pretraining
    resumed = options.devices.share(options.resume and (options.folder / checkpoint).exists())
    if pretraining is not None and not resumed:
        pretrain(
            model,
            experiment.recipe.model,
            experiment.builder_options(),
            experiment.task,
            features,
            experiment.split.train,
            pretraining,
            seed=experiment.seed,
            distribution=options.devices,
        )
    evaluator = build_evaluator(experiment.task, model, features, experiment.split)
    if options.on_stage is not None:
        options.on_stage(Path(checkpoint).stem.removeprefix("checkpoint").removeprefix("-"))
    trainer = Trainer(
        model,
        experiment.task,
        features,
        experiment.split.train,
        training,
        seed=experiment.seed,
        distribution=options.devices,
    )
    state = trainer.fit(
        None if epochs is not None else evaluator.validate,
        epochs=epochs,
        checkpoint=options.folder / checkpoint,
        resume=options.resume,
        fingerprint=options.fingerprint,
        on_epoch=options.on_epoch,
    )
    experiment.task.finish(model, experiment.split.train)
    return model, state


def _refuse_no_numbers(metrics: dict[str, dict[str, float]]) -> None:
    """Raise `TfzooError` where a figure is not finite: no record may hold one."""
    for part, figures in metrics.items():
        for name, value in figures.items():
            if not math.isfinite(value):
                raise TfzooError(f"The metric {name} of the {part} part is {value}. Nothing was recorded.")


def load_model(folder: Path) -> keras.Model:
    """Load the trained model of a run; raises `UsageError` where there is none, `TfzooError` if damaged."""
    path = folder / MODEL
    if not path.is_file():
        raise UsageError(f"No trained model at {path}. Train first, or name another run.")
    try:
        # Safe mode: a layer that brings code of its own is refused.
        model: keras.Model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        # A damaged file can make the loader stumble anywhere; Keras quotes the whole model before the cause.
        cause = str(error).rpartition("Exception encountered: ")[2].strip()
        reason = (cause or type(error).__name__).splitlines()[0][:300]
        raise TfzooError(f"The model {path} cannot be loaded: {reason} Train again.") from error
    return model


def _record(
    experiment: Experiment,
    model: keras.Model,
    state: TrainingState,
    metrics: dict[str, dict[str, float]],
    ranking: str,
    fingerprint: str,
    seconds: float,
) -> RunRecord:
    examples = state.epoch * experiment.task.num_examples(experiment.features(model), experiment.split.train)
    reported = experiment.recipe.reported
    return RunRecord(
        model=experiment.recipe.model,
        task=experiment.task.name,
        dataset=experiment.interactions.name,
        data=experiment.data,
        protocol=", ".join(text for text in (experiment.split.protocol, ranking) if text),
        recipe=experiment.recipe.model_dump(mode="json"),
        seed=experiment.seed,
        fingerprint=fingerprint,
        parameters=sum(math.prod(weight.shape) for weight in model.trainable_variables),
        metrics=metrics,
        headline=experiment.task.describe(),
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
        gradients="per row",
        **environment(),
    )


def _forget(folder: Path, *names: str) -> None:
    """Remove files of an earlier run, and what a killed one left of them half-written."""
    if folder.is_dir():
        for name in names:
            (folder / name).unlink(missing_ok=True)
            remove_leftovers(folder, f".{name}.")


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
