"""A model's own step within the trainer: its tools, its optimizers, what a checkpoint holds of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy import sparse

from tfzoo.data.interactions import Interactions
from tfzoo.data.rows import SparseRows
from tfzoo.errors import TfzooError, UsageError
from tfzoo.models.step import Batch, Phase, Step
from tfzoo.tasks.base import State, Task
from tfzoo.training.averages import Averages
from tfzoo.training.distributed import Distribution, Replicas
from tfzoo.training.optimizers import build_optimizer, forget_replicas, gradients_of_rows
from tfzoo.training.phases import Source
from tfzoo.training.settings import TrainingSettings, parse

MakeStep = Callable[..., Step]


class StepTools:
    """What a step is offered, see `tfzoo.models.step.Tools`."""

    def __init__(
        self,
        model: keras.Model,
        task: Task,
        train: Interactions,
        settings: TrainingSettings,
        source: Source,
        seed: int,
    ) -> None:
        self.model, self.train, self.seed, self.batch_size = model, train, seed, source.batch_size
        self.optimizers: dict[str, tuple[keras.Optimizer, list[keras.Variable]]] = {}
        self._task, self._settings, self._steps = task, settings, source.steps

    def optimizer(self, name: str, variables: Sequence[keras.Variable], **changes: Any) -> None:
        """Make an optimizer for some variables, see `tfzoo.models.step.Tools`."""
        if name in self.optimizers:
            raise ValueError(f"An optimizer named '{name}' is there already.")
        values = {**self._settings.model_dump(), **changes}
        optimizer = build_optimizer(parse(TrainingSettings, values, f"optimizer '{name}'"), self._steps)
        if keras.config.dtype_policy().name == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        forget_replicas(optimizer)
        optimizer.build(list(variables))
        self.optimizers[name] = optimizer, list(variables)

    def minimize(self, name: str, loss: Callable[[], Any]) -> Any:
        """Take one step of an optimizer, see `tfzoo.models.step.Tools`."""
        optimizer, variables = self.optimizers[name]
        with tf.GradientTape() as tape:
            found = loss()
            scaled = optimizer.scale_loss(found[0] if isinstance(found, tuple) else found)
        gradients = gradients_of_rows(optimizer, tape.gradient(scaled, variables))
        optimizer.apply(gradients, variables)
        return found

    def task_loss(self, batch: Batch) -> Any:
        """Return the task's loss of a batch, penalties of the model included."""
        return self._task.compute_loss(self.model, batch.inputs, batch.labels, batch.weight, ())[0]

    def rows(self, matrix: sparse.csr_matrix) -> Callable[[Any], Any]:
        """Return a function from row numbers to dense rows, held in memory where they fit."""
        cells = matrix.tocoo()
        values = cells.data.astype(np.float32)
        return SparseRows(cells.row, cells.col, values, matrix.shape).in_memory().dense


class OwnStep:
    """Runs a model's own `Step` as the trainer runs the gradient step.

    Args:
        make: the class that the model registered, already given its settings.
        tools: what it is offered.
        settings: how to train; of several devices see ``distribution``.
        distribution: the devices.

    Raises:
        UsageError: several devices are to share batches that cannot be divided.
    """

    def __init__(
        self,
        make: MakeStep,
        tools: StepTools,
        task: Task,
        settings: TrainingSettings,
        distribution: Distribution,
    ) -> None:
        model = tools.model
        # Some tasks compute their loss through the model's own.
        if task.loss() is not None:
            model.compile(optimizer=build_optimizer(settings, 1), loss=task.loss())
        self._step, self._tools, self._settings = make(tools), tools, settings
        if isinstance(distribution, Replicas):
            raise UsageError(
                f"--strategy cannot train '{model.name}': {self._step.refuses}. Leave --strategy out to "
                "train on one device."
            )
        self.phases, self.logs = tuple(self._step.phases), self._step.logs
        self._count = tf.Variable(0, dtype=tf.int64, trainable=False, name="steps")
        self.averages = Averages(model.trainable_variables, settings.average)
        self._check_logs()

    def _check_logs(self) -> None:
        names = [phase.name for phase in self.phases]
        logs = [log for name in names for log in self.logs.get(name, ())]
        if len(set(names)) < len(names) or len(set(logs)) < len(logs) or not logs:
            raise ValueError(
                f"{type(self._step).__name__}: phases and logs need distinct names, and at least one log. "
                f"Received phases {names} and logs {logs}."
            )

    @property
    def learning_rate(self) -> float:
        """The present step size of the first optimizer, or the recipe's where there is none."""
        rates = [float(optimizer.learning_rate) for optimizer, _ in self._tools.optimizers.values()]
        return rates[0] if rates else self._settings.learning_rate

    def groups(self) -> dict[str, list[Any]]:
        """Return what training changes beside the model, by the names of checkpoint groups."""
        optimizers = {
            f"optimizer:{name}": optimizer.variables
            for name, (optimizer, _) in self._tools.optimizers.items()
        }
        state = {f"step:{name}": list(variables) for name, variables in self._step.state().items()}
        return {**optimizers, **state, "averages": self.averages.variables, "steps": [self._count]}

    def on_epoch_start(self, epoch: int) -> None:
        """Let the step prepare an epoch, counted from 0."""
        self._step.on_epoch_start(epoch)

    def initial_carry(self, phase: Phase, batch_size: int) -> State:
        """Return nothing: what goes from step to step is a variable."""
        return ()

    def run(self, phase: Phase, batch: Batch | None, carry: State) -> tuple[tuple[tf.Tensor, ...], State]:
        """Take one step, and return what the step logs."""
        logs = self._step.step(phase.name, batch)
        expected = tuple(self.logs.get(phase.name, ()))
        if set(logs) != set(expected):
            raise TfzooError(
                f"The step of '{self._tools.model.name}' returned the logs {', '.join(logs) or 'none'} in "
                f"the phase '{phase.name}', where it declares {', '.join(expected) or 'none'}."
            )
        self._count.assign_add(1)
        self.averages.update(self._count)
        return tuple(tf.cast(logs[name], tf.float32) for name in expected), ()
