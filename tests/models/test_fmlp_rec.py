"""FMLP-Rec: parameters, the filter against Fourier transforms and convolutions, limits."""

import keras
import numpy as np
import pytest

from tests.zoo import table
from tfzoo.data.splits import Split
from tfzoo.errors import UsageError
from tfzoo.models import create_model
from tfzoo.models.fmlp_rec import FrequencyFilter
from tfzoo.tasks.sequences import SequenceTask

RANDOM = np.random.default_rng(4)


def filter_of(length, width, real=None, imaginary=None):
    layer = FrequencyFilter()
    layer.build((None, length, width))
    shape = (length // 2 + 1, width)
    for weight, value in ((layer.real, real), (layer.imaginary, imaginary)):
        weight.assign(RANDOM.normal(size=shape) if value is None else np.full(shape, value))
    return layer


@pytest.mark.parametrize(("items", "expected"), [(12_101, 851_200)])
def test_the_number_of_parameters_is_that_of_the_released_checkpoint(items, expected):
    assert create_model("fmlp-rec", 1, items).count_params() == expected


@pytest.mark.parametrize("length", [1, 2, 7, 50])
def test_the_filter_is_that_of_a_fast_transform(length):
    layer = filter_of(length, 3)
    values = RANDOM.normal(size=(2, length, 3)).astype("float32")
    spectrum = np.fft.rfft(values, axis=1, norm="ortho")
    weights = layer.real.numpy() + 1j * layer.imaginary.numpy()
    expected = np.fft.irfft(spectrum * weights, n=length, axis=1, norm="ortho")
    np.testing.assert_allclose(layer(values), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [6, 7])
def test_the_filter_is_a_circular_convolution(length):
    layer = filter_of(length, 2)
    values = RANDOM.normal(size=(1, length, 2)).astype("float32")
    weights = layer.real.numpy() + 1j * layer.imaginary.numpy()
    kernel = np.fft.irfft(weights, n=length, axis=0)
    expected = np.zeros((length, 2))
    for event in range(length):
        for before in range(length):
            expected[event] += kernel[before] * values[0, (event - before) % length]
    np.testing.assert_allclose(layer(values)[0], expected, rtol=1e-4, atol=1e-5)


def test_a_filter_of_ones_changes_nothing_and_one_of_zeros_leaves_nothing():
    values = RANDOM.normal(size=(2, 9, 3)).astype("float32")
    np.testing.assert_allclose(filter_of(9, 3, 1.0, 0.0)(values), values, atol=1e-5)
    np.testing.assert_allclose(filter_of(9, 3, 0.0, 0.0)(values), 0.0, atol=1e-6)


def small(**options):
    keras.utils.set_random_seed(0)
    return create_model("fmlp-rec", 3, 11, history_length=6, embedding_dim=4, **options)


def test_a_block_by_hand():
    model = small(blocks=1, initial_stddev=0.5)
    history = np.array([[0, 0, 1, 2, 3, 4]], "int32")

    def weights(name):
        return [weight.numpy().astype(np.float64) for weight in model.get_layer(name).weights]

    def norm(x):
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)

    (items,), (positions,) = weights("items"), weights("positions")
    hidden = norm(items[history[0]] + positions)
    real, imaginary = weights("filter_1")
    spectrum = np.fft.rfft(hidden, axis=0, norm="ortho") * (real + 1j * imaginary)
    hidden = norm(np.fft.irfft(spectrum, n=6, axis=0, norm="ortho") + hidden)[-1]
    first, offset = weights("network_1_1")
    inner = hidden @ first + offset
    erf = np.vectorize(__import__("math").erf)
    inner = inner * (1 + erf(inner / 2**0.5)) / 2
    last, offset = weights("network_1_2")
    state = norm(inner @ last + offset + hidden)
    outputs = model({"history": history}, training=False)
    np.testing.assert_allclose(outputs["states"][0, 0], state, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(outputs["scores"][0], items @ state, rtol=1e-3, atol=1e-4)


def test_targets_after_every_event_are_refused():
    train = table([1, 1, 1, 2, 2], [1, 2, 3, 2, 1], num_items=11)
    with pytest.raises(UsageError, match="prefixes or windows"):
        SequenceTask().prepare(small(), Split(train, train, train, ""), train)
