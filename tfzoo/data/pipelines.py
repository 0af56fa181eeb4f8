"""tf.data pipelines over index batches: shuffle row numbers, batch them, gather vectorised.

Shuffling element by element caps a pipeline near 250,000 examples a second; gathering whole
batches by index gives millions. Order is a function of (seed, epoch) alone, so a run that
continues at epoch ``e`` sees the batches that the unbroken run would have seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import tensorflow as tf

from tfzoo.errors import UsageError

PADDING = -1
# From so many numbers on their order is computed number by number, since it would not fit beside the data.
COMPUTED_FROM = 1 << 24
# Fewer leave the places of neighbours related: four, the default of TensorFlow, fail a chi-squared test.
ROUNDS = 16


# Far enough apart that no two runs of neighbouring seeds share an order.
STREAMS_APART = 7919


@dataclass(frozen=True)
class BatchPlan:
    """How examples are ordered and batched.

    Attributes:
        batch_size: examples a batch.
        seed: with the epoch number, fixes order and sampling.
        first_epoch: number of the first epoch, counted from 0.
        block: batches an element of the dataset.
    """

    batch_size: int
    seed: int
    first_epoch: int = 0
    block: int = 1

    def stream(self, number: int) -> BatchPlan:
        """Return the plan of another pipeline of the same training, whose order is its own."""
        return replace(self, seed=self.seed + STREAMS_APART * number)


def steps_per_epoch(num_examples: int, batch_size: int) -> int:
    """Number of batches that cover ``num_examples``, the last one possibly padded."""
    if batch_size < 1:
        raise UsageError(f"training.batch_size must be at least 1. Received {batch_size}.")
    return math.ceil(num_examples / batch_size)


def blocks_per_epoch(num_examples: int, plan: BatchPlan) -> int:
    """Number of blocks of batches that cover ``num_examples``."""
    return math.ceil(steps_per_epoch(num_examples, plan.batch_size) / plan.block)


def shuffled_blocks(num_examples: int, plan: BatchPlan) -> tf.data.Dataset:
    """Endless epochs of shuffled row numbers, several batches an element.

    Every epoch visits each row once. Its last element is filled up with `PADDING`, so that
    all elements have one shape and a compiled training step is traced once.

    Args:
        num_examples: number of rows to draw from.
        plan: batch size, order and batches an element, ``S`` below.

    Returns:
        A dataset of int32 ``[S, batch_size]``; `blocks_per_epoch` elements make one epoch.

    Raises:
        UsageError: ``num_examples`` or the batch size is below 1.
    """
    if num_examples < 1:
        raise UsageError("There is no example to draw batches from.")
    blocks = blocks_per_epoch(num_examples, plan)
    shape = [plan.block, plan.batch_size]
    size = plan.block * plan.batch_size

    def shuffled(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(num_examples, dtype=tf.int32), seed=tf.stack([tf.constant(plan.seed, tf.int64), epoch])
        )
        order = tf.pad(order, [[0, blocks * size - num_examples]], constant_values=PADDING)
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order, [blocks, *shape]))

    def computed(epoch: tf.Tensor) -> tf.data.Dataset:
        key = tf.stack([tf.constant(plan.seed, tf.int64), epoch, tf.constant(0, tf.int64)])

        def block(number: tf.Tensor) -> tf.Tensor:
            places = number * size + tf.range(size, dtype=tf.int64)
            rows = tf.raw_ops.RandomIndexShuffle(
                index=tf.minimum(places, num_examples - 1),
                seed=key,
                max_index=num_examples - 1,
                rounds=ROUNDS,
            )
            rows = tf.where(places < num_examples, tf.cast(rows, tf.int32), PADDING)
            return tf.reshape(rows, shape)

        return tf.data.Dataset.range(blocks).map(block, num_parallel_calls=2)

    epoch_blocks = shuffled if num_examples < COMPUTED_FROM else computed
    return tf.data.Dataset.range(plan.first_epoch, tf.int64.max).flat_map(epoch_blocks)


def ordered_batches(num_examples: int, batch_size: int) -> tf.data.Dataset:
    """One pass over the row numbers in order; the last batch is filled up with `PADDING`.

    Args:
        num_examples: number of rows.
        batch_size: rows a batch.

    Returns:
        A dataset of int32 ``[batch_size]``.
    """
    batches = steps_per_epoch(num_examples, batch_size)
    order = tf.pad(
        tf.range(num_examples, dtype=tf.int32),
        [[0, batches * batch_size - num_examples]],
        constant_values=PADDING,
    )
    return untuned(tf.data.Dataset.from_tensor_slices(tf.reshape(order, [batches, batch_size])))


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return the dataset without automatic tuning, of which the pipelines here have no use.

    Its thread sleeps ever longer, up to a minute, and an iterator that ends may have to wait for it
    (as of TensorFlow 2.21): a training of seven seconds then takes eleven.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def gather(column: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Take ``column[rows]``, with zero where ``rows`` is `PADDING` (id 0, rating 0)."""
    values = tf.gather(column, tf.maximum(rows, 0))
    return tf.where(rows >= 0, values, tf.zeros_like(values))
