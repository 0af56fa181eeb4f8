"""The step of most models: one gradient of the task's loss, one optimizer, on one device or several."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras
import tensorflow as tf

from tfzoo.models.step import Batch, Phase
from tfzoo.tasks.base import State, Task
from tfzoo.training.averages import Averages
from tfzoo.training.distributed import Distribution, Replicas
from tfzoo.training.optimizers import build_optimizer, forget_replicas, gradients_of_rows
from tfzoo.training.settings import TrainingSettings

# From so many weights on compiling their update saves more than it costs.
WEIGHTS_COMPILED_FROM = 2**20


class GradientStep:
    """Moves all trainable weights of a model down the gradient of its task's loss.

    Args:
        model: not yet compiled; its optimizer is made here.
        task: gives the loss.
        settings: optimizer, averages and XLA.
        steps: steps an epoch, for schedules.
        distribution: the devices, in whose scope the model was built.
        jit_compile: whether XLA compiles the block that the step stands in.
    """

    phases: Sequence[Phase] = (Phase(),)
    logs: Mapping[str, Sequence[str]] = MappingProxyType({"train": ("loss",)})

    def __init__(
        self,
        model: keras.Model,
        task: Task,
        settings: TrainingSettings,
        steps: int,
        distribution: Distribution,
        *,
        jit_compile: bool,
    ) -> None:
        self._model, self._task, self._settings = model, task, settings
        self._distribution, self._jit_compile = distribution, jit_compile
        self._weights = model.trainable_variables
        with distribution.scope():
            model.compile(optimizer=build_optimizer(settings, steps), loss=task.loss())
            if not isinstance(distribution, Replicas):
                forget_replicas(model.optimizer)
            model.optimizer.build(self._weights)
            self.averages = Averages(self._weights, settings.average)

    @property
    def learning_rate(self) -> float:
        """The present step size."""
        return float(self._model.optimizer.learning_rate)

    def groups(self) -> dict[str, list[Any]]:
        """Return what training changes beside the model, by the names of checkpoint groups."""
        return {"optimizer": self._model.optimizer.variables, "averages": self.averages.variables}

    def on_epoch_start(self, epoch: int) -> None:
        """Nothing has to be prepared."""

    def initial_carry(self, phase: Phase, batch_size: int) -> State:
        """Return what the first step of an epoch is handed."""
        return self._task.initial_state(self._model, batch_size)

    def run(self, phase: Phase, batch: Batch, carry: State) -> tuple[tuple[tf.Tensor, ...], State]:
        """Take one step, and return the loss and what the next step is handed."""
        optimizer = self._model.optimizer
        if isinstance(self._distribution, Replicas):
            loss = self._distribution.step(
                lambda *part: self._task.compute_loss(self._model, part[0], part[1], part[2], ())[0],
                optimizer,
                self._weights,
                (batch.inputs, batch.labels, batch.weight),
                shared=self._task.shared_inputs,
                # What a layer counts or draws from is kept the same on all devices, which XLA cannot do.
                jit_compile=self._jit_compile and not self._model.non_trainable_variables,
            )
            self.averages.update(optimizer.iterations.value)
            return (loss,), carry
        with tf.GradientTape() as tape:
            loss, carry = self._task.compute_loss(
                self._model, batch.inputs, batch.labels, batch.weight, carry
            )
            scaled = optimizer.scale_loss(loss)
        gradients = gradients_of_rows(optimizer, tape.gradient(scaled, self._weights))
        update = self._update
        if self._compiles_update(gradients):
            update = tf.function(update, jit_compile=True)
        update(gradients)
        return (loss,), carry

    def _update(self, gradients: list[Any]) -> None:
        self._model.optimizer.apply(gradients, self._weights)
        self.averages.update(self._model.optimizer.iterations.value)

    def _compiles_update(self, gradients: list[Any]) -> bool:
        """Whether XLA updates the weights of a step that it does not compile, in one pass over memory."""
        if self._settings.jit_compile is not None or self._jit_compile:
            return False
        # Rows that a batch looks up may differ in number, and XLA would compile each number anew.
        dense = not any(isinstance(gradient, tf.IndexedSlices) for gradient in gradients)
        return dense and sum(math.prod(weight.shape) for weight in self._weights) >= WEIGHTS_COMPILED_FROM
