"""One phase of an epoch: its batches, its compiled program, and the means of its logs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.pipelines import BatchPlan, gather, shuffled_blocks, steps_per_epoch, untuned
from tfzoo.errors import UsageError
from tfzoo.models.step import Batch, Phase
from tfzoo.tasks.base import State, Task
from tfzoo.training.distributed import Distribution
from tfzoo.training.settings import TrainingSettings

MAX_STEPS_PER_CALL = 64
MAX_BLOCK_BYTES = 16 * 2**20
IDS = ("users", "items", "all-items")


class RunsSteps(Protocol):
    """What `GradientStep` and `OwnStep` have in common."""

    logs: Mapping[str, Sequence[str]]

    def initial_carry(self, phase: Phase, batch_size: int) -> State:
        """Return what the first step of an epoch is handed."""

    def run(self, phase: Phase, batch: Any, carry: State) -> tuple[tuple[tf.Tensor, ...], State]:
        """Take one step."""


class SpoiledError(Exception):
    """A log of an epoch is not finite; the argument says at which steps."""


# Called with the steps that are done in a pass over the data, and how many it has.
OnSteps = Callable[[int, int], None]


class Source:
    """Where the batches of a phase come from, and how many make an epoch.

    Args:
        phase: names the batches.
        model: for the size of a block.
        task: gives the batches of the phase ``train``.
        features: from the task.
        train: the training part.
        settings: batch size and block length.
    """

    def __init__(
        self,
        phase: Phase,
        model: keras.Model,
        task: Task,
        features: Any,
        train: Interactions,
        settings: TrainingSettings,
    ) -> None:
        self._task, self._features, self._train, self._settings = task, features, train, settings
        self._ids = None if phase.batches == "train" else ids_of(phase, train)
        self._key = "user_id" if phase.batches == "users" else "item_id"
        examples = task.num_examples(features, train) if self._ids is None else len(self._ids)
        # A larger batch would compute on padding: a model of rows has as many examples as there are users.
        self.batch_size = min(phase.batch_size or settings.batch_size, max(1, examples))
        if self._ids is None:
            self.batches_differ = task.batches_differ(features, self.batch_size)
            self.steps = task.steps_per_epoch(features, train, self.batch_size)
            floats = task.floats_per_example(model)
        else:
            self.batches_differ, floats = False, 1
            self.steps = steps_per_epoch(examples, self.batch_size)
        self.block = self._choose_block(floats) if phase.compiled else 1

    def _choose_block(self, floats: int) -> int:
        """Divide an epoch evenly into blocks that are long, but small in memory."""
        if self.batches_differ:
            return 1
        if self._settings.steps_per_call is not None:
            return self._settings.steps_per_call
        longest = max(1, MAX_BLOCK_BYTES // (4 * floats * self.batch_size))
        blocks = math.ceil(self.steps / min(MAX_STEPS_PER_CALL, longest))
        return math.ceil(self.steps / blocks)

    def dataset(self, plan: BatchPlan) -> tf.data.Dataset:
        """Return endless epochs of ``(inputs, labels, weight)``, see `Task.train_dataset`."""
        if self._ids is None:
            return untuned(self._task.train_dataset(self._features, self._train, plan))
        ids, key = tf.constant(self._ids), self._key

        def batch(rows: tf.Tensor) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor], tf.Tensor]:
            return {key: gather(ids, rows)}, {}, tf.cast(rows >= 0, tf.float32)

        return untuned(shuffled_blocks(len(self._ids), plan).map(batch).prefetch(2))


def ids_of(phase: Phase, train: Interactions) -> np.ndarray:
    """Return the dense ids that a phase goes through, sorted; raises `ValueError` for other batches."""
    if phase.batches not in IDS:
        raise ValueError(f"Phase '{phase.name}': batches must be train, {', '.join(IDS)} or None.")
    if phase.batches == "all-items":
        return np.arange(1, train.num_items + 1, dtype=np.int32)
    return np.unique(train.user_id if phase.batches == "users" else train.item_id)


class PhaseRunner:
    """Runs one phase, epoch by epoch.

    Args:
        phase: what to run.
        number: its place among the phases, so that each draws by itself.
        step: what a batch does.
        source: its batches; None for a phase without.
        seed: fixes order and sampling.
        distribution: the devices.
        jit_compile: compile with XLA what is compiled.
        known: variables that a checkpoint holds; a compiled phase may use no others. None checks nothing.
    """

    def __init__(
        self,
        phase: Phase,
        number: int,
        step: RunsSteps,
        source: Source | None,
        seed: int,
        distribution: Distribution,
        *,
        jit_compile: bool,
        known: Callable[[], list[Any]] | None = None,
    ) -> None:
        self.phase, self._number, self._step, self.source = phase, number, step, source
        self._seed, self._distribution = seed, distribution
        self._jit_compile, self._known = jit_compile, known
        self._logs = tuple(step.logs.get(phase.name, ()))
        self._run_block: Any = None
        self._blocks: Iterator[Any] = iter(())
        self._initial: State = ()
        self._next_pass = -1

    def run_epoch(self, epoch: int, on_steps: OnSteps | None = None) -> dict[str, float]:
        """Run the phase in one epoch, counted from 0, and return the means of its logs.

        Args:
            epoch: counted from 0.
            on_steps: called before the first step and after each block of them.

        Raises:
            SpoiledError: a log is not finite.
        """
        if self.phase.epochs is not None and epoch >= self.phase.epochs:
            return {}
        first = epoch * self.phase.passes
        passes = [self._run_pass(first + number, on_steps) for number in range(self.phase.passes)]
        return dict(zip(self._logs, np.mean(passes, axis=0).tolist(), strict=True))

    def _run_pass(self, number: int, on_steps: OnSteps | None) -> list[float]:
        if self.source is None:
            once, _ = self._step.run(self.phase, None, ())
            return self._means([once], 1)
        steps = self.source.steps
        if on_steps is not None:
            on_steps(0, steps)
        if number != self._next_pass:
            self._open(self.source, number)
        logs: list[tuple[tf.Tensor, ...]] = []
        carry = self._initial
        for block in range(math.ceil(self.source.steps / self.source.block)):
            first = tf.constant(number * self.source.steps + block * self.source.block, tf.int64)
            each, carry = self._run_block(*next(self._blocks), first, carry)
            logs.append(each)
            if on_steps is not None:
                on_steps(min((block + 1) * self.source.block, steps), steps)
        self._next_pass = number + 1
        return self._means(logs, self.source.steps)

    def _open(self, source: Source, first_pass: int) -> None:
        """Start the pipeline at a pass, and compile the block once."""
        plan = BatchPlan(source.batch_size, self._seed, first_pass, source.block).stream(self._number)
        dataset = source.dataset(plan)
        self._blocks = iter(dataset)
        if self._run_block is None:
            self._initial = self._step.initial_carry(self.phase, source.batch_size)
            self._run_block = self.compile_block(dataset) if self.phase.compiled else self._block

    def compile_block(self, dataset: tf.data.Dataset) -> Callable[..., Any]:
        """Return the compiled program of a block of steps."""
        carry = tuple(tf.TensorSpec(part.shape, part.dtype) for part in self._initial)
        block = tf.function(self._block, jit_compile=self._jit_compile)
        concrete = block.get_concrete_function(*dataset.element_spec, tf.TensorSpec([], tf.int64), carry)
        if self._known is not None:
            self._refuse_unknown(concrete.graph.variables, self._known())
        return concrete

    def _refuse_unknown(self, used: Any, known: list[Any]) -> None:
        """Raise `UsageError` where the step uses a variable that a checkpoint would not hold."""
        ids = {id(getattr(variable, "value", variable)) for variable in known} | {id(v) for v in known}
        unknown = sorted({variable.name for variable in used if id(variable) not in ids})
        if unknown:
            raise UsageError(
                f"The phase '{self.phase.name}' uses variables that no checkpoint would hold: "
                f"{', '.join(unknown)}. Name them in the step's state()."
            )

    def _block(
        self,
        inputs: dict[str, tf.Tensor],
        labels: dict[str, tf.Tensor],
        weight: tf.Tensor,
        first: tf.Tensor,
        carry: State,
    ) -> tuple[tuple[tf.Tensor, ...], State]:
        """Run one step for each batch of a block; batches of padding alone are left out."""
        steps = tf.reduce_sum(tf.cast(tf.reduce_any(weight > 0, axis=1), tf.int32))
        totals = tuple(tf.constant(0.0) for _ in self._logs)
        step = tf.constant(0)
        while step < steps:
            batch = Batch(
                {key: value[step] for key, value in inputs.items()},
                {key: value[step] for key, value in labels.items()},
                weight[step],
                first + tf.cast(step, tf.int64),
            )
            logs, carry = self._step.run(self.phase, batch, carry)
            totals = tuple(total + log for total, log in zip(totals, logs, strict=True))
            step += 1
        return totals, carry

    def _means(self, logs: list[tuple[tf.Tensor, ...]], steps: int) -> list[float]:
        means = []
        for place in range(len(self._logs)):
            each = [block[place] for block in logs]
            mean = float(self._distribution.add(tf.add_n(each))) / steps
            if not math.isfinite(mean):
                raise SpoiledError(self._spoiled_steps(each, steps))
            means.append(mean)
        return means

    def _spoiled_steps(self, values: list[tf.Tensor], steps: int) -> str:
        """Name the first block of steps whose log is not finite."""
        if self.source is None:
            return f" in the phase '{self.phase.name}'"
        spoiled = np.flatnonzero(~np.isfinite([float(value) for value in values]))
        block = int(spoiled[0]) if len(spoiled) else 0
        last = min((block + 1) * self.source.block, steps) if len(spoiled) else steps
        return f" at steps {block * self.source.block + 1} to {last} of {steps}"
