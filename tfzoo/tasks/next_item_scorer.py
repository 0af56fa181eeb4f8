"""What next-item models are trained and asked with: support of items, states, histories."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.sessions import Sessions
from tfzoo.tasks.base import Features, Scorer, State

HISTORY_EVENTS = 50


class NextItemFeatures(Features):
    """What the training part says of items: which there are, and how often.

    Args:
        train: the training part.
        sample_alpha: exponent of the support by which extra negatives are drawn.
    """

    def __init__(self, train: Interactions, sample_alpha: float) -> None:
        super().__init__()
        support = train.item_counts().astype(np.float64)
        support[0] = 0
        weights = np.where(support > 0, support**sample_alpha, 0)
        self.train, self.sample_alpha = train, sample_alpha
        self.num_items = train.num_items
        self.trained = np.flatnonzero(support).astype(np.int32)
        self._cumulative = tf.constant(np.cumsum(weights) / weights.sum())
        self._log_support = tf.constant(np.log(np.maximum(support, 1)), tf.float32)

    def draw(self, seed: int, first_step: tf.Tensor, steps: int, count: int) -> tf.Tensor:
        """Draw items for each of several steps, with replacement: int32 ``[steps, count]``.

        Args:
            seed: with the number of the step, fixes what is drawn.
            first_step: int64, number of the first step since training began.
            steps: number of steps.
            count: items a step.
        """

        def one_step(step: tf.Tensor) -> tf.Tensor:
            numbers = tf.random.stateless_uniform(
                [count], [tf.constant(seed, tf.int64), step], dtype=tf.float64
            )
            return tf.searchsorted(self._cumulative, numbers, side="right")

        drawn = tf.map_fn(
            one_step,
            first_step + tf.range(steps, dtype=tf.int64),
            fn_output_signature=tf.TensorSpec([count], tf.int32),
        )
        return tf.ensure_shape(drawn, [steps, count])

    def log_proposal(self, target: tf.Tensor, negatives: tf.Tensor) -> tf.Tensor:
        """Return logarithms of support (targets) and support to the power of alpha (extra negatives).

        Args:
            target: int32 ``[S, B]``.
            negatives: int32 ``[S, N]``.

        Returns:
            float32 ``[S, B + N]``.
        """
        in_batch = tf.gather(self._log_support, target)
        extra = self.sample_alpha * tf.gather(self._log_support, negatives)
        return tf.concat([in_batch, extra], axis=1)


class NextItemScorer(Scorer):
    """Scores all items for the event after a session.

    Items that training lacks are passed over in a history, as if they were not there.

    Args:
        model: a next-item model, one event a step.
        features: from the task.
    """

    reads_history = True

    def __init__(self, model: keras.Model, features: NextItemFeatures) -> None:
        super().__init__()
        self.model, self._encoder = model, encoder(model)
        self._item_scores = model.get_layer("item_scores")
        self._names = state_names(model)
        self._widths = [model.input[name].shape[-1] for name in self._names]
        trained = np.zeros(features.num_items + 1, np.int32)
        trained[features.trained] = features.trained
        sessions = Sessions.of(features.train)
        histories = sessions.last_events(features.train.num_users, HISTORY_EVENTS)
        self.trained = tf.Variable(trained, trainable=False, name="trained_items")
        self.histories = tf.Variable(histories, trainable=False, name="histories")

    def score_items(self, user_id: tf.Tensor) -> tf.Tensor:
        """Return the scores after the last 50 training events of each user, int32 ``[B]``."""
        return self.score_history(tf.gather(self.histories, user_id))

    def score_history(self, history: tf.Tensor) -> tf.Tensor:
        """Return the scores after each history, int32 ``[B, L]``, from a hidden state of 0.

        Of a longer history the last `HISTORY_EVENTS` trained items count, which bounds the time
        of an answer.
        """
        trained = tf.gather(self.trained, history)
        order = tf.argsort(tf.cast(trained > 0, tf.int32), axis=1, stable=True)
        history = tf.gather(trained, order, batch_dims=1)[:, -HISTORY_EVENTS:]
        states = tuple(tf.zeros([tf.shape(history)[0], width]) for width in self._widths)
        _, states = tf.while_loop(
            lambda event, _: event < tf.shape(history)[1],
            lambda event, states: (event + 1, self.advance(history[:, event], states)),
            (tf.constant(0), states),
        )
        return self._item_scores(states[-1])

    def advance(self, item_id: tf.Tensor, states: State) -> State:
        """Return the states after one more event, int32 ``[B]``; item 0 changes nothing."""
        inputs = dict(zip(self._names, states, strict=True))
        after = self._encoder({"item_id": tf.gather(self.trained, item_id), **inputs}, training=False)
        return tuple(after[name] for name in self._names)


def state_names(model: keras.Model) -> list[str]:
    """Return the names of the states of a next-item model, from the first layer to the last."""
    names = [name for name in model.input if name.startswith("state_")]
    return sorted(names, key=lambda name: int(name.removeprefix("state_")))


def encoder(model: keras.Model) -> keras.Model:
    """Return the part of a next-item model without scores: an event and states to new states."""
    return keras.Model(model.input, {name: model.output[name] for name in state_names(model)})
