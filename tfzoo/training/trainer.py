"""The training loop: compiled blocks of steps, early stopping, checkpoints, resume."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.pipelines import untuned
from tfzoo.errors import DataError, TfzooError
from tfzoo.tasks.base import State, Task
from tfzoo.tasks.tables import check_tables
from tfzoo.training.averages import Averages, arrays, assign
from tfzoo.training.checkpoint import Arrays, TrainingState, load_checkpoint, save_checkpoint
from tfzoo.training.distributed import Distribution, Replicas
from tfzoo.training.optimizers import build_optimizer, forget_replicas, gradients_of_rows
from tfzoo.training.settings import TrainingSettings

Validate = Callable[[], dict[str, float]]
OnEpoch = Callable[[TrainingState], None]

MAX_STEPS_PER_CALL = 64
MAX_BLOCK_BYTES = 16 * 2**20
# From so many weights on compiling their update saves more than it costs.
WEIGHTS_COMPILED_FROM = 2**20


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
    ) -> None:
        check_tables(model, train)
        self._distribution = distribution or Distribution()
        self._distribution.check(task, model)
        self.model, self.task, self.features, self.train = model, task, features, train
        self.settings, self.seed = settings, seed
        # A larger batch would compute on padding: a model of rows has as many examples as there are users.
        self._batch_size = min(settings.batch_size, max(1, task.num_examples(features, train)))
        self._batches_differ = task.batches_differ(features, self._batch_size)
        self._steps = steps = task.steps_per_epoch(features, train, self._batch_size)
        self._steps_per_call = self._choose_steps_per_call(steps)
        self._blocks = math.ceil(steps / self._steps_per_call)
        self._weights = model.trainable_variables
        with self._distribution.scope():
            model.compile(optimizer=build_optimizer(settings, steps), loss=task.loss())
            if not isinstance(self._distribution, Replicas):
                forget_replicas(model.optimizer)
            model.optimizer.build(self._weights)
            self._averages = Averages(self._weights, settings.average)
        # Compiled, since copies of large tables in NumPy take longer than the check.
        self._weights_are_finite = tf.function(self._all_finite)

    def fit(
        self,
        validate: Validate | None,
        *,
        epochs: int | None = None,
        checkpoint: Path | None = None,
        resume: bool = False,
        fingerprint: str = "",
        on_epoch: OnEpoch | None = None,
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
        dataset = self._dataset(state.epoch)
        run_block = self._compile_block(dataset)
        blocks = iter(dataset)
        while not self._finished(state, last_epoch):
            loss = self._run_epoch(run_block, blocks, state.epoch)
            state.epoch += 1
            due = state.epoch % self.settings.validate_every == 0 or state.epoch == last_epoch
            with self._averages.in_place():
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
            state.history.append({"loss": loss, **{f"val_{key}": v for key, v in metrics.items()}})
            state.seconds = time.perf_counter() - started
            if target is not None:
                # Without averages the copy is of the weights that training goes on from.
                weights = best if copied and not self.settings.average else self._snapshot()
                groups = {"model": weights, **self._optimizer_state(), "best": best}
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

    def _compile_block(self, dataset: tf.data.Dataset) -> Callable[..., Any]:
        self._initial_state = self.task.initial_state(self.model, self._batch_size)
        state = tuple(tf.TensorSpec(part.shape, part.dtype) for part in self._initial_state)
        several = isinstance(self._distribution, Replicas)
        block = tf.function(self._block, jit_compile=self._use_xla() and not several)
        return block.get_concrete_function(*dataset.element_spec, state)

    def _dataset(self, first_epoch: int) -> tf.data.Dataset:
        dataset = self.task.train_dataset(
            self.features,
            self.train,
            batch_size=self._batch_size,
            seed=self.seed,
            first_epoch=first_epoch,
            steps_per_block=self._steps_per_call,
        )
        return untuned(dataset)

    def _run_epoch(self, run_block: Callable[..., Any], blocks: Iterator[Any], epoch: int) -> float:
        losses, state = [], self._initial_state
        for _ in range(self._blocks):
            loss, state = run_block(*next(blocks), state)
            losses.append(loss)
        loss = float(self._distribution.add(tf.add_n(losses))) / self._steps
        if not math.isfinite(loss):
            raise self._diverged(epoch + 1, "the training loss is not finite", self._spoiled_steps(losses))
        return loss

    def _spoiled_steps(self, losses: list[tf.Tensor]) -> str:
        """Name the first block of steps whose loss is not finite."""
        spoiled = np.flatnonzero(~np.isfinite([float(loss) for loss in losses]))
        block = int(spoiled[0]) if len(spoiled) else 0
        last = min((block + 1) * self._steps_per_call, self._steps) if len(spoiled) else self._steps
        return f" at steps {block * self._steps_per_call + 1} to {last} of {self._steps}"

    def _diverged(self, epoch: int, what: str, steps: str = "") -> TfzooError:
        rate = float(self.model.optimizer.learning_rate)
        what = what.rstrip(".")
        return TfzooError(
            f"Training diverged in epoch {epoch}{steps} (learning rate {rate:g}): {what}. Try a smaller "
            "training.learning_rate, and look for inputs or ratings that are far out of scale."
        )

    def _block(
        self,
        inputs: dict[str, tf.Tensor],
        labels: dict[str, tf.Tensor],
        weight: tf.Tensor,
        state: State,
    ) -> tuple[tf.Tensor, State]:
        """Run one step for each batch of a block; batches of padding alone are left out."""
        steps = tf.reduce_sum(tf.cast(tf.reduce_any(weight > 0, axis=1), tf.int32))
        total = tf.constant(0.0)
        step = tf.constant(0)
        while step < steps:
            loss, state = self._step(
                {key: value[step] for key, value in inputs.items()},
                {key: value[step] for key, value in labels.items()},
                weight[step],
                state,
            )
            total += loss
            step += 1
        return total, state

    def _step(
        self, inputs: dict[str, tf.Tensor], labels: dict[str, tf.Tensor], weight: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        optimizer = self.model.optimizer
        if isinstance(self._distribution, Replicas):
            loss = self._distribution.step(
                lambda *part: self.task.compute_loss(self.model, part[0], part[1], part[2], ())[0],
                optimizer,
                self._weights,
                (inputs, labels, weight),
                shared=self.task.shared_inputs,
                # What a layer counts or draws from is kept the same on all devices, which XLA cannot do.
                jit_compile=self._use_xla() and not self.model.non_trainable_variables,
            )
            self._averages.update(optimizer.iterations.value)
        else:
            with tf.GradientTape() as tape:
                loss, state = self.task.compute_loss(self.model, inputs, labels, weight, state)
                scaled = optimizer.scale_loss(loss)
            gradients = gradients_of_rows(optimizer, tape.gradient(scaled, self._weights))
            update = self._update
            if self._compiles_update(gradients):
                update = tf.function(update, jit_compile=True)
            update(gradients)
        return loss, state

    def _update(self, gradients: list[Any]) -> None:
        self.model.optimizer.apply(gradients, self._weights)
        self._averages.update(self.model.optimizer.iterations.value)

    def _all_finite(self) -> tf.Tensor:
        floats = [variable.value for variable in self.model.variables if "float" in variable.dtype]
        return tf.reduce_all([tf.reduce_all(tf.math.is_finite(value)) for value in floats])

    def _snapshot(self) -> Arrays:
        return arrays(self.model.variables)

    def _optimizer_state(self) -> dict[str, Arrays]:
        return {
            "optimizer": arrays(self.model.optimizer.variables),
            "averages": arrays(self._averages.variables),
        }

    def _restore_all(self, groups: dict[str, Arrays]) -> None:
        assign(self.model.variables, groups["model"])
        assign(self.model.optimizer.variables, groups["optimizer"])
        assign(self._averages.variables, groups["averages"])

    def _use_xla(self) -> bool:
        if self._batches_differ:
            return False
        if self.settings.jit_compile is not None:
            return self.settings.jit_compile
        # Over rows the step is one large product, which runs faster outside XLA on a CPU.
        on_cpu = not tf.config.get_visible_devices("GPU")
        possible = self.model.supports_jit and self.features.supports_jit
        return possible and not (on_cpu and self.features.reads_rows)

    def _compiles_update(self, gradients: list[Any]) -> bool:
        """Whether XLA updates the weights of a step that it does not compile, in one pass over memory."""
        if self.settings.jit_compile is not None or self._use_xla():
            return False
        # Rows that a batch looks up may differ in number, and XLA would compile each number anew.
        dense = not any(isinstance(gradient, tf.IndexedSlices) for gradient in gradients)
        return dense and sum(math.prod(weight.shape) for weight in self._weights) >= WEIGHTS_COMPILED_FROM

    def _choose_steps_per_call(self, steps: int) -> int:
        """Divide an epoch evenly into blocks that are long, but small in memory."""
        if self._batches_differ:
            return 1
        if self.settings.steps_per_call is not None:
            return self.settings.steps_per_call
        floats = sum(math.prod(tensor.shape[1:]) for tensor in self.model.inputs)
        longest = max(1, MAX_BLOCK_BYTES // (4 * floats * self._batch_size))
        blocks = math.ceil(steps / min(MAX_STEPS_PER_CALL, longest))
        return math.ceil(steps / blocks)
