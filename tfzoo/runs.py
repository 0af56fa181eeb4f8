"""One run from data to record: train, evaluate, save."""

from __future__ import annotations

import math
import tempfile
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
from tfzoo.files import hold_folder, writing
from tfzoo.training.checkpoint import TrainingState, save_model
from tfzoo.training.distributed import Distribution
from tfzoo.training.folders import (
    CHECKPOINT,
    STAGES,
    forget,
    forget_run,
    refuse_another_run,
    run_folder,
)
from tfzoo.training.phases import OnSteps
from tfzoo.training.pretraining import pretrain
from tfzoo.training.record import FILE_NAME, MODEL, RunRecord, environment
from tfzoo.training.trainer import Trainer

LOST = (
    "Start all workers again with the same command and --resume: training goes on from the last checkpoint "
    "that the chief has written in {}."
)


def run(
    experiment: Experiment,
    output: Path,
    *,
    name: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_epoch: Callable[[TrainingState], None] | None = None,
    on_stage: Callable[[str], None] | None = None,
    on_steps: OnSteps | None = None,
    distribution: Distribution | None = None,
) -> tuple[RunRecord, Path]:
    """Train, evaluate and record one experiment.

    Args:
        experiment: from `Experiment.prepare`.
        output: folder of all runs.
        name: what to call the run; None for model, data set and recipe, see `run_folder`.
        resume: continue from a checkpoint, or return the record of a finished run.
        overwrite: replace a run with other settings or other data that is in the folder. Without it a
            finished run of these very settings and data stays until its successor is finished too.
        on_epoch: called after each epoch.
        on_stage: called before each training with ``pilot``, ``refit``, or an empty text for the
            training between them; epochs count from 1 in each.
        on_steps: called while an epoch goes on, with the steps done and all steps.
        distribution: the devices and hosts to train on; None for one device. Of several processes the
            chief alone reads and writes files in the run's folder.

    Returns:
        The record and the run's folder, which holds ``record.json``, ``model.keras``,
        ``vocabulary/`` and, while training goes on, ``checkpoint.npz``.

    Raises:
        UsageError: both ``resume`` and ``overwrite`` are asked for, or Keras runs on another library than
            TensorFlow.
        TfzooError: the folder holds a run with other settings or other data, another process is
            training in it, a file cannot be written, or another process of the training was lost.
    """
    if resume and overwrite:
        raise UsageError("A run is gone on with, or is replaced: give --resume or --overwrite, not both.")
    if keras.config.backend() != "tensorflow":
        raise UsageError(
            f"Recipes are trained on TensorFlow, and Keras runs on '{keras.config.backend()}'. Set "
            "KERAS_BACKEND=tensorflow or leave it unset; on other backends train with the model's `fit`."
        )
    folder = run_folder(output, experiment.recipe, experiment.interactions.name, experiment.seed, name)
    devices = distribution or Distribution()
    fingerprint = experiment.fingerprint()
    options = _Options(folder, name, resume, overwrite, fingerprint, on_epoch, on_stage, on_steps, devices)
    with devices.watched(LOST.format(folder)), hold_folder(folder) if devices.is_chief else nullcontext():
        devices.require_same(options.fingerprint, "settings, data, seed and precision")
        if devices.is_chief and not overwrite:
            refuse_another_run(folder, experiment, options.fingerprint)
        record = _finished_run(folder) if resume and devices.is_chief else None
        if not devices.share(record is not None):
            record = _run(experiment, options)
        if devices.is_chief:
            # After the record: who was killed in between has the record, and forgets them here.
            forget(folder, *STAGES)
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
    name: str | None
    resume: bool
    overwrite: bool
    fingerprint: str
    on_epoch: Callable[[TrainingState], None] | None
    on_stage: Callable[[str], None] | None
    on_steps: OnSteps | None
    devices: Distribution


def _run(experiment: Experiment, options: _Options) -> RunRecord:
    folder, devices = options.folder, options.devices
    # Settings that make no model are refused before anything is removed or written.
    final = experiment.refitted()
    trial = experiment.task.pilot() if experiment.start is None else {}
    model = experiment.build(devices, **trial)
    if devices.is_chief:
        if not options.resume:
            forget_run(folder, keep_finished=not options.overwrite)
        folder.mkdir(parents=True, exist_ok=True)
    changes = _pilot(experiment, model, options) if trial else {}
    if experiment.start is not None:
        changes = dict(experiment.start.found)
    model = experiment.build(devices, **changes) if trial else model
    model, state, metrics = _select(experiment, model, options)
    if final is not experiment:
        model, state = _refit(final, options, changes, state)
    started = time.perf_counter()
    evaluator = final.evaluator(model)
    training = experiment.recipe.training
    trained_on = {"validation"} if training.trains_again else set()
    if training.fit_on == "all":
        trained_on = set(evaluator.parts)
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
            vocabulary = folder / "vocabulary"
            experiment.task.save_vocabularies(final.split, experiment.interactions, vocabulary)
    record = _record(final, model, state, metrics, evaluator.protocol, options, seconds)
    record.hardware.update(devices.describe())
    if devices.is_chief:
        record.save(folder)
    return record


def train_for_validation(
    experiment: Experiment, *, on_epoch: Callable[[TrainingState], None] | None = None
) -> tuple[float, TrainingState]:
    """Train on the training part alone, and judge by the validation part: a trial of a search for settings.

    Nothing is kept, and the test part is not measured.

    Args:
        experiment: from `Experiment.prepare`.
        on_epoch: called after each epoch; what it raises ends the training.

    Returns:
        The metric that the task watches, of the weights that the training ends with, and the final state.

    Raises:
        TfzooError: training diverged, or the metric is no number.
    """
    with tempfile.TemporaryDirectory(prefix="tfzoo-") as scratch:
        options = _Options(Path(scratch), None, False, False, "", on_epoch, None, None, Distribution())
        trial = experiment.task.pilot()
        model = experiment.build(**trial)
        if trial:
            model = experiment.build(**_pilot(experiment, model, replace(options, on_epoch=None)))
        model, state = _train(experiment, model, options, CHECKPOINT)
    value = experiment.evaluator(model).validate()[experiment.task.monitor]
    _refuse_no_numbers({"validation": {experiment.task.monitor: value}})
    return value, state


def _pilot(experiment: Experiment, model: keras.Model, options: _Options) -> dict[str, Any]:
    """Train once with what the task wants to try, and return the builder arguments it learned."""
    model, _ = _train(experiment, model, options, STAGES[0])
    return experiment.task.after_pilot(model)


def _select(
    experiment: Experiment, model: keras.Model, options: _Options
) -> tuple[keras.Model, TrainingState, dict[str, dict[str, float]]]:
    """Train with validation; where a refit follows, measure what it will have trained on."""
    training = experiment.recipe.training
    if experiment.start is not None:
        # What an earlier run held out says nothing of what has come since.
        model, state = _train(experiment, model, options, CHECKPOINT, epochs=training.epochs)
        return model, state, {}
    if training.trains_again and not training.needs_validation:
        return model, TrainingState(best_epoch=training.epochs), {}
    model, state = _train(experiment, model, options, CHECKPOINT)
    if not training.trains_again:
        return model, state, {}
    return model, state, {"validation": experiment.evaluator(model).evaluate("validation")}


def _refit(
    final: Experiment, options: _Options, changes: dict[str, Any], chosen: TrainingState
) -> tuple[keras.Model, TrainingState]:
    """Train anew on more than the training part, for the epochs that validation has chosen."""
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
    if not model.trainable_variables and experiment.step() is None:
        return model, TrainingState()
    features, training = experiment.features(model), experiment.recipe.training
    start = experiment.start
    pretraining = experiment.recipe.pretraining if start is None else None
    rows = experiment.split.train if start is None else start.rows
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
        rows,
        training,
        seed=experiment.seed,
        distribution=options.devices,
        step=experiment.step(),
    )
    if start is not None:
        start.give_slots(model)
    state = trainer.fit(
        None if epochs is not None else evaluator.validate,
        epochs=epochs,
        checkpoint=options.folder / checkpoint,
        resume=options.resume,
        fingerprint=options.fingerprint,
        on_epoch=options.on_epoch,
        on_steps=options.on_steps,
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
    options: _Options,
    seconds: float,
) -> RunRecord:
    rows = experiment.split.train if experiment.start is None else experiment.start.rows
    examples = state.epoch * experiment.task.num_examples(experiment.features(model), rows)
    reported = experiment.recipe.reported
    return RunRecord(
        model=experiment.recipe.model,
        task=experiment.task.name,
        dataset=experiment.interactions.name,
        data=experiment.data,
        protocol=", ".join(text for text in (experiment.split.protocol, ranking) if text),
        recipe=experiment.recipe.model_dump(mode="json"),
        seed=experiment.seed,
        fingerprint=options.fingerprint,
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
        name=options.name,
        data_fingerprint=experiment.data_fingerprint,
        continues=None if experiment.update is None else dict(experiment.update),
        **environment(),
    )


def _finished_run(folder: Path) -> RunRecord | None:
    """Return the record of a finished run, if there is one; `refuse_another_run` has looked at it."""
    return RunRecord.load(folder) if (folder / FILE_NAME).is_file() else None
