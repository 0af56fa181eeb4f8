"""The optimizer that settings describe, and one that a paper describes and Keras lacks."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfzoo.training.lazy_optimizers import LazyAdagrad, LazyAdam, marks_of_rows, sum_of_equal_rows
from tfzoo.training.settings import TrainingSettings


@keras.saving.register_keras_serializable("tfzoo")
class GRU4RecAdagrad(keras.optimizers.Optimizer):
    """Adagrad with momentum as in the authors' code of GRU4Rec.

    With ``a`` the sum of squared gradients, from 0, and ``v`` the velocity, from 0, a step is
    ``a += g^2``, ``v = momentum * v - learning_rate * g / sqrt(a + epsilon)``, ``w += v``.
    ``keras.optimizers.Adagrad`` differs: its sum starts from 0.1, epsilon stands outside the
    root, it has no momentum, and rows that a batch looks up twice are not added up.

    Rows of a table that a batch does not look up stay as they are, and so do their sums and
    velocities. The gradients of a row that is looked up several times are added up first.

    Args:
        learning_rate: step size, or a schedule of it.
        momentum: share of the velocity that is kept, 0 for none.
        epsilon: inside the square root.
        name: name of the optimizer.
        **kwargs: as for `keras.optimizers.Optimizer`.

    Raises:
        ValueError: ``momentum`` does not lie in [0, 1).
    """

    def __init__(
        self,
        learning_rate: Any = 0.05,
        momentum: float = 0.0,
        epsilon: float = 1e-6,
        name: str = "gru4rec_adagrad",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        if not 0 <= momentum < 1:
            raise ValueError(f"`momentum` must lie in [0, 1). Received: momentum={momentum}")
        self.momentum, self.epsilon = float(momentum), float(epsilon)

    def build(self, variables: Any) -> None:
        """Make sums and velocities for the variables."""
        if self.built:
            return
        super().build(variables)
        # One by one: Keras 3.9 and older have no call for all of them.
        self._sums = [self.add_variable_from_reference(one, name="sum_of_squares") for one in variables]
        self._marks = marks_of_rows(self, variables)
        moved = variables if self.momentum else []
        self._velocities = [self.add_variable_from_reference(one, name="velocity") for one in moved]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Change one variable by its gradient, dense or ``tf.IndexedSlices``."""
        index = self._get_variable_index(variable)
        rate = tf.cast(learning_rate, variable.dtype)
        if isinstance(gradient, tf.IndexedSlices):
            self._update_rows(gradient, variable, index, rate)
            return
        total, velocity = self._slots(index)
        gradient = tf.cast(gradient, variable.dtype)
        step = -rate * gradient * tf.math.rsqrt(total.assign_add(tf.square(gradient)) + self.epsilon)
        variable.assign_add(step if velocity is None else velocity.assign(self.momentum * velocity + step))

    def _slots(self, index: int) -> tuple[Any, Any]:
        """Return the sums and, with momentum, the velocities of a variable."""
        return self._sums[index].value, self._velocities[index].value if self.momentum else None

    def _update_rows(self, gradient: tf.IndexedSlices, variable: Any, index: int, rate: tf.Tensor) -> None:
        total, velocity = self._slots(index)
        rows, values = gradient.indices, tf.cast(gradient.values, variable.dtype)
        summed = sum_of_equal_rows(rows, values, self._marks[index].value)
        # Each place of a repeated row gets the same numbers, so writing them twice does no harm.
        squares = tf.gather(total, rows) + tf.square(summed)
        step = -rate * summed * tf.math.rsqrt(squares + self.epsilon)
        if velocity is not None:
            step += self.momentum * tf.gather(velocity, rows)
            velocity.scatter_update(tf.IndexedSlices(step, rows))
        total.scatter_update(tf.IndexedSlices(squares, rows))
        variable.scatter_update(tf.IndexedSlices(tf.gather(variable, rows) + step, rows))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}


def build_optimizer(settings: TrainingSettings, steps: int) -> keras.Optimizer:
    """Build the Keras optimizer that the settings describe.

    Args:
        settings: how to train.
        steps: steps an epoch, for schedules that end with the last epoch.

    Returns:
        A fresh optimizer.
    """
    rate: Any = settings.learning_rate
    if settings.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps * settings.epochs)
    config = {"learning_rate": rate}
    if settings.momentum:
        config["momentum"] = settings.momentum
    if settings.weight_decay:
        config["weight_decay"] = settings.weight_decay
    optimizer: keras.Optimizer = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "sgd": keras.optimizers.SGD,
        "adagrad": keras.optimizers.Adagrad,
        "rmsprop": keras.optimizers.RMSprop,
        "nadam": keras.optimizers.Nadam,
        "gru4rec-adagrad": GRU4RecAdagrad,
        "lazy-adam": LazyAdam,
        "lazy-adagrad": LazyAdagrad,
    }[settings.optimizer](**config)
    return optimizer


def forget_replicas(optimizer: keras.Optimizer) -> None:
    """Keep an optimizer of one device from adding up gradients over replicas, of which there is one.

    On TensorFlow each compiled sum registers a gradient of its own, under a new name and for good. Its
    graph holds the weights and all that the optimizer knows of them, so that a process which trains many
    models would keep the memory of every one of them (as of Keras 3.15 and TensorFlow 2.21).

    Args:
        optimizer: what no distribution strategy uses, possibly wrapped for loss scaling.
    """
    wrapped: Any = getattr(optimizer, "inner_optimizer", optimizer)
    for one in (optimizer, wrapped):
        if hasattr(one, "_all_reduce_sum_gradients"):
            one._all_reduce_sum_gradients = list


def gradients_of_rows(optimizer: keras.Optimizer, gradients: list[Any]) -> list[Any]:
    """Add up the gradients of rows that a batch looks up more than once, for optimizers that do not.

    On TensorFlow the gradient of a table is a ``tf.IndexedSlices`` with one entry a look-up. Keras' Adam,
    RMSprop and others square the entries one by one, so that a row which occurs ``n`` times in a batch
    gets the sum of ``n`` squares instead of the square of the sum (as of Keras 3.15; other backends do not).
    They write the whole table anyway, so a dense gradient costs them nothing.

    Args:
        optimizer: what the gradients are for, possibly wrapped for loss scaling.
        gradients: one a weight; None and dense ones stay as they are.

    Returns:
        The gradients, without ``tf.IndexedSlices`` for any optimizer but plain SGD, whose sum over
        look-ups is right as it is, and those that add up themselves.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    plain_sgd = isinstance(inner, keras.optimizers.SGD) and not inner.momentum
    if plain_sgd or isinstance(inner, (LazyAdam, LazyAdagrad, GRU4RecAdagrad)):
        return gradients
    return [tf.convert_to_tensor(g) if isinstance(g, tf.IndexedSlices) else g for g in gradients]


def copies_while_training(settings: TrainingSettings) -> int:
    """Return how many arrays of the size of a trained weight training holds beside it, at least."""
    of_optimizer = {"sgd": 0, "adagrad": 1, "lazy-adagrad": 1, "gru4rec-adagrad": 1, "rmsprop": 1}
    kept = bool(settings.restore_best) + bool(settings.average)
    return of_optimizer.get(settings.optimizer, 2) + bool(settings.momentum) + kept
