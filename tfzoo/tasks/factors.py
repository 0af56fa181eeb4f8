"""Models whose score is an inner product: a query for each user, a vector for each item."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.layers.inner_product import Folded, fold, pair_scores

# Wider vectors, such as whole rows, are no vectors to search by.
WIDEST = 1024

Head = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
UserVectors = Callable[[tf.Tensor], tf.Tensor]


class Factors(tf.Module):
    """A score in the form ``query(user) . vector(item) + offset(user)``.

    Args:
        user_vectors: from dense user ids int32 ``[B]`` to what the head reads, float32 ``[B, wu]``.
        head: from user vectors ``[B, wu]`` and item vectors ``[B, wi]`` to scores ``[B]``.
        folded: from `fold`.
        output: from scores to what `score_pairs` of the scorer returns, such as a probability.

    Attributes:
        vectors: the items' vectors by dense id, a variable whose number of rows is free, so that
            an export can take other items.
    """

    def __init__(
        self,
        user_vectors: UserVectors,
        head: Head,
        folded: Folded,
        output: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
    ) -> None:
        super().__init__()
        self._user_vectors, self._head, self.output = user_vectors, head, output
        self.item_offset = folded.item_offset
        self._matrix = tf.Variable(folded.matrix, trainable=False, name="matrix")
        free_rows = tf.TensorShape([None, folded.vectors.shape[1]])
        self.vectors = tf.Variable(folded.vectors, trainable=False, name="item_factors", shape=free_rows)

    def queries(self, user_id: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return queries float32 ``[B, wi + 1]`` and offsets ``[B]`` of dense user ids int32 ``[B]``."""
        users = self._user_vectors(user_id)
        nothing = tf.zeros([1, self._matrix.shape[1]])
        offset = self._head(users, tf.repeat(nothing, tf.shape(users)[0], axis=0))
        offset -= self._head(tf.zeros_like(users[:1]), nothing[: tf.shape(users)[0]])
        query = tf.matmul(users, tf.convert_to_tensor(self._matrix))
        return tf.concat([query, tf.ones_like(offset)[:, tf.newaxis]], axis=1), offset

    def item_directions(self) -> NDArray[np.float32]:
        """Return what of an item meets a user's vector, biases left out: float32 ``[num_items + 1, wu]``."""
        directions: NDArray[np.float32] = self.vectors.numpy()[:, :-1] @ self._matrix.numpy().T
        return directions


def factors_of(
    model: keras.Model,
    user_vectors: UserVectors,
    item_vectors: tf.Variable,
    output: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
) -> Factors | None:
    """Return the scores of a model as inner products, see `fold`.

    Args:
        model: a model with sub-models ``user_tower``, ``item_tower`` and ``head``.
        user_vectors: see `Factors`.
        item_vectors: the items' vectors ``[num_items + 1, wi]``.
        output: see `Factors`.

    Returns:
        None where the head has hidden layers, or a vector is wider than 1,024.
    """
    head = model.get_layer("head")
    if max(item_vectors.shape[1], model.get_layer("user_tower").output_shape[-1]) > WIDEST:
        return None
    folded = fold(head, item_vectors.numpy())
    if folded is None:
        return None
    return Factors(user_vectors, lambda users, items: pair_scores(head, users, items), folded, output)
