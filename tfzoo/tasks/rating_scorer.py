"""What rating models are asked with: the inputs for ids, and ratings of pairs and whole catalogues."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.rows import SparseRows
from tfzoo.tasks.base import Features, Scorer
from tfzoo.tasks.factors import Factors, fold

SIDES = ("user", "item")


class PairFeatures(Features):
    """Turns user and item ids into the inputs that a rating model asks for by name.

    Args:
        names: input names of the model, among ``user_id``, ``item_id``, ``user_row``,
            ``item_row``.
        source: ratings that fill the rows; unused where the model reads ids only.

    Attributes:
        ids_per_call: for how many ids a tower is applied at once, which bounds the memory.
    """

    ids_per_call = 2048

    def __init__(self, names: list[str], source: Interactions) -> None:
        super().__init__()
        self.names = tuple(names)
        self.num_ids = {"user": source.num_users, "item": source.num_items}
        self.reads_rows = "user_row" in names or "item_row" in names
        shape = (source.num_users + 1, source.num_items + 1)
        self.rows: dict[str, SparseRows] = {}
        if "user_row" in names:
            self.rows["user"] = SparseRows(source.user_id, source.item_id, source.ratings, shape)
        if "item_row" in names:
            self.rows["item"] = SparseRows(source.item_id, source.user_id, source.ratings, shape[::-1])

    @classmethod
    def of(cls, model: keras.Model, source: Interactions) -> PairFeatures:
        """Return the features that ``model`` asks for."""
        return cls([tensor.name for tensor in model.inputs], source)

    def inputs(
        self, user_id: tf.Tensor, item_id: tf.Tensor, *, mask_target: bool = False
    ) -> dict[str, tf.Tensor]:
        """Return the model's inputs for pairs of ids, int32 of any one shape."""
        ids = {"user": user_id, "item": item_id}
        other = {"user": item_id, "item": user_id}
        inputs: dict[str, tf.Tensor] = {}
        for side in SIDES:
            masked = other[side] if mask_target else None
            inputs.update(self.side(side, ids[side], masked=masked))
        return inputs

    def side(self, side: str, ids: tf.Tensor, masked: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """Return the inputs of one tower."""
        if side in self.rows:
            return {f"{side}_row": self.rows[side].dense(ids, masked)}
        return {f"{side}_id": ids}


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

        def head(users: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
            return self._head({"user_vector": users, "item_vector": items}, training=False)

        def user_vectors(user_id: tf.Tensor) -> tf.Tensor:
            return self._user_tower(self.features.side("user", user_id), training=False)

        folded = fold(head, self._user_tower.output_shape[-1], self.item_vectors.numpy())
        return None if folded is None else Factors(user_vectors, head, folded)


def compiled_tower(model: keras.Model, features: PairFeatures, side: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the tower of one side as a compiled function of dense ids, int32 ``[B]``."""
    tower = model.get_layer(f"{side}_tower")
    function = tf.function(lambda ids: tower(features.side(side, ids), training=False))
    return function.get_concrete_function(tf.TensorSpec([None], tf.int32))


def all_vectors(tower: Callable[[tf.Tensor], tf.Tensor], features: PairFeatures, side: str) -> tf.Tensor:
    """Return the vector of every id, row 0 included."""
    rows, step = features.num_ids[side] + 1, features.ids_per_call
    parts = [tower(tf.range(first, min(first + step, rows))) for first in range(0, rows, step)]
    return tf.concat(parts, axis=0)
