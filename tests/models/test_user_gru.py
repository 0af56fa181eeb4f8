"""User-based GRU: parameters, the three cells by hand, limits in which it is a plain GRU, causality."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfzoo.errors import UsageError
from tfzoo.models import create_model
from tfzoo.models.user_gru import rectified

KINDS = ("linear", "rectified", "attentional")


def small(user_input, **options):
    keras.utils.set_random_seed(0)
    options = {"history_length": 5, "embedding_dim": 4, "units": 3, "user_input": user_input, **options}
    model = create_model("user-gru", 3, 11, **options)
    random = np.random.default_rng(2)
    for weight in model.weights:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    return model


def states(model, history, user=2):
    inputs = {"history": np.array([history], "int32"), "user_id": np.array([user], "int32")}
    return model({name: inputs[name] for name in model.input}, training=False)["states"].numpy()[0]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_parameters_by_the_formula(kind):
    d, h = 64, 128
    recurrent = 3 * (2 * d * h + h * h + h)
    more = {"linear": 0, "rectified": 2 * d * d + d + h * d, "attentional": 2 * d * h + h * h + h}[kind]
    model = create_model("user-gru", 9, 3416, user_input=kind)
    assert model.count_params() == 10 * d + 3417 * (d + 1) + recurrent + more + h * d + d


def weights(model, name):
    return [weight.numpy() for weight in model.get_layer(name).weights]


def by_hand(model, kind, items, user):
    """Return the states after each of some items, by the formulas."""
    table, u = model.get_layer("items").table.numpy(), weights(model, "user_embedding")[0][user]
    to_items, offset = weights(model, "to_items")
    h, found = np.zeros(3), []
    if kind == "linear":
        kernel, recurrent, bias = weights(model, "recurrent")
    else:
        cell = model.get_layer("recurrent").cell
    for item in items:
        i = table[item]
        both = np.concatenate([i, u])
        if kind == "linear":
            x = both @ kernel + bias
            gates, r_kernel, candidate_kernel = x, recurrent[:, :6], recurrent[:, 6:]
        elif kind == "rectified":
            (a, a_0), (w, b) = weights(model, "threshold"), weights(model, "event")
            k = both @ a + a_0 + h @ cell.threshold_kernel.numpy()
            gates = i @ w + b + np.where(u >= k, u, 0) @ cell.user_kernel.numpy()
            r_kernel, candidate_kernel = cell.recurrent_kernel.numpy(), cell.candidate_kernel.numpy()
        else:
            w, b = weights(model, "gates")
            r_kernel, candidate_kernel = cell.recurrent_kernel.numpy(), cell.candidate_kernel.numpy()
            xi = sigmoid((both @ w + b + h @ r_kernel)[6:])
            read = (1 - xi) * (i @ weights(model, "item")[0]) + xi * (u @ weights(model, "user")[0])
            gates = np.concatenate([(both @ w + b)[:6], read + cell.bias.numpy()])
        z, r = np.split(sigmoid(gates[:6] + h @ r_kernel[:, :6]), 2)
        h = z * h + (1 - z) * np.tanh(gates[6:] + (r * h) @ candidate_kernel)
        found.append(h @ to_items + offset)
    return np.array(found)


@pytest.mark.parametrize("kind", KINDS)
def test_states_by_hand_with_padding_before_them(kind):
    model = small(kind)
    found = states(model, [0, 0, 4, 7, 1])[2:]
    np.testing.assert_allclose(found, by_hand(model, kind, [4, 7, 1], 2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_user_it_is_a_plain_gru(kind):
    model, gru = small(kind), create_model("gru", 3, 11, history_length=5, embedding_dim=4, units=3)
    model.get_layer("user_embedding").set_weights([np.zeros((4, 4))])
    if kind == "linear":
        kernel, recurrent, bias = weights(model, "recurrent")
        kernel = kernel[:4]
    else:
        cell = model.get_layer("recurrent").cell
        recurrent = np.concatenate([cell.recurrent_kernel.numpy()[:, :6], cell.candidate_kernel.numpy()], 1)
        kernel, bias = weights(model, "event" if kind == "rectified" else "gates")
        if kind == "attentional":
            # An attention that is shut.
            model.get_layer("gates").set_weights([kernel, np.where(np.arange(9) < 6, bias, -50.0)])
            kernel = np.concatenate([kernel[:4, :6], weights(model, "item")[0]], 1)
            bias = np.concatenate([bias[:6], cell.bias.numpy()])
    gru.get_layer("recurrent_1").set_weights([kernel, recurrent, bias])
    for name in ("items", "to_items"):
        gru.get_layer(name).set_weights(model.get_layer(name).get_weights())
    np.testing.assert_allclose(
        states(model, [0, 4, 7, 1, 5]), states(gru, [0, 4, 7, 1, 5]), rtol=1e-4, atol=1e-5
    )


def test_with_an_open_attention_items_change_no_candidate():
    model = small("attentional")
    kernel, bias = weights(model, "gates")
    kernel[:4] = 0
    model.get_layer("gates").set_weights([kernel, np.where(np.arange(9) < 6, bias, 50.0)])
    np.testing.assert_allclose(states(model, [1, 2, 3, 4, 5]), states(model, [6, 7, 8, 9, 10]), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_later_event_changes_no_earlier_state_and_the_user_all(kind):
    model = small(kind)
    before, other = states(model, [1, 2, 3, 4, 5]), states(model, [1, 2, 3, 9, 5])
    np.testing.assert_allclose(other[:3], before[:3], atol=1e-6)
    assert (np.abs(other[3:] - before[3:]).max(axis=1) > 1e-4).all()
    assert (np.abs(states(model, [1, 2, 3, 4, 5], user=1) - before).max(axis=1) > 1e-4).all()


def test_a_threshold_cuts_and_has_the_gradient_of_a_ramp():
    values, threshold = tf.constant([1.0, -0.5, 0.2]), tf.Variable([0.3, -1.0, 0.4])
    with tf.GradientTape() as tape:
        found = rectified(values, threshold)
    np.testing.assert_allclose(found, [1.0, -0.5, 0.0], atol=1e-7)
    np.testing.assert_array_equal(tape.gradient(found, threshold), [-1.0, -1.0, 0.0])


def test_another_way_to_read_the_user_is_refused():
    with pytest.raises(UsageError, match="`user_input` must be one of linear, rectified, attentional"):
        small("none")
