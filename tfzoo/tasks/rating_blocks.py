"""Training on whole users or items: one example is a row of the rating matrix, not a rating.

Models that read a row encode it once for all its ratings so, which autoencoders are written for.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.pipelines import BatchPlan, gather, shuffled_blocks
from tfzoo.data.rows import SparseRows
from tfzoo.errors import UsageError
from tfzoo.tasks.base import Tensors
from tfzoo.tasks.pair_features import PairFeatures

OTHER = {"user": "item", "item": "user"}


def examples_of(train: Interactions, side: str) -> np.ndarray:
    """Return the ids, of users or of items, that have ratings, sorted."""
    return np.unique(train.user_id if side == "user" else train.item_id)


def check_blocks(model: keras.Model, side: str) -> None:
    """Raise `UsageError` unless all ratings of a row can be computed as one matrix product.

    Args:
        model: a rating model.
        side: ``"user"`` or ``"item"``, whose rows are the examples.
    """
    other = OTHER[side]
    reads = [name for name in (f"{other}_row", f"{other}_features") if name in model.input]
    if reads:
        raise UsageError(
            f"task.examples: {side}s needs a model whose {other} tower reads ids alone. '{model.name}' reads "
            f"{', '.join(reads)}; use task.examples: pairs."
        )
    widths = {part: model.get_layer(f"{part}_tower").output.shape[-1] for part in OTHER}
    random = np.random.default_rng(0)
    same = widths["user"] == widths["item"]
    if same:
        user, item = random.standard_normal((2, 8, widths["user"])).astype(np.float32)
        found = model.get_layer("head")({"user_vector": user, "item_vector": item}, training=False)
        same = np.allclose(keras.ops.convert_to_numpy(found), (user * item).sum(axis=1), atol=1e-4)
    if not same:
        raise UsageError(
            f"task.examples: {side}s needs a model whose rating is the inner product of its two vectors, "
            f"which that of '{model.name}' is not; use task.examples: pairs."
        )


def block_dataset(
    features: PairFeatures,
    train: Interactions,
    side: str,
    plan: BatchPlan,
) -> tf.data.Dataset:
    """Return endless shuffled epochs of rows, see `Task.train_dataset`.

    Args:
        features: of the model.
        train: the training part.
        side: ``"user"`` or ``"item"``, whose rows are the examples.
        plan: rows a batch, order, and batches an element, ``S`` below.

    Returns:
        A dataset of the inputs of that side, with all ids ``[S, N]`` of the other one; the labels
        ``rating`` and ``observed`` float32 ``[S, B, N]``, 1 where there is a rating; and weights.
    """
    other = OTHER[side]
    columns = {"user": train.user_id, "item": train.item_id}
    shape = (features.num_ids[side] + 1, features.num_ids[other] + 1)
    cells = columns[side], columns[other]
    ratings = SparseRows(*cells, train.ratings, shape).in_memory()
    observed = SparseRows(*cells, np.ones(len(train), np.float32), shape).in_memory()
    memory = features.in_memory()
    ids = tf.constant(examples_of(train, side))
    everyone = tf.tile(tf.range(shape[1])[tf.newaxis], [plan.block, 1])

    def batch(rows: tf.Tensor) -> tuple[Tensors, Tensors, tf.Tensor]:
        own = gather(ids, rows)
        inputs = {**features.side(side, own, providers=memory), f"{other}_id": everyone}
        labels = {"rating": ratings.dense(own), "observed": observed.dense(own)}
        return inputs, labels, tf.cast(rows >= 0, tf.float32)

    blocks = shuffled_blocks(len(ids), plan)
    return blocks.map(batch, num_parallel_calls=2, deterministic=True).prefetch(2)


def block_loss(
    model: keras.Model, side: str, loss: str, inputs: Tensors, labels: Tensors, weight: tf.Tensor
) -> tf.Tensor:
    """Return the loss of a batch of rows: over ratings a sum, over rows a mean, and the penalties.

    Args:
        model: a rating model that `check_blocks` accepts.
        side: ``"user"`` or ``"item"``, whose rows are the examples.
        loss: ``"mse"`` or ``"mae"``.
        inputs: of one batch of `block_dataset`.
        labels: the same.
        weight: float32 ``[B]``, 0 for padding.
    """
    towers = {part: model.get_layer(f"{part}_tower") for part in OTHER}
    vectors: dict[str, Any] = {}
    penalty = tf.constant(0.0)
    for part, tower in towers.items():
        vectors[part] = tower({tensor.name: inputs[tensor.name] for tensor in tower.inputs}, training=True)
        penalty += sum(tower.losses, tf.constant(0.0))
    error = tf.matmul(vectors[side], vectors[OTHER[side]], transpose_b=True) - labels["rating"]
    each = tf.square(error) if loss == "mse" else tf.abs(error)
    per_row = tf.reduce_sum(each * labels["observed"], axis=1)
    return tf.reduce_sum(per_row * weight) / tf.maximum(tf.reduce_sum(weight), 1.0) + penalty
