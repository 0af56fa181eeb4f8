"""NNMF: its network, its objective, and PMF as its limit."""

import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import build, random_inputs, table
from tfzoo.layers import SquaredError
from tfzoo.models import create_model, model_info
from tfzoo.tasks import RatingTask

PARAMETERS = {(943, 1682): 192_951, (6040, 3706): 691_421}
UNKNOWN = 2 * 70  # The rows of the unknown user and item.


def rate(model, inputs):
    return model(inputs, training=False)["rating"].numpy()


@pytest.mark.parametrize(("num_users", "num_items"), PARAMETERS)
def test_the_number_of_parameters_is_the_papers(num_users, num_items):
    model = create_model("nnmf", num_users, num_items)
    found = sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)
    assert found == PARAMETERS[num_users, num_items] + UNKNOWN
    assert [weight.name for weight in model.non_trainable_variables] == ["counts", "counts"]


def test_a_sum_of_products_is_pmf():
    pmf = build("pmf", embedding_dim=6)
    model = build("nnmf", 1, embedding_dim=0, product_dim=6, hidden_units=())
    for side in ("user", "item"):
        weights = pmf.get_layer(f"{side}_tower").get_weights()
        model.get_layer(f"{side}_tower").get_layer(f"{side}_product").set_weights(weights)
    inputs = random_inputs(pmf, 20)
    assert not np.allclose(rate(model, inputs), rate(pmf, inputs), atol=0.01)
    model.get_layer("head").get_layer("rating_unit").set_weights([np.ones((6, 1)), np.zeros(1)])
    np.testing.assert_allclose(rate(model, inputs), rate(pmf, inputs), rtol=1e-5, atol=1e-6)


def test_the_rating_by_hand():
    model = build("nnmf", embedding_dim=2, product_dim=3, hidden_units=(4, 5))
    inputs = random_inputs(model, 12)
    vectors = {}
    for side in ("user", "item"):
        tower = model.get_layer(f"{side}_tower")
        tables = [tower.get_layer(f"{side}_{part}").get_weights()[0] for part in ("embedding", "product")]
        vectors[side] = [table[inputs[f"{side}_id"]] for table in tables]
    (user, user_product), (item, item_product) = vectors["user"], vectors["item"]
    hidden = np.concatenate([user, item, user_product * item_product], axis=1)
    *network, kernel, bias = model.get_layer("head").get_weights()
    for weights, offset in zip(network[::2], network[1::2], strict=True):
        hidden = 1 / (1 + np.exp(-(hidden @ weights + offset)))
    np.testing.assert_allclose(rate(model, inputs), (hidden @ kernel + bias)[:, 0], rtol=1e-5)


def test_an_epoch_is_the_papers_objective():
    users, items = [1, 1, 1, 2, 2, 3], [1, 2, 3, 1, 2, 1]
    train = table(users, items, np.array([5, 3, 4, 2, 1, 5], np.float32))
    model = create_model("nnmf", 3, 3, lookup_l2=0.7, mean_rating=3.0)
    model_info("nnmf").solve(model, RatingTask().matrix(train))
    inputs = {"user_id": tf.constant(users), "item_id": tf.constant(items)}
    found = model(inputs, training=True)["rating"]
    loss = float(SquaredError()(train.ratings, found) + sum(model.losses))
    squares = sum(
        np.sum(weight.numpy()[1:] ** 2)
        for side in ("user", "item")
        for weight in model.get_layer(f"{side}_tower").trainable_variables
    )
    expected = np.sum((train.ratings - found.numpy()) ** 2) + 0.7 * squares
    assert loss == pytest.approx(expected / 6, rel=1e-5)


def test_ratings_start_near_the_mean_and_nearly_alike():
    model = create_model("nnmf", 50, 60, mean_rating=3.5)
    ids = np.random.default_rng(0).integers(1, 50, (2, 200))
    found = rate(model, {"user_id": tf.constant(ids[0]), "item_id": tf.constant(ids[1])})
    assert np.std(found) < 0.5
    assert np.mean(found) == pytest.approx(3.5, abs=2.5)


def test_without_a_penalty_nothing_is_counted():
    model = create_model("nnmf", 3, 4, lookup_l2=0.0)
    model_info("nnmf").solve(
        model, RatingTask().matrix(table([1], [2], np.ones(1), num_users=3, num_items=4))
    )
    assert not model.non_trainable_variables
