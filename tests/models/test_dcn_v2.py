"""DCN-V2: its cross layers by hand, its limits, its size."""

import numpy as np
import pytest

from tests.zoo import build, call
from tfzoo.errors import UsageError
from tfzoo.models import create_model
from tfzoo.models.dcn_v2 import CrossLayer

FIELDS = (4, 3, 5)
ROWS, WIDTH = sum(FIELDS), 3 * 4 + 2
INPUTS = {
    "fields": np.array([[1, 2, 3], [0, 0, 0], [3, 1, 4]], np.int32),
    "dense": np.array([[0.5, -1.0], [0, 0], [2, 3]], np.float32),
}


def model_of(seed=0, **options):
    return build("dcn-v2", seed, field_sizes=FIELDS, dense_size=2, **options)


def test_a_cross_layer_is_the_formula():
    layer = CrossLayer()
    layer.build((None, 2), (None, 2))
    layer.kernels[0].assign([[1.0, 2.0], [3.0, 4.0]])
    layer.bias.assign([0.5, -1.0])
    # x W = [1 * 1 + 2 * 3, 1 * 2 + 2 * 4] = [7, 10]; x_0 * (x W + b) + x = [2 * 7.5 + 1, -1 * 9 + 2].
    assert layer(np.array([[2.0, -1.0]]), np.array([[1.0, 2.0]])).numpy().tolist() == [[16.0, -7.0]]


def test_a_cross_layer_without_weights_changes_nothing():
    layer = CrossLayer()
    layer.build((None, 3), (None, 3))
    layer.kernels[0].assign(np.zeros((3, 3)))
    vectors = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_array_equal(layer(vectors, vectors), vectors)


def test_a_full_rank_is_no_restriction():
    random = np.random.default_rng(0)
    u, v = random.normal(size=(2, 3, 3)).astype(np.float32)
    low, full = CrossLayer(3), CrossLayer()
    for layer in (low, full):
        layer.build((None, 3), (None, 3))
    low.kernels[0].assign(u)
    low.kernels[1].assign(v)
    full.kernels[0].assign(u @ v)
    first, last = random.normal(size=(2, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(low(first, last), full(first, last), rtol=1e-4, atol=1e-5)


def test_two_cross_layers_make_products_of_three():
    layers = [CrossLayer(), CrossLayer()]
    for layer in layers:
        layer.build((None, 1), (None, 1))
        layer.kernels[0].assign([[1.0]])
    x = np.array([[3.0]], np.float32)
    first = layers[0](x, x)
    assert first.numpy().tolist() == [[3 * 3 + 3]]
    assert layers[1](x, first).numpy().tolist() == [[3 * 12 + 12]]


NETWORK = WIDTH * 6 + 6 + 6 * 5 + 5 + 5


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 2 * (WIDTH**2 + WIDTH) + NETWORK + WIDTH + 1),
        ({"rank": 3}, 2 * (2 * WIDTH * 3 + WIDTH) + NETWORK + WIDTH + 1),
        ({"stacked": True}, 2 * (WIDTH**2 + WIDTH) + NETWORK + 1),
        ({"hidden_units": ()}, 2 * (WIDTH**2 + WIDTH) + WIDTH + 1),
        ({"hidden_units": (), "stacked": True}, 2 * (WIDTH**2 + WIDTH) + WIDTH + 1),
    ],
)
def test_the_number_of_parameters_is_that_of_the_formula(options, expected):
    assert model_of(**options).count_params() == ROWS * 4 + expected


@pytest.mark.parametrize("stacked", [True, False])
def test_the_network_reads_what_the_option_says(stacked):
    model = model_of(stacked=stacked)
    x = np.concatenate([model.get_layer("field_embeddings")(INPUTS["fields"]).numpy().reshape(3, -1)], axis=1)
    first = np.concatenate([x, INPUTS["dense"]], axis=1)
    crossed = first
    for number in (1, 2):
        crossed = model.get_layer(f"cross_{number}")(first, crossed).numpy()
    hidden = crossed if stacked else first
    for number in (1, 2):
        hidden = model.get_layer(f"hidden_{number}")(hidden).numpy()
    expected = model.get_layer("network")(hidden).numpy()[:, 0] + model.get_layer("bias").bias.numpy()[0]
    if not stacked:
        expected = expected + model.get_layer("crossed")(crossed).numpy()[:, 0]
    np.testing.assert_allclose(call(model, INPUTS)["logit"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"), [({"cross_layers": 0}, "cross_layers"), ({"rank": 0}, "rank")]
)
def test_sizes_that_make_no_layer_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        create_model("dcn-v2", 1, 1, **options)


def test_layers_come_back_from_their_configuration():
    layer = CrossLayer(2, 0.5)
    assert CrossLayer.from_config(layer.get_config()).get_config() == layer.get_config()
