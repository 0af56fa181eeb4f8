"""Which heads are inner products is read from their graphs, and their parts from scores."""

import re

import keras
import numpy as np
import pytest
from keras import layers, ops

from tfzoo.layers import FactorizationMachine
from tfzoo.layers.inner_product import fold, head_degrees, why_no_inner_product


def head_of(function, user_width=3, item_width=3):
    user = keras.Input((user_width,), name="user_vector")
    item = keras.Input((item_width,), name="item_vector")
    return keras.Model({"user_vector": user, "item_vector": item}, function(user, item))


def dot(user, item):
    return ops.sum(user * item, axis=1)


def test_a_head_with_terms_of_one_side_alone_is_folded():
    random = np.random.default_rng(1)
    mixing = layers.Dense(4, use_bias=False, name="mixing")
    head = head_of(
        lambda u, v: 2.0 + dot(mixing(u), v) + ops.sum(ops.square(u), axis=1) + ops.sin(v[:, 0]), 3, 4
    )
    weights = random.normal(size=(3, 4)).astype(np.float32)
    mixing.set_weights([weights])
    items = random.normal(size=(6, 4)).astype(np.float32)
    folded = fold(head, items)
    np.testing.assert_allclose(folded.matrix, weights, atol=1e-5)
    np.testing.assert_allclose(folded.vectors[:, :4], items)
    np.testing.assert_allclose(folded.vectors[:, 4], 2 + np.sin(items[:, 0]), atol=1e-5)
    assert folded.item_offset is None


def test_offsets_of_items_that_are_linear_in_their_vectors_are_found():
    items = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    folded = fold(head_of(lambda u, v: 3.5 + dot(u, v[:, :2]) + 2 * v[:, 2], 2), items)
    np.testing.assert_allclose(folded.item_offset, [0, 0, 2, 3.5], atol=1e-5)
    np.testing.assert_allclose(folded.vectors[:, 3], 3.5 + 2 * items[:, 2], rtol=1e-5)


def test_a_factorisation_machine_over_both_vectors_is_folded():
    random = np.random.default_rng(1)
    machine = FactorizationMachine(4)
    head = head_of(lambda u, v: machine(ops.concatenate([u, v], axis=1)))
    for weight in machine.weights:
        weight.assign(random.normal(size=weight.shape))
    items = random.normal(size=(6, 3)).astype(np.float32)
    pairwise = ops.convert_to_numpy(machine.pairwise)
    np.testing.assert_allclose(fold(head, items).matrix, pairwise[:3] @ pairwise[3:].T, atol=1e-5)
    assert fold(head, items).item_offset is None


@pytest.mark.parametrize(
    ("function", "degrees"),
    [
        (dot, {(1, 1)}),
        (lambda u, v: layers.Dot(1)([u, v])[:, 0], {(1, 1)}),
        (lambda u, v: ops.sum(layers.Multiply()([u, v]), 1), {(1, 1)}),
        (lambda u, v: dot(u, v) + 1.5, {(1, 1), (0, 0)}),
        (lambda u, v: ops.sum(ops.concatenate([u, v], axis=1), axis=1), {(1, 0), (0, 1)}),
        (lambda u, v: dot(u * u, v), {(2, 1)}),
        (lambda u, v: dot(ops.tanh(u), v), {(100, 1)}),
        (lambda u, v: layers.Dense(1, activation="linear")(u + v), {(1, 0), (0, 1)}),
    ],
    ids=["product", "dot", "multiply", "constant", "sum", "square", "squashed", "dense"],
)
def test_degrees_of_the_terms(function, degrees):
    assert head_degrees(head_of(function)) - {(0, 0)} == degrees - {(0, 0)}


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda u, v: ops.relu(dot(u, v)), r"its layer 'relu\w*' \(Relu\) is no product"),
        (lambda u, v: ops.sigmoid(dot(u, v)), r"\(Sigmoid\) is no product"),
        (lambda u, v: layers.Dense(1, activation="relu")(u - v)[:, 0], r"\(Dense\) is no product"),
        (lambda u, v: dot(u, v) + 0.05 * u[:, 0] * v[:, 0] ** 2, "with more than each other"),
        (lambda u, v: dot(ops.relu(u), v), "with more than each other"),
        (lambda u, v: layers.Dot(1, normalize=True)([u, v])[:, 0], r"\(Dot\) is no product"),
        (lambda u, v: ops.sum(u, 1) + ops.sum(v, 1), "no product of the user's vector and the item's is in"),
    ],
    ids=["relu", "squashed", "small-relu", "square", "relu-of-one", "cosine", "no-product"],
)
def test_other_heads_are_not_folded_and_the_reason_is_told(function, reason):
    head = head_of(function)
    assert re.search(reason, why_no_inner_product(head))
    assert fold(head, np.ones((5, 3), np.float32)) is None


def test_weights_that_are_not_finite_are_not_folded():
    mixing = layers.Dense(3, use_bias=False)
    head = head_of(lambda u, v: dot(mixing(u), v))
    mixing.set_weights([np.full((3, 3), np.nan)])
    assert why_no_inner_product(head) == ""
    assert fold(head, np.ones((5, 3), np.float32)) is None
