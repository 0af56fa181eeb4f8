"""NeuMF for ratings: its equations by hand, and refused sizes."""

import math

import numpy as np
import pytest

from tests.zoo import NUM_ITEMS, NUM_USERS, build, random_inputs
from tfzoo.errors import UsageError
from tfzoo.models import create_model


def test_a_rating_is_a_linear_unit_over_product_and_hidden_layers():
    model = build("ncf-rating", factors=2, units=(6, 4, 3), mean_rating=3.5)
    inputs = random_inputs(model, 20)
    users, items = (model.get_layer(f"{side}_tower").get_weights()[0] for side in ("user", "item"))
    assert users.shape == (NUM_USERS + 1, 5)
    assert items.shape == (NUM_ITEMS + 1, 5)
    user, item = users[inputs["user_id"]], items[inputs["item_id"]]
    first, first_bias, second, second_bias, output, output_bias = model.get_layer("head").get_weights()
    hidden = np.concatenate([user[:, 2:], item[:, 2:]], axis=1)
    for kernel, bias in ((first, first_bias), (second, second_bias)):
        hidden = np.maximum(hidden @ kernel + bias, 0)
    both = np.concatenate([user[:, :2] * item[:, :2], hidden], axis=1)
    expected = (both @ output + output_bias)[:, 0] + 3.5
    np.testing.assert_allclose(model(inputs)["rating"], expected, rtol=1e-5, atol=1e-5)


def test_the_number_of_parameters():
    model = create_model("ncf-rating", 943, 1682)
    found = sum(math.prod(weight.shape) for weight in model.trainable_variables)
    hidden = 64 * 32 + 32 + 32 * 16 + 16 + 16 * 8 + 8
    assert found == (8 + 32) * (944 + 1683) + hidden + (8 + 8) + 1


@pytest.mark.parametrize("units", [(8,), (), (7, 4)])
def test_sizes_that_make_no_network_are_refused(units):
    with pytest.raises(UsageError, match="units"):
        create_model("ncf-rating", 4, 5, units=units)
