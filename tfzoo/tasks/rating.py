"""Explicit-rating prediction: a user and an item in, a rating out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from tfzoo.data.interactions import Interactions
from tfzoo.data.pipelines import gather, ordered_batches, shuffled_blocks
from tfzoo.data.rows import SparseRows
from tfzoo.data.splits import Split
from tfzoo.layers import AbsoluteError, IdEmbedding, SquaredError
from tfzoo.tasks.base import Features, Scorer, Task
from tfzoo.tasks.factors import Factors, fold

SIDES = ("user", "item")
PAIRS_PER_CALL = 32768


class RatingSettings(BaseModel):
    """Settings of the rating task.

    Attributes:
        loss: ``"mse"`` or ``"mae"``.
        mask_target: in training, leave the rating to be predicted out of the rows that models
            without embeddings read.
        rows_from: which ratings fill those rows. ``"all"`` lets validation and test ratings
            leak into the input; it exists to measure that leak.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    loss: Literal["mse", "mae"] = "mse"
    mask_target: bool = True
    rows_from: Literal["train", "all"] = "train"


class RatingTask(Task):
    """What a batch is, what is minimised, and how pairs and whole catalogues are scored.

    Inputs of a batch are those that the model asks for by name: ``user_id``, ``item_id`` int32
    ``[B]``; ``user_row`` float32 ``[B, num_items + 1]`` and ``item_row`` float32
    ``[B, num_users + 1]``. The label is ``rating`` float32 ``[B]``.
    """

    name = "rating"
    Settings: ClassVar[type[BaseModel]] = RatingSettings
    evaluation = "rating"
    automatic: ClassVar[tuple[str, ...]] = ("mean_rating", "rating_scale")
    settings: Any

    @property
    def monitor(self) -> str:
        """Validation metric by which the best epoch is chosen."""
        return "rmse"

    @property
    def headline(self) -> tuple[str, ...]:
        """Metrics that tables show."""
        return ("rmse", "mae", "rmse_unclipped")

    def describe(self) -> str:
        """Return one line that says how the metrics are defined."""
        return "rmse and mae are of predictions clipped to the rating scale, pooled over all pairs"

    def check(self, interactions: Interactions) -> None:
        """Raise `DataError` where the data has no ratings."""
        _ = interactions.ratings

    def builder_arguments(self, train: Interactions) -> dict[str, Any]:
        """Return what a recipe may ask for as ``auto``, from the training part alone."""
        return {
            "mean_rating": float(train.ratings.mean(dtype=np.float64)),
            "rating_scale": train.rating_scale or (float(train.ratings.min()), float(train.ratings.max())),
        }

    def loss(self) -> keras.Loss:
        """Return the training loss, a mean over the examples that are not padding."""
        return {"mse": SquaredError, "mae": AbsoluteError}[self.settings.loss]()

    def features(self, model: keras.Model, split: Split, interactions: Interactions) -> PairFeatures:
        """Prepare what turns ids into the inputs of ``model``."""
        return PairFeatures.of(model, interactions if self.settings.rows_from == "all" else split.train)

    def train_dataset(
        self,
        features: PairFeatures,
        train: Interactions,
        *,
        batch_size: int,
        seed: int,
        first_epoch: int = 0,
        steps_per_block: int = 1,
    ) -> tf.data.Dataset:
        """Return endless shuffled epochs of training batches, several batches an element.

        Args:
            features: from `features`.
            train: the training part.
            batch_size: examples a batch.
            seed: with the epoch number, fixes the order.
            first_epoch: number of the first epoch, counted from 0.
            steps_per_block: batches an element, ``S`` below.

        Returns:
            A dataset of ``(inputs, {"rating": [S, B]}, weight [S, B])``; the weight is 0 for
            the padding at the end of an epoch, else 1.
        """
        users, items, ratings = (
            tf.constant(column) for column in (train.user_id, train.item_id, train.ratings)
        )

        def batch(rows: tf.Tensor) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor], tf.Tensor]:
            inputs = features.inputs(
                gather(users, rows), gather(items, rows), mask_target=self.settings.mask_target
            )
            return inputs, {"rating": gather(ratings, rows)}, tf.cast(rows >= 0, tf.float32)

        blocks = shuffled_blocks(
            len(train), batch_size, seed=seed, first_epoch=first_epoch, steps_per_block=steps_per_block
        )
        return blocks.map(batch, num_parallel_calls=2, deterministic=True).prefetch(2)

    def predictor(
        self, model: keras.Model, features: PairFeatures
    ) -> Callable[[Interactions], NDArray[np.float32]]:
        """Return a function that predicts the rating of every interaction it is given, ``[n]``.

        Each call computes the vector of every user and item once and then applies the head to
        the pairs. The function stays valid while the weights of ``model`` change.
        """
        towers = {side: _compiled_tower(model, features, side) for side in SIDES}
        head = model.get_layer("head")

        any_vectors, any_ids = tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([None], tf.int32)

        def apply_head(
            users: tf.Tensor, items: tf.Tensor, user_id: tf.Tensor, item_id: tf.Tensor
        ) -> tf.Tensor:
            pairs = {"user_vector": tf.gather(users, user_id), "item_vector": tf.gather(items, item_id)}
            return head(pairs, training=False)

        rate = tf.function(apply_head).get_concrete_function(any_vectors, any_vectors, any_ids, any_ids)

        def predict(pairs: Interactions) -> NDArray[np.float32]:
            if len(pairs) == 0:
                return np.empty(0, np.float32)
            users, items = (_all_vectors(towers[side], features, side) for side in SIDES)
            user_id, item_id = tf.constant(pairs.user_id), tf.constant(pairs.item_id)
            parts = [
                rate(users, items, gather(user_id, rows), gather(item_id, rows)).numpy()
                for rows in ordered_batches(len(pairs), min(PAIRS_PER_CALL, len(pairs)))
            ]
            return np.concatenate(parts)[: len(pairs)]

        return predict

    def finish(self, model: keras.Model, train: Interactions) -> None:
        """Give ids without training data the average row of their table, see `IdEmbedding`."""
        counts = {"user": train.user_counts(), "item": train.item_counts()}
        for side in SIDES:
            for layer in model.get_layer(f"{side}_tower").layers:
                if isinstance(layer, IdEmbedding):
                    layer.fill_unseen(counts[side])

    def item_vectors(self, model: keras.Model, described: Interactions) -> NDArray[np.float32]:
        """Return the vectors of items by their columns of ratings, see `Task.item_vectors`."""
        if "item_row" not in model.input:
            return super().item_vectors(model, described)
        features = PairFeatures(["item_row"], described)
        return _all_vectors(_compiled_tower(model, features, "item"), features, "item").numpy()[1:]

    def scorer(self, model: keras.Model, features: PairFeatures) -> RatingScorer:
        """Return the functions that an exported graph is made of."""
        return RatingScorer(model, features)


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
        self._vectors_of_items = _compiled_tower(model, features, "item")
        vectors = _all_vectors(self._vectors_of_items, features, "item")
        self.item_vectors = tf.Variable(vectors, trainable=False, name="item_vectors")

    def refresh(self) -> None:
        """Compute the item vectors anew."""
        self.item_vectors.assign(_all_vectors(self._vectors_of_items, self.features, "item"))

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


def _compiled_tower(
    model: keras.Model, features: PairFeatures, side: str
) -> Callable[[tf.Tensor], tf.Tensor]:
    tower = model.get_layer(f"{side}_tower")
    function = tf.function(lambda ids: tower(features.side(side, ids), training=False))
    return function.get_concrete_function(tf.TensorSpec([None], tf.int32))


def _all_vectors(tower: Callable[[tf.Tensor], tf.Tensor], features: PairFeatures, side: str) -> tf.Tensor:
    """Return the vector of every id, row 0 included."""
    rows, step = features.num_ids[side] + 1, features.ids_per_call
    parts = [tower(tf.range(first, min(first + step, rows))) for first in range(0, rows, step)]
    return tf.concat(parts, axis=0)
