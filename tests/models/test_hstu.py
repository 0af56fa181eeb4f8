"""HSTU: parameters, the attention by hand, causality in items and times, padding."""

import keras
import numpy as np
import pytest

from tfzoo.models import create_model
from tfzoo.models.hstu import EPSILON, PointwiseAttention, time_bucket_of

GAPS = [5.0, 70.0, 4000.0, 1.0, 90000.0, 3.0]


def small(**options):
    keras.utils.set_random_seed(0)
    options = {"history_length": 6, "embedding_dim": 4, "time_buckets": 32, **options}
    model = create_model("hstu", 3, 11, **options)
    random = np.random.default_rng(4)
    for weight in model.weights:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    return model


def ask(model, history, gaps=GAPS):
    inputs = {
        "history": np.array(history, "int32"),
        "history_gaps": np.array([gaps] * len(history), "float32"),
    }
    outputs = model({name: inputs[name] for name in model.input}, training=False)
    return {k: v.numpy() for k, v in outputs.items()}


@pytest.mark.parametrize(("blocks", "buckets"), [(2, 128), (3, 0)])
def test_the_number_of_parameters_by_the_formula(blocks, buckets):
    model = create_model("hstu", 1, 3416, blocks=blocks, time_buckets=buckets)
    assert model.count_params() == 3417 * 50 + 200 * 50 + blocks * (5 * 2500 + 50 + 200 + buckets)


def silu(x):
    return x / (1 + np.exp(-x))


def normed(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + EPSILON)


@pytest.mark.parametrize("heads", [1, 2])
def test_the_attention_by_hand(heads):
    layer = PointwiseAttention(heads, time_buckets=9)
    random = np.random.default_rng(0)
    hidden = random.normal(size=(1, 5, 4)).astype("float32")
    history, bucket = np.array([[0, 0, 4, 7, 1]], "int32"), random.integers(0, 9, (1, 5, 5)).astype("int32")
    layer.build(hidden.shape, history.shape, bucket.shape)
    for weight in layer.weights:
        weight.assign(random.normal(size=weight.shape))
    gate, value, query, key = np.split(silu(normed(hidden[0]) @ layer.kernel.numpy()), 4, axis=1)
    attended = np.zeros((5, 4))
    width = 4 // heads
    for i in range(5):
        for j in range(2, i + 1):
            bias = layer.place_bias.numpy()[i - j] + layer.time_bias.numpy()[bucket[0, i, j]]
            for part in (slice(h * width, (h + 1) * width) for h in range(heads)):
                attended[i, part] += silu(query[i, part] @ key[j, part] + bias) / 5 * value[j, part]
    expected = (normed(attended) * gate) @ layer.output_kernel.numpy() + layer.output_bias.numpy()
    np.testing.assert_allclose(layer(hidden, history, bucket)[0, 2:], expected[2:], rtol=1e-3, atol=1e-4)


def test_buckets_are_of_the_time_between_two_events():
    time = np.cumsum([0, *GAPS[:-1]])
    apart = np.abs(np.subtract.outer(time, time))
    expected = np.minimum(np.floor(np.log(np.maximum(apart, 1)) / 0.301), 31)
    found = keras.ops.convert_to_numpy(time_bucket_of(np.array([GAPS], "float32"), 32))
    np.testing.assert_array_equal(found[0], expected)
    assert len(np.unique(found)) > 4


def test_a_later_event_and_its_time_change_no_earlier_state():
    model = small(heads=2)
    before = ask(model, [[1, 2, 3, 4, 5, 6]])["states"][0]
    other = ask(model, [[1, 2, 3, 9, 5, 6]], [5.0, 70.0, 7.0, 900.0, 4.0, 2.0])["states"][0]
    np.testing.assert_allclose(other[:3], before[:3], atol=1e-6)
    assert (np.abs(other[3:] - before[3:]).max(axis=1) > 1e-4).all()


def test_events_at_one_time_have_biases_of_place_alone():
    model = small()
    for name in ("attention_1", "attention_2"):
        bias = model.get_layer(name).time_bias
        bias.assign(np.where(np.arange(32) == 0, 0.0, bias.numpy()))
    without = small(time_buckets=0)
    without.set_weights(
        [w for v, w in zip(model.weights, model.get_weights(), strict=True) if v.name != "time_bias"]
    )
    history = [[0, 2, 3, 4, 5, 6]]
    at_once, timeless = ask(model, history, [0.0] * 6), ask(without, history)
    np.testing.assert_allclose(at_once["states"], timeless["states"], rtol=1e-5, atol=1e-6)
    assert np.abs(ask(model, history)["states"] - timeless["states"]).max() > 1e-3


def test_padding_changes_nothing():
    model = small()
    before = ask(model, [[0, 0, 0, 1, 2, 3]])["states"]
    table = model.get_layer("items").table
    changed = table.numpy()
    changed[0] = 100.0
    table.assign(changed)
    np.testing.assert_allclose(ask(model, [[0, 0, 0, 1, 2, 3]])["states"], before, atol=1e-5)


def test_scores_are_cosines_over_the_temperature():
    model = small(temperature=0.1)
    outputs = ask(model, [[0, 1, 2, 3, 4, 5]])
    table, state = model.get_layer("items").table.numpy(), outputs["states"][0, -1]
    expected = table @ state / np.linalg.norm(state) / np.linalg.norm(table, axis=1) / 0.1
    np.testing.assert_allclose(outputs["scores"][0], expected, rtol=1e-4, atol=1e-5)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="must divide the width 4"):
        small(heads=3)
