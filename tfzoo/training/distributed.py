"""Training on several devices and hosts: every replica takes its share of each batch.

Keras' own `fit` does not run over several hosts, and weights a batch that does not divide evenly wrongly.
Here all replicas compute the same batches, since order and sampling are functions of seed and epoch, and
each takes its slice: no data travels, gradients alone do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzoo.errors import TfzooError, UsageError
from tfzoo.tasks.base import Task, Tensors
from tfzoo.training.optimizers import gradients_of_rows

# Floats that one call shares.
CHUNK = 1 << 22
HEADER = 8
# What collective operations raise where a peer has died, has left, or does not answer.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.DeadlineExceededError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


class Distribution:
    """One device: nothing is shared, and nothing has to be agreed on.

    Attributes:
        strategy: how ``tf.distribute`` spreads variables and steps; None on one device.
        worker: number of this process, from 0.
        workers: number of processes.
    """

    strategy: tf.distribute.Strategy | None = None
    worker = 0
    workers = 1

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.worker == 0

    def describe(self) -> dict[str, int]:
        """Return what a record says of the devices beside their names."""
        return {}

    def scope(self) -> AbstractContextManager[Any]:
        """Return the context that all variables must be made in."""
        return nullcontext()

    def check(self, task: Task, model: keras.Model) -> None:
        """Raise `UsageError` where a model cannot be trained so."""

    def share(self, value: Any) -> Any:
        """Return the chief's value, anything that JSON can hold; all processes must call it."""
        return value

    def share_bytes(self, value: bytes) -> bytes:
        """Return the chief's bytes; all processes must call it."""
        return value

    def require_same(self, text: str, what: str) -> None:
        """Raise `UsageError` in all processes unless all of them give the same text."""
        others = int(self.add(tf.constant(float(self.share(text) != text))))
        if others:
            raise UsageError(
                f"{others} of {self.workers} workers have other {what} than the chief. Start all of them "
                "with the same command, on the same data."
            )

    def add(self, value: tf.Tensor) -> tf.Tensor:
        """Return the sum of a float32 scalar over all processes."""
        return value

    @contextmanager
    def watched(self, hint: str) -> Iterator[None]:
        """Raise `TfzooError` with ``hint`` where another process is lost during the block."""
        yield


class Replicas(Distribution):
    """Several replicas, which together take the steps of one.

    Args:
        strategy: a mirrored strategy, of one host or of several.
    """

    strategy: tf.distribute.Strategy

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        self.strategy = strategy
        resolver = strategy.cluster_resolver
        if resolver is not None and resolver.cluster_spec():
            jobs = resolver.cluster_spec().as_dict()
            chiefs, others = len(jobs.get("chief", [])), len(jobs.get("worker", []))
            self.workers = chiefs + others
            self.worker = resolver.task_id + (chiefs if resolver.task_type == "worker" else 0)
        self.replicas = strategy.num_replicas_in_sync
        self._sum = tf.function(self._sum_over_workers, input_signature=[tf.TensorSpec([None], tf.float32)])

    def describe(self) -> dict[str, int]:
        """Return the numbers of replicas and of processes."""
        return {"replicas": self.replicas, "workers": self.workers}

    def scope(self) -> AbstractContextManager[Any]:
        """Return the scope of the strategy."""
        return self.strategy.scope()

    def check(self, task: Task, model: keras.Model) -> None:
        """Raise `UsageError` where a batch cannot be divided, or replicas would not act as one."""
        if keras.config.dtype_policy().name == "mixed_float16":
            # Keras leaves a step out where the gradients overflow of the replica that looks, not of all.
            raise UsageError("--strategy does not go with --precision mixed_float16; use mixed_bfloat16.")
        if task.initial_state(model, 1):
            raise UsageError(
                f"--strategy cannot train '{model.name}': in the task '{task.name}' the items of all "
                "sessions of a batch are compared with each other, so a batch is not divided. Leave "
                "--strategy out to train on one device; models of the tasks rating, review-rating, implicit "
                "and reconstruction train on several."
            )

    def step(
        self,
        compute_loss: Callable[[Tensors, Tensors, tf.Tensor], tf.Tensor],
        optimizer: keras.Optimizer,
        weights: list[keras.Variable],
        batch: tuple[Tensors, Tensors, tf.Tensor],
        *,
        shared: frozenset[str],
        jit_compile: bool,
    ) -> tf.Tensor:
        """Change the weights by the gradient of one batch, as one device would.

        A replica's loss, a mean over its examples, counts by its share of the batch's weight. Shares sum
        to 1, so that penalties, which every replica computes, count once.

        Args:
            compute_loss: of the inputs, labels and weights of a slice; scaled penalties included.
            optimizer: built in the scope.
            weights: what it changes.
            batch: inputs, labels and weights ``[B]`` of the whole batch.
            shared: names of inputs that all examples share, which are not divided.
            jit_compile: compile the computation of the gradients with XLA.

        Returns:
            The loss, summed over the replicas of this process.
        """
        inputs, labels, weight = batch
        total = tf.maximum(tf.reduce_sum(weight), 1.0)
        variables = [variable.value for variable in weights]

        def gradients(inputs: Tensors, labels: Tensors, part: tf.Tensor) -> tuple[tf.Tensor, list[Any]]:
            with tf.GradientTape() as tape:
                loss = compute_loss(inputs, labels, part) * (tf.reduce_sum(part) / total)
                scaled = optimizer.scale_loss(loss)
            return loss, tape.gradient(scaled, variables)

        def replica() -> tf.Tensor:
            # A function of its own for every replica, since it captures that replica's variables.
            compute = tf.function(gradients, jit_compile=True) if jit_compile else gradients
            loss, found = compute(
                {name: value if name in shared else self._slice(value) for name, value in inputs.items()},
                {name: self._slice(value) for name, value in labels.items()},
                self._slice(weight),
            )
            optimizer.apply(gradients_of_rows(optimizer, found), weights)
            return loss

        return tf.add_n(self.strategy.experimental_local_results(self.strategy.run(replica)))

    def _slice(self, value: tf.Tensor) -> tf.Tensor:
        """Return this replica's part of a batch, the last ones filled up with examples of weight 0."""
        size = -(-value.shape[0] // self.replicas)
        missing = size * self.replicas - value.shape[0]
        # On the host: else every device is sent the whole batch.
        with tf.device("/device:CPU:0"):
            padded = tf.pad(value, [[0, missing], *([[0, 0]] * (len(value.shape) - 1))])
            first = tf.distribute.get_replica_context().replica_id_in_sync_group * size
            return padded[first : first + size]

    def add(self, value: tf.Tensor) -> tf.Tensor:
        """Return the sum of a float32 scalar over all processes."""
        return value if self.workers == 1 else self._sum(value[tf.newaxis])[0]

    def share(self, value: Any) -> Any:
        """Return the chief's value, anything that JSON can hold; all processes must call it."""
        return value if self.workers == 1 else json.loads(self.share_bytes(json.dumps(value).encode()))

    def share_bytes(self, value: bytes) -> bytes:
        """Return the chief's bytes; all processes must call it."""
        if self.workers == 1:
            return value
        length = int.from_bytes(self._chiefs(len(value).to_bytes(HEADER, "little"), HEADER), "little")
        parts = (
            self._chiefs(value[start : start + CHUNK], min(CHUNK, length - start))
            for start in range(0, length, CHUNK)
        )
        return b"".join(parts)

    def _chiefs(self, value: bytes, length: int) -> bytes:
        """Return the chief's bytes where their number is known; floats hold them exactly, on any device."""
        mine = np.frombuffer(value, np.uint8) if self.is_chief else np.zeros(length, np.uint8)
        return self._sum(mine.astype(np.float32)).numpy().astype(np.uint8).tobytes()

    def _sum_over_workers(self, value: tf.Tensor) -> tf.Tensor:
        here = self.replicas // self.workers

        def replica() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            first = tf.equal(context.replica_id_in_sync_group % here, 0)
            return context.all_reduce("SUM", tf.where(first, value, tf.zeros_like(value)))

        return self.strategy.experimental_local_results(self.strategy.run(replica))[0]

    @contextmanager
    def watched(self, hint: str) -> Iterator[None]:
        """Raise `TfzooError` with ``hint`` where another process is lost during the block."""
        try:
            yield
        except LOST as error:
            if self.workers == 1:
                raise
            raise TfzooError(
                f"Worker {self.worker} of {self.workers} has lost another worker of this training, which was "
                f"stopped, failed or cannot be reached any more ({type(error).__name__}). {hint}"
            ) from error
