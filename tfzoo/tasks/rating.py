"""Explicit-rating prediction: a user and an item in, a rating out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy import sparse

from tfzoo.data.interactions import Interactions
from tfzoo.data.pipelines import BatchPlan, gather, ordered_batches, shuffled_blocks
from tfzoo.data.splits import Split
from tfzoo.inputs.base import SIDES
from tfzoo.layers import AbsoluteError, SquaredError
from tfzoo.problems.rating import RatingProblem
from tfzoo.tasks.base import Needs, State, Task, Tensors, as_matrix, register_task
from tfzoo.tasks.pair_features import PairFeatures, all_vectors, compiled_tower, fill_unseen_ids
from tfzoo.tasks.rating_blocks import OTHER, block_dataset, block_loss, check_blocks, examples_of
from tfzoo.tasks.rating_scorer import RatingScorer

PAIRS_PER_CALL = 32768
FLOATS_PER_CALL = 1 << 26


@register_task
class RatingTask(RatingProblem, Task):
    """Learns to predict the rating that a user gives to an item.

    Inputs of a batch are those that the model asks for by name, see `PairFeatures`. The label is
    ``rating`` float32 ``[B]``.
    """

    place = 10
    model_inputs = "(item_features )?item_(id|row)( item_row)? (user_features )?user_(id|row)( user_row)?"
    model_outputs = "rating"
    maximize = False
    needs = Needs(rating=True)
    evaluation = "rating"
    settings: Any

    @property
    def reads_all_parts(self) -> bool:
        """Whether rows are to hold all ratings, see ``rows_from``."""
        return bool(self.settings.rows_from == "all")

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

    def matrix(self, train: Interactions) -> sparse.csr_matrix:
        """Return the ratings, see `Task.matrix`; of several of one user for one item the first."""
        return as_matrix(train, train.ratings)

    @property
    def leaves_out(self) -> bool:
        """Whether what would tell the answer of an example is left out of its inputs."""
        return bool(self.settings.mask_target)

    @property
    def examples_of(self) -> str:
        """Whose rows are the examples, see ``examples``; empty where ratings are."""
        return self._block_side

    @property
    def _block_side(self) -> str:
        """Whose rows are the examples, ``user`` or ``item``; empty where ratings are."""
        sides: dict[str, str] = {"users": "user", "items": "item"}
        return sides.get(self.settings.examples, "")

    @property
    def shared_inputs(self) -> frozenset[str]:
        """The ids of the side whose rows are not the examples, see `Task.shared_inputs`."""
        return frozenset({f"{OTHER[self._block_side]}_id"} if self._block_side else ())

    def loss(self) -> keras.Loss:
        """Return the training loss, a mean over the examples that are not padding."""
        return {"mse": SquaredError, "mae": AbsoluteError}[self.settings.loss]()

    def features(self, model: keras.Model, split: Split, interactions: Interactions) -> PairFeatures:
        """Prepare what turns ids into the inputs of ``model``.

        Raises:
            UsageError: the model cannot be trained on whole rows, which ``examples`` asks for, or
                was built for other side features.
        """
        if self._block_side:
            check_blocks(model, self._block_side)
        return PairFeatures.of(model, interactions if self.settings.rows_from == "all" else split.train)

    def num_examples(self, features: PairFeatures, train: Interactions) -> int:
        """Number of ratings, or of users or items with ratings."""
        return len(examples_of(train, self._block_side)) if self._block_side else len(train)

    def train_dataset(self, features: PairFeatures, train: Interactions, plan: BatchPlan) -> tf.data.Dataset:
        """Return endless shuffled epochs of training batches, several batches an element.

        Args:
            features: from `features`.
            train: the training part.
            plan: batch size, order, and batches an element, ``S`` below.

        Returns:
            A dataset of ``(inputs, {"rating": [S, B]}, weight [S, B])``; the weight is 0 for
            the padding at the end of an epoch, else 1. For rows see `block_dataset`.
        """
        if self._block_side:
            return block_dataset(features, train, self._block_side, plan)
        users, items, ratings = (
            tf.constant(column) for column in (train.user_id, train.item_id, train.ratings)
        )
        memory, leave_out = features.in_memory(), self.leaves_out

        def batch(rows: tf.Tensor) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor], tf.Tensor]:
            inputs = features.train_inputs(
                gather(users, rows), gather(items, rows), rows, leave_out=leave_out, providers=memory
            )
            return inputs, {"rating": gather(ratings, rows)}, tf.cast(rows >= 0, tf.float32)

        blocks = shuffled_blocks(len(train), plan)
        return blocks.map(batch, num_parallel_calls=2, deterministic=True).prefetch(2)

    def compute_loss(
        self, model: keras.Model, inputs: Tensors, labels: Tensors, weight: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        """Return the loss of a batch of ratings, or of rows, see `Task.compute_loss`."""
        if self._block_side:
            loss = block_loss(model, self._block_side, self.settings.loss, inputs, labels, weight)
            return loss, state
        return super().compute_loss(model, inputs, labels, weight, state)

    def predictor(
        self, model: keras.Model, features: PairFeatures
    ) -> Callable[[Interactions], NDArray[np.float32]]:
        """Return a function that predicts the rating of every interaction it is given, ``[n]``.

        Each call computes the vector of every user and item once and then applies the head to
        the pairs. The function stays valid while the weights of ``model`` change.
        """
        towers = {side: compiled_tower(model, features, side) for side in SIDES}
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
            users, items = (all_vectors(towers[side], features, side) for side in SIDES)
            user_id, item_id = tf.constant(pairs.user_id), tf.constant(pairs.item_id)
            at_once = FLOATS_PER_CALL // (users.shape[1] + items.shape[1])
            parts = [
                rate(users, items, gather(user_id, rows), gather(item_id, rows)).numpy()
                for rows in ordered_batches(len(pairs), min(PAIRS_PER_CALL, max(1, at_once), len(pairs)))
            ]
            return np.concatenate(parts)[: len(pairs)]

        return predict

    def finish(self, model: keras.Model, train: Interactions) -> None:
        """Give ids without training data the average row of their table, see `IdEmbedding`."""
        fill_unseen_ids(model, train)

    def item_vectors(self, model: keras.Model, described: Interactions) -> NDArray[np.float32]:
        """Return the vectors of items by their columns of ratings, see `Task.item_vectors`."""
        names = [tensor.name for tensor in model.get_layer("item_tower").inputs]
        if names != ["item_row"]:
            return super().item_vectors(model, described)
        features = PairFeatures(names, described)
        return all_vectors(compiled_tower(model, features, "item"), features, "item").numpy()[1:]

    def scorer(self, model: keras.Model, features: PairFeatures) -> RatingScorer:
        """Return the functions that an exported graph is made of."""
        return RatingScorer(model, features)
