"""The implicit task: batches of positives and negatives, losses by hand, scores."""

import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import build, models_of, table
from tfzoo.data.pipelines import BatchPlan
from tfzoo.data.splits import Split
from tfzoo.errors import UsageError
from tfzoo.layers import catalogue_scores
from tfzoo.models import create_model
from tfzoo.tasks import ImplicitSettings, ImplicitTask, get_task, implicit
from tfzoo.tasks.implicit import InteractionFeatures, logit_model
from tfzoo.training.settings import parse

USERS, ITEMS = 6, 9
# Models that read rows are in test_implicit_rows.py.
MODELS = [name for name in models_of("implicit") if name != "dmf"]


@pytest.fixture(scope="module")
def train():
    """19 distinct pairs of 5 users and 9 items, one of them twice; user 6 has none."""
    user = [1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5]
    item = [1, 2, 3, 1, 2, 4, 5, 6, 7, 8, 9, 1, 3, 5, 7, 2, 4, 6, 8, 8]
    return table(user, item, num_users=USERS, num_items=ITEMS)


def pairs_of(part):
    return set(zip(part.user_id.tolist(), part.item_id.tolist(), strict=True))


def small(name, seed=0, **options):
    return build(name, seed, 0.5, USERS, ITEMS, **options)


def epoch(task, train, *, batch_size=8, seed=3, epochs=1, first_epoch=0, block=1):
    """Return the batches of some epochs, without their blocks: dicts of arrays, padding included."""
    features = InteractionFeatures(("user_id", "item_id"), train)
    steps = task.steps_per_epoch(features, train, batch_size)
    dataset = task.train_dataset(
        features, train, BatchPlan(batch_size=batch_size, seed=seed, first_epoch=first_epoch, block=block)
    )
    blocks = -(-steps // block)
    columns = []
    for inputs, labels, weight in dataset.take(epochs * blocks).as_numpy_iterator():
        assert weight.shape == (block, batch_size)
        columns.append({**inputs, **labels, "weight": weight})
        assert all(array.shape == weight.shape for array in columns[-1].values())
    return {key: np.concatenate([part[key] for part in columns]) for key in columns[0]}


def kept(batches):
    """Return the columns without padding."""
    rows = batches["weight"] > 0
    return {key: column[rows] for key, column in batches.items()}


@pytest.mark.parametrize(("batch_size", "block"), [(8, 1), (8, 5), (1000, 1)])
def test_an_epoch_has_every_positive_once_and_four_negatives_for_each(train, batch_size, block):
    task = ImplicitTask()
    features = InteractionFeatures(("user_id", "item_id"), train)
    assert task.num_examples(features, train) == 5 * 19
    assert task.steps_per_epoch(features, train, 8) == 12
    batches = epoch(task, train, batch_size=batch_size, block=block)
    found = kept(batches)
    assert found.keys() == {"user_id", "item_id", "label", "weight"}
    assert {key: column.dtype for key, column in found.items()} == {
        "user_id": np.int32,
        "item_id": np.int32,
        "label": np.float32,
        "weight": np.float32,
    }
    assert len(found["label"]) == 95
    positive = found["label"] == 1
    pairs = list(zip(found["user_id"][positive].tolist(), found["item_id"][positive].tolist(), strict=True))
    assert sorted(pairs) == sorted(pairs_of(train))
    assert (found["label"][~positive] == 0).all()
    # Each user has four times as many negatives as positives, and knows none of them.
    counts = np.bincount(found["user_id"][~positive], minlength=USERS + 1)
    expected = np.bincount([user for user, _ in pairs], minlength=USERS + 1)
    np.testing.assert_array_equal(counts, 4 * expected)
    negatives = zip(found["user_id"][~positive].tolist(), found["item_id"][~positive].tolist(), strict=True)
    assert not set(negatives) & pairs_of(train)
    assert found["item_id"].min() >= 1
    assert found["item_id"].max() <= ITEMS


def test_padding_stands_at_the_end_with_weight_0(train):
    batches = epoch(ImplicitTask(), train, batch_size=16, block=4)
    weight = batches["weight"].ravel()
    assert weight.tolist() == [1.0] * 95 + [0.0] * (128 - 95)
    assert not batches["user_id"].ravel()[95:].any()


def test_negatives_and_order_are_drawn_anew_in_every_epoch(train):
    batches = epoch(ImplicitTask(), train, batch_size=96, epochs=3)
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert not np.array_equal(batches["user_id"][one], batches["user_id"][other])

    def negatives(row):
        chosen = (batches["weight"][row] > 0) & (batches["label"][row] == 0)
        return sorted(zip(batches["user_id"][row][chosen], batches["item_id"][row][chosen], strict=True))

    assert negatives(0) != negatives(1)
    assert negatives(1) != negatives(2)


def test_the_negatives_of_a_positive_differ(train):
    # 76 draws of user 2's three unknown items and of others: never all alike.
    found = kept(epoch(ImplicitTask(), train))
    for user, unknown in ((1, 6), (2, 3), (3, 7)):
        drawn = found["item_id"][(found["user_id"] == user) & (found["label"] == 0)]
        assert 2 <= len(set(drawn.tolist())) <= unknown


@pytest.mark.parametrize("loss", ["bce", "bpr"])
@pytest.mark.parametrize("block", [1, 5])
def test_a_later_epoch_can_be_started_from(train, loss, block):
    task = ImplicitTask(ImplicitSettings(loss=loss))
    unbroken = epoch(task, train, epochs=3, block=block)
    resumed = epoch(task, train, epochs=2, first_epoch=1, block=block)
    steps = len(unbroken["weight"]) // 3
    for key, column in resumed.items():
        np.testing.assert_array_equal(column, unbroken[key][steps:])
        assert not np.array_equal(column[:steps], unbroken[key][:steps]) or key in ("weight", "label")


def test_another_seed_gives_other_batches(train):
    one, other = (epoch(ImplicitTask(), train, seed=seed) for seed in (3, 4))
    assert not np.array_equal(one["user_id"], other["user_id"])
    assert not np.array_equal(one["item_id"], other["item_id"])
    again = epoch(ImplicitTask(), train, seed=3)
    np.testing.assert_array_equal(one["item_id"], again["item_id"])


@pytest.mark.parametrize("negatives", [1, 3])
def test_pairwise_batches_put_a_negative_beside_each_positive(train, negatives):
    task = ImplicitTask(ImplicitSettings(loss="bpr", negatives=negatives))
    found = kept(epoch(task, train))
    assert found.keys() == {"user_id", "item_id", "negative_id", "weight"}
    pairs = list(zip(found["user_id"].tolist(), found["item_id"].tolist(), strict=True))
    assert sorted(pairs) == sorted(list(pairs_of(train)) * negatives)
    against = zip(found["user_id"].tolist(), found["negative_id"].tolist(), strict=True)
    assert not set(against) & pairs_of(train)
    assert found["negative_id"].min() >= 1


def test_without_negatives_there_are_positives_alone(train):
    task = ImplicitTask(ImplicitSettings(negatives=0))
    found = kept(epoch(task, train))
    assert (found["label"] == 1).all()
    assert set(zip(found["user_id"].tolist(), found["item_id"].tolist(), strict=True)) == pairs_of(train)
    assert len(found["label"]) == 19


def test_known_items_may_be_drawn_where_that_is_asked_for(train):
    found = kept(epoch(ImplicitTask(ImplicitSettings(reject_known=False, negatives=20)), train))
    chosen = found["label"] == 0
    drawn = set(zip(found["user_id"][chosen].tolist(), found["item_id"][chosen].tolist(), strict=True))
    assert drawn & pairs_of(train)


def test_popular_items_are_drawn_more_often_where_that_is_asked_for():
    user = np.repeat(np.arange(1, 41), 2)
    item = np.stack([np.where(np.arange(40) < 36, 1, 2), np.full(40, 3)], axis=1).ravel()
    train = table(user, item, num_users=41, num_items=4)
    shares = {}
    for weighting in ("uniform", "popularity"):
        task = ImplicitTask(ImplicitSettings(weighting=weighting, negatives=30, reject_known=False))
        found = kept(epoch(task, train, batch_size=500))
        drawn = found["item_id"][found["label"] == 0]
        shares[weighting] = np.bincount(drawn, minlength=5)[1:] / len(drawn)
    np.testing.assert_allclose(shares["uniform"], 0.25, atol=0.05)
    np.testing.assert_allclose(shares["popularity"], [36 / 80, 4 / 80, 40 / 80, 0], atol=0.05)


# Losses


def logits_by_hand(model, user, item):
    score = model({"user_id": np.array(user), "item_id": np.array(item)})["score"].numpy().astype(np.float64)
    squashed = any(layer.name == "probability" for layer in model.layers)
    return np.log(score / (1 - score)) if squashed else score


@pytest.mark.parametrize("name", MODELS)
def test_cross_entropy_by_hand(name):
    model = small(name)
    user, item = [1, 2, 3, 0], [4, 5, 6, 0]
    label, weight = np.array([1, 0, 1, 1.0]), np.array([1, 1, 1, 0.0])
    inputs = {"user_id": tf.constant(user), "item_id": tf.constant(item)}
    labels = {"label": tf.constant(label, tf.float32)}
    loss, state = ImplicitTask().compute_loss(model, inputs, labels, tf.constant(weight, tf.float32), ())
    p = 1 / (1 + np.exp(-logits_by_hand(model, user, item)))
    each = -(label * np.log(p) + (1 - label) * np.log(1 - p))
    model(inputs, training=True)
    penalty = float(sum(model.losses, tf.constant(0.0)))
    assert float(loss) == pytest.approx(each[:3].mean() + penalty, rel=1e-4)
    assert state == ()


@pytest.mark.parametrize("name", MODELS)
def test_pairwise_loss_by_hand(name):
    model = small(name)
    user, item, negative = [1, 2, 0], [4, 5, 0], [7, 8, 3]
    task = ImplicitTask(ImplicitSettings(loss="bpr"))
    inputs = {
        "user_id": tf.constant(user),
        "item_id": tf.constant(item),
        "negative_id": tf.constant(negative),
    }
    loss, _ = task.compute_loss(model, inputs, {}, tf.constant([1.0, 1.0, 0.0]), ())
    gap = logits_by_hand(model, user, item) - logits_by_hand(model, user, negative)
    each = -np.log(1 / (1 + np.exp(-gap)))
    model({"user_id": tf.constant(user * 2), "item_id": tf.constant(item + negative)}, training=True)
    penalty = float(sum(model.losses, tf.constant(0.0)))
    assert float(loss) == pytest.approx(each[:2].mean() + penalty, rel=1e-4)


def test_a_penalty_enters_the_loss_once():
    inputs = {"user_id": tf.constant([1, 2]), "item_id": tf.constant([3, 4])}
    labels, weight = {"label": tf.constant([1.0, 0.0])}, tf.ones([2])
    plain, charged = (
        float(ImplicitTask().compute_loss(small("bpr-mf", embedding_l2=l2), inputs, labels, weight, ())[0])
        for l2 in (0.0, 0.5)
    )
    model = small("bpr-mf", embedding_l2=0.5)
    squares = [
        np.sum(model.get_layer(f"{side}_tower").get_weights()[0][ids] ** 2) / 2
        for side, ids in (("user", [1, 2]), ("item", [3, 4]))
    ]
    assert charged - plain == pytest.approx(0.5 * sum(squares), rel=1e-4)


def test_a_batch_of_padding_alone_costs_nothing():
    loss, _ = ImplicitTask().compute_loss(
        small("bpr-mf", embedding_l2=0.0),
        {"user_id": tf.zeros([2], tf.int32), "item_id": tf.zeros([2], tf.int32)},
        {"label": tf.zeros([2])},
        tf.zeros([2]),
        (),
    )
    assert float(loss) == 0


@pytest.mark.parametrize("name", MODELS)
def test_padding_changes_no_gradient(name):
    task, model = ImplicitTask(), small(name)

    def gradients(padding):
        user, item, label = [1, 2, 3], [4, 5, 6], [1.0, 0.0, 1.0]
        inputs = {"user_id": tf.constant(user + padding * [0]), "item_id": tf.constant(item + padding * [0])}
        weight = tf.constant([1.0] * 3 + [0.0] * padding)
        labels = {"label": tf.constant(label + padding * [0.0])}
        with tf.GradientTape() as tape:
            loss, _ = task.compute_loss(model, inputs, labels, weight, ())
        return [tf.convert_to_tensor(g) for g in tape.gradient(loss, model.trainable_variables)]

    for full, padded in zip(gradients(0), gradients(5), strict=True):
        np.testing.assert_allclose(padded, full, rtol=1e-4, atol=1e-6)


def test_probability_models_train_on_logits():
    """A saturated probability is exactly 1 in float32; its logit still has a loss and a gradient."""
    model = small("gmf")
    for weight in model.weights:
        weight.assign(4.0 * np.ones(weight.shape))
    inputs = {"user_id": tf.constant([1]), "item_id": tf.constant([2])}
    assert model(inputs)["score"].numpy()[0] == 1
    logit = float(logit_model(model)(inputs)[0])
    assert logit > 100
    with tf.GradientTape() as tape:
        loss, _ = ImplicitTask().compute_loss(
            model, inputs, {"label": tf.constant([0.0])}, tf.constant([1.0]), ()
        )
    assert float(loss) == pytest.approx(logit, rel=1e-5)
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(tf.convert_to_tensor(gradient).numpy().any() for gradient in gradients)


@pytest.mark.parametrize("name", MODELS)
def test_the_logit_model_is_the_model_without_its_squash(name):
    model = small(name)
    user, item = np.arange(USERS + 1), np.arange(USERS + 1) + 1
    logit = logit_model(model)({"user_id": user, "item_id": item}).numpy()
    np.testing.assert_allclose(logit, logits_by_hand(model, user, item), rtol=1e-3, atol=1e-4)
    assert ((logit < 0) | (logit > 1)).any()


# Scores


@pytest.mark.parametrize("name", MODELS)
def test_lists_and_catalogues_have_one_score_and_pairs_the_models_output(name, train):
    model = small(name)
    scorer = ImplicitTask().scorer(model, InteractionFeatures(("user_id", "item_id"), train))
    users = tf.constant([2, 0, USERS])
    catalogue = scorer.score_items(users).numpy()
    assert catalogue.shape == (3, ITEMS + 1)
    candidates = tf.constant([[3, 1, 9, 0], [0, 0, 2, 2], [5, 6, 7, 8]])
    listed = scorer.score_candidates(users, candidates).numpy()
    np.testing.assert_allclose(
        listed, np.take_along_axis(catalogue, candidates.numpy(), axis=1), rtol=1e-4, atol=1e-5
    )
    user, item = np.repeat(users, ITEMS + 1), np.tile(np.arange(ITEMS + 1), 3)
    pairs = scorer.score_pairs(tf.constant(user), tf.constant(item)).numpy().reshape(3, -1)
    expected = model({"user_id": user, "item_id": item})["score"].numpy().reshape(3, -1)
    np.testing.assert_allclose(pairs, expected, rtol=1e-5, atol=1e-6)
    # Both rank alike: a probability is a rising function of the score.
    for one, other in zip(catalogue, pairs, strict=True):
        np.testing.assert_array_equal(np.argsort(one), np.argsort(other))
    assert np.ptp(catalogue) > 0.1


@pytest.mark.parametrize("jit_compile", [True, False])
@pytest.mark.parametrize(
    ("name", "options", "floats", "sizes"),
    [
        ("gmf", {}, 1, [5]),
        ("neumf", {"layers": (8, 24, 6)}, 2 * 24 * (ITEMS + 1), [2]),
        ("neumf", {"layers": (8, 24, 6)}, 5 * 24 * (ITEMS + 1), [5]),
        ("neumf", {"layers": (8, 24, 6)}, 1, [1]),
    ],
)
def test_hidden_layers_score_a_few_users_at_once(
    train, monkeypatch, name, options, floats, sizes, jit_compile
):
    model = create_model(name, USERS, ITEMS, **options)
    scorer = ImplicitTask().scorer(model, InteractionFeatures(("user_id", "item_id"), train))
    users = tf.constant([2, 0, USERS, 1, 1])
    expected = scorer.score_items(users).numpy()
    seen = []

    def noted(head, block, items):
        seen.append(block.shape[0])
        return catalogue_scores(head, block, items)

    monkeypatch.setattr(implicit, "FLOATS_AT_ONCE", floats)
    monkeypatch.setattr(implicit, "catalogue_scores", noted)
    found = tf.function(scorer.score_items, jit_compile=jit_compile)(users).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert sorted(set(seen)) == sizes


def test_scores_follow_the_weights_after_a_refresh(train):
    model = small("bpr-mf")
    scorer = ImplicitTask().scorer(model, InteractionFeatures(("user_id", "item_id"), train))
    before = scorer.score_items(tf.constant([1])).numpy()
    for weight in model.weights:
        weight.assign(2 * weight)
    scorer.refresh()
    np.testing.assert_allclose(scorer.score_items(tf.constant([1])), 4 * before, rtol=1e-4)


def test_finish_gives_unknown_and_unseen_ids_the_mean_row(train):
    model = small("neumf")
    before = {}
    for side in ("user", "item"):
        for layer in model.get_layer(f"{side}_tower").layers:
            if layer.get_weights():
                before[side, layer.name] = layer.get_weights()[0]
    assert len(before) == 4
    ImplicitTask().finish(model, train)
    for (side, layer), rows in before.items():
        after = model.get_layer(f"{side}_tower").get_layer(layer).get_weights()[0]
        # User 6 has no interaction; all items have one.
        known = range(1, 6) if side == "user" else range(1, ITEMS + 1)
        mean = rows[list(known)].mean(axis=0)
        for row in range(len(rows)):
            np.testing.assert_allclose(after[row], rows[row] if row in known else mean, rtol=1e-5)


def test_settings():
    task = ImplicitTask()
    assert (task.monitor, task.maximize, task.evaluation) == ("ndcg@10", True, "ranking")
    assert task.headline == ("hr@10", "ndcg@10", "precision@10", "recall@10", "map@10")
    assert get_task("implicit") is ImplicitTask
    assert "ties count against the model" in task.describe()
    with pytest.raises(UsageError, match="'loss'"):
        parse(ImplicitSettings, {"loss": "hinge"}, "here")
    with pytest.raises(UsageError, match="'negatives'"):
        parse(ImplicitSettings, {"negatives": -1}, "here")
    with pytest.raises(UsageError, match="negatives must be at least 1"):
        parse(ImplicitSettings, {"loss": "bpr", "negatives": 0}, "here")
    with pytest.raises(UsageError, match=r"monitor must be one of hr@5.*'ndcg@10'"):
        parse(ImplicitSettings, {"cutoffs": [5]}, "here")


def test_features_count_distinct_positives(train):
    features = ImplicitTask().features(
        create_model("gmf", USERS, ITEMS), Split(train, train, train, ""), train
    )
    assert features.num_positives == 19
    assert features.num_ids == {"user": USERS, "item": ITEMS}
