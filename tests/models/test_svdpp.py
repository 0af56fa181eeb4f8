"""SVD++ and Asymmetric-SVD, and biased MF whose penalty falls with frequency."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import NUM_ITEMS, NUM_USERS, build, call, random_inputs, table
from tfzoo.data.pipelines import BatchPlan
from tfzoo.data.splits import Split
from tfzoo.layers import BaselineResiduals, FrequencyPenalty, SetEmbedding
from tfzoo.models import create_model, model_info
from tfzoo.tasks import RatingSettings, RatingTask

# The paper's k (m + 2 n) + m + n for 20 factors.
PARAMETERS = {(943, 1682): 88_765, (6040, 3706): 278_786}
VARIANTS = [
    {"user_factors": factors, "implicit": implicit}
    for factors in ("free", "ratings")
    for implicit in ("rated", "none")
]


def rate(model, inputs):
    return model(inputs, training=False)["rating"].numpy()


def layer_of(model, side, name):
    return model.get_layer(f"{side}_tower").get_layer(name)


def ratings(matrix):
    """Make interactions of a matrix whose zeros are no ratings."""
    matrix = np.array(matrix, np.float32)
    users, items = np.nonzero(matrix)
    sizes = {"num_users": matrix.shape[0], "num_items": matrix.shape[1]}
    return table(users + 1, items + 1, matrix[users, items], **sizes)


TRAIN = ratings([[5, 4, 0, 0], [0, 3, 1, 0], [2, 0, 0, 0]])


@pytest.mark.parametrize(("num_users", "num_items"), PARAMETERS)
def test_the_number_of_parameters_is_the_papers(num_users, num_items):
    model = create_model("svdpp", num_users, num_items)
    unknown = 3 * 20 + 2  # p, q and y and both biases have a row of the unknown id.
    assert model.count_params() == PARAMETERS[num_users, num_items] + unknown
    assert not model.non_trainable_variables


@pytest.mark.parametrize("with_row", [True, False])
def test_without_y_it_is_biased_mf(with_row):
    mf = build("biased-mf", embedding_dim=6, mean_rating=3.5)
    model = build("svdpp", 1, embedding_dim=6, mean_rating=3.5, implicit="rated" if with_row else "none")
    inputs = random_inputs(build("svdpp"), 30)
    own = {name: inputs[name] for name in model.input}
    for side in ("user", "item"):
        for part in ("embedding", "bias"):
            name = f"{side}_{part}"
            layer_of(model, side, name).set_weights(layer_of(mf, side, name).get_weights())
    plain = rate(mf, {name: inputs[name] for name in mf.input})
    if with_row:
        assert not np.allclose(rate(model, own), plain, atol=0.01)
        implicit = layer_of(model, "user", "implicit")
        implicit.set_weights([np.zeros(implicit.embeddings.shape)])
    np.testing.assert_allclose(rate(model, own), plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_rating_by_hand(variant):
    model = build("svdpp", embedding_dim=3, mean_rating=3.0, **variant)
    inputs = {name: value.numpy() for name, value in random_inputs(build("svdpp"), 20).items()}
    inputs["user_row"][0] = 0
    weights = {
        weight.path.split("_tower/")[-1].split("/")[0]: weight.numpy()
        for side in ("user", "item")
        for weight in model.get_layer(f"{side}_tower").weights
    }
    expected = []
    for user, item, row in zip(inputs["user_id"], inputs["item_id"], inputs["user_row"], strict=True):
        rated = np.flatnonzero(row)
        free = variant["user_factors"] == "free"
        bias = weights["user_bias" if free else "user_embedding"][user, 0]
        vector = weights["user_embedding"][user].copy() if free else np.zeros(3)
        scale = len(rated) ** -0.5 if len(rated) else 0.0
        if not free:
            left = row[rated] - 3.0 - weights["residuals"][rated]
            left -= left.sum() / (10 + len(rated))
            vector = vector + scale * left @ weights["explicit"][rated]
        if variant["implicit"] == "rated":
            vector = vector + scale * weights["implicit"][rated].sum(axis=0)
        expected.append(3.0 + bias + weights["item_bias"][item, 0] + vector @ weights["item_embedding"][item])
    found = rate(model, {name: inputs[name] for name in model.input})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_penalty_by_hand(variant):
    model = build("svdpp", embedding_dim=3, lookup_l2=0.1, bias_l2=0.01, implicit_l2=0.2, **variant)
    ids, row = [2, 0, 2], [[0, 3, 0, 0, 1, 0], [0, 9, 0, 0, 0, 0], [0, 0, 0, 0, 5, 0]]
    inputs = {"user_id": tf.constant(ids), "item_id": tf.constant([4, 0, 1]), "user_row": tf.constant(row)}
    model({name: tf.cast(inputs[name], tensor.dtype) for name, tensor in model.input.items()}, training=True)
    free = variant["user_factors"] == "free"

    def squares(side, name):
        return np.sum(layer_of(model, side, name).embeddings.numpy() ** 2, axis=1)

    # Two of three examples are known, user 2 twice, with items 4 and 1.
    expected = 0.1 * (squares("item", "item_embedding")[[4, 1]].sum() / 2)
    expected += 0.01 * squares("item", "item_bias")[[4, 1]].sum() / 2
    expected += 0.01 * squares("user", "user_bias" if free else "user_embedding")[2]
    expected += 0.1 * squares("user", "user_embedding")[2] if free else 0
    rated = [1, 4, 4]
    expected += 0 if free else 0.1 * squares("user", "explicit")[rated].sum() / 2
    if variant["implicit"] == "rated":
        expected += 0.2 * squares("user", "implicit")[rated].sum() / 2
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


def test_the_baselines_are_damped_averages():
    model = create_model("svdpp", 3, 4, user_factors="ratings", mean_rating=3.0)
    model_info("svdpp").solve(model, RatingTask().matrix(TRAIN))
    residuals = layer_of(model, "user", "residuals")
    items = [0, (5 + 2 - 6) / 27, (4 + 3 - 6) / 27, (1 - 3) / 26, 0]
    np.testing.assert_allclose(residuals.item_baselines, items, rtol=1e-6)
    left = np.array([5 - 3 - items[1], 4 - 3 - items[2]])
    found = residuals(tf.constant([[0.0, 5, 4, 0, 0]])).numpy()[0]
    np.testing.assert_allclose(found, [0, *(left - left.sum() / 12), 0, 0], rtol=1e-5)


def test_asymmetric_svd_follows_the_ratings_and_not_the_user():
    model = build("svdpp", user_factors="ratings")
    row = tf.constant([[0, 5, 0, 1, 0, 0], [0, 1, 0, 5, 0, 0]], tf.float32)
    ids = {"user_id": tf.constant([3, 3]), "item_id": tf.constant([2, 2])}
    first, second = rate(model, {**ids, "user_row": row})
    assert abs(first - second) > 1e-3
    # SVD++ knows that both are rated, and no more.
    first, second = rate(build("svdpp"), {**ids, "user_row": row})
    assert first == pytest.approx(second)


def test_whole_users_train_as_their_ratings_do():
    model = build("svdpp", lookup_l2=0.0)
    pairs = RatingTask(RatingSettings(mask_target=False))
    rows = RatingTask(RatingSettings(examples="users"))
    model = create_model("svdpp", 3, 4, embedding_dim=3, lookup_l2=0.0, mean_rating=3.0)
    split = Split(TRAIN, TRAIN, TRAIN, "toy")
    losses = []
    for task, size in ((pairs, 5), (rows, 3)):
        features = task.features(model, split, TRAIN)
        dataset = task.train_dataset(features, TRAIN, BatchPlan(batch_size=size, seed=0))
        inputs, labels, weight = next(iter(dataset))
        inputs, labels = ({key: value[0] for key, value in part.items()} for part in (inputs, labels))
        model.compile(loss=task.loss())
        losses.append(float(task.compute_loss(model, inputs, labels, weight[0], {})[0]) * size)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("option", [{"user_factors": "some"}, {"implicit": "all"}])
def test_an_unknown_variant_is_refused(option):
    (name,) = option
    with pytest.raises(ValueError, match=rf"`{name}` must be one of .* Received: {name}="):
        create_model("svdpp", 2, 2, **option)


def test_the_layer_sums_rows_and_squares():
    layer = SetEmbedding(2, squares=True)
    weights = tf.constant([[1.0, 0, 2], [0, 0, 0]])
    layer.build(weights.shape, (2,))
    layer.set_weights([np.array([[1.0, 2], [9, 9], [3, -1]])])
    found = layer(weights, tf.constant([1, 1]))
    np.testing.assert_allclose(found, [[7, 0, 5 + 4 * 10], [0, 0, 0]])
    assert layer.compute_output_shape((None, 3), (None,)) == (None, 3)
    for kept in (layer, BaselineResiduals(3.5, 2.0)):
        assert type(kept).from_config(kept.get_config()).get_config() == kept.get_config()


@pytest.mark.parametrize("options", [{"output_dim": 0}, {"output_dim": 2, "l2": -1.0}])
def test_the_layer_refuses_what_makes_no_sense(options):
    with pytest.raises(ValueError, match="`output_dim` must be at least 1"):
        SetEmbedding(**options)


# Biased MF


def test_penalties_of_biased_mf_by_hand():
    options = {"embedding_dim": 3, "lookup_l2": 0.1, "bias_l2": 0.02, "frequency_exponent": 0.5}
    model = create_model("biased-mf", 3, 4, **options)
    model_info("biased-mf").solve(model, RatingTask().matrix(TRAIN))
    random = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(random.normal(size=weight.shape))
    model({"user_id": tf.constant([1, 2, 0]), "item_id": tf.constant([3, 1, 0])}, training=True)
    expected = 0.0
    # Users 1 and 2 have two ratings each, item 3 has one and item 1 two.
    for side, ids, counts in (("user", [1, 2], [2, 2]), ("item", [3, 1], [1, 2])):
        for part, l2 in (("embedding", 0.1), ("bias", 0.02)):
            rows = layer_of(model, side, f"{side}_{part}").embeddings.numpy()[ids]
            expected += l2 * np.sum(np.sum(rows**2, axis=1) / np.sqrt(counts)) / 2
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


def test_an_exponent_of_zero_is_the_plain_penalty():
    inputs = random_inputs(build("biased-mf"), 9)
    found = []
    for exponent in (0.0, 1e-9):
        model = build("biased-mf", lookup_l2=0.3, frequency_exponent=exponent)
        frequent = [
            layer for layer in model.get_layer("user_tower").layers if type(layer) is FrequencyPenalty
        ]
        assert len(frequent) == (2 if exponent else 0)
        random = np.random.default_rng(0)
        for weight in model.trainable_variables:
            weight.assign(random.normal(size=weight.shape))
        call(model, inputs)
        found.append(float(sum(model.losses)))
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert found[0] > 1


def test_biases_share_the_penalty_unless_they_have_their_own():
    inputs = random_inputs(build("biased-mf"), 9)

    def penalty(**options):
        model = build("biased-mf", lookup_l2=0.3, **options)
        call(model, inputs)
        return float(sum(model.losses))

    assert penalty(bias_l2=0.3) == pytest.approx(penalty())
    assert penalty(bias_l2=0.0) < penalty() < penalty(bias_l2=1.0)


def test_one_table_does_not_start_as_another():
    keras.utils.set_random_seed(0)
    model = create_model("svdpp", NUM_USERS, NUM_ITEMS, user_factors="ratings")
    tables = [layer_of(model, "user", name).embeddings.numpy() for name in ("explicit", "implicit")]
    assert not np.allclose(*tables)
