"""Rating models: numbers of parameters, and limits in which one model is another."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import NUM_ITEMS, NUM_USERS, build, models_of, random_inputs
from tfzoo.models import create_model


def dense(*widths):
    """Return the number of parameters of fully connected layers."""
    return sum(a * b + b for a, b in itertools.pairwise(widths))


# Number of parameters of the papers' sizes, m and n being the numbers of table rows.
PARAMETERS = {
    "edrs": lambda m, n: 10 * (m + n) + 2 * dense(10, 80, 40) + dense(80, 80, 40, 1),
    "edrs-woe": lambda m, n: dense(n, 80, 40) + dense(m, 80, 40) + dense(80, 80, 40, 1),
    "delcr": lambda m, n: 10 * (m + n) + 2 * dense(10, 80, 40),
    "delcr-woe": lambda m, n: dense(n, 80, 40) + dense(m, 80, 40),
    "dcf": lambda m, n: dense(n, 80, 40) + dense(m, 80, 40),
    "pmf": lambda m, n: 10 * (m + n),
    "biased-mf": lambda m, n: 100 * (m + n) + m + n,
}
# The same for 943 users and 1,682 items, worked out on paper.
ML_100K = {
    "edrs": 44_271,
    "edrs-woe": 226_561,
    "delcr": 34_510,
    "delcr-woe": 216_800,
    "dcf": 216_800,
    "pmf": 26_270,
    "biased-mf": 265_327,
}


def rate(model, inputs):
    return model(inputs, training=False)["rating"].numpy()


def test_every_counted_model_is_a_rating_model():
    assert PARAMETERS.keys() == ML_100K.keys() <= set(models_of("rating"))


@pytest.mark.parametrize(("num_users", "num_items"), [(943, 1682), (6040, 3706)])
@pytest.mark.parametrize("name", PARAMETERS)
def test_the_number_of_parameters_is_the_papers(name, num_users, num_items):
    model = create_model(name, num_users, num_items)
    found = sum(math.prod(weight.shape) for weight in model.trainable_variables)
    assert found == PARAMETERS[name](num_users + 1, num_items + 1)
    assert len(model.non_trainable_variables) == 0
    if num_users == 943:
        assert found == ML_100K[name]


def test_delcr_without_layers_is_pmf():
    delcr, pmf = build("delcr", tower_units=()), build("pmf", seed=1)
    assert not any(isinstance(layer, keras.layers.Dense) for layer in delcr._flatten_layers())
    inputs = random_inputs(pmf, 20)
    assert not np.allclose(rate(delcr, inputs), rate(pmf, inputs), atol=0.01)
    for side in ("user", "item"):
        weights = pmf.get_layer(f"{side}_tower").get_weights()
        delcr.get_layer(f"{side}_tower").set_weights(weights)
    np.testing.assert_allclose(rate(delcr, inputs), rate(pmf, inputs), rtol=1e-6, atol=1e-6)


def test_pmf_is_the_inner_product_of_two_tables():
    model = build("pmf", mean_rating=2.5)
    users, items = (model.get_layer(f"{side}_tower").get_weights()[0] for side in ("user", "item"))
    assert len(model.trainable_variables) == 2
    inputs = random_inputs(model, 20)
    expected = 2.5 + np.sum(users[inputs["user_id"]] * items[inputs["item_id"]], axis=1)
    np.testing.assert_allclose(rate(model, inputs), expected, rtol=1e-5)


def test_biased_mf_without_factors_is_the_bias_baseline():
    model = build("biased-mf", embedding_dim=4, mean_rating=3.5)
    biases = {}
    for side in ("user", "item"):
        tower = model.get_layer(f"{side}_tower")
        table = tower.get_layer(f"{side}_embedding")
        table.set_weights([np.zeros(table.embeddings.shape)])
        biases[side] = tower.get_layer(f"{side}_bias").get_weights()[0][:, 0]
    inputs = random_inputs(model, 20)
    expected = 3.5 + biases["user"][inputs["user_id"]] + biases["item"][inputs["item_id"]]
    np.testing.assert_allclose(rate(model, inputs), expected, rtol=1e-6)


def test_biases_start_at_zero():
    model = create_model("biased-mf", NUM_USERS, NUM_ITEMS)
    for side in ("user", "item"):
        assert not model.get_layer(f"{side}_tower").get_layer(f"{side}_bias").get_weights()[0].any()


@pytest.mark.parametrize("factor", [0.25, 3.0])
@pytest.mark.parametrize("name", ["delcr", "dcf"])
def test_scaling_one_tower_up_and_the_other_down_changes_nothing(name, factor):
    model = build(name)
    inputs = random_inputs(model, 20)
    before = rate(model, inputs)
    for side, scale in (("user", factor), ("item", 1 / factor)):
        layers = model.get_layer(f"{side}_tower").layers
        last = [layer for layer in layers if isinstance(layer, keras.layers.Dense)][-1]
        last.set_weights([scale * weight for weight in last.get_weights()])
    np.testing.assert_allclose(rate(model, inputs), before, rtol=1e-4, atol=1e-5)
    assert before.any()


def test_the_sigmoid_link_stays_inside_the_scale():
    model = build("pmf", scale=1.0, link="sigmoid")
    found = rate(model, random_inputs(model, 200))
    assert (found > 1).all()
    assert (found < 5).all()
    assert found.min() < 1.5
    assert found.max() > 4.5


def test_the_sigmoid_link_starts_in_the_middle():
    keras.utils.set_random_seed(0)
    model = create_model("pmf", NUM_USERS, NUM_ITEMS, link="sigmoid", rating_scale=(1.0, 5.0))
    np.testing.assert_allclose(rate(model, random_inputs(model, 200)), 3, atol=0.2)


def test_the_sigmoid_link_by_hand():
    model = build("pmf", link="sigmoid", rating_scale=(2.0, 10.0))
    linear = build("pmf")
    inputs = random_inputs(model, 20)
    expected = 2 + 8 / (1 + np.exp(-rate(linear, inputs)))
    np.testing.assert_allclose(rate(model, inputs), expected, rtol=1e-5)


def test_an_unknown_link_is_refused():
    with pytest.raises(ValueError, match=r"'linear' or 'sigmoid'\. Received: link='probit'"):
        create_model("pmf", 2, 2, link="probit")


@pytest.mark.parametrize("name", ["edrs", "edrs-woe"])
def test_the_relu_rating_unit_cuts_at_zero(name):
    linear, cut = build(name, rating_activation=None), build(name)
    inputs = random_inputs(cut, 60)
    expected = rate(linear, inputs)
    shift = np.median(expected)
    for model in (linear, cut):
        unit = model.get_layer("head").get_layer("rating_unit")
        kernel, bias = unit.get_weights()
        unit.set_weights([kernel, bias - shift])
    assert (rate(linear, inputs) < 0).any()
    assert (rate(cut, inputs) > 0).any()
    np.testing.assert_allclose(rate(cut, inputs), np.maximum(rate(linear, inputs), 0), atol=1e-6)


def test_edrs_with_a_product_for_its_head_is_delcr():
    edrs, delcr = build("edrs"), build("delcr", seed=1)
    for side in ("user", "item"):
        delcr.get_layer(f"{side}_tower").set_weights(edrs.get_layer(f"{side}_tower").get_weights())
    inputs = random_inputs(edrs, 20)
    user, item = (
        edrs.get_layer(f"{side}_tower")({f"{side}_id": inputs[f"{side}_id"]}) for side in ("user", "item")
    )
    np.testing.assert_allclose(rate(delcr, inputs), np.sum(user * item, axis=1), rtol=1e-5, atol=1e-6)


def test_dcf_rates_a_user_without_ratings_by_the_item_alone():
    model = build("dcf")
    items = tf.constant(np.random.default_rng(3).integers(0, 6, (4, NUM_USERS + 1)), tf.float32)
    found = rate(model, {"user_row": tf.zeros([4, NUM_ITEMS + 1]), "item_row": items})
    # The user's vector is what the biases alone give.
    weights = model.get_layer("user_tower").get_weights()
    vector = np.maximum(np.maximum(weights[1], 0) @ weights[2] + weights[3], 0)
    item_vectors = model.get_layer("item_tower")({"item_row": items}).numpy()
    np.testing.assert_allclose(found, item_vectors @ vector, rtol=1e-5, atol=1e-6)
    assert np.ptp(found) > 1e-3
