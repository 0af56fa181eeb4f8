"""Adam and Adagrad whose step costs the rows of a table that a batch looked up, not the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops


class _Lazy(keras.optimizers.Optimizer):
    """Gives gradients of looked-up rows to ``change_of_rows``; all others take Keras' own step.

    Attributes:
        change_of_rows: updates the slots of the looked-up rows of one table, and returns what to subtract
            from the rows, ``[n, ...]``. It is given the table's number among the variables; row numbers
            ``[n]``, in any order, with repetitions; in each place the whole gradient of its row
            ``[n, ...]``; and the learning rate of this step, of the table's dtype.

    Raises:
        ValueError: an option is given that would change or charge the whole table.
    """

    loss_scale_factor: Any
    change_of_rows: Callable[[int, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]

    # Decay and accumulation move rows that no batch looked up. Keras clips the parts of a row that was
    # looked up twice one by one, so a clipped step would be another than the dense optimizer's.
    _refused = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "gradient_accumulation_steps")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for option in self._refused:
            value = getattr(self, option)
            if value is not None:
                name = type(self).__name__
                raise ValueError(
                    f"{name} changes only the rows that a batch looks up, and `{option}` needs whole tables. "
                    f"Received: {option}={value}. Use `keras.optimizers.{name[4:]}` with it."
                )

    def build(self, variables: Any) -> None:
        """Make the slots of the variables, and for each row a mark of its places in a batch."""
        if self.built:
            return
        super().build(variables)
        self._marks = marks_of_rows(self, variables)

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Change the variables by their gradients, as `keras.optimizers.Optimizer.apply` does."""
        scale = self.loss_scale_factor
        if scale is None:
            super().apply(grads, trainable_variables)
            return
        # Keras itself divides by "/", which index slices do not know.
        grads = [None if grad is None else ops.divide(grad, scale) for grad in grads]
        self.loss_scale_factor = None
        try:
            super().apply(grads, trainable_variables)
        finally:
            self.loss_scale_factor = scale

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Change one variable by its gradient, dense or ``tf.IndexedSlices``."""
        if not isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        values = tf.cast(gradient.values, variable.dtype)
        values = sum_of_equal_rows(gradient.indices, values, self._marks[index].value)
        change = self.change_of_rows(index, gradient.indices, values, tf.cast(learning_rate, variable.dtype))
        _rewrite(variable, gradient.indices, lambda rows: rows - change)


@keras.saving.register_keras_serializable("tfzoo")
class LazyAdam(_Lazy, keras.optimizers.Adam):
    """Adam that leaves the rows of a table which a batch does not look up as they are.

    `keras.optimizers.Adam` reads and writes a whole embedding table at every step, and goes on
    moving rows that no batch looks up any more. Here such rows keep their weights and moments bit
    for bit, and a step costs what the rows of the batch cost. The gradients of a row that is
    looked up several times are added up first, while Keras squares them one by one, which makes
    its second moments too small. A step that looks up all rows is Keras' on the dense gradient.

    As in LazyAdam of TensorFlow Addons, the corrections of the bias, ``1 - beta^t``, count all
    steps, not those in which the row was looked up, and the moments of a row do not decay in
    between: this is not Adam with zero gradients for the other rows.

    Dense gradients, such as those of kernels, and all gradients on other backends than TensorFlow
    take the step of `keras.optimizers.Adam`. ``use_ema`` works, but averages whole tables.

    Args:
        **kwargs: as for `keras.optimizers.Adam`, but for weight decay, clipping and accumulation
            of gradients.

    Raises:
        ValueError: one of these options is given.
    """

    def change_of_rows(self, index: int, rows: tf.Tensor, gradient: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        """Update the moments of looked-up rows, see `_Lazy.change_of_rows`."""
        step = tf.cast(self.iterations.value + 1, gradient.dtype)
        powers = [tf.pow(tf.cast(beta, gradient.dtype), step) for beta in (self.beta_1, self.beta_2)]
        rate *= tf.sqrt(1 - powers[1]) / (1 - powers[0])
        first = _rewrite(
            self._momentums[index].value, rows, lambda old: old + (gradient - old) * (1 - self.beta_1)
        )
        second = _rewrite(
            self._velocities[index].value,
            rows,
            lambda old: old + (tf.square(gradient) - old) * (1 - self.beta_2),
        )
        if self.amsgrad:
            moment = second
            second = _rewrite(self._velocity_hats[index].value, rows, lambda old: tf.maximum(old, moment))
        return first * rate / (tf.sqrt(second) + self.epsilon)


@keras.saving.register_keras_serializable("tfzoo")
class LazyAdagrad(_Lazy, keras.optimizers.Adagrad):
    """Adagrad whose step costs the rows of a table that a batch looks up.

    `keras.optimizers.Adagrad` passes over the whole table, and squares the gradients of a row that
    is looked up several times one by one. Here they are added up first, and other rows keep
    weights and sums bit for bit: the steps are those of Keras' Adagrad on the dense gradient,
    which leaves rows without a gradient where they are.

    Dense gradients, such as those of kernels, and all gradients on other backends than TensorFlow
    take the step of `keras.optimizers.Adagrad`. ``use_ema`` works, but averages whole tables.

    Args:
        **kwargs: as for `keras.optimizers.Adagrad`, but for weight decay, clipping and
            accumulation of gradients.

    Raises:
        ValueError: one of these options is given.
    """

    def change_of_rows(self, index: int, rows: tf.Tensor, gradient: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        """Update the sums of looked-up rows, see `_Lazy.change_of_rows`."""
        sums = _rewrite(self._accumulators[index].value, rows, lambda old: old + tf.square(gradient))
        return rate * gradient / tf.sqrt(sums + self.epsilon)


def _rewrite(variable: tf.Variable, rows: tf.Tensor, change: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Replace rows by a function of them; each place of a repeated row must get the same numbers.

    The new rows are read back rather than passed on: what is computed from old rows after they
    were written makes XLA keep a copy of the whole table.
    """
    variable.scatter_update(tf.IndexedSlices(change(tf.gather(variable, rows)), rows))
    return tf.gather(variable, rows)


def marks_of_rows(optimizer: keras.Optimizer, variables: list[keras.Variable]) -> list[keras.Variable]:
    """Make what `sum_of_equal_rows` marks the rows of each variable with, among the optimizer's variables."""
    # Of 64 bits, since TensorFlow keeps and indexes variables of int32 on no GPU.
    return [
        optimizer.add_variable(shape=variable.shape[:1], dtype="int64", name=f"mark_{index}")
        for index, variable in enumerate(variables)
    ]


def sum_of_equal_rows(rows: tf.Tensor, values: tf.Tensor, marks: tf.Variable) -> tf.Tensor:
    """Return, in each place, the sum of the values of all places with the same row number.

    ``tf.unique`` does not exist under XLA, sorting is slow there, and a fresh array of marks would
    cost the table. Only marks that this step has set are read, so what they held does not matter.

    Args:
        rows: row numbers ``[n]``.
        values: ``[n, ...]``.
        marks: int64, an entry a row of the table, see `marks_of_rows`; becomes the number of one of the
            row's places.
    """
    marks.scatter_update(tf.IndexedSlices(tf.range(tf.size(rows, tf.int64)), rows))
    place = tf.gather(marks, rows)
    return tf.gather(tf.math.unsorted_segment_sum(values, place, tf.size(rows)), place)
