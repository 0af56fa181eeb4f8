"""GRU and LSTM over padded histories: parameters, the recurrences by hand, padding, causality."""

import keras
import numpy as np
import pytest

from tfzoo.errors import UsageError
from tfzoo.models import create_model

NAMES = ("gru", "lstm")
PARAMETERS = {"gru": 3, "lstm": 4}


def small(name, **options):
    keras.utils.set_random_seed(0)
    options = {"history_length": 5, "embedding_dim": 4, "units": 3, **options}
    model = create_model(name, 3, 11, **options)
    random = np.random.default_rng(2)
    for weight in model.weights:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    return model


def states(model, history):
    return model({"history": np.array(history, "int32")}, training=False)["states"].numpy()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("width", "units"), [(64, 64), (64, 128)])
def test_the_number_of_parameters_by_the_formula(name, width, units):
    gates = PARAMETERS[name] * (width * units + units**2 + units)
    if name == "lstm":
        assert gates == {64: 33_024, 128: 98_816}[units]
    model = create_model(name, 1, 3416, embedding_dim=width, units=units)
    assert model.get_layer("recurrent_1").count_params() == gates
    assert model.count_params() == 3417 * (width + 1) + gates + units * width + width


def steps(name, model, items):
    """Return the states after each of some items, by the formulas."""
    table = model.get_layer("items").table.numpy()
    kernel, recurrent, bias = (weight.numpy() for weight in model.get_layer("recurrent_1").weights)
    to_items, offset = (weight.numpy() for weight in model.get_layer("to_items").weights)
    h, c, found = np.zeros(3), np.zeros(3), []
    for item in items:
        x = table[item] @ kernel + bias
        if name == "gru":
            z = sigmoid(x[:3] + h @ recurrent[:, :3])
            r = sigmoid(x[3:6] + h @ recurrent[:, 3:6])
            h = z * h + (1 - z) * np.tanh(x[6:] + (r * h) @ recurrent[:, 6:])
        else:
            i, f, g, o = np.split(x + h @ recurrent, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        found.append(h @ to_items + offset)
    return np.array(found)


@pytest.mark.parametrize("name", NAMES)
def test_states_by_hand_with_padding_before_them(name):
    model = small(name)
    found = states(model, [[0, 0, 4, 7, 1]])[0, 2:]
    np.testing.assert_allclose(found, steps(name, model, [4, 7, 1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_later_event_changes_no_earlier_state(name):
    model = small(name, depth=2)
    one, other = states(model, [[1, 2, 3, 4, 5], [1, 2, 3, 9, 5]])
    np.testing.assert_allclose(one[:3], other[:3], atol=1e-6)
    assert np.abs(one[3:] - other[3:]).max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_products_with_the_vectors_that_are_read_and_a_bias(name):
    model = small(name)
    outputs = model({"history": np.array([[0, 1, 2, 3, 4]], "int32")}, training=False)
    items = model.get_layer("items")
    expected = outputs["states"].numpy()[:, -1] @ items.table.numpy().T + items.bias.numpy()
    np.testing.assert_allclose(outputs["scores"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_no_layer_is_refused(name):
    with pytest.raises(UsageError, match="`depth` must be at least 1"):
        small(name, depth=0)
