"""The implicit task with models that read rows: inputs, graded labels, scores."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from tests.zoo import build, table
from tfzoo.data.pipelines import BatchPlan
from tfzoo.data.splits import Split
from tfzoo.errors import DataError, UsageError
from tfzoo.tasks import ImplicitSettings, ImplicitTask
from tfzoo.tasks.implicit import InteractionFeatures
from tfzoo.training.settings import TrainingSettings
from tfzoo.training.trainer import Trainer

USERS, ITEMS = 4, 6
RATINGS = np.array([5.0, 3.0, 4.0, 1.0, 2.0, 5.0], np.float32)
TRAIN = table([1, 1, 2, 3, 4, 4], [2, 3, 2, 1, 4, 5], RATINGS, num_users=USERS, num_items=ITEMS)
DENSE = np.zeros((USERS + 1, ITEMS + 1))
DENSE[TRAIN.user_id, TRAIN.item_id] = RATINGS


def dmf():
    return build("dmf", num_users=USERS, num_items=ITEMS, user_units=(5, 3), item_units=(4, 3))


def epoch(**settings):
    task, model = ImplicitTask(ImplicitSettings(negatives=2, **settings)), dmf()
    features = InteractionFeatures.of(model, TRAIN)
    dataset = task.train_dataset(features, TRAIN, BatchPlan(batch_size=18, seed=0))
    return next(dataset.as_numpy_iterator())


def rows_of_pairs(inputs):
    """The rows that the pairs share, written out for every pair."""
    return {
        f"{side}_row": inputs[f"shared_{side}_row"][0][inputs[f"{side}_place"][0]]
        for side in ("user", "item")
    }


@pytest.mark.parametrize("masked", [True, False])
def test_positives_are_left_out_of_the_rows_of_their_example(masked):
    inputs, labels, weight = epoch(mask_target=masked)
    (user, item), label = rows_of_pairs(inputs).values(), labels["label"][0]
    assert weight.sum() == 18
    assert label.sum() == 6
    # In all rows of all positives, exactly the ratings of the positives are missing.
    whole = sum(DENSE[u].sum() for u in TRAIN.user_id)
    assert user[label > 0].sum() == pytest.approx(whole - masked * RATINGS.sum())
    whole = sum(DENSE[:, i].sum() for i in TRAIN.item_id)
    assert item[label > 0].sum() == pytest.approx(whole - masked * RATINGS.sum())
    # Negatives have nothing to leave out: each user's row once for each of two negatives a positive.
    whole = sum(DENSE[u].sum() for u in TRAIN.user_id)
    assert user[label == 0].sum() == pytest.approx(2 * whole)


@pytest.mark.parametrize("masked", [True, False])
def test_rows_that_pairs_share_are_there_once(masked):
    inputs, _, _ = epoch(mask_target=masked)
    users = len(np.unique(TRAIN.user_id))
    # All users have negatives, which share their rows; positives have rows of their own where masked.
    assert inputs["shared_user_row"].shape == (1, users + masked * len(TRAIN), ITEMS + 1)
    assert len(np.unique(inputs["user_place"])) == users + masked * len(TRAIN)


def test_a_negative_that_may_be_known_is_left_out_of_its_rows():
    inputs, _, _ = epoch(reject_known=False)
    # The whole row of a user never goes with the whole column of an item that the user knows.
    for user, item in zip(inputs["user_row"][0], inputs["item_row"][0], strict=True):
        users = [u for u in range(1, USERS + 1) if (user == DENSE[u]).all()]
        items = [i for i in range(1, ITEMS + 1) if (item == DENSE[:, i]).all()]
        assert all(DENSE[u, i] == 0 for u in users for i in items)


def test_pairs_of_a_small_batch_share_nothing():
    features = InteractionFeatures.of(dmf(), TRAIN)
    dataset = ImplicitTask().train_dataset(features, TRAIN, BatchPlan(batch_size=3, seed=0, block=2))
    assert dataset.element_spec[0]["user_row"].shape == (2, 3, ITEMS + 1)
    assert not ImplicitTask().batches_differ(features, 3)
    assert ImplicitTask().batches_differ(features, 4)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_shared_rows_give_the_loss_and_the_gradients_of_the_pairs(precision):
    keras.config.set_dtype_policy(precision)
    try:
        task, model = ImplicitTask(ImplicitSettings(negatives=2)), dmf()
    finally:
        keras.config.set_dtype_policy("float32")
    for kernel in model.trainable_variables:
        kernel.assign(np.random.default_rng(1).uniform(-0.5, 1, kernel.shape))
    features = InteractionFeatures.of(model, TRAIN)
    batch = next(iter(task.train_dataset(features, TRAIN, BatchPlan(batch_size=20, seed=0))))
    inputs, labels = ({key: value[0] for key, value in part.items()} for part in batch[:2])
    weight = batch[2][0]
    assert weight.numpy().sum() == 18
    arrays = {key: value.numpy() for key, value in batch[0].items()}
    pairs = {key: tf.constant(value) for key, value in rows_of_pairs(arrays).items()}
    found = []
    for one in (inputs, pairs):
        with tf.GradientTape() as tape:
            loss, _ = task.compute_loss(model, one, labels, weight, ())
        gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
        found.append([loss, *gradients])
    chance = model(pairs)["score"].numpy()
    label = labels["label"].numpy()
    each = -label * np.log(chance) - (1 - label) * np.log(1 - chance)
    tolerance = 1e-5 if precision == "float32" else 0.02
    assert float(found[0][0]) == pytest.approx((each * weight).numpy().sum() / 18, rel=tolerance)
    for shared, alone in zip(*found, strict=True):
        np.testing.assert_allclose(shared, alone, rtol=tolerance, atol=tolerance)


def test_pairs_that_share_rows_come_one_batch_at_a_time():
    features = InteractionFeatures.of(dmf(), TRAIN)
    with pytest.raises(ValueError, match="block=2"):
        ImplicitTask().train_dataset(features, TRAIN, BatchPlan(batch_size=4, seed=0, block=2))


@pytest.mark.parametrize("settings", [{"steps_per_call": 3}, {"jit_compile": True}])
def test_training_on_shared_rows_takes_one_batch_a_call(settings):
    losses = []
    for changes in ({}, settings):
        keras.utils.set_random_seed(0)
        task, model = ImplicitTask(ImplicitSettings(negatives=2)), dmf()
        features = InteractionFeatures.of(model, TRAIN)
        options = TrainingSettings(batch_size=5, epochs=3, learning_rate=0.01, **changes)
        history = Trainer(model, task, features, TRAIN, options, seed=0).fit(None).history
        losses.append([epoch["loss"] for epoch in history])
    assert losses[0] == losses[1]
    assert losses[0][-1] < losses[0][0]


def test_labels_are_ratings_divided_by_the_highest():
    _, labels, _ = epoch(labels="rating")
    found = np.sort(labels["label"][0])
    np.testing.assert_allclose(found, np.sort([*RATINGS / 5, *[0] * 12]), rtol=1e-6)


def test_the_scale_of_the_data_says_what_the_highest_rating_is():
    data = table([1, 1, 2], [1, 2, 2], [2.0, 3.0, 1.0], num_users=2, num_items=6, rating_scale=(1.0, 4.0))
    task = ImplicitTask(ImplicitSettings(labels="rating", negatives=0))
    features = InteractionFeatures(("user_id", "item_id"), data)
    _, labels, _ = next(
        task.train_dataset(features, data, BatchPlan(batch_size=3, seed=0)).as_numpy_iterator()
    )
    assert sorted(labels["label"][0]) == [0.25, 0.5, 0.75]


def test_data_without_ratings_gives_rows_of_ones_and_no_graded_labels():
    data = table([1, 1, 2], [1, 2, 2], num_users=USERS, num_items=ITEMS)
    features = InteractionFeatures.of(dmf(), data)
    np.testing.assert_array_equal(
        features.side("user", tf.constant([1]))["user_row"], [[0, 1, 1, 0, 0, 0, 0]]
    )
    with pytest.raises(DataError, match="ratings"):
        ImplicitTask(ImplicitSettings(labels="rating")).check(data)


def test_scores_are_those_of_the_model():
    model, task = dmf(), ImplicitTask()
    scorer = task.scorer(model, InteractionFeatures.of(model, TRAIN))
    assert not scorer.supports_jit
    users = tf.constant([1, 4, 0])
    catalogue = scorer.score_items(users).numpy()
    rows = {
        "user_row": np.repeat(DENSE[users.numpy()], ITEMS + 1, axis=0),
        "item_row": np.tile(DENSE.T, (3, 1)),
    }
    pairs = {key: tf.constant(value, tf.float32) for key, value in rows.items()}
    expected = model(pairs)["score"].numpy().reshape(3, -1)
    np.testing.assert_allclose(1 / (1 + np.exp(-catalogue)), expected, rtol=1e-3, atol=1e-6)
    candidates = tf.constant([[1, 2], [0, 6], [3, 3]])
    listed = scorer.score_candidates(users, candidates).numpy()
    np.testing.assert_allclose(listed, np.take_along_axis(catalogue, candidates.numpy(), 1), rtol=1e-5)
    alone = scorer.score_pairs(users, tf.constant([1, 2, 3])).numpy()
    np.testing.assert_allclose(alone, expected[np.arange(3), [1, 2, 3]], rtol=1e-4, atol=1e-6)


def test_pairwise_loss_needs_ids():
    task = ImplicitTask(ImplicitSettings(loss="bpr"))
    with pytest.raises(UsageError, match=r"bpr.*dmf.*user_row"):
        task.features(dmf(), Split(TRAIN, TRAIN, TRAIN, "all"), TRAIN)
    with pytest.raises(ValidationError, match="labels"):
        ImplicitSettings(loss="bpr", labels="rating")
