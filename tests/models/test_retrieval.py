"""Vectors whose inner products are a model's scores."""

import keras
import numpy as np
import pytest

import tfzoo
from tests.zoo import build, models_of
from tfzoo.errors import UsageError
from tfzoo.tasks.implicit import logit_model

NUM_USERS, NUM_ITEMS, BEST = 6, 150, 100
PAIRS = {
    "biased-mf": {},
    "bmf": {},
    "bpr-mf": {"item_bias": True},
    "dcf": {},
    "deepconn": {},
    "delcr": {"biases": True},
    "delcr-woe": {},
    "dlfcf": {},
    "dmf": {"logit_scale": 6.0},
    "gmf": {"biases": True},
    "i-autorec": {},
    "pmf": {"mean_rating": 3.5},
    "rmf": {},
    "svdpp": {},
    "u-autorec": {},
}


def rows_of(model):
    """Return rows, documents and features for all users and items of a model, by input."""
    random = np.random.default_rng(1)
    values = {}
    for tensor in model.inputs:
        side, _, kind = tensor.name.partition("_")
        if kind != "id":
            count = (NUM_USERS if side == "user" else NUM_ITEMS) + 1
            values[tensor.name] = random.integers(0, 6, (count, *tensor.shape[1:]))
    return values


def all_scores(model, values, output):
    """Return what the model itself says of all pairs, ``[users, items]``."""
    users, items = (ids.ravel() for ids in np.mgrid[: NUM_USERS + 1, : NUM_ITEMS + 1])
    inputs = {
        tensor.name: ids if tensor.name.endswith("_id") else values[tensor.name][ids]
        for tensor in model.inputs
        for ids in [users if tensor.name.startswith("user") else items]
    }
    scores = output(inputs, training=False)
    scores = scores["rating"] if isinstance(scores, dict) else scores
    return np.reshape(scores, (NUM_USERS + 1, NUM_ITEMS + 1))


def check(vectors, scores):
    """Compare all inner products with the model's scores, and the items that they find with its best ones."""
    found = vectors.users @ vectors.items.T
    np.testing.assert_allclose(found, scores, rtol=1e-4, atol=1e-5)
    order = np.argsort(-found, axis=1)[:, :BEST]
    # By their scores, since equal ones have no order.
    expected = -np.sort(-scores, axis=1)[:, :BEST]
    np.testing.assert_allclose(np.take_along_axis(scores, order, axis=1), expected, rtol=1e-5, atol=1e-5)
    assert np.ptp(scores, axis=1).max() > 0.1


@pytest.mark.parametrize("name", models_of("rating", "review-rating", "implicit"))
def test_brute_force_over_the_vectors_finds_the_best_items_of_the_model(name):
    model = build(name, 3, 0.4, NUM_USERS, NUM_ITEMS, **PAIRS.get(name, {}))
    values = rows_of(model)
    if name not in PAIRS:
        with pytest.raises(UsageError, match=f"'{name}' are no inner products of a user's and an item's"):
            tfzoo.retrieval_vectors(model, values)
        return
    vectors = tfzoo.retrieval_vectors(model, values)
    scores = all_scores(model, values, model if "rating" in model.output else logit_model(model))
    check(vectors, scores)


@pytest.mark.parametrize("name", models_of("sequence"))
def test_states_and_the_table_of_items_are_vectors_of_models_of_histories(name):
    model = build(name, 3, 0.4, NUM_USERS, NUM_ITEMS)
    random = np.random.default_rng(2)
    inputs = {
        tensor.name: random.integers(1, NUM_USERS + 1, (9, *tensor.shape[1:])) for tensor in model.inputs
    }
    vectors = tfzoo.retrieval_vectors(model, inputs)
    scores = np.asarray(model(inputs, training=False)["scores"])
    check(vectors, scores)


def test_some_users_alone():
    model = build("biased-mf")
    every, some = (tfzoo.retrieval_vectors(model, ids) for ids in (None, {"user_id": [5, 2]}))
    np.testing.assert_allclose(some.users, every.users[[5, 2]], rtol=1e-6)
    np.testing.assert_allclose(some.items, every.items, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("baseline", {}, "no product of the user's vector and the item's is in it"),
        ("neumf", {}, r"its layer 'hidden_1' \(PairDense\) is no product"),
        ("pmf", {"link": "sigmoid"}, r"its layer 'sigmoid\w*' \(Sigmoid\) is no product"),
        ("ease", {}, "it has neither towers and a head nor a table of items at its end, and reads user_row"),
        ("gru4rec", {}, "reads item_id, state_0, state_1"),
    ],
)
def test_the_refusal_says_what_makes_the_scores(name, options, reason):
    with pytest.raises(UsageError, match=reason):
        tfzoo.retrieval_vectors(build(name, **options))


def test_inputs_that_ids_do_not_fill_must_be_given():
    model = build("dcf")
    with pytest.raises(UsageError, match="'dcf' reads user_row: give user_row in `inputs`, one row a vector"):
        tfzoo.retrieval_vectors(model)
    with pytest.raises(UsageError, match="'dcf' has no input user_rows; its inputs are item_row, user_row"):
        tfzoo.retrieval_vectors(model, {"user_rows": np.zeros((3, 6))})
    model = build("svdpp")
    with pytest.raises(UsageError, match=r"equally many rows. Received: user_id \(8,\), user_row \(2"):
        tfzoo.retrieval_vectors(model, {"user_row": np.zeros((2, 6))})
    with pytest.raises(UsageError, match="'sasrec' reads history"):
        tfzoo.retrieval_vectors(build("sasrec"))


def test_vectors_of_a_saved_model_are_the_same(tmp_path):
    model = build("gmf")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for one, other in zip(tfzoo.retrieval_vectors(model), tfzoo.retrieval_vectors(loaded), strict=True):
        np.testing.assert_array_equal(one, other)
