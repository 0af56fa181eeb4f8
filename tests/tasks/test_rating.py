"""The rating task: batches, predictions and scores."""

import numpy as np
import pytest
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.pipelines import BatchPlan
from tfzoo.data.splits import Split
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import UsageError
from tfzoo.models import create_model, list_models, model_info
from tfzoo.tasks import RatingSettings, RatingTask, get_task
from tfzoo.tasks.pair_features import PairFeatures

SMALL = {"tower_units": (6, 4), "last_activation": None}
MODELS = {
    "edrs": {**SMALL, "head_units": (5,), "rating_activation": None},
    "dmf-rating": {"user_units": (6, 4), "item_units": (5, 4), "initial_stddev": 0.5},
    "i-autorec": {"hidden_units": 5},
    "u-autorec": {"hidden_units": 5},
    "ncf-rating": {"factors": 3, "units": (6, 4)},
    "edrs-woe": {"tower_units": (6, 4), "head_units": (5,), "rating_activation": None},
    "delcr": {**SMALL, "biases": True},
    "dcf": SMALL,
    "baseline": {},
    "item-knn-rating": {"neighbours": 3},
    "user-knn-rating": {"neighbours": 3},
    "pmf": {},
    "biased-mf": {"embedding_dim": 4, "mean_rating": 3.0, "frequency_exponent": 0.5},
    "svdpp": {"embedding_dim": 4, "mean_rating": 3.0},
    "rmf": {},
    "dlfcf": {"embedding_dim": 6, "factor_units": (5,)},
    "deepfm": {"embedding_dim": 3, "hidden_units": (6, 4), "dropout": 0.0},
    "wide-deep": {"embedding_dim": 3, "hidden_units": (6, 4)},
    "nnmf": {"embedding_dim": 6, "product_dim": 6, "hidden_units": (12,)},
}
ROW_MODELS = ("edrs-woe", "dcf")


def build(name, data, seed=0):
    """Build a small model with random weights, biases included."""
    model = create_model(name, data.num_users, data.num_items, **MODELS[name])
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(scale=0.5, size=weight.shape) for weight in model.weights])
    return model


def by_hand(user_id, item_id, rating):
    """Make interactions of 3 users and 3 items."""
    return Interactions(
        Vocabulary(np.arange(3)), Vocabulary(np.arange(3)), np.array(user_id), np.array(item_id), rating
    )


# Training part: user 1 rated items 1 and 2, user 2 item 2, user 3 nothing.
TRAIN = by_hand([1, 1, 2], [1, 2, 2], [5, 4, 3])
EVERYTHING = by_hand([1, 1, 2, 3, 2], [1, 2, 2, 3, 1], [5, 4, 3, 2, 1])


def first_epoch(task, model, train, blocks, **options):
    dataset = task.train_dataset(PairFeatures.of(model, train), train, BatchPlan(**options))
    return list(dataset.take(blocks).as_numpy_iterator())


def test_blocks_have_the_contract_shapes(toy):
    task = RatingTask()
    model = build("pmf", toy)
    (element,) = first_epoch(task, model, toy, 1, batch_size=32, seed=0, block=10)
    inputs, labels, weight = element
    assert set(inputs) == {"user_id", "item_id"}
    assert set(labels) == {"rating"}
    for values, dtype in [
        (inputs["user_id"], np.int32),
        (labels["rating"], np.float32),
        (weight, np.float32),
    ]:
        assert (values.shape, values.dtype) == ((10, 32), dtype)


def test_row_blocks_have_the_contract_shapes(toy):
    model = build("dcf", toy)
    (element,) = first_epoch(RatingTask(), model, toy, 1, batch_size=8, seed=0, block=3)
    inputs, _, _ = element
    assert {name: (value.shape, value.dtype) for name, value in inputs.items()} == {
        "user_row": ((3, 8, 21), np.float32),
        "item_row": ((3, 8, 31), np.float32),
    }


def test_an_epoch_holds_every_rating_once_and_weights_mark_the_padding(toy):
    # 300 rows in blocks of 3 x 32 make 4 blocks with 84 places of padding.
    elements = first_epoch(RatingTask(), build("pmf", toy), toy, 4, batch_size=32, seed=0, block=3)
    user, item, rating, weight = (
        np.concatenate([column.ravel() for column in columns])
        for columns in zip(
            *((i["user_id"], i["item_id"], y["rating"], w) for i, y, w in elements), strict=True
        )
    )
    assert weight.tolist() == [1.0] * 300 + [0.0] * 84
    assert not user[300:].any()
    assert not item[300:].any()
    assert not rating[300:].any()
    found = sorted(zip(user[:300].tolist(), item[:300].tolist(), rating[:300].tolist(), strict=True))
    assert found == sorted(zip(toy.user_id.tolist(), toy.item_id.tolist(), toy.ratings.tolist(), strict=True))


def test_a_later_epoch_can_be_started_from(toy):
    task, model = RatingTask(), build("pmf", toy)
    unbroken = first_epoch(task, model, toy, 6, batch_size=100, seed=5)
    resumed = first_epoch(task, model, toy, 3, batch_size=100, seed=5, first_epoch=1)
    for one, other in zip(unbroken[3:], resumed, strict=True):
        np.testing.assert_array_equal(one[0]["user_id"], other[0]["user_id"])
        np.testing.assert_array_equal(one[1]["rating"], other[1]["rating"])


@pytest.mark.parametrize("mask", [True, False])
def test_training_rows_by_hand(mask):
    task = RatingTask(RatingSettings(mask_target=mask))
    model = build("dcf", TRAIN)
    ((inputs, labels, weight),) = first_epoch(task, model, TRAIN, 1, batch_size=4, seed=0)
    # By rating: the user's row over items 0..3 and the item's column over users 0..3.
    expected = {
        5: ([0, 5, 4, 0], [0, 5, 0, 0]),
        4: ([0, 5, 4, 0], [0, 4, 3, 0]),
        3: ([0, 0, 3, 0], [0, 4, 3, 0]),
    }
    if mask:
        expected = {5: ([0, 0, 4, 0], [0] * 4), 4: ([0, 5, 0, 0], [0, 0, 3, 0]), 3: ([0] * 4, [0, 4, 0, 0])}
    found = {
        int(rating): (user_row.tolist(), item_row.tolist())
        for rating, user_row, item_row in zip(
            labels["rating"][0], inputs["user_row"][0], inputs["item_row"][0], strict=True
        )
        if rating
    }
    assert found == expected
    assert weight.tolist() == [[1, 1, 1, 0]]
    assert not inputs["user_row"][0][3].any()


@pytest.mark.parametrize(
    ("rows_from", "user_rows", "item_rows"),
    [
        ("train", [[0, 5, 4, 0], [0, 0, 3, 0], [0] * 4], [[0, 5, 0, 0], [0, 4, 3, 0], [0] * 4]),
        ("all", [[0, 5, 4, 0], [0, 1, 3, 0], [0, 0, 0, 2]], [[0, 5, 1, 0], [0, 4, 3, 0], [0, 0, 0, 2]]),
    ],
)
def test_rows_hold_training_ratings_unless_all_are_asked_for(rows_from, user_rows, item_rows):
    task = RatingTask(RatingSettings(rows_from=rows_from))
    features = task.features(build("dcf", TRAIN), Split(TRAIN, TRAIN, TRAIN, "toy"), EVERYTHING)
    ids = tf.constant([1, 2, 3])
    inputs = features.inputs(ids, ids)
    assert inputs["user_row"].numpy().tolist() == user_rows
    assert inputs["item_row"].numpy().tolist() == item_rows


def test_rows_hold_training_ratings_by_default():
    assert RatingTask().settings.rows_from == "train"
    assert RatingTask().settings.mask_target


def test_masking_a_users_only_rating_is_the_empty_row():
    features = PairFeatures.of(build("dcf", TRAIN), TRAIN)
    masked = features.train_inputs(tf.constant([2]), tf.constant([2]))["user_row"]
    empty = features.inputs(tf.constant([3]), tf.constant([2]))["user_row"]
    np.testing.assert_array_equal(masked, empty)


@pytest.mark.parametrize("name", MODELS)
def test_predictions_equal_the_model_called_directly(toy, name):
    task, model = RatingTask(), build(name, toy)
    features = PairFeatures.of(model, toy)
    predict = task.predictor(model, features)
    matrix = np.zeros((31, 21), np.float32)
    matrix[toy.user_id, toy.item_id] = toy.ratings
    everything = {
        "user_id": toy.user_id,
        "item_id": toy.item_id,
        "user_row": matrix[toy.user_id],
        "item_row": matrix.T[toy.item_id],
    }
    expected = model({tensor.name: everything[tensor.name] for tensor in model.inputs}, training=False)
    found = predict(toy)
    assert (found.shape, found.dtype) == ((300,), np.float32)
    np.testing.assert_allclose(found, expected["rating"], rtol=1e-4, atol=1e-4)
    for rows in (np.arange(1), np.arange(7)):
        np.testing.assert_allclose(predict(toy.take(rows)), found[rows], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "rows"), [("pmf", 32768 + 5), ("dcf", 32768 + 5), ("pmf", 2 * 32768)])
def test_predictions_of_more_rows_than_a_batch(toy, name, rows):
    task, model = RatingTask(), build(name, toy)
    predict = task.predictor(model, PairFeatures.of(model, toy))
    repeated = np.arange(rows) % len(toy)
    expected = predict(toy)[repeated]
    np.testing.assert_allclose(predict(toy.take(repeated)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("num_users", [2047, 2048, 4100])
def test_predictions_for_many_users(num_users):
    users = np.array([1, num_users // 2, num_users, 0])
    data = Interactions(
        Vocabulary(np.arange(num_users)), Vocabulary(np.arange(3)), users, [1, 2, 3, 0], users
    )
    task, model = RatingTask(), build("biased-mf", data)
    found = task.predictor(model, PairFeatures.of(model, data))(data)
    expected = model({"user_id": data.user_id, "item_id": data.item_id})["rating"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_predictions_follow_the_weights(toy):
    task, model = RatingTask(), build("pmf", toy)
    predict = task.predictor(model, PairFeatures.of(model, toy))
    before = predict(toy)
    model.set_weights([2 * weight for weight in model.get_weights()])
    np.testing.assert_allclose(predict(toy), 4 * before, rtol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_all_items_of_a_user_score_as_the_pairs_do(toy, name):
    task, model = RatingTask(), build(name, toy)
    scorer = task.scorer(model, PairFeatures.of(model, toy))
    users = tf.constant([1, 30, 0])
    found = scorer.score_items(users)
    assert found.shape == (3, toy.num_items + 1)
    for item in range(toy.num_items + 1):
        pairs = scorer.score_pairs(users, tf.fill([3], item))
        np.testing.assert_allclose(found[:, item], pairs, rtol=1e-4, atol=1e-4)
    assert np.ptp(found.numpy()[0]) > 0.1
    some = tf.constant([[3, 3, 0, 20], [1, 2, 3, 4], [20, 0, 7, 7]])
    expected = tf.gather(found, some, batch_dims=1)
    np.testing.assert_allclose(scorer.score_candidates(users, some), expected, rtol=1e-4, atol=1e-4)
    assert scorer.score_candidates(users, some[:, :0]).shape == (3, 0)


def test_vectors_of_new_items_come_from_their_ratings_alone(toy):
    task = RatingTask()
    with pytest.raises(UsageError, match="'user-knn-rating' learns a vector for each item"):
        task.item_vectors(build("user-knn-rating", toy), toy)
    model = build("dcf", toy)
    rows = PairFeatures.of(model, toy).side("item", tf.range(1, 21))
    expected = model.get_layer("item_tower")(rows)
    np.testing.assert_allclose(task.item_vectors(model, toy), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["pmf", "biased-mf", "edrs"])
def test_finish_gives_unknown_and_unseen_ids_the_mean_row(name):
    model = build(name, TRAIN)
    before = {
        layer.name: layer.get_weights()[0]
        for side in ("user", "item")
        for layer in model.get_layer(f"{side}_tower").layers
        if layer.name.endswith(("_embedding", "_bias"))
    }
    assert before
    RatingTask().finish(model, TRAIN)
    # Users and items 1 and 2 are in the training part; 0 and 3 are not.
    for layer_name, table in before.items():
        tower = model.get_layer(f"{layer_name.partition('_')[0]}_tower")
        after = tower.get_layer(layer_name).get_weights()[0]
        mean = (table[1] + table[2]) / 2
        np.testing.assert_allclose(after, [mean, table[1], table[2], mean], rtol=1e-6)


@pytest.mark.parametrize("name", ROW_MODELS)
def test_finish_leaves_models_without_tables_alone(name):
    model = build(name, TRAIN)
    before = model.get_weights()
    RatingTask().finish(model, TRAIN)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


LOSSES = [("mse", (1 + 4) / 2), ("mae", (1 + 2) / 2)]


@pytest.mark.parametrize(("loss", "expected"), LOSSES)
def test_the_loss_is_the_mean_over_what_is_not_padding(loss, expected):
    function = RatingTask(RatingSettings(loss=loss)).loss()
    truth, prediction = tf.constant([1.0, 2.0, 0.0]), tf.constant([2.0, 4.0, 9.0])
    found = function(truth, prediction, sample_weight=tf.constant([1.0, 1.0, 0.0]))
    assert float(found) == pytest.approx(expected)


@pytest.mark.parametrize(("loss", "expected"), LOSSES)
def test_the_compiled_model_computes_the_same_loss(loss, expected):
    model = build("pmf", TRAIN)
    model.compile(loss=RatingTask(RatingSettings(loss=loss)).loss())
    labels = {"rating": tf.constant([1.0, 2.0, 0.0])}
    outputs = {"rating": tf.constant([2.0, 4.0, 9.0])}
    weight = tf.constant([1.0, 1.0, 0.0])
    assert float(model.compute_loss(None, labels, outputs, weight)) == pytest.approx(expected)


@pytest.mark.parametrize("name", MODELS)
def test_padding_does_not_change_the_gradient(name):
    task, model = RatingTask(RatingSettings(mask_target=False)), build(name, TRAIN)
    model.compile(loss=task.loss())
    weights = model.trainable_variables

    def gradients(batch_size):
        ((inputs, labels, weight),) = first_epoch(task, model, TRAIN, 1, batch_size=batch_size, seed=0)
        inputs = {key: tf.constant(value[0]) for key, value in inputs.items()}
        labels = {key: tf.constant(value[0]) for key, value in labels.items()}
        with tf.GradientTape() as tape:
            outputs = model(inputs, training=True)
            loss = model.compute_loss(inputs, labels, outputs, tf.constant(weight[0]))
        return [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, weights)]

    # The training part has 3 ratings: no padding, and 5 places of it.
    for full, padded in zip(gradients(3), gradients(8), strict=True):
        np.testing.assert_allclose(padded, full, rtol=1e-4, atol=1e-5)


def test_automatic_arguments_come_from_the_training_part(toy):
    train = toy.take(np.arange(100))
    arguments = RatingTask().builder_arguments(train)
    assert arguments["mean_rating"] == pytest.approx(train.ratings.astype(np.float64).mean())
    assert arguments["rating_scale"] == (1.0, 5.0)
    assert RatingTask().builder_arguments(TRAIN)["rating_scale"] == (3.0, 5.0)


def test_models_without_rows_store_none(toy):
    assert not PairFeatures.of(build("pmf", toy), toy).reads_rows
    assert PairFeatures.of(build("dcf", toy), toy).reads_rows
    assert PairFeatures.of(build("pmf", toy), toy).row_sides == ()


def test_tasks_by_name():
    assert get_task("rating") is RatingTask
    with pytest.raises(UsageError, match=r"Unknown task 'ratings'\. Did you mean 'rating'"):
        get_task("ratings")


def test_every_rating_model_is_tested_here():
    builders = {model_info(name).builder for name in MODELS}
    rating = {name for name in list_models() if model_info(name).task == "rating"}
    assert {name for name in rating if model_info(name).builder not in builders} == set()
