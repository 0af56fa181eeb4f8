"""Implicit feedback: a user and an item in, a score out; learned from sampled negatives."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfzoo.data.interactions import Interactions
from tfzoo.data.negatives import NegativeSampler
from tfzoo.data.pipelines import BatchPlan, gather, shuffled_blocks
from tfzoo.data.sampling import known_items
from tfzoo.data.splits import Split
from tfzoo.errors import DataError, UsageError
from tfzoo.inputs import Known
from tfzoo.inputs.base import SIDES
from tfzoo.layers import catalogue_scores
from tfzoo.problems.implicit import ImplicitProblem, ImplicitSettings
from tfzoo.tasks.base import Scorer, State, Tensors, distinct_rows, interaction_arrays, register_task
from tfzoo.tasks.factors import Factors, factors_of
from tfzoo.tasks.pair_features import (
    SHARED,
    PairFeatures,
    all_vectors,
    compiled_tower,
    fill_unseen_ids,
    pair_vectors,
    shares_rows,
)
from tfzoo.tasks.ranking import RankingTask

# Hidden layers make many numbers for a score: this many at once, in bytes four times as much, fit a cache.
FLOATS_AT_ONCE = 2**21


@register_task
class ImplicitTask(ImplicitProblem, RankingTask):
    """Tells the items that a user has interacted with from items drawn at random.

    With the loss ``bce`` a batch holds the inputs that the model asks for (``user_id``, ``item_id``
    int32 ``[B]``, or rows, see `PairFeatures`), and the label ``label`` float32 ``[B]``; an
    epoch has ``1 + negatives`` examples for every distinct positive. With ``bpr`` there is a
    ``negative_id`` int32 ``[B]`` beside each positive. In large batches pairs share the rows that
    they read, see `PairFeatures.distinct_inputs`.
    """

    place = 30
    model_inputs = "item_(id|row) user_(id|row)"
    model_outputs = "score"
    settings: ImplicitSettings

    @property
    def reads_all_parts(self) -> bool:
        """False: rows and known items are those of the training part."""
        return False

    def check_split(self, split: Split) -> None:
        """Raise `UsageError` for users of whom nothing is known, or where one has no item left to draw."""
        super().check_split(split)
        train = split.train
        if not (self.settings.negatives and self.settings.reject_known):
            return
        # Few users have as many rows as there are items; theirs alone can be rows of all items.
        busy = np.flatnonzero(train.user_counts()[1:] >= train.num_items) + 1
        if len(busy):
            known_items(train.take(np.flatnonzero(np.isin(train.user_id, busy))))

    def check(self, interactions: Interactions) -> None:
        """Raise `DataError` where labels are to be ratings and there are none above 0."""
        super().check(interactions)
        if self.settings.labels == "rating" and interactions.ratings.max(initial=0.0) <= 0:
            raise DataError(f"'{interactions.name}' has no rating above 0, which labels: rating needs.")

    def features(self, model: keras.Model, split: Split, interactions: Interactions) -> InteractionFeatures:
        """Return what turns ids into the inputs of ``model``; rows hold the training part alone.

        Raises:
            UsageError: the loss compares pairs, and the model reads rows.
        """
        features = InteractionFeatures.of(model, split.train)
        if self.settings.loss == "bpr" and set(features.names) != {"user_id", "item_id"}:
            raise UsageError(
                f"task.loss: bpr needs a model that reads ids alone. '{model.name}' reads "
                f"{', '.join(features.names)}; use task.loss: bce."
            )
        return features

    def num_examples(self, features: InteractionFeatures, train: Interactions) -> int:
        """Number of training examples of an epoch."""
        return features.positives_of(train) * self._examples_per_positive

    @property
    def shared_inputs(self) -> frozenset[str]:
        """Rows that several pairs of a batch share."""
        return frozenset(f"{SHARED}{side}_{kind}" for side in SIDES for kind in ("row", "features"))

    @property
    def _examples_per_positive(self) -> int:
        return self.settings.negatives + (self.settings.loss == "bce")

    def batches_differ(self, features: PairFeatures, batch_size: int) -> bool:
        """Whether pairs share rows, which those of large batches do, see `PairFeatures.distinct_inputs`."""
        # A negative that may be a known item is left out of its rows too, so that nobody shares any.
        some_share = self.settings.reject_known or not self.settings.mask_target
        return some_share and batch_size >= features.shared_from

    def train_dataset(
        self, features: InteractionFeatures, train: Interactions, plan: BatchPlan
    ) -> tf.data.Dataset:
        """Return endless shuffled epochs of positives and fresh negatives, see `Task.train_dataset`."""
        users, items = (tf.constant(column) for column in interaction_arrays(train))
        labels = self._labels(train)
        sampler = NegativeSampler(
            # All that is known of users, also where a few of it are trained on.
            features.known,
            weighting=self.settings.weighting,
            alpha=self.settings.alpha,
            reject_known=self.settings.reject_known,
        )
        times, memory = self._examples_per_positive, features.in_memory()
        blocks = shuffled_blocks(len(users) * times, plan)
        shared = self.batches_differ(features, plan.batch_size)
        if shared and plan.block != 1:
            raise ValueError(f"Pairs that share rows come one batch at a time. Received: block={plan.block}")

        def batch(number: tf.Tensor, rows: tf.Tensor) -> tuple[Tensors, Tensors, tf.Tensor]:
            positive = tf.where(rows >= 0, rows // times, rows)
            user, item = gather(users, positive), gather(items, positive)
            weight = tf.cast(rows >= 0, tf.float32)
            # A number of its own for every block of every epoch: nothing is ever drawn twice.
            draw = tf.stack([tf.constant(plan.seed + 1, tf.int64), number + block_offset])
            negative = sampler.sample(user, draw) if self.settings.negatives else item
            if self.settings.loss == "bpr":
                return {"user_id": user, "item_id": item, "negative_id": negative}, {}, weight
            is_positive = rows % times == 0
            other = tf.where(is_positive, item, negative)
            if shared:
                alone = is_positive[0] if self.settings.mask_target else None
                inputs = features.distinct_inputs(user[0], other[0], alone=alone, providers=memory)
                inputs = {name: value[tf.newaxis] for name, value in inputs.items()}
            else:
                inputs = features.train_inputs(
                    user, other, leave_out=self.settings.mask_target, providers=memory
                )
            label = weight if labels is None else gather(labels, positive)
            label = tf.where(is_positive, label, 0.0)
            return inputs, {"label": label}, weight

        steps = -(-len(users) * times // plan.batch_size)
        block_offset = tf.constant(plan.first_epoch * -(-steps // plan.block), tf.int64)
        return blocks.enumerate().map(batch, num_parallel_calls=2, deterministic=True).prefetch(2)

    def _labels(self, train: Interactions) -> tf.Tensor | None:
        """Return the labels of the positives, in the order of `interaction_arrays`; None where all are 1."""
        if self.settings.labels == "binary":
            return None
        # A highest rating that is known of the data counts, whether anybody gave it or not.
        highest = train.rating_scale[1] if train.rating_scale else train.ratings.max()
        labels = np.clip(train.ratings[distinct_rows(train)] / highest, 0.0, 1.0)
        return tf.constant(labels.astype(np.float32))

    def compute_loss(
        self, model: keras.Model, inputs: Tensors, labels: Tensors, weight: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        """Return binary cross-entropy on logits, or ``-log sigmoid(positive - negative)``."""
        if self.settings.loss == "bpr":
            user, item = inputs["user_id"], inputs["item_id"]
            both = {
                "user_id": tf.concat([user, user], 0),
                "item_id": tf.concat([item, inputs["negative_id"]], 0),
            }
            score, penalty = _logits(model, both)
            positive, negative = tf.split(score, 2)
            each = ops.softplus(negative - positive)
        else:
            score, penalty = _logits(model, inputs)
            # softplus(s) - s * label is the cross-entropy of a logit, without overflow.
            each = ops.softplus(score) - score * labels["label"]
        count = tf.maximum(tf.reduce_sum(weight), 1.0)
        return tf.reduce_sum(each * weight) / count + penalty, state

    def finish(self, model: keras.Model, train: Interactions) -> None:
        """Give ids without training data the average row of their table, see `IdEmbedding`."""
        fill_unseen_ids(model, train)

    def scorer(self, model: keras.Model, features: InteractionFeatures) -> ImplicitScorer:
        """Return what scores pairs and catalogues."""
        return ImplicitScorer(model, features)


class InteractionFeatures(PairFeatures):
    """The inputs of a model of interactions, and how many distinct ones there are.

    Attributes:
        known: all interactions that training may learn of.
    """

    def __init__(
        self, inputs: Collection[str] | Sequence[keras.KerasTensor], known: Known | Interactions
    ) -> None:
        super().__init__(inputs, known)
        self.known = known.train if isinstance(known, Known) else known
        self.num_positives = len(distinct_rows(self.known))

    def positives_of(self, train: Interactions) -> int:
        """Return the number of distinct pairs of the known interactions, or of some of them."""
        return self.num_positives if train is self.known else len(distinct_rows(train))


class ImplicitScorer(Scorer):
    """Scores pairs and catalogues by the unsquashed score, with the item side computed once.

    Args:
        model: a model with sub-models ``user_tower``, ``item_tower`` and ``head``.
        features: turns ids into its inputs.
    """

    def __init__(self, model: keras.Model, features: PairFeatures) -> None:
        super().__init__()
        # Rows differ in length, which XLA cannot compile.
        self.supports_jit = not features.reads_rows
        self.model, self._features = model, features
        self._towers = {side: model.get_layer(f"{side}_tower") for side in SIDES}
        self._head = model.get_layer("head")
        self._floats_per_score = max(getattr(layer, "units", 1) for layer in self._head.layers)
        self._item_tower = compiled_tower(model, features, "item")
        vectors = all_vectors(self._item_tower, features, "item")
        self.item_vectors = tf.Variable(vectors, trainable=False, name="item_vectors")

    def refresh(self) -> None:
        """Compute the item vectors anew."""
        self.item_vectors.assign(all_vectors(self._item_tower, self._features, "item"))

    def score_pairs(self, user_id: tf.Tensor, item_id: tf.Tensor) -> tf.Tensor:
        """Return the model's output for each pair, a probability where the paper's is one."""
        return self.model(self._features.inputs(user_id, item_id), training=False)["score"]

    def score_candidates(self, user_id: tf.Tensor, item_id: tf.Tensor) -> tf.Tensor:
        """Return scores of some items a user: int32 ``[B]``, int32 ``[B, C]`` to float32 ``[B, C]``."""
        vectors = {
            "user_vector": self._vectors("user", user_id)[:, tf.newaxis],
            "item_vector": tf.gather(self.item_vectors, item_id),
        }
        return self._head(vectors, training=False)

    def score_items(self, user_id: tf.Tensor) -> tf.Tensor:
        """Return the score of every item: int32 ``[B]`` to float32 ``[B, num_items + 1]``.

        A batch whose size is known beforehand passes through hidden layers a few users at a time.
        """
        users, items = self._vectors("user", user_id), tf.convert_to_tensor(self.item_vectors)
        batch, at_once = user_id.shape[0], max(1, FLOATS_AT_ONCE // (self._floats_per_score * items.shape[0]))
        if self._floats_per_score == 1 or batch is None or batch <= at_once:
            return catalogue_scores(self._head, users, items)
        return _in_blocks(lambda block: catalogue_scores(self._head, block, items), users, at_once)

    def factors(self) -> Factors | None:
        """Return the unsquashed scores as inner products, where the head is one."""

        def user_vectors(user_id: tf.Tensor) -> tf.Tensor:
            return self._vectors("user", user_id)

        squash = squash_of(self.model) or tf.identity
        return factors_of(self.model, user_vectors, self.item_vectors, squash)

    def _vectors(self, side: str, ids: tf.Tensor) -> Any:
        return self._towers[side](self._features.side(side, ids), training=False)


def _in_blocks(function: Any, rows: tf.Tensor, size: int) -> tf.Tensor:
    """Apply a function of rows to ``size`` of them at a time."""
    count, width = rows.shape
    blocks = tf.reshape(tf.pad(rows, [[0, -count % size], [0, 0]]), [-1, size, width])
    found = tf.map_fn(function, blocks, fn_output_signature=tf.float32, parallel_iterations=1)
    return tf.reshape(found, [-1, found.shape[-1]])[:count]


def _logits(model: keras.Model, inputs: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the unsquashed scores of the pairs of a batch, float32 ``[B]``, and the sum of the penalties."""
    if shares_rows(inputs):
        parts = [model.get_layer(name) for name in ("user_tower", "item_tower", "head")]
        vectors = pair_vectors(model, inputs, training=True)
        score = parts[-1]({name: vector[:, tf.newaxis] for name, vector in vectors.items()}, training=True)
        score = score[:, 0]
    else:
        parts = [logit_model(model)]
        score = parts[0](inputs, training=True)
    return score, sum((loss for part in parts for loss in part.losses), tf.constant(0.0))


def logit_model(model: keras.Model) -> keras.Model:
    """Return the model up to its unsquashed score, float32 ``[B]``; the weights are shared.

    Ranking and training on probabilities would lose what a saturated sigmoid rounds away.
    """
    squash = squash_of(model)
    return keras.Model(model.input, model.output["score"] if squash is None else squash.input)


def squash_of(model: keras.Model) -> keras.layers.Layer | None:
    """Return the logistic function that ends the model, by whatever name; None where none does."""
    layer = model.output["score"]._keras_history.operation
    logistic = isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.sigmoid
    return layer if logistic else None
