"""Rating and implicit tasks whose training part stays on disk, in shards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.data.negatives import NegativeSampler
from tfzoo.data.pipelines import BatchPlan, steps_per_epoch
from tfzoo.data.shards import BLOCK_ROWS, ShardedInteractions
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError
from tfzoo.tasks.base import Task, Tensors
from tfzoo.tasks.implicit import ImplicitTask
from tfzoo.tasks.pair_features import PairFeatures
from tfzoo.tasks.rating import RatingTask

Element = tuple[NDArray, ...]


@dataclass(frozen=True, eq=False)
class StreamedTrain:
    """The training part of shards, in the place of `Interactions`; training holds no array of its rows.

    Args:
        shards: the data.
        held_out: percent of the rows in the validation and the test part.
        counts: ``user`` and ``item`` -> rows of each dense id in the training part, int64 ``[n + 1]``.
        mean_rating: of the training part.
    """

    shards: ShardedInteractions
    held_out: tuple[int, int] = (0, 0)
    counts: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    mean_rating: float = 0.0
    user_features: dict[str, NDArray] = field(default_factory=dict)
    item_features: dict[str, NDArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.shards.count("train", self.held_out)

    @property
    def users(self) -> Vocabulary:
        """Vocabulary of raw user ids."""
        return self.shards.users

    @property
    def items(self) -> Vocabulary:
        """Vocabulary of raw item ids."""
        return self.shards.items

    @property
    def num_users(self) -> int:
        """Number of users."""
        return len(self.shards.users)

    @property
    def num_items(self) -> int:
        """Number of items."""
        return len(self.shards.items)

    @property
    def name(self) -> str:
        """Short name of the data."""
        return self.shards.name

    @property
    def rating_scale(self) -> tuple[float, float] | None:
        """Lowest and highest rating."""
        return self.shards.rating_scale

    @property
    def user_id(self) -> NDArray[np.int32]:
        """Dense user ids of all rows: the first use of this or `item_id` reads both, 8 bytes a row."""
        return self._pairs["user_id"]

    @property
    def item_id(self) -> NDArray[np.int32]:
        """Dense item ids of all rows, see `user_id`."""
        return self._pairs["item_id"]

    @cached_property
    def _pairs(self) -> dict[str, NDArray[np.int32]]:
        columns = {name: np.empty(len(self), np.int32) for name in ("user_id", "item_id")}
        start = 0
        for block in self.shards.blocks("train", seed=None, held_out=self.held_out):
            stop = start + len(block["user_id"])
            for name, column in columns.items():
                column[start:stop] = block[name]
            start = stop
        return columns

    @property
    def rating(self) -> NDArray[np.float32]:
        """No ratings: rows of the matrix, which need them, are not made here."""
        return np.empty(0, np.float32)

    @property
    def ratings(self) -> NDArray[np.float32]:
        """The lowest and the highest rating alone, of which scales are made."""
        if self.rating_scale is None:
            raise UsageError(f"'{self.name}' has no ratings; this task needs them (--rating-col).")
        return np.array(self.rating_scale, np.float32)

    def user_counts(self) -> NDArray[np.int64]:
        """Number of rows of each user, ``[num_users + 1]``."""
        return self.counts.get("user", self.shards.counts["user"])

    def item_counts(self) -> NDArray[np.int64]:
        """Number of rows of each item, ``[num_items + 1]``."""
        return self.counts.get("item", self.shards.counts["item"])


def streamed_task(task: Task) -> Task:
    """Return the task with the same settings that trains on a `StreamedTrain`.

    Raises:
        UsageError: the task or its settings need all interactions in memory.
    """
    if type(task) is RatingTask:
        if task.settings.examples != "pairs":
            raise UsageError(f"task.examples: {task.settings.examples} needs data in memory, not shards.")
        return StreamedRating(task.settings)
    if type(task) is ImplicitTask:
        if task.settings.labels != "binary":
            raise UsageError("task.labels: rating needs data in memory, not shards.")
        return StreamedImplicit(task.settings)
    raise UsageError(f"Models of the task '{task.name}' need data in memory, not shards.")


class Counts:
    """Stands for the matrix of the training part where a model wants its counts alone."""

    def __init__(self, train: StreamedTrain) -> None:
        self._counts = (train.item_counts(), train.user_counts())

    def getnnz(self, axis: int) -> NDArray[np.int64]:
        """Return the number of interactions of every item (axis 0) or user (axis 1)."""
        return self._counts[axis]

    def __getattr__(self, name: str) -> Any:
        raise UsageError("This model is solved from all interactions at once, which shards do not give.")


class StreamedRating(RatingTask):
    """`RatingTask` on shards; a batch is the same."""

    def matrix(self, train: Any) -> Any:
        """Return the counts that some models weigh their penalties by."""
        return Counts(train)

    def builder_arguments(self, train: Any) -> dict[str, Any]:
        """Return the mean and the scale of the ratings."""
        scale = tuple(float(value) for value in train.ratings)
        return {"mean_rating": train.mean_rating, "rating_scale": scale}

    def features(self, model: keras.Model, split: Any, interactions: Any) -> PairFeatures:
        """Return what gives ids to the model; raises `UsageError` where it reads anything else."""
        return _id_features(model, split.train)

    def train_dataset(self, features: Any, train: Any, plan: BatchPlan) -> tf.data.Dataset:
        """Return endless epochs of training batches, see `Task.train_dataset`."""

        def batch(user: tf.Tensor, item: tf.Tensor, rating: tf.Tensor, weight: tf.Tensor) -> Any:
            return {"user_id": user, "item_id": item}, {"rating": rating}, weight

        return _elements(train, 1, "rating", plan).map(batch).prefetch(2)


class StreamedImplicit(ImplicitTask):
    """`ImplicitTask` on shards.

    A row is an example as often as it occurs, and items that a user has can be drawn as negatives: what
    rules both out is a table of all interactions.
    """

    def matrix(self, train: Any) -> Any:
        """Return the counts that some models weigh their penalties by."""
        return Counts(train)

    def check_split(self, split: Any) -> None:
        """Accept any: negatives are not checked against what users have."""

    def features(self, model: keras.Model, split: Any, interactions: Any) -> Any:
        """Return what gives ids to the model; raises `UsageError` where it reads anything else."""
        return _id_features(model, split.train)

    def num_examples(self, features: Any, train: Any) -> int:
        """Number of training examples of an epoch."""
        return len(train) * self._examples_per_positive

    def train_dataset(self, features: Any, train: Any, plan: BatchPlan) -> tf.data.Dataset:
        """Return endless epochs of positives and fresh negatives, see `Task.train_dataset`."""
        settings, times = self.settings, self._examples_per_positive
        sampler = NegativeSampler(
            train, weighting=settings.weighting, alpha=settings.alpha, reject_known=False
        )
        first = plan.first_epoch * -(-len(train) * times // (plan.batch_size * plan.block))

        def batch(number: tf.Tensor, columns: tuple[tf.Tensor, ...]) -> tuple[Tensors, Tensors, tf.Tensor]:
            user, item, is_positive, weight = columns
            draw = tf.stack([tf.constant(plan.seed + 1, tf.int64), number + first])
            negative = sampler.sample(user, draw) if settings.negatives else item
            if settings.loss == "bpr":
                return {"user_id": user, "item_id": item, "negative_id": negative}, {}, weight
            inputs = {"user_id": user, "item_id": tf.where(is_positive > 0, item, negative)}
            return inputs, {"label": is_positive}, weight

        elements = _elements(train, times, "", plan)
        return elements.enumerate().map(lambda number, columns: batch(number, columns)).prefetch(2)


@contextmanager
def reading_shards() -> Iterator[None]:
    """Raise the `DataError` of a shard that is found missing or damaged while the block trains.

    `tf.data` puts an error of what it reads from into the text of one of its own.
    """
    try:
        yield
    except tf.errors.OpError as error:
        found = re.search(rf"{DataError.__name__}: (.+)", error.message)
        if found is None:
            raise
        raise DataError(found[1]) from error


def _id_features(model: keras.Model, train: Any) -> PairFeatures:
    names = {tensor.name for tensor in model.inputs}
    if names != {"user_id", "item_id"}:
        raise UsageError(
            f"Shards train models that read ids alone. '{model.name}' reads {', '.join(sorted(names))}."
        )
    return PairFeatures.of(model, train)


def _elements(train: StreamedTrain, times: int, column: str, plan: BatchPlan) -> tf.data.Dataset:
    """Return endless epochs of user, item, value and weight, each ``[S, batch_size]``.

    Every row gives ``times`` examples. The value is that of ``column``, or 1 for the first example of a
    row and 0 for the others.
    """
    steps_per_epoch(len(train), plan.batch_size)
    shape = (plan.block, plan.batch_size)
    signature = tuple(tf.TensorSpec(shape, dtype) for dtype in (tf.int32, tf.int32, tf.float32, tf.float32))

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_generator(
            lambda epoch: _epoch(train, times, column, shape, plan.seed, int(epoch)),
            args=(number,),
            output_signature=signature,
        )

    return tf.data.Dataset.range(plan.first_epoch, tf.int64.max).flat_map(epoch)


def _epoch(
    train: StreamedTrain, times: int, column: str, shape: tuple[int, int], seed: int, epoch: int
) -> Iterator[Element]:
    random = np.random.default_rng([seed, epoch, 1])
    size = shape[0] * shape[1]
    kept: Element = (np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))
    blocks = train.shards.blocks(
        "train", seed=seed, epoch=epoch, held_out=train.held_out, block_rows=max(1, BLOCK_ROWS // times)
    )
    for block in blocks:
        example = random.permutation(len(block["user_id"]) * times)
        row = example // times
        value = block[column][row] if column else (example % times == 0).astype(np.float32)
        new = (block["user_id"][row], block["item_id"][row], value)
        kept = tuple(np.concatenate(pair) for pair in zip(kept, new, strict=True))
        whole = len(kept[0]) // size * size
        weight = np.ones(shape, np.float32)
        for start in range(0, whole, size):
            yield (*(part[start : start + size].reshape(shape) for part in kept), weight)
        kept = tuple(part[whole:] for part in kept)
    if rest := len(kept[0]):
        padded = [np.pad(part, (0, size - rest)).reshape(shape) for part in kept]
        yield (*padded, (np.arange(size) < rest).astype(np.float32).reshape(shape))
