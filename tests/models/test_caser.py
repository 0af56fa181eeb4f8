"""Caser: parameters, filters by hand, limits, users."""

import keras
import numpy as np
import pytest

from tests.zoo import table
from tfzoo.data.splits import Split
from tfzoo.errors import UsageError
from tfzoo.models import create_model
from tfzoo.tasks.sequences import SequenceTask

HISTORY = np.array([[0, 1, 2], [3, 4, 5]], "int32")
USERS = np.array([1, 2], "int32")


def small(**options):
    keras.utils.set_random_seed(0)
    options = {"horizontal_filters": 2, "vertical_filters": 2, **options}
    model = create_model("caser", 3, 7, history_length=3, embedding_dim=4, **options)
    random = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    return model


def ask(model, history=HISTORY, users=USERS):
    return model({"history": np.array(history, "int32"), "user_id": np.array(users, "int32")}, training=False)


def test_the_number_of_parameters_is_that_of_the_authors_code():
    # Ours has a row for an unknown user.
    assert create_model("caser", 6040, 3416).count_params() == 844_121 + 50
    assert create_model("caser", 6040, 3416).get_layer("sequence").kernel.shape == (280, 50)


def test_scores_by_hand():
    model = small()

    def weights(name):
        return [weight.numpy().astype(np.float64) for weight in model.get_layer(name).weights]

    (read,), (users,) = weights("read_items"), weights("user_embedding")
    kernel, bias = weights("vertical")
    first, offset = weights("sequence")
    items, item_bias = weights("items")
    for row in range(2):
        events = read[HISTORY[row]]
        found = [(kernel @ events + bias).ravel()]
        for height in (1, 2, 3):
            filters, filter_bias = weights(f"horizontal_{height}")
            slid = [
                np.einsum("hd,hdf->f", events[at : at + height], filters) + filter_bias
                for at in range(3 - height + 1)
            ]
            found.append(np.maximum(slid, 0).max(0))
        sequence = np.maximum(np.concatenate(found) @ first + offset, 0)
        state = np.concatenate([sequence, users[USERS[row]]])
        outputs = ask(model)
        np.testing.assert_allclose(outputs["states"][row, 0], state, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(outputs["scores"][row], items @ state + item_bias, rtol=1e-4, atol=1e-5)


def test_one_vertical_filter_of_ones_is_the_sum_of_the_events():
    model = small(horizontal_filters=0, vertical_filters=1)
    model.get_layer("vertical").set_weights([np.ones((1, 3)), np.zeros((1, 1))])
    model.get_layer("sequence").set_weights([np.eye(4), np.full(4, 100.0)])
    read = model.get_layer("read_items").table.numpy()
    found = ask(model)["states"].numpy()[:, 0, :4] - 100
    np.testing.assert_allclose(found, read[HISTORY].sum(1), rtol=1e-3, atol=1e-4)


def test_without_user_vectors_all_users_get_the_same():
    model = small()
    assert np.abs(ask(model, HISTORY, [1, 1])["scores"] - ask(model)["scores"])[1].max() > 1e-3
    model.get_layer("user_embedding").set_weights([np.zeros((4, 4))])
    np.testing.assert_allclose(ask(model, HISTORY, [1, 1])["scores"], ask(model)["scores"], atol=1e-6)


def test_a_history_of_nobody_is_asked_with_the_average_user():
    train = table([1, 1, 1, 2, 2], [1, 2, 3, 2, 1], num_users=3, num_items=7)
    model, task = small(), SequenceTask()
    before = model.get_layer("user_embedding").embeddings.numpy()
    task.finish(model, train)
    scorer = task.scorer(model, task.features(model, Split(train, train, train, ""), train))
    after = model.get_layer("user_embedding").embeddings.numpy()
    np.testing.assert_allclose(after[[0, 3]], before[[1, 2]].mean(0)[None].repeat(2, 0), rtol=1e-5)
    found = scorer.score_history(np.array([[1, 2, 3]], "int32"))
    np.testing.assert_allclose(found, ask(model, [[1, 2, 3]], [0])["scores"], rtol=1e-5, atol=1e-6)


def test_no_filters_are_refused():
    with pytest.raises(UsageError, match="nor both 0"):
        small(horizontal_filters=0, vertical_filters=0)
