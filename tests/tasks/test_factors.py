"""Scores as inner products: read off the head, equal to what the model scores."""

import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import build, models_of
from tfzoo.data.splits import Split
from tfzoo.tasks import get_task

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
