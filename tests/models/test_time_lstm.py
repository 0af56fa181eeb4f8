"""Time-LSTM: parameters, the three cells by hand, limits, what time does, causality."""

import keras
import numpy as np
import pytest

from tfzoo.errors import UsageError
from tfzoo.models import create_model
from tfzoo.models.time_lstm import NotPositive

VARIANTS = (1, 2, 3)
GAPS = [5.0, 7000.0, 60.0, 90000.0, 20.0]


def small(variant, **options):
    keras.utils.set_random_seed(0)
    options = {"history_length": 5, "embedding_dim": 4, "units": 3, "variant": variant, **options}
    model = create_model("time-lstm", 3, 11, **options)
    random = np.random.default_rng(2)
    for weight in model.weights:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    return model


def states(model, history, gaps=GAPS):
    inputs = {"history": np.array([history], "int32"), "history_gaps": np.array([gaps], "float32")}
    return model({name: inputs[name] for name in model.input}, training=False)["states"].numpy()[0]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(("variant", "expected"), [(1, 107_776), (2, 116_224), (3, 91_392)])
def test_the_number_of_parameters_is_that_of_the_equations(variant, expected):
    model = create_model("time-lstm", 1, 3416, variant=variant)
    found = sum(model.get_layer(name).count_params() for name in ("gates", "recurrent"))
    assert found == expected
    assert model.count_params() == 3417 * 65 + expected + 128 * 64 + 64


def by_hand(model, variant, items, gaps):
    """Return the states after each of some items, by the equations."""
    table, gates = model.get_layer("items").table.numpy(), model.get_layer("gates")
    cell = model.get_layer("recurrent").cell
    to_items, offset = (weight.numpy() for weight in model.get_layer("to_items").weights)
    names = {
        1: ["i", "f", "g", "o", "t1"],
        2: ["i", "f", "g", "o", "t1", "t2"],
        3: ["i", "g", "o", "t1", "t2"],
    }[variant]
    recurrent = dict(
        zip(names, np.split(cell.recurrent_kernel.numpy(), len(cell.peepholes) + 1, 1), strict=False)
    )
    p = {name: weight.numpy() for name, weight in cell.peepholes.items()}
    h, c, found = np.zeros(3), np.zeros(3), []
    for item, seconds in zip(items, gaps, strict=True):
        dt = np.log(1 + seconds / 3600)
        x = dict(
            zip(
                names,
                np.split(table[item] @ gates.kernel.numpy() + gates.bias.numpy(), len(names)),
                strict=True,
            )
        )
        u = {name: h @ matrix for name, matrix in recurrent.items()}
        t1 = sigmoid(x["t1"] + np.tanh(dt * gates.time_1.numpy()))
        i, g = sigmoid(x["i"] + u["i"] + p["i"] * c), np.tanh(x["g"] + u["g"])
        if variant == 1:
            f = sigmoid(x["f"] + u["f"] + p["f"] * c)
            shown = c = f * c + i * t1 * g
        else:
            t2 = sigmoid(x["t2"] + np.tanh(dt * gates.time_2.numpy()))
            if variant == 2:
                f = sigmoid(x["f"] + u["f"] + p["f"] * c)
                shown, c = f * c + i * t1 * g, f * c + i * t2 * g
            else:
                shown, c = (1 - i * t1) * c + i * t1 * g, (1 - i) * c + i * t2 * g
        o = sigmoid(x["o"] + u["o"] + dt * gates.output_time.numpy() + p["o"] * shown)
        h = o * np.tanh(shown)
        found.append(h @ to_items + offset)
    return np.array(found)


@pytest.mark.parametrize("variant", VARIANTS)
def test_states_by_hand_with_padding_before_them(variant):
    model = small(variant)
    found = states(model, [0, 0, 4, 7, 1])[2:]
    expected = by_hand(model, variant, [4, 7, 1], GAPS[2:])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_open_time_gates_leave_an_lstm():
    model, lstm = small(1), create_model("lstm", 3, 11, history_length=5, embedding_dim=4, units=3)
    gates, cell = model.get_layer("gates"), model.get_layer("recurrent").cell
    gates.kernel.assign(np.where(np.arange(15) < 12, gates.kernel.numpy(), 0.0))
    gates.bias.assign(np.where(np.arange(15) < 12, gates.bias.numpy(), 50.0))
    gates.output_time.assign(np.zeros(3))
    for peephole in cell.peepholes.values():
        peephole.assign(np.zeros(3))
    lstm.get_layer("items").set_weights(model.get_layer("items").get_weights())
    lstm.get_layer("to_items").set_weights(model.get_layer("to_items").get_weights())
    # Both keep gates in the order of input, forget, candidate, output.
    lstm.get_layer("recurrent_1").set_weights(
        [gates.kernel.numpy()[:, :12], cell.recurrent_kernel.numpy(), gates.bias.numpy()[:12]]
    )
    expected = lstm({"history": np.array([[0, 2, 4, 7, 1]], "int32")}, training=False)["states"][0]
    np.testing.assert_allclose(states(model, [0, 2, 4, 7, 1]), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", [2, 3])
def test_the_longer_the_time_the_less_an_event_counts(variant):
    gates = create_model("time-lstm", 3, 11, variant=variant, units=3).get_layer("gates")
    assert isinstance(gates.time_1.constraint, NotPositive)
    assert (gates.time_1.numpy() < 0).all()
    assert gates.time_2.constraint is None
    time = np.arange(6.0, dtype="float32").reshape(1, 6, 1)
    found = keras.ops.convert_to_numpy(gates(np.ones((1, 6, 64), "float32"), time))[0]
    first = found[:, -6:-3]
    assert (np.diff(first, axis=0) < 0).all()


def test_a_step_leaves_no_weight_of_the_first_time_gate_above_0():
    model = small(2)
    gate = model.get_layer("gates").time_1
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build([gate])
    gate.assign([-1.0, -0.2, -0.5])
    optimizer.apply([np.array([-2.0, 0.0, -0.1], "float32")], [gate])
    np.testing.assert_allclose(gate, [0.0, -0.2, -0.4], rtol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_later_event_and_its_time_change_no_earlier_state(variant):
    model = small(variant)
    before = states(model, [1, 2, 3, 4, 5])
    other = states(model, [1, 2, 3, 9, 5], [*GAPS[:3], 3.0, 70.0])
    np.testing.assert_allclose(other[:3], before[:3], atol=1e-6)
    assert (np.abs(other[3:] - before[3:]).max(axis=1) > 1e-4).all()
    later = states(model, [1, 2, 3, 4, 5], [5.0, 7000.0, 90000.0, *GAPS[3:]])
    np.testing.assert_allclose(later[:2], before[:2], atol=1e-6)
    assert (np.abs(later[2:] - before[2:]).max(axis=1) > 1e-4).all()


def test_the_reference_reads_the_time_as_one_more_number():
    lstm = create_model("lstm", 3, 11, history_length=5, embedding_dim=4, units=3, read_gaps=True)
    assert lstm.get_layer("recurrent_1").count_params() == 4 * (5 * 3 + 9 + 3)
    plain = create_model("lstm", 3, 11, history_length=5, embedding_dim=4, units=3)
    kernel, *others = lstm.get_layer("recurrent_1").get_weights()
    kernel[4] = np.linspace(-1, 1, 12)
    lstm.get_layer("recurrent_1").set_weights([kernel, *others])
    plain.get_layer("recurrent_1").set_weights([kernel[:4], *others])
    for name in ("items", "to_items"):
        plain.get_layer(name).set_weights(lstm.get_layer(name).get_weights())
    at_once = states(lstm, [1, 2, 3, 4, 5], [0.0] * 5)
    np.testing.assert_allclose(at_once, states(plain, [1, 2, 3, 4, 5]), atol=1e-6)
    assert np.abs(at_once - states(lstm, [1, 2, 3, 4, 5])).max() > 1e-3


def test_another_variant_is_refused():
    with pytest.raises(UsageError, match="`variant` must be 1, 2 or 3"):
        small(4)
