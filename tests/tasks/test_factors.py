"""Scores as inner products: read off the head, equal to what the model scores."""

import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import build, models_of
from tfzoo.data.splits import Split
from tfzoo.tasks import get_task
from tfzoo.tasks.factors import fold

INNER_PRODUCTS = {
    "biased-mf",
    "bmf",
    "bpr-mf",
    "dcf",
    "delcr",
    "delcr-woe",
    "dlfcf",
    "gmf",
    "i-autorec",
    "pmf",
    "rmf",
    "svdpp",
    "u-autorec",
}


def scorer_of(name, train, **options):
    model = build(name, 3, 0.4, train.num_users, train.num_items, **options)
    task = get_task("rating" if name in models_of("rating") else "implicit")()
    return task.scorer(model, task.features(model, Split(train, train, train, ""), train))


@pytest.mark.parametrize("name", models_of("rating", "implicit"))
def test_inner_products_are_found_and_score_as_the_model(toy, name):
    scorer = scorer_of(name, toy)
    factors = scorer.factors()
    assert (factors is not None) == (name in INNER_PRODUCTS)
    if factors is None:
        return
    users = tf.constant([0, 1, 30])
    queries, offset = factors.queries(users)
    scores = tf.matmul(queries, factors.vectors, transpose_b=True) + offset[:, tf.newaxis]
    np.testing.assert_allclose(scores, scorer.score_items(users), rtol=1e-5, atol=1e-5)
    assert np.ptp(scores.numpy()) > 0.1
    pairs = factors.output(scores[:, 7])
    np.testing.assert_allclose(pairs, scorer.score_pairs(users, tf.fill([3], 7)), rtol=1e-5, atol=1e-5)
    assert factors.queries(users[:0])[0].shape[0] == 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gmf", {"biases": True}),
        ("gmf", {"output_bias": False}),
        ("gmf", {"biases": True, "output_bias": False}),
        ("dmf", {"logit_scale": 6.0}),
    ],
)
def test_offsets_and_weights_of_the_product_are_folded(toy, name, options):
    scorer = scorer_of(name, toy, **options)
    queries, offset = scorer.factors().queries(tf.constant([5]))
    found = tf.matmul(queries, scorer.factors().vectors, transpose_b=True) + offset
    np.testing.assert_allclose(found, scorer.score_items(tf.constant([5])), rtol=1e-5, atol=1e-5)


def test_a_head_with_terms_of_one_side_alone_is_folded():
    random = np.random.default_rng(1)
    weights = tf.constant(random.normal(size=(3, 4)), tf.float32)
    items = random.normal(size=(6, 4)).astype(np.float32)

    def head(u, v):
        product = tf.reduce_sum(tf.matmul(u, weights) * v, 1)
        return 2.0 + product + tf.reduce_sum(u**2, 1) + tf.sin(v[:, 0])

    folded = fold(head, 3, items)
    np.testing.assert_allclose(folded.matrix, weights, atol=1e-5)
    np.testing.assert_allclose(folded.vectors[:, :4], items)
    np.testing.assert_allclose(folded.vectors[:, 4], 2 + np.sin(items[:, 0]), atol=1e-5)
    assert folded.item_offset is None


def test_offsets_of_items_that_are_linear_in_their_vectors_are_found():
    items = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    folded = fold(lambda u, v: 3.5 + tf.reduce_sum(u * v[:, :2], 1) + 2 * v[:, 2], 2, items)
    np.testing.assert_allclose(folded.item_offset, [0, 0, 2, 3.5], atol=1e-5)
    np.testing.assert_allclose(folded.vectors[:, 3], 3.5 + 2 * items[:, 2], rtol=1e-5)


@pytest.mark.parametrize(
    "function",
    [
        lambda u, v: tf.nn.relu(tf.reduce_sum(u * v, 1)),
        lambda u, v: tf.sigmoid(tf.reduce_sum(u * v, 1)),
        lambda u, v: tf.reduce_sum(u * v, 1) + 0.05 * u[:, 0] * v[:, 0] ** 2,
        lambda u, v: 0.001 * tf.nn.relu(tf.reduce_sum(u - v, 1)) + 3.0,
        lambda u, v: tf.reduce_sum(u, 1) + tf.reduce_sum(v, 1),
        lambda u, v: tf.reduce_sum(u * v, 1) * np.nan,
    ],
    ids=["relu", "squashed", "square", "small-relu", "no-product", "not-finite"],
)
def test_other_heads_are_not_folded(function):
    items = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)
    assert fold(function, 3, items) is None
