"""The factorisation machine."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tfzoo.layers import FactorizationMachine


def machine(width, factors, seed=0, **options):
    layer = FactorizationMachine(factors, **options)
    layer.build((None, width))
    random = np.random.default_rng(seed)
    layer.set_weights([random.normal(size=weight.shape) for weight in layer.weights])
    return layer


@given(width=st.integers(1, 7), factors=st.integers(1, 5), seed=st.integers(0, 10_000))
def test_it_is_the_double_sum_of_the_definition(width, factors, seed):
    layer = machine(width, factors, seed)
    bias, linear, pairwise = (weight.astype(np.float64) for weight in layer.get_weights())
    z = np.random.default_rng(seed + 1).normal(size=(3, width))
    expected = bias + z @ linear
    for i in range(width):
        for j in range(i + 1, width):
            expected += pairwise[i] @ pairwise[j] * z[:, i] * z[:, j]
    found = layer(tf.constant(z, tf.float32))
    assert found.shape == (3,)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_without_factors_it_is_linear():
    layer = machine(6, 4)
    bias, linear, pairwise = layer.get_weights()
    z = np.random.default_rng(5).normal(size=(10, 6)).astype(np.float32)
    assert not np.allclose(layer(z), bias + z @ linear, atol=0.1)
    layer.set_weights([bias, linear, np.zeros_like(pairwise)])
    np.testing.assert_allclose(layer(z), bias + z @ linear, rtol=1e-5, atol=1e-5)


def test_the_number_of_weights():
    assert machine(64, 8).count_params() == 64 + 64 * 8 + 1


def test_dropout_acts_on_the_pairwise_terms_in_training():
    layer = machine(3, 1, dropout=0.5)
    bias, linear, _ = layer.get_weights()
    z = np.tile(np.array([[1.0, -2.0, 0.5]], np.float32), (200, 1))
    linear_part = bias + z[0] @ linear
    pair = layer(z)[0].numpy() - linear_part
    found = layer(z, training=True).numpy() - linear_part
    dropped = np.isclose(found, 0, atol=1e-4)
    # One factor: its term is either gone or doubled.
    np.testing.assert_allclose(found[~dropped], 2 * pair, rtol=1e-3)
    assert 60 < dropped.sum() < 140


def test_linear_and_pairwise_weights_start_apart():
    layer = FactorizationMachine(1, initializer=keras.initializers.RandomUniform(-0.1, 0.1))
    layer.build((None, 50))
    bias, linear, pairwise = layer.get_weights()
    assert bias == 0
    assert not np.allclose(linear, pairwise[:, 0])
    assert np.abs(linear).max() <= 0.1


def test_it_can_be_made_again_from_its_config():
    layer = FactorizationMachine(3, 0.2, initializer="glorot_uniform", name="fm")
    again = FactorizationMachine.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.factors, again.dropout.rate) == (3, 0.2)


def test_it_needs_factors():
    with pytest.raises(ValueError, match="Received: factors=0"):
        FactorizationMachine(0)
