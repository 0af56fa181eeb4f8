"""Ratings of pairs, of candidates and of whole catalogues."""

from __future__ import annotations

import keras
import tensorflow as tf

from tfzoo.tasks.base import Scorer
from tfzoo.tasks.factors import Factors, factors_of
from tfzoo.tasks.pair_features import PairFeatures, all_vectors, compiled_tower


class RatingScorer(Scorer):
    """Scores pairs, or all items for a user, with the item side computed once.

    Args:
        model: a rating model with sub-models ``user_tower``, ``item_tower`` and ``head``.
        features: turns ids into its inputs.
    """

    output_name = "rating"
    hides_untrained = False

    def __init__(self, model: keras.Model, features: PairFeatures) -> None:
        super().__init__()
        self.features = features
        self.model = model
        self._user_tower = model.get_layer("user_tower")
        self._head = model.get_layer("head")
        self._vectors_of_items = compiled_tower(model, features, "item")
        vectors = all_vectors(self._vectors_of_items, features, "item")
        self.item_vectors = tf.Variable(vectors, trainable=False, name="item_vectors")

    def refresh(self) -> None:
        """Compute the item vectors anew."""
        self.item_vectors.assign(all_vectors(self._vectors_of_items, self.features, "item"))

    def score_pairs(self, user_id: tf.Tensor, item_id: tf.Tensor) -> tf.Tensor:
        """Return the model's score of each pair: int32 ``[B]``, int32 ``[B]`` to float32 ``[B]``."""
        return self.model(self.features.inputs(user_id, item_id), training=False)[self.output_name]

    def score_candidates(self, user_id: tf.Tensor, item_id: tf.Tensor) -> tf.Tensor:
        """Return scores of some items a user: int32 ``[B]``, int32 ``[B, C]`` to float32 ``[B, C]``."""
        users = self._user_tower(self.features.side("user", user_id), training=False)
        pairs = {
            "user_vector": tf.repeat(users, tf.shape(item_id)[1], axis=0),
            "item_vector": tf.gather(self.item_vectors, tf.reshape(item_id, [-1])),
        }
        return tf.reshape(self._head(pairs, training=False), tf.shape(item_id))

    def score_items(self, user_id: tf.Tensor) -> tf.Tensor:
        """Return the score of every item: int32 ``[B]`` to float32 ``[B, num_items + 1]``."""
        users = self._user_tower(self.features.side("user", user_id), training=False)

        def one_user(vector: tf.Tensor) -> tf.Tensor:
            repeated = tf.repeat(vector[tf.newaxis], tf.shape(self.item_vectors)[0], axis=0)
            pair = {"user_vector": repeated, "item_vector": tf.convert_to_tensor(self.item_vectors)}
            return self._head(pair, training=False)

        return tf.map_fn(one_user, users, fn_output_signature=tf.TensorSpec([None], tf.float32))

    def factors(self) -> Factors | None:
        """Return the ratings as inner products, where the head is one."""

        def user_vectors(user_id: tf.Tensor) -> tf.Tensor:
            return self._user_tower(self.features.side("user", user_id), training=False)

        return factors_of(self.model, user_vectors, self.item_vectors)
