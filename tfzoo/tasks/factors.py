"""Models whose score is an inner product: a query for each user, a vector for each item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

# Pairs of unit vectors that are scored at once.
CELLS_PER_CALL = 1 << 16
# Wider vectors, such as whole rows, are no vectors to search by.
WIDEST = 1024
PROBES = 64
TOLERANCE = 1e-4

Head = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
UserVectors = Callable[[tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Folded:
    """The score ``u' M v + f(u) + g(v)``.

    Attributes:
        matrix: M, float32 ``[wu, wi]``.
        vectors: the items' vectors with ``g(v)`` as the last component, float32
            ``[num_items + 1, wi + 1]``.
        item_offset: weights float32 ``[wi + 1]`` such that ``g(v)`` is their product with
            ``[v, 1]``; None where g is not of that form.
    """

    matrix: NDArray[np.float32]
    vectors: NDArray[np.float32]
    item_offset: NDArray[np.float32] | None


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


def fold(head: Head, user_width: int, items: NDArray[np.float32]) -> Folded | None:
    """Bring ``head(u, v)`` into the form ``u' M v + f(u) + g(v)``, if it has one.

    Inner products, weighted ones (generalised matrix factorisation), biases, constants and
    factorisation machines have; hidden layers with relu and squashed scores have not. The matrix
    is read off the scores of unit vectors, and the form is compared with the head on random
    vectors, so that nothing need be known of the head.

    Args:
        head: from user vectors ``[B, wu]`` and item vectors ``[B, wi]`` to scores ``[B]``.
        user_width: ``wu``.
        items: the items' vectors, float32 ``[num_items + 1, wi]``.

    Returns:
        The score in that form; None where the head does not have it, or a vector is wider than 1,024.
    """
    width = items.shape[1]
    if max(width, user_width) > WIDEST:
        return None
    matrix = _cross(head, np.eye(user_width, dtype=np.float32), np.eye(width, dtype=np.float32))
    random = np.random.default_rng(0)
    # Far from zero, so that a relu shows its two sides.
    users = 3 * random.standard_normal((PROBES, user_width), dtype=np.float32)
    others = 3 * random.standard_normal((PROBES, width), dtype=np.float32)
    found = _cross(head, users, others)
    expected = users @ matrix @ others.T
    if not np.isfinite(found).all() or found.std() == 0:
        return None
    if np.abs(found - expected).max() > TOLERANCE * found.std():
        return None
    nobody = np.zeros((1, user_width), np.float32)

    def offsets(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = range(0, len(vectors), CELLS_PER_CALL)
        return np.concatenate(
            [_scores(head, nobody, vectors[first : first + CELLS_PER_CALL])[0] for first in parts]
        )

    constant = offsets(np.zeros((1, width), np.float32))
    weights = np.concatenate([offsets(np.eye(width, dtype=np.float32)) - constant, constant])
    linear = np.allclose(others @ weights[:-1] + weights[-1], offsets(others), rtol=TOLERANCE, atol=TOLERANCE)
    vectors = np.concatenate([items, offsets(items)[:, np.newaxis]], axis=1)
    return Folded(matrix, vectors, weights if linear else None)


def _cross(head: Head, users: NDArray, items: NDArray) -> NDArray[np.float32]:
    """Return what depends on user and item together, ``[n, m]``: ``u' M v`` if there is such an M."""
    nobody, nothing = np.zeros_like(users[:1]), np.zeros_like(items[:1])
    both = _scores(head, users, items)
    alone = _scores(head, users, nothing) + _scores(head, nobody, items)
    return both - alone + _scores(head, nobody, nothing)


def _scores(head: Head, users: NDArray, items: NDArray) -> NDArray[np.float32]:
    """Return the score of each user with each item, ``[n, m]``."""
    step = max(1, CELLS_PER_CALL // len(items))
    rows = []
    for first in range(0, len(users), step):
        part = users[first : first + step]
        pairs = np.repeat(part, len(items), axis=0), np.tile(items, (len(part), 1))
        rows.append(head(*map(tf.constant, pairs)).numpy().reshape(len(part), len(items)))
    return np.concatenate(rows)
