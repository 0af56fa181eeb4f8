"""NARM: parameters, the attention by hand, padding, limits."""

import keras
import numpy as np
import pytest

from tfzoo.models import create_model
from tfzoo.models.narm import LastStateAttention

RANDOM = np.random.default_rng(7)


def small(**options):
    keras.utils.set_random_seed(0)
    model = create_model("narm", 3, 11, history_length=5, embedding_dim=4, units=3, **options)
    random = np.random.default_rng(8)
    for weight in model.weights:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    return model


def ask(model, history):
    return {k: v.numpy() for k, v in model({"history": np.array(history, "int32")}, training=False).items()}


def test_the_number_of_parameters_is_that_of_the_authors_code():
    assert create_model("narm", 1, 37_483).count_params() == 1_949_600


@pytest.mark.parametrize("normalized", [True, False])
def test_the_attention_by_hand(normalized):
    layer = LastStateAttention(normalized)
    states = RANDOM.normal(size=(1, 5, 3)).astype("float32")
    history = np.array([[0, 0, 4, 7, 1]], "int32")
    layer.build(states.shape, history.shape)
    for weight in layer.weights:
        weight.assign(RANDOM.normal(size=weight.shape))
    together = states[0] @ layer.each.numpy() + states[0, -1] @ layer.last.numpy()
    scores = (1 / (1 + np.exp(-together)) @ layer.score.numpy())[2:, 0]
    weights = np.exp(scores) / np.exp(scores).sum() if normalized else scores
    np.testing.assert_allclose(layer(states, history)[0], weights @ states[0, 2:], rtol=1e-4, atol=1e-5)


def test_without_scores_all_events_count_alike_and_no_event_gives_zeros():
    layer = LastStateAttention()
    states = RANDOM.normal(size=(2, 5, 3)).astype("float32")
    history = np.array([[0, 0, 4, 7, 1], [0] * 5], "int32")
    layer.build(states.shape, history.shape)
    layer.score.assign(np.zeros((3, 1)))
    np.testing.assert_allclose(layer(states, history), [states[0, 2:].mean(0), np.zeros(3)], atol=1e-6)


def test_one_event_is_attended_to_whole():
    model = small()
    both = keras.Model(model.input, model.get_layer("both").output)
    local, last = np.split(both({"history": np.array([[0, 0, 0, 0, 3]], "int32")}, training=False)[0], 2)
    np.testing.assert_allclose(local, last, atol=1e-6)


def test_what_padding_is_does_not_matter():
    model = small()
    before = ask(model, [[0, 0, 1, 2, 3]])["states"]
    items = model.get_layer("items").table
    changed = items.numpy()
    changed[0] = 100.0
    items.assign(changed)
    np.testing.assert_allclose(ask(model, [[0, 0, 1, 2, 3]])["states"], before, atol=1e-5)


def test_scores_are_products_with_the_vectors_that_are_read():
    model = small()
    outputs = ask(model, [[0, 1, 2, 3, 4]])
    expected = outputs["states"][:, -1] @ model.get_layer("items").table.numpy().T
    np.testing.assert_allclose(outputs["scores"], expected, rtol=1e-5, atol=1e-5)


def test_the_first_events_of_a_longer_session_are_those_that_count():
    keras.utils.set_random_seed(0)
    model = create_model("narm", 3, 11, history_length=6, embedding_dim=4, units=3, first=3)
    short = create_model("narm", 3, 11, history_length=3, embedding_dim=4, units=3)
    short.set_weights(model.get_weights())
    expected = ask(short, [[1, 2, 3], [5, 6, 7], [0, 0, 9]])["scores"]
    found = ask(model, [[1, 2, 3, 4, 5, 6], [0, 0, 5, 6, 7, 8], [0, 0, 0, 0, 0, 9]])["scores"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("first", [0, 7])
def test_more_first_events_than_there_are_or_none_are_refused(first):
    with pytest.raises(ValueError, match="`first` must be between 1 and 6"):
        create_model("narm", 3, 11, history_length=6, first=first)
