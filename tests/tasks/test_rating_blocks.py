"""Training on whole rows: batches, the loss by hand, and what models it is for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import build, table
from tfzoo.data.pipelines import BatchPlan
from tfzoo.data.splits import Split
from tfzoo.errors import UsageError
from tfzoo.tasks import RatingSettings, RatingTask
from tfzoo.tasks.pair_features import PairFeatures
from tfzoo.training.settings import TrainingSettings
from tfzoo.training.trainer import Trainer

# User 3 has no rating, and item 1 has a rating of 0.
TRAIN = table(
    [1, 1, 2, 4, 4, 5], [2, 3, 2, 1, 4, 4], [5.0, 3.0, 4.0, 0.0, 2.0, 1.0], num_users=5, num_items=4
)


def task(side, loss="mse"):
    return RatingTask(RatingSettings(examples=side, loss=loss))


def model_for(side, **options):
    name = {"items": "i-autorec", "users": "u-autorec"}[side]
    return build(name, num_users=5, num_items=4, hidden_units=3, **options)


def first_batch(part):
    return {key: tf.constant(value[0]) for key, value in part.items()}


def batches(side, batch_size, *, count, **options):
    model = model_for(side)
    features = PairFeatures.of(model, TRAIN)
    dataset = task(side).train_dataset(features, TRAIN, BatchPlan(batch_size=batch_size, seed=1, **options))
    return list(dataset.take(count).as_numpy_iterator())


@pytest.mark.parametrize(("side", "examples"), [("users", 4), ("items", 4)])
def test_an_epoch_has_every_user_or_item_with_ratings_once(side, examples):
    chosen, model = task(side), model_for(side)
    assert chosen.num_examples(PairFeatures.of(model, TRAIN), TRAIN) == examples
    rows = {"users": "user_row", "items": "item_row"}[side]
    dense = np.zeros((6, 5))
    dense[TRAIN.user_id, TRAIN.item_id] = TRAIN.ratings
    seen = np.zeros((6, 5))
    seen[TRAIN.user_id, TRAIN.item_id] = 1
    if side == "items":
        dense, seen = dense.T, seen.T
    expected = {tuple(both) for both in np.concatenate([dense, seen], axis=1) if both[dense.shape[1] :].any()}
    for start in (0, 2):  # Each epoch is one block of two batches of three.
        (inputs, labels, weight), *_ = batches(side, 3, count=1, first_epoch=start, block=2)
        real = weight > 0
        assert real.sum() == examples
        np.testing.assert_array_equal(inputs[rows], labels["rating"])
        both = np.concatenate([labels["rating"], labels["observed"]], axis=-1)[real]
        assert {tuple(row) for row in both} == expected
        assert (labels["observed"][~real] == 0).all()


@pytest.mark.parametrize("loss", ["mse", "mae"])
@pytest.mark.parametrize("side", ["users", "items"])
def test_the_loss_is_the_sum_over_observed_ratings_and_the_mean_over_rows(side, loss):
    model, chosen = model_for(side, l2=4.0), task(side, loss)
    (inputs, labels, weight), *_ = batches(side, 6, count=1)
    inputs, labels = (
        {key: tf.constant(value[0]) for key, value in part.items()} for part in (inputs, labels)
    )
    found, state = chosen.compute_loss(model, inputs, labels, tf.constant(weight[0]), ())
    assert state == ()
    errors = model(rows_of(side))["rating"] - TRAIN.ratings
    each = np.square(errors) if loss == "mse" else np.abs(errors)
    assert float(found) == pytest.approx(each.sum() / 4 + float(sum(model.losses)), rel=1e-5)


def rows_of(side):
    dense = np.zeros((6, 5), np.float32)
    dense[TRAIN.user_id, TRAIN.item_id] = TRAIN.ratings
    if side == "items":
        return {"user_id": TRAIN.user_id, "item_row": dense.T[TRAIN.item_id]}
    return {"user_row": dense[TRAIN.user_id], "item_id": TRAIN.item_id}


@pytest.mark.parametrize("side", ["users", "items"])
def test_training_on_rows_fits_them(side):
    model, chosen = model_for(side, l2=0.0, hidden_activation="linear"), task(side)
    split = Split(TRAIN, TRAIN, TRAIN, "all")
    features = chosen.features(model, split, TRAIN)
    settings = TrainingSettings(learning_rate=0.02, batch_size=3, epochs=300, patience=None)
    state = Trainer(model, chosen, features, TRAIN, settings, seed=0).fit(None)
    assert state.history[-1]["loss"] < 0.05 < state.history[0]["loss"]
    np.testing.assert_allclose(chosen.predictor(model, features)(TRAIN), TRAIN.ratings, atol=0.4)


@pytest.mark.parametrize(
    ("name", "side", "words"),
    [
        ("edrs", "users", ["inner product", "edrs"]),
        ("biased-mf", "items", ["inner product", "biased-mf"]),
        ("dcf", "users", ["item_row", "dcf"]),
        ("i-autorec", "users", ["item_row", "i-autorec"]),
    ],
)
def test_other_models_are_refused(name, side, words):
    model = build(name, num_users=5, num_items=4)
    with pytest.raises(UsageError) as error:
        task(side).features(model, Split(TRAIN, TRAIN, TRAIN, "all"), TRAIN)
    assert all(word in str(error.value) for word in [*words, "task.examples"])


def test_inner_products_over_ids_can_be_trained_on_rows_too():
    model = build("pmf", num_users=5, num_items=4, lookup_l2=0.0)
    features = task("users").features(model, Split(TRAIN, TRAIN, TRAIN, "all"), TRAIN)
    dataset = task("users").train_dataset(features, TRAIN, BatchPlan(batch_size=6, seed=0))
    inputs, labels, weight = next(dataset.as_numpy_iterator())
    inputs, labels = (
        {key: tf.constant(value[0]) for key, value in part.items()} for part in (inputs, labels)
    )
    found, _ = task("users").compute_loss(model, inputs, labels, tf.constant(weight[0]), ())
    errors = model({"user_id": TRAIN.user_id, "item_id": TRAIN.item_id})["rating"] - TRAIN.ratings
    assert float(found) == pytest.approx(float(keras.ops.sum(errors**2)) / 4, rel=1e-5)
