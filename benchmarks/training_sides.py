"""What trains the same model in a benchmark: the trainer, plain Keras, and the compiled step alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from tfzoo.data.pipelines import BatchPlan, untuned
from tfzoo.experiment import Experiment
from tfzoo.training.checkpoint import TrainingState
from tfzoo.training.trainer import Trainer

Batch = tuple[dict[str, tf.Tensor], dict[str, tf.Tensor], tf.Tensor]


class Side(Protocol):
    """One way to train; a benchmark lets all of them take turns.

    Attributes:
        examples: training examples an epoch.
    """

    examples: int

    def epochs(self, count: int) -> float:
        """Train so many epochs and return the seconds."""


class OurTrainer:
    """`tfzoo.training.trainer.Trainer` as `tfzoo train` uses it, without validation.

    It trains in a thread of its own, which waits between two turns.

    Args:
        experiment: model, data and settings.
    """

    def __init__(self, experiment: Experiment) -> None:
        model = experiment.build()
        features, train = experiment.features(model), experiment.split.train
        self.examples = experiment.task.num_examples(features, train)
        self._trainer = Trainer(
            model, experiment.task, features, train, experiment.recipe.training, seed=experiment.seed
        )
        self._left, self._go, self._done = 0, threading.Semaphore(0), threading.Semaphore(0)
        self._error: BaseException | None = None
        threading.Thread(target=self._train, daemon=True).start()

    def epochs(self, count: int) -> float:
        """Train so many epochs and return the seconds; the first time compiles."""
        self._left = count
        started = time.perf_counter()
        self._go.release()
        self._done.acquire()
        if self._error is not None:
            raise self._error
        return time.perf_counter() - started

    def _train(self) -> None:
        self._go.acquire()
        try:
            self._trainer.fit(None, epochs=2**31, on_epoch=self._take_turns)
        except BaseException as error:
            self._error = error
            self._done.release()

    def _take_turns(self, _: TrainingState) -> None:
        self._left -= 1
        if self._left == 0:
            self._done.release()
            self._go.acquire()


class PlainKeras:
    """`keras.Model.fit` over `from_tensor_slices().shuffle().batch()`, as a newcomer would write it.

    Negatives are drawn once, before training.

    Args:
        experiment: model, data and settings.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._model = experiment.build()
        inputs, labels = epoch_arrays(experiment, self._model)
        ((label, values),) = labels.items()
        self.examples = len(values)
        training = experiment.recipe.training
        output = "rating" if label == "rating" else "score"
        loss = keras.losses.MeanSquaredError() if output == "rating" else keras.losses.BinaryCrossentropy()
        self._model.compile(keras.optimizers.Adam(training.learning_rate), loss={output: loss})
        slices = tf.data.Dataset.from_tensor_slices((inputs, {output: values}))
        self._batches = slices.shuffle(self.examples).batch(training.batch_size)

    def epochs(self, count: int) -> float:
        """Train so many epochs and return the seconds; the first time compiles."""
        started = time.perf_counter()
        self._model.fit(self._batches, epochs=count, verbose=0)
        return time.perf_counter() - started


class InGraphLoop:
    """The limit: an epoch is one XLA program over batches that already lie in memory.

    Nothing is shuffled, drawn, gathered, checked or reported; Adam is written out by hand.

    Args:
        experiment: model, data and settings; the optimizer must be Adam.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._model, self._task = experiment.build(), experiment.task
        training = experiment.recipe.training
        if training.optimizer != "adam":
            raise ValueError(f"The hand-written loop has Adam alone, not {training.optimizer}.")
        self._rate = training.learning_rate
        self._model.compile(loss=self._task.loss())
        inputs, labels = epoch_arrays(experiment, self._model)
        size = training.batch_size
        steps = len(next(iter(labels.values()))) // size
        self.examples = steps * size
        order = np.random.default_rng(experiment.seed).permutation(self.examples).reshape(steps, size)
        self._inputs = {key: tf.constant(column[order]) for key, column in inputs.items()}
        self._labels = {key: tf.constant(column[order]) for key, column in labels.items()}
        self._weights = self._model.trainable_variables
        self._moments = [
            [tf.Variable(tf.zeros_like(weight.value), trainable=False) for weight in self._weights]
            for _ in range(2)
        ]
        self._time = tf.Variable(0.0, trainable=False)
        self._steps = steps
        self._epoch = tf.function(self._run, jit_compile=True)

    def epochs(self, count: int) -> float:
        """Train so many epochs and return the seconds; the first time compiles."""
        started = time.perf_counter()
        for _ in range(count):
            loss = float(self._epoch(self._inputs, self._labels))
            if not np.isfinite(loss):
                raise ValueError(f"The loss of the hand-written loop is {loss}.")
        return time.perf_counter() - started

    def _run(self, inputs: dict[str, tf.Tensor], labels: dict[str, tf.Tensor]) -> tf.Tensor:
        total, step = tf.constant(0.0), tf.constant(0)
        weight = tf.ones_like(next(iter(labels.values()))[0])
        while step < self._steps:
            batch = {key: value[step] for key, value in inputs.items()}
            truth = {key: value[step] for key, value in labels.items()}
            with tf.GradientTape() as tape:
                loss, _ = self._task.compute_loss(self._model, batch, truth, weight, ())
            self._adam(tape.gradient(loss, self._weights))
            total += loss
            step += 1
        return total / self._steps

    def _adam(self, gradients: list[Any]) -> None:
        time_ = self._time.assign_add(1.0)
        rate = self._rate * tf.sqrt(1.0 - 0.999**time_) / (1.0 - 0.9**time_)
        for weight, gradient, first, second in zip(self._weights, gradients, *self._moments, strict=True):
            dense = tf.convert_to_tensor(gradient)
            mean = first.assign(0.9 * first + 0.1 * dense)
            square = second.assign(0.999 * second + 0.001 * dense * dense)
            weight.assign(weight.value - rate * mean / (tf.sqrt(square) + 1e-7))


class PipelineAlone:
    """The trainer's batches, without a model.

    Args:
        experiment: model, data and settings.
    """

    def __init__(self, experiment: Experiment) -> None:
        model = experiment.build()
        features, train, task = experiment.features(model), experiment.split.train, experiment.task
        size = experiment.recipe.training.batch_size
        steps = task.steps_per_epoch(features, train, size)
        self.examples = task.num_examples(features, train)
        self._blocks = -(-steps // 64)
        self._elements: Iterator[Any] = iter(
            untuned(
                task.train_dataset(
                    features,
                    train,
                    BatchPlan(batch_size=size, seed=experiment.seed, block=-(-steps // self._blocks)),
                )
            )
        )

    def epochs(self, count: int) -> float:
        """Make the batches of so many epochs and return the seconds."""
        started = time.perf_counter()
        for _ in range(count * self._blocks):
            next(self._elements)
        return time.perf_counter() - started


def epoch_arrays(
    experiment: Experiment, model: keras.Model
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the inputs and labels of one epoch, each ``[n]``, as the task draws them.

    Args:
        experiment: data and settings.
        model: what reads them; ids alone.
    """
    features, train, task = experiment.features(model), experiment.split.train, experiment.task
    size = 8192
    steps = task.steps_per_epoch(features, train, size)
    batches = task.train_dataset(features, train, BatchPlan(batch_size=size, seed=experiment.seed))
    drawn: list[Batch] = list(batches.take(steps).as_numpy_iterator())
    kept = np.concatenate([weight.reshape(-1) for _, _, weight in drawn]) > 0

    def joined(group: int) -> dict[str, np.ndarray]:
        keys = drawn[0][group].keys()
        return {key: np.concatenate([part[group][key].reshape(-1) for part in drawn])[kept] for key in keys}

    return joined(0), joined(1)
