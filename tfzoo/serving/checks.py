"""Checks inside the served graph: TensorFlow Serving hands inputs on without looking at their shapes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import tensorflow as tf

# What one row of each input holds: a number or id, or a list of ids.
LISTS = ("exclude_ids", "allow_ids", "history")


def checked(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a served method answer inputs of a wrong shape with an error that names the input.

    Args:
        method: with inputs named as in the signatures. All must have one row for each row of the
            first one; lists of ids have two dimensions, the others one.
    """
    parameters = inspect.signature(method)

    @functools.wraps(method)
    def with_checks(*arguments: tf.Tensor, **options: tf.Tensor) -> Any:
        bound = parameters.bind(*arguments, **options).arguments
        (owner, itself), *inputs = bound.items()
        return method(**{owner: itself, **with_right_shapes(dict(inputs))})

    return with_checks


def with_right_shapes(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Return the inputs, of which each has a row for each row of the first one, else an error names it."""
    given = {name: _ensured(name, value) for name, value in inputs.items()}
    first, *others = given
    equal = [
        tf.debugging.assert_equal(
            tf.shape(given[name])[0],
            tf.shape(given[first])[0],
            message=f"{name} must have one row for each row of {first}.",
        )
        for name in others
    ]
    with tf.control_dependencies(equal):
        return {name: tf.identity(value) for name, value in given.items()}


def _ensured(name: str, value: tf.Tensor) -> tf.Tensor:
    # Behind a placeholder the shape is unknown while the graph is made; else the check would be taken
    # for granted and left out. Of a failed one TensorFlow names the node.
    hidden = tf.raw_ops.PlaceholderWithDefault(input=value, shape=tf.TensorShape(None))
    dimensions = "two_dimensions" if name in LISTS else "one_dimension"
    return tf.ensure_shape(hidden, value.shape, name=f"{name}_must_have_{dimensions}")
