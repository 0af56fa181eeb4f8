"""Running averages of weights, which can stand in for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.training.checkpoint import Arrays


class Averages:
    """The running averages of some weights; with the momentum 0 there are none.

    Args:
        weights: what is averaged.
        momentum: share of the old average that is kept at every step.

    Attributes:
        variables: the averages.
    """

    def __init__(self, weights: list[keras.Variable], momentum: float) -> None:
        self._weights, self._momentum = weights, momentum
        self.variables = [tf.Variable(array(weight), trainable=False) for weight in weights if momentum]

    def update(self, iterations: tf.Tensor) -> None:
        """Take the weights in, after step number ``iterations``."""
        if not self.variables:
            return
        # A running mean at first: a fixed momentum would hold on to the initial weights.
        count = tf.cast(iterations, tf.float32)
        momentum = tf.minimum(self._momentum, count / (count + 10.0))
        for average, weights in zip(self.variables, self._weights, strict=True):
            average.assign(momentum * average + (1.0 - momentum) * weights.value)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the averages, where there are any, stand in for the weights during the block."""
        if not self.variables:
            yield
            return
        raw = arrays(self._weights)
        assign(self._weights, arrays(self.variables))
        yield
        assign(self._weights, raw)


def array(variable: keras.Variable | tf.Variable) -> NDArray:
    """Return a copy of a variable, of Keras or of TensorFlow, on one device or on several."""
    copied: NDArray = keras.ops.convert_to_numpy(variable)
    return copied


def arrays(variables: list) -> Arrays:
    """Return copies of variables."""
    return [array(variable) for variable in variables]


def assign(variables: list, values: Arrays) -> None:
    """Give variables the values of as many arrays."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(np.asarray(value))
