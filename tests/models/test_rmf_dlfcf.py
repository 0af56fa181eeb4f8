"""Reconstructions from comparisons: RMF and DLFCF, and PMF as their limit; PMF's logistic link."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import NUM_ITEMS, NUM_USERS, build, random_inputs, table
from tfzoo.layers import SquaredError
from tfzoo.models import create_model, model_info
from tfzoo.tasks import RatingSettings, RatingTask
from tfzoo.tasks.pair_features import PairFeatures
from tfzoo.training.recipe import load_recipe
from tfzoo.training.settings import TrainingSettings
from tfzoo.training.trainer import Trainer

# The papers' or cards' counts, without the rows of the unknown user and item.
PARAMETERS = {
    "rmf": {(943, 1682): 26_250, (6040, 3706): 97_460},
    "dlfcf": {(943, 1682): 106_600, (6040, 3706): 391_440},
}
WIDTH = {"rmf": 10, "dlfcf": 40}


def rate(model, inputs):
    return model(inputs, training=False)["rating"].numpy()


def tables(model):
    return [
        model.get_layer(f"{side}_tower").get_layer(f"{side}_embedding").embeddings
        for side in ("user", "item")
    ]


def train_on(model, train, *, loss="mse", epochs=300, learning_rate=0.02, **options):
    task = RatingTask(RatingSettings(loss=loss))
    options = {"jit_compile": False, "steps_per_call": 50, **options}
    settings = TrainingSettings(
        **{"learning_rate": learning_rate, "batch_size": 16, "epochs": epochs, "patience": None, **options}
    )
    Trainer(model, task, PairFeatures.of(model, train), train, settings, seed=0).fit(None)
    return task.predictor(model, PairFeatures.of(model, train))(train)


@pytest.mark.parametrize(
    ("name", "sizes", "expected"),
    [(name, sizes, count) for name, counts in PARAMETERS.items() for sizes, count in counts.items()],
)
def test_the_number_of_parameters(name, sizes, expected):
    assert create_model(name, *sizes).count_params() == expected + 2 * WIDTH[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_they_are_marked_as_reconstructions(name):
    assert model_info(name).reconstruction


@pytest.mark.parametrize(
    ("name", "options"), [("rmf", {"non_negative": False}), ("dlfcf", {"factor_units": ()})]
)
def test_a_single_product_is_pmf(name, options):
    model = build(name, 1, embedding_dim=6, mean_rating=2.5, **options)
    pmf = build("pmf", embedding_dim=6, mean_rating=2.5)
    inputs = random_inputs(pmf, 20)
    assert not np.allclose(rate(model, inputs), rate(pmf, inputs), atol=0.01)
    for own, other in zip(tables(model), tables(pmf), strict=True):
        own.assign(other)
    np.testing.assert_allclose(rate(model, inputs), rate(pmf, inputs), rtol=1e-6)
    assert len(model.trainable_variables) == 2


# RMF


def test_factors_start_uniform_up_to_the_cards_bound():
    keras.utils.set_random_seed(0)
    model = create_model("rmf", 2000, 1500, embedding_dim=10, mean_rating=3.5)
    users, items = (table.numpy() for table in tables(model))
    for factors in (users, items):
        assert factors.min() >= 0
        assert factors.max() == pytest.approx(np.sqrt(2 * 3.5 / 10), rel=0.01)
    assert not np.allclose(users[:1500], items[:1500])


def test_absolute_errors_of_a_rank_one_matrix_vanish():
    train = table([1, 1, 2, 2], [1, 2, 1, 2], np.array([1, 2, 2, 4], np.float32))
    keras.utils.set_random_seed(0)
    model = create_model("rmf", 2, 2, embedding_dim=2, lookup_l2=0.0)
    # The step must shrink: the gradient of an absolute error does not.
    found = train_on(model, train, loss="mae", epochs=300, learning_rate=0.05, schedule="cosine")
    np.testing.assert_allclose(found, train.ratings, atol=0.01)


@pytest.mark.parametrize("non_negative", [True, False])
def test_factors_that_want_to_be_negative(non_negative):
    users, items = np.divmod(np.arange(36), 6)
    train = table(users + 1, items + 1, np.where((users + items) % 2, 1.0, -1.0))
    keras.utils.set_random_seed(0)
    model = create_model(
        "rmf", 6, 6, embedding_dim=3, lookup_l2=0.0, mean_rating=1.0, non_negative=non_negative
    )
    found = train_on(model, train, epochs=100, average=0.9)
    lowest = min(float(table.numpy().min()) for table in tables(model))
    assert (lowest >= 0) == non_negative
    assert (found.min() >= 0) == non_negative


def test_absolute_errors_ignore_an_outlier():
    ratings = np.array([4, 4, 4, 4, 4, 4, 1], np.float32)
    train = table(np.ones(7, int), np.arange(1, 8), ratings)
    found = {}
    for loss in ("mae", "mse"):
        keras.utils.set_random_seed(0)
        model = create_model("rmf", 1, 7, embedding_dim=1, lookup_l2=0.0)
        item = tables(model)[1]
        item.assign(np.ones(item.shape))
        model.get_layer("item_tower").trainable = False
        found[loss] = train_on(model, train, loss=loss, epochs=300, learning_rate=0.05, schedule="cosine")[0]
    assert found["mae"] == pytest.approx(4, abs=0.02)
    assert found["mse"] == pytest.approx(ratings.mean(), abs=0.02)


def test_its_recipes_are_two_models():
    paper, l2 = (load_recipe("rmf", "ml-100k", name) for name in ("paper", "l2"))
    assert (paper.builder["non_negative"], paper.task["loss"]) == (True, "mae")
    assert (l2.builder["non_negative"], l2.task["loss"]) == (False, "mse")


def test_factors_that_would_all_start_at_zero_are_refused():
    with pytest.raises(ValueError, match=r"`mean_rating` must be positive\. Received: mean_rating=0"):
        create_model("rmf", 2, 2, mean_rating=0.0)
    assert create_model("rmf", 2, 2, mean_rating=0.0, non_negative=False).count_params() == 60


# DLFCF


def test_the_chain_by_hand():
    model = build("dlfcf", embedding_dim=6, factor_units=(4, 3), mean_rating=2.0)
    inputs = random_inputs(model, 20)
    users, items = (table.numpy() for table in tables(model))
    hidden = items[inputs["item_id"]]
    kernels = [w.numpy() for w in model.get_layer("item_tower").trainable_variables if "kernel" in w.name]
    assert [kernel.shape for kernel in kernels] == [(6, 4), (4, 3), (3, 6)]
    for kernel in kernels:
        hidden = np.maximum(hidden @ kernel, 0)
    expected = 2.0 + np.sum(users[inputs["user_id"]] * hidden, axis=1)
    np.testing.assert_allclose(rate(model, inputs), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("activation", [None, "relu"])
def test_a_linear_chain_has_the_rank_of_its_narrowest_factor(activation):
    model = build("dlfcf", scale=1.0, embedding_dim=6, factor_units=(2,), activation=activation)
    user, item = (grid.ravel() for grid in np.meshgrid(range(NUM_USERS + 1), range(NUM_ITEMS + 1)))
    inputs = {"user_id": tf.constant(user), "item_id": tf.constant(item)}
    rank = np.linalg.matrix_rank(rate(model, inputs).reshape(NUM_ITEMS + 1, NUM_USERS + 1), tol=1e-4)
    assert rank == 2 if activation is None else rank > 2


def test_penalties_of_the_factors():
    model = build("dlfcf", embedding_dim=4, factor_units=(3,), lookup_l2=0.0, dense_l2=0.1)
    kernels = [w.numpy() for w in model.trainable_variables if "kernel" in w.name]
    assert float(sum(model.losses)) == pytest.approx(0.1 * sum(np.sum(kernel**2) for kernel in kernels))


# PMF's logistic link


def test_the_logistic_loss_is_the_papers_times_the_square_of_the_scale():
    model = build("pmf", link="sigmoid", rating_scale=(1.0, 5.0))
    inputs = random_inputs(model, 30)
    ratings = np.random.default_rng(1).integers(1, 6, 30).astype(np.float32)
    users, items = (table.numpy() for table in tables(model))
    products = np.sum(users[inputs["user_id"]] * items[inputs["item_id"]], axis=1)
    paper = np.mean(((ratings - 1) / 4 - 1 / (1 + np.exp(-products))) ** 2)
    assert float(SquaredError()(ratings, rate(model, inputs))) == pytest.approx(16 * paper, rel=1e-5)


def test_the_logistic_recipe_has_no_mean():
    recipe = load_recipe("pmf", "ml-100k", "logistic")
    assert recipe.builder == {**recipe.builder, "link": "sigmoid", "rating_scale": "auto"}
    assert "mean_rating" not in recipe.builder
