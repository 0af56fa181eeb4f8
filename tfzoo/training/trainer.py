"""The training loop: compiled blocks of steps, early stopping, checkpoints, resume."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.errors import DataError, TfzooError
from tfzoo.models.step import Phase
from tfzoo.tasks.base import Task
from tfzoo.tasks.tables import check_tables
from tfzoo.training.averages import arrays, assign
from tfzoo.training.checkpoint import Arrays, TrainingState, check_groups, load_checkpoint, save_checkpoint
from tfzoo.training.distributed import Distribution, Replicas
from tfzoo.training.gradient_step import GradientStep
from tfzoo.training.own_step import MakeStep, OwnStep, StepTools
from tfzoo.training.phases import OnSteps, PhaseRunner, Source, SpoiledError
from tfzoo.training.settings import TrainingSettings

Validate = Callable[[], dict[str, float]]
OnEpoch = Callable[[TrainingState], None]


class Trainer:
    """Trains one model on one training part.

    Keras' `fit` spends most of a small recommender step outside the step. Here one call of a
    compiled program runs a whole block of steps, and shuffling is a function of seed and epoch,
    so that a run which was killed continues exactly where its last checkpoint stood.

    Args:
        model: the model to train, not yet compiled.
        task: its learning problem.
        features: turns ids into the model's inputs.
        train: the training part.
        settings: how to train.
        seed: fixes the order of the examples.
        distribution: the devices to train on, in whose scope the model was built; None for one.
        step: makes the model's own step from the tools it is offered; None for the gradient step.

    Attributes:
        source: the batches of the task.
        runners: one a phase of the step.

    Raises:
        UsageError: the model was built for other numbers of users or items than ``train`` has, or
            cannot be trained on several devices.
    """

    def __init__(
        self,
        model: keras.Model,
        task: Task,
        features: Any,
        train: Interactions,
        settings: TrainingSettings,
        *,
        seed: int,
        distribution: Distribution | None = None,
        step: MakeStep | None = None,
    ) -> None:
        check_tables(model, train)
        self._distribution = distribution or Distribution()
        self._distribution.check(task, model)
        self.model, self.task, self.features, self.train = model, task, features, train
        self.settings = settings
        self.source = Source(Phase(), model, task, features, train, settings)
        if step is None:
            self._step: GradientStep | OwnStep = GradientStep(
                model, task, settings, self.source.steps, self._distribution, jit_compile=self.uses_xla()
            )
        else:
            tools = StepTools(model, task, train, settings, self.source, seed)
            self._step = OwnStep(step, tools, task, settings, self._distribution)
        several = isinstance(self._distribution, Replicas)
        self.runners = [
            PhaseRunner(
                phase,
                number,
                self._step,
                self._source_of(phase),
                seed,
                self._distribution,
                jit_compile=self.uses_xla() and not several,
                known=None if several else self._known_variables,
            )
            for number, phase in enumerate(self._step.phases)
        ]
        # Compiled, since copies of large tables in NumPy take longer than the check.
        self._weights_are_finite = tf.function(self._all_finite)

    def _source_of(self, phase: Phase) -> Source | None:
        if phase.batches is None:
            return None
        if phase.batches == "train" and phase.compiled and phase.batch_size is None:
            return self.source
        return Source(phase, self.model, self.task, self.features, self.train, self.settings)

    def uses_xla(self) -> bool:
        """Whether XLA compiles the steps."""
        if self.source.batches_differ:
            return False
        if self.settings.jit_compile is not None:
            return self.settings.jit_compile
        # Over rows the step is one large product, which runs faster outside XLA on a CPU.
        on_cpu = not tf.config.get_visible_devices("GPU")
        possible = self.model.supports_jit and self.features.supports_jit
        return possible and not (on_cpu and self.features.reads_rows)

    def fit(
        self,
        validate: Validate | None,
        *,
        epochs: int | None = None,
        checkpoint: Path | None = None,
        resume: bool = False,
        fingerprint: str = "",
        on_epoch: OnEpoch | None = None,
        on_steps: OnSteps | None = None,
    ) -> TrainingState:
        """Train until the last epoch or until validation stops getting better.

        Args:
            validate: returns the validation metrics of the model as it is; None to train to
                the last epoch and keep its weights.
            epochs: stop after so many; schedules still end with ``settings.epochs``.
            checkpoint: file for the state, written every few seconds; None for no checkpoints.
            resume: continue from ``checkpoint`` where it exists.
            fingerprint: identifies settings and data; a checkpoint with another one is refused.
            on_epoch: called after each epoch.
            on_steps: called while an epoch goes on, with the steps done and all steps.

        Returns:
            The final state; the model holds the best epoch's weights, or the last one's where
            ``restore_best`` is off.

        Raises:
            TfzooError: training diverged, or the checkpoint does not fit.
        """
        state, best = TrainingState(), self._snapshot()
        last_epoch = self.settings.epochs if epochs is None else epochs
        keep_last = validate is None or not self.settings.restore_best
        saved = self._saved(checkpoint, fingerprint) if resume else None
        if saved is not None:
            state, groups = saved
            best = groups["best"]
            self._restore_all(groups)
        last_save = -math.inf
        started = time.perf_counter() - state.seconds
        while not self._finished(state, last_epoch):
            logs = self._run_epoch(state.epoch, on_steps)
            state.epoch += 1
            due = state.epoch % self.settings.validate_every == 0 or state.epoch == last_epoch
            with self._step.averages.in_place():
                try:
                    metrics = self._distribution.share(validate() if validate is not None and due else {})
                except DataError as error:
                    raise self._diverged(state.epoch, str(error)) from error
                # The last step of an epoch can spoil weights whose loss nobody computes any more.
                if not self._weights_are_finite():
                    raise self._diverged(state.epoch, "weights of the model are not finite")
                better = bool(metrics) and self._is_better(metrics[self.task.monitor], state)
                if better:
                    state.best_value, state.best_epoch = metrics[self.task.monitor], state.epoch
                finished = self._finished(state, last_epoch)
                due = finished or time.perf_counter() - last_save >= self.settings.checkpoint_seconds
                target = checkpoint if due and self._distribution.is_chief else None
                copied = (finished or target is not None) if keep_last else better
                if copied:
                    best = self._snapshot()
            state.history.append({**logs, **{f"val_{key}": v for key, v in metrics.items()}})
            state.seconds = time.perf_counter() - started
            if target is not None:
                # Without averages the copy is of the weights that training goes on from.
                weights = best if copied and not self.settings.average else self._snapshot()
                groups = {"model": weights, **self._step_arrays(), "best": best}
                save_checkpoint(target, state, groups, fingerprint)
                last_save = time.perf_counter()
            if on_epoch is not None:
                on_epoch(state)
        assign(self.model.variables, best)
        return state

    def _saved(
        self, checkpoint: Path | None, fingerprint: str
    ) -> tuple[TrainingState, dict[str, Arrays]] | None:
        """Return what the chief's checkpoint holds, if there is one."""
        found, content = None, b""
        if checkpoint is not None and self._distribution.is_chief and checkpoint.exists():
            found = load_checkpoint(checkpoint, fingerprint)
            content = checkpoint.read_bytes() if self._distribution.workers > 1 else b""
        content = self._distribution.share_bytes(content)
        return load_checkpoint(io.BytesIO(content), fingerprint) if content and found is None else found

    def _is_better(self, value: float, state: TrainingState) -> bool:
        if state.best_epoch == 0:
            return True
        return value > state.best_value if self.task.maximize else value < state.best_value

    def _finished(self, state: TrainingState, last_epoch: int) -> bool:
        patience = self.settings.patience
        # Without validation there is no best epoch to wait for.
        if patience is None or state.best_epoch == 0:
            return state.epoch >= last_epoch
        return state.epoch >= last_epoch or state.epoch - state.best_epoch >= patience

    def _run_epoch(self, epoch: int, on_steps: OnSteps | None) -> dict[str, float]:
        """Run all phases of an epoch, and return the means of what they log."""
        self._step.on_epoch_start(epoch)
        logs: dict[str, float] = {}
        for runner in self.runners:
            try:
                logs.update(runner.run_epoch(epoch, on_steps))
            except SpoiledError as error:
                raise self._diverged(epoch + 1, "the training loss is not finite", str(error)) from None
        return logs

    def _diverged(self, epoch: int, what: str, steps: str = "") -> TfzooError:
        rate = self._step.learning_rate
        what = what.rstrip(".")
        return TfzooError(
            f"Training diverged in epoch {epoch}{steps} (learning rate {rate:g}): {what}. Try a smaller "
            "training.learning_rate, and look for inputs or ratings that are far out of scale."
        )

    def _all_finite(self) -> tf.Tensor:
        floats = [variable.value for variable in self.model.variables if "float" in variable.dtype]
        return tf.reduce_all([tf.reduce_all(tf.math.is_finite(value)) for value in floats])

    def _snapshot(self) -> Arrays:
        return arrays(self.model.variables)

    def _step_arrays(self) -> dict[str, Arrays]:
        return {name: arrays(variables) for name, variables in self._step.groups().items()}

    def _restore_all(self, groups: dict[str, Arrays]) -> None:
        variables = {"model": self.model.variables, **self._step.groups()}
        check_groups(groups, {**variables, "best": self.model.variables})
        for name, group in variables.items():
            assign(group, groups[name])

    def _known_variables(self) -> list[Any]:
        return [
            variable for group in self._step.groups().values() for variable in group
        ] + self.model.variables
