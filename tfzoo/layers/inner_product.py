"""Whether a head scores by an inner product of a user's and an item's vector, read from its graph.

Every number in a head is a sum of terms, and the degree of a term says how often the user's vector and how
often the item's is a factor of it: ``(1, 1)`` for ``u_1 v_2``, ``(0, 2)`` for a square of the item's. A
score whose terms of both have degree ``(1, 1)`` is ``u' M v + f(u) + g(v)``.

Layers say what they do to degrees by a method ``degrees``, called with those of their tensors. One without
is taken for a function of which nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

Degrees = frozenset[tuple[int, int]]
CONSTANT: Degrees = frozenset({(0, 0)})
USER: Degrees = frozenset({(1, 0)})
ITEM: Degrees = frozenset({(0, 1)})
PRODUCT = (1, 1)
# Stands for the degree of any function of one side alone.
ANY = 100

# Pairs of unit vectors that are scored at once.
CELLS_PER_CALL = 1 << 16


def of_sum(*parts: Degrees) -> Degrees:
    """Return the degrees of what is linear in its parts: sums, choices, matrices times a part."""
    return frozenset().union(*parts)


def of_product(*parts: Degrees) -> Degrees:
    """Return the degrees of what is linear in each of its parts: their product."""
    return frozenset(
        (min(ANY, sum(user for user, _ in terms)), min(ANY, sum(item for _, item in terms)))
        for terms in product(*parts)
    )


def of_square(*parts: Degrees) -> Degrees:
    """Return the degrees of sums of products of any two components."""
    each = of_sum(*parts)
    return of_product(each, each)


# Operations and layers of Keras, by name.
_LINEAR = (
    "Add Average Cast Concatenate Dropout ExpandDims Flatten GetItem Identity Mean Negative Reshape Split "
    "Squeeze Subtract Sum Transpose"
)
_OPERATIONS: dict[str, Callable[..., Degrees]] = {
    **dict.fromkeys(_LINEAR.split(), of_sum),
    **dict.fromkeys(("Dot", "Matmul", "Multiply"), of_product),
    "Square": of_square,
}


def why_no_inner_product(head: keras.Model) -> str:
    """Return why a head's score is not ``u' M v + f(u) + g(v)``; an empty text where it is.

    Args:
        head: a functional model from ``user_vector`` and ``item_vector`` to a score.
    """
    try:
        terms = head_degrees(head)
    except _UnknownFunctionError as error:
        return str(error)
    mixed = {term for term in terms if min(term) > 0}
    if mixed - {PRODUCT}:
        return "it multiplies the user's vector and the item's with more than each other"
    return "" if mixed else "no product of the user's vector and the item's is in it"


def head_degrees(head: keras.Model) -> Degrees:
    """Return the degrees of a head's score; raises an error where they cannot be told."""
    known: dict[int, Degrees] = {
        id(head.input["user_vector"]): USER,
        id(head.input["item_vector"]): ITEM,
    }

    def degrees(tensor: Any) -> Degrees:
        if not isinstance(tensor, keras.KerasTensor):
            return CONSTANT
        if id(tensor) not in known:
            operation, node, _ = tensor._keras_history
            arguments = operation._inbound_nodes[node].arguments
            given = (*arguments.args, *arguments.kwargs.values())
            if isinstance(operation, keras.layers.Multiply | keras.layers.Dot):
                # As layers they take one list of what they multiply.
                given = tuple(keras.tree.flatten(given))
            parts = [_joined(one, degrees) for one in given]
            known[id(tensor)] = _after(operation, parts)
        return known[id(tensor)]

    return degrees(head.output)


class _UnknownFunctionError(Exception):
    """An operation that reads both vectors, of which nothing is known."""


def _joined(argument: Any, degrees: Callable[[Any], Degrees]) -> Degrees:
    """Return the degrees of an argument, which may be a list of tensors."""
    return of_sum(CONSTANT if argument is None else frozenset(), *map(degrees, keras.tree.flatten(argument)))


def _after(operation: Any, parts: list[Degrees]) -> Degrees:
    kind = type(operation).__name__
    own = getattr(operation, "degrees", _OPERATIONS.get(kind))
    if kind in ("Activation", "Dense") and operation.activation is keras.activations.linear:
        own = of_sum
    if own is not None and not getattr(operation, "normalize", False):
        return own(*parts)
    users, items = (any(term[side] for part in parts for term in part) for side in (0, 1))
    if users and items:
        raise _UnknownFunctionError(
            f"its layer '{operation.name}' ({kind}) is no product of the user's and the item's vector"
        )
    return frozenset({(ANY * users, ANY * items)})


def pair_scores(head: keras.Model, users: Any, items: Any) -> Any:
    """Return the scores of pairs by a head of either kind: ``[B, wu]`` and ``[B, wi]`` to ``[B]``."""
    vectors = {"user_vector": users, "item_vector": items}
    if len(head.input["user_vector"].shape) == 2:
        return head(vectors, training=False)
    # A head for candidates takes one user and several items.
    return head({name: ops.expand_dims(value, 1) for name, value in vectors.items()}, training=False)[:, 0]


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


def fold(head: keras.Model, items: NDArray[np.float32]) -> Folded | None:
    """Bring the score of a head into the form ``u' M v + f(u) + g(v)``, if it has one.

    Inner products, weighted ones (generalised matrix factorisation), biases, constants and
    factorisation machines have; hidden layers with relu and squashed scores have not. The graph says
    which; the matrix is read off the scores of unit vectors.

    Args:
        head: a functional model from ``user_vector`` and ``item_vector`` to a score.
        items: the items' vectors, float32 ``[num_items + 1, wi]``.

    Returns:
        The score in that form; None where the head does not have it.
    """
    if why_no_inner_product(head):
        return None
    width, user_width = items.shape[1], head.input["user_vector"].shape[-1]
    matrix = _cross(head, np.eye(user_width, dtype=np.float32), np.eye(width, dtype=np.float32))
    if not np.isfinite(matrix).all():
        return None
    nobody = np.zeros((1, user_width), np.float32)

    def offsets(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = range(0, len(vectors), CELLS_PER_CALL)
        return np.concatenate(
            [_scores(head, nobody, vectors[first : first + CELLS_PER_CALL])[0] for first in parts]
        )

    weights = None
    if all(item <= 1 for user, item in head_degrees(head) if not user):
        constant = offsets(np.zeros((1, width), np.float32))
        weights = np.concatenate([offsets(np.eye(width, dtype=np.float32)) - constant, constant])
    return Folded(matrix, np.concatenate([items, offsets(items)[:, np.newaxis]], axis=1), weights)


def _cross(head: keras.Model, users: NDArray, items: NDArray) -> NDArray[np.float32]:
    """Return what depends on user and item together, ``[n, m]``: ``u' M v`` if there is such an M."""
    nobody, nothing = np.zeros_like(users[:1]), np.zeros_like(items[:1])
    both = _scores(head, users, items)
    alone = _scores(head, users, nothing) + _scores(head, nobody, items)
    return both - alone + _scores(head, nobody, nothing)


def _scores(head: keras.Model, users: NDArray, items: NDArray) -> NDArray[np.float32]:
    """Return the score of each user with each item, ``[n, m]``."""
    step = max(1, CELLS_PER_CALL // len(items))
    rows = []
    for first in range(0, len(users), step):
        part = users[first : first + step]
        pairs = np.repeat(part, len(items), axis=0), np.tile(items, (len(part), 1))
        scores = ops.convert_to_numpy(pair_scores(head, *map(ops.convert_to_tensor, pairs)))
        rows.append(scores.reshape(len(part), len(items)))
    return np.concatenate(rows)
