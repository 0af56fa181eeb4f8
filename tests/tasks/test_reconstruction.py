"""The reconstruction task: rows, losses by hand, histories."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import build, call, models_of, table
from tfzoo.data.pipelines import BatchPlan
from tfzoo.data.splits import Split
from tfzoo.errors import UsageError
from tfzoo.layers import IdEmbedding
from tfzoo.tasks import ReconstructionSettings, ReconstructionTask, get_task
from tfzoo.tasks.reconstruction import RowFeatures
from tfzoo.training.settings import parse

USERS, ITEMS = 5, 6
MODELS = models_of("reconstruction")
LOGITS = np.array([[9.0, 1.0, -2.0, 0.5, 0.0, 3.0, -1.0], [9.0, 0.0, 0.0, 2.0, -3.0, 1.0, 1.0]])
ROWS = np.array([[0.0, 1, 0, 1, 0, 0, 0], [0.0, 0, 1, 0, 0, 1, 1]])


@pytest.fixture(scope="module")
def train():
    """Users 1 to 3 train; user 1's first pair occurs twice. Users 4 and 5 do not."""
    return table([1, 1, 1, 2, 3, 3], [1, 3, 1, 2, 5, 6], num_users=USERS, num_items=ITEMS)


@pytest.fixture(scope="module")
def fold_in():
    return table([4, 4, 5], [2, 6, 1], num_users=USERS, num_items=ITEMS)


def small(name, seed=0, **options):
    return build(name, seed, 0.5, USERS, ITEMS, **options)


def epoch(task, features, train, *, batch_size=2, seed=3, epochs=1, first_epoch=0, block=1):
    steps = task.steps_per_epoch(features, train, batch_size)
    blocks = -(-steps // block)
    dataset = task.train_dataset(
        features, train, BatchPlan(batch_size=batch_size, seed=seed, first_epoch=first_epoch, block=block)
    )
    elements = list(dataset.take(epochs * blocks).as_numpy_iterator())
    inputs = {key: np.concatenate([element[0][key] for element in elements]) for key in elements[0][0]}
    counts = np.concatenate([element[1]["counts"] for element in elements])
    return inputs, counts, np.concatenate([element[2] for element in elements])


# Rows


def test_an_epoch_has_the_row_of_every_training_user_once(train, fold_in):
    task = ReconstructionTask()
    features = RowFeatures(["user_row", "user_id"], [train, fold_in])
    assert task.num_examples(features, train) == 3
    assert task.steps_per_epoch(features, train, 2) == 2
    inputs, counts, weight = epoch(task, features, train)
    assert inputs["user_row"].shape == (2, 2, ITEMS + 1)
    assert inputs["user_row"].dtype == np.float32
    assert inputs["user_id"].dtype == np.int32
    assert weight.tolist() == [[1, 1], [1, 0]]
    assert counts.shape == (2, 2, 1)
    users = inputs["user_id"].ravel()
    assert sorted(users[:3].tolist()) == [1, 2, 3]
    assert users[3] == 0
    expected = {
        1: [0, 1, 0, 1, 0, 0, 0],
        2: [0, 0, 1, 0, 0, 0, 0],
        3: [0, 0, 0, 0, 0, 1, 1],
        0: [0] * 7,
    }
    for user, row in zip(users.tolist(), inputs["user_row"].reshape(4, -1).tolist(), strict=True):
        assert row == expected[user]


@pytest.mark.parametrize("block", [1, 3])
def test_a_later_epoch_can_be_started_from(block):
    user, item = np.divmod(np.arange(0, 140, 3), 20)
    train = table(user + 1, item + 1, num_items=20)
    task = ReconstructionTask(ReconstructionSettings(loss="bce", negatives=2))
    features = RowFeatures(["user_row", "user_id"], [train])
    options = {"batch_size": 2, "block": block}
    inputs, counts, weight = epoch(task, features, train, epochs=3, **options)
    later, later_counts, later_weight = epoch(task, features, train, epochs=2, first_epoch=1, **options)
    steps = len(weight) // 3
    np.testing.assert_array_equal(later["user_id"], inputs["user_id"][steps:])
    np.testing.assert_array_equal(later_counts, counts[steps:])
    np.testing.assert_array_equal(later_weight, weight[steps:])
    assert not np.array_equal(later["user_id"][:steps], inputs["user_id"][:steps])
    assert not np.array_equal(later_counts[:steps], counts[:steps])


def test_a_model_gets_the_inputs_it_asks_for(train):
    split = Split(train, train, train, "")
    for name, wanted in (("mult-vae", {"user_row"}), ("cdae", {"user_row", "user_id"})):
        features = ReconstructionTask().features(small(name), split, train)
        assert set(features.names) == wanted
        assert set(epoch(ReconstructionTask(), features, train)[0]) == wanted


@pytest.mark.parametrize("negatives", [1, 2])
def test_sampled_cells_keep_every_positive_and_as_many_others_as_asked_for(negatives):
    user, item = np.nonzero(np.random.default_rng(0).random((300, 400)) < 0.05)
    train = table(user + 1, item + 1, num_users=300, num_items=400)
    task = ReconstructionTask(ReconstructionSettings(loss="bce", negatives=negatives))
    features = RowFeatures(["user_row"], [train])
    inputs, counts, weight = epoch(task, features, train, batch_size=300)
    rows, cells = inputs["user_row"][0], counts[0]
    assert cells.shape == rows.shape == (300, 401)
    assert set(np.unique(cells)) == {0, 1}
    assert (cells[rows > 0] == 1).all()
    others = cells[rows == 0].sum()
    # A binomial of mean negatives times positives; five standard deviations.
    mean = negatives * rows.sum()
    assert abs(others - mean) < 5 * np.sqrt(mean) + 0.01 * mean
    _, again, _ = epoch(task, features, train, batch_size=300, epochs=2)
    assert not np.array_equal(again[0], again[1])
    assert weight.sum() == 300


# Losses


class FixedModel:
    """Stands for a model with fixed scores and one penalty."""

    losses = (tf.constant(0.25),)

    def __init__(self, logits):
        self._logits = tf.constant(logits, tf.float32)

    def __call__(self, inputs, training):
        assert training
        return {"scores": self._logits}


def loss_of(logits, rows, weight, counts=None, **settings):
    task = ReconstructionTask(ReconstructionSettings(**settings))
    counts = np.ones((len(rows), 1)) if counts is None else counts
    loss, state = task.compute_loss(
        FixedModel(logits),
        {"user_row": tf.constant(rows, tf.float32)},
        {"counts": tf.constant(counts, tf.float32)},
        tf.constant(weight, tf.float32),
        (),
    )
    assert state == ()
    return float(loss) - 0.25


def test_the_multinomial_loss_by_hand():
    # Column 0 takes no part.
    expected = [
        -np.sum(row[1:] * np.log(np.exp(z[1:]) / np.exp(z[1:]).sum()))
        for z, row in zip(LOGITS, ROWS, strict=True)
    ]
    assert loss_of(LOGITS, ROWS, [1, 1]) == pytest.approx(np.mean(expected), rel=1e-5)
    assert loss_of(LOGITS, ROWS, [0, 1]) == pytest.approx(expected[1], rel=1e-5)


def test_popularity_as_logits_costs_the_entropy_of_popularity_an_item():
    counts = np.array([4.0, 1, 2, 3, 5, 1])
    share = counts / counts.sum()
    entropy = -np.sum(share * np.log(share))
    # Rows that are in proportion to popularity: |x| times its entropy.
    logits = np.concatenate([[7.0], np.log(counts)])
    rows = np.concatenate([[0.0], counts])[None]
    assert loss_of(logits[None], rows, [1]) == pytest.approx(counts.sum() * entropy, rel=1e-5)
    # Any other logits cost more.
    worse = logits + np.array([0, 0.3, 0, 0, 0, -0.2, 0])
    assert loss_of(worse[None], rows, [1]) > counts.sum() * entropy + 1e-3


def test_cross_entropy_by_hand():
    p = 1 / (1 + np.exp(-LOGITS))
    each = -(ROWS * np.log(p) + (1 - ROWS) * np.log(1 - p))
    expected = each[:, 1:].sum(axis=1)
    assert loss_of(LOGITS, ROWS, [1, 1], loss="bce") == pytest.approx(expected.mean(), rel=1e-5)
    assert loss_of(LOGITS, ROWS, [1, 0], loss="bce") == pytest.approx(expected[0], rel=1e-5)


def test_squared_error_by_hand():
    expected = np.square(LOGITS - ROWS)[:, 1:].sum(axis=1)
    assert loss_of(LOGITS, ROWS, [1, 1], loss="mse") == pytest.approx(expected.mean(), rel=1e-5)


@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_cells_that_do_not_count_cost_nothing(loss):
    counts = np.array([[1.0, 1, 0, 1, 0, 0, 1], [1.0, 0, 1, 0, 0, 1, 1]])
    each = np.square(LOGITS - ROWS)
    if loss == "bce":
        p = 1 / (1 + np.exp(-LOGITS))
        each = -(ROWS * np.log(p) + (1 - ROWS) * np.log(1 - p))
    expected = (counts * each)[:, 1:].sum(axis=1).mean()
    assert loss_of(LOGITS, ROWS, [1, 1], counts, loss=loss, negatives=3) == pytest.approx(expected, rel=1e-5)


def test_large_logits_do_not_overflow():
    for loss in ("multinomial", "bce"):
        assert np.isfinite(loss_of(1e4 * LOGITS, ROWS, [1, 1], loss=loss))


@pytest.mark.parametrize(("name", "rate"), [("cdae", "corruption"), ("mult-dae", "input_dropout")])
@pytest.mark.parametrize("loss", ["multinomial", "bce", "mse"])
def test_padding_changes_no_loss_and_no_gradient(name, rate, loss):
    model = small(name, **{rate: 0.0})
    task = ReconstructionTask(ReconstructionSettings(loss=loss))

    def gradients(padding):
        rows = np.concatenate([ROWS, np.zeros((padding, ITEMS + 1))])
        inputs = {
            "user_row": tf.constant(rows, tf.float32),
            "user_id": tf.constant([1, 2] + padding * [0], tf.int32),
        }
        inputs = {key: inputs[key] for key in model.input}
        labels = {"counts": tf.ones([2 + padding, 1])}
        weight = tf.constant([1.0, 1.0] + padding * [0.0])
        with tf.GradientTape() as tape:
            value, _ = task.compute_loss(model, inputs, labels, weight, ())
        found = [tf.convert_to_tensor(g) for g in tape.gradient(value, model.trainable_variables)]
        return float(value), found

    (full, expected), (padded, found) = gradients(0), gradients(3)
    assert padded == pytest.approx(full, rel=1e-5)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)


# Held-out users, histories, scores


def test_fold_in_rows_are_seen_in_evaluation_and_not_trained_on(train, fold_in):
    task = ReconstructionTask()
    split = replace(Split(train, train, train, ""), fold_in=fold_in)
    features = task.features(small("mult-dae"), split, train)
    rows = features.inputs(tf.constant([4, 5, 1]))["user_row"].numpy()
    assert rows.tolist() == [[0, 0, 1, 0, 0, 0, 1], [0, 1, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0, 0, 0]]
    inputs, _, _ = epoch(task, RowFeatures(["user_row", "user_id"], [train, fold_in]), train, epochs=4)
    assert set(inputs["user_id"].ravel().tolist()) == {0, 1, 2, 3}
    without = task.features(small("mult-dae"), Split(train, train, train, ""), train)
    assert not without.inputs(tf.constant([4, 5]))["user_row"].numpy().any()


@pytest.mark.parametrize("name", MODELS)
def test_a_history_is_scored_as_a_row_with_its_items(name, train):
    model = small(name)
    features = ReconstructionTask().features(model, Split(train, train, train, ""), train)
    scorer = ReconstructionTask().scorer(model, features)
    assert scorer.reads_history
    history = tf.constant([[3, 1, 0], [6, 6, 5], [0, 0, 0]])
    inputs = features.history_inputs(history)
    rows = np.array([[0.0, 1, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1, 1], [0.0] * 7])
    np.testing.assert_array_equal(inputs["user_row"], rows)
    found = scorer.score_history(history).numpy()
    by_hand = {"user_row": rows, "user_id": np.zeros(3, np.int32)}
    expected = call(model, {key: tf.constant(by_hand[key], model.input[key].dtype) for key in model.input})
    np.testing.assert_allclose(found, expected["scores"], rtol=1e-5, atol=1e-6)
    if "user_id" not in model.input:
        # Users 1 and 3 have these rows.
        known = scorer.score_items(tf.constant([1, 3])).numpy()
        np.testing.assert_allclose(found[:2], known, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_pairs_and_lists_have_the_scores_of_the_catalogue(name, train):
    model = small(name)
    features = ReconstructionTask().features(model, Split(train, train, train, ""), train)
    scorer = ReconstructionTask().scorer(model, features)
    users = tf.constant([3, 0, 1])
    catalogue = scorer.score_items(users).numpy()
    assert catalogue.shape == (3, ITEMS + 1)
    matrix = np.zeros((USERS + 1, ITEMS + 1), np.float32)
    matrix[train.user_id, train.item_id] = 1
    by_hand = {"user_row": tf.constant(matrix[users.numpy()]), "user_id": users}
    expected = call(model, {key: by_hand[key] for key in model.input})["scores"]
    np.testing.assert_allclose(catalogue, expected, rtol=1e-5, atol=1e-6)
    candidates = np.array([[3, 1], [0, 6], [2, 2]])
    np.testing.assert_allclose(
        scorer.score_candidates(users, tf.constant(candidates)),
        np.take_along_axis(catalogue, candidates, axis=1),
        rtol=1e-6,
    )
    pairs = scorer.score_pairs(users, tf.constant(candidates[:, 0])).numpy()
    np.testing.assert_allclose(pairs, catalogue[range(3), candidates[:, 0]], rtol=1e-6)


def test_finish_gives_users_without_training_data_the_mean_vector(train):
    model = small("cdae")
    (layer,) = [layer for layer in model.layers if isinstance(layer, IdEmbedding)]
    before = layer.get_weights()[0]
    ReconstructionTask().finish(model, train)
    mean = before[1:4].mean(axis=0)
    np.testing.assert_allclose(layer.get_weights()[0], [mean, *before[1:4], mean, mean], rtol=1e-5, atol=1e-6)


def test_a_pilot_tries_the_largest_cap_and_the_best_beta_becomes_the_cap():
    assert ReconstructionTask().pilot() == {}
    task = ReconstructionTask(ReconstructionSettings(find_kl_cap=True))
    assert task.pilot() == {"kl_cap": 1.0}
    model = build("mult-vae", kl_cap=1.0, total_anneal_steps=100)
    model.get_layer("code").steps.assign(37.0)
    assert task.after_pilot(model) == {"kl_cap": pytest.approx(0.37)}


def test_settings():
    task = ReconstructionTask()
    assert get_task("reconstruction") is ReconstructionTask
    assert (task.monitor, task.maximize, task.settings.loss) == ("ndcg@10", True, "multinomial")
    with pytest.raises(UsageError, match="'negatives'"):
        parse(ReconstructionSettings, {"negatives": 0}, "here")
    with pytest.raises(UsageError, match=r"unknown key 'weighting'"):
        parse(ReconstructionSettings, {"weighting": "uniform"}, "here")
