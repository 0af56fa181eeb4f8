"""Rating baselines and neighbours against least squares, loops over ratings, and cases by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models.rating_loops import ITEMS, USERS, all_similarities, ratings, stored
from tests.zoo import build, random_inputs
from tfzoo.data.datasets import load_dataset
from tfzoo.data.splits import k_fold_split
from tfzoo.errors import UsageError
from tfzoo.evaluation import build_evaluator
from tfzoo.models import create_model, model_info
from tfzoo.models.baseline import alternating_biases
from tfzoo.models.rating_similarity import SIMILARITIES
from tfzoo.tasks import get_task
from tfzoo.training.splitting import with_validation

NAMES = ("baseline", "item-knn-rating", "user-knn-rating")
KNN = NAMES[1:]
PENALTIES = {"l2_user": 3.0, "l2_item": 2.0, "alternations": 4}


def solved(name, dense, **options):
    model = create_model(name, dense.shape[0] - 1, dense.shape[1] - 1, **options)
    model_info(name).solve(model, stored(dense))
    return model


def rate(model, dense):
    """Return the ratings of all pairs, unknown ids included."""
    user, item = (grid.ravel() for grid in np.indices(dense.shape))
    known = np.nan_to_num(dense).astype(np.float32)
    inputs = {"user_id": user, "item_id": item, "user_row": known[user], "item_row": known.T[item]}
    inputs = {tensor.name: tf.constant(inputs[tensor.name], tensor.dtype) for tensor in model.inputs}
    return model(inputs)["rating"].numpy().reshape(dense.shape)


# All of them


@pytest.mark.parametrize(
    ("name", "number_of_parameters"),
    [("baseline", 8 + 6), ("item-knn-rating", 8 + 6 + 6 + 36), ("user-knn-rating", 8 + 6 + 8 + 64)],
)
def test_nothing_is_trained(name, number_of_parameters):
    model = create_model(name, 7, 5)
    assert model.trainable_variables == []
    assert sum(np.prod(weight.shape) for weight in model.weights) == number_of_parameters


@pytest.mark.parametrize("name", NAMES)
def test_unknown_ids_and_ids_without_ratings_have_no_bias(name):
    dense = ratings()
    options = PENALTIES if name == "baseline" else {**PENALTIES, "centre": "baseline"}
    found = rate(solved(name, dense, **options), dense)
    mean, user_bias, item_bias = alternating_biases(stored(dense), **PENALTIES)
    for nobody in (0, USERS):
        np.testing.assert_allclose(found[nobody], mean + item_bias, rtol=1e-6)
    for nothing in (0, ITEMS):
        np.testing.assert_allclose(found[:, nothing], mean + user_bias, rtol=1e-6)
    assert found[0, 0] == pytest.approx(np.nanmean(dense))
    assert np.abs(user_bias[1:-1]).min() > 1e-4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"users": USERS + 1}, f"model has {USERS} users, the ratings {USERS + 1}"),
        ({"items": ITEMS - 1}, f"model has {ITEMS} items, the ratings {ITEMS - 1}"),
    ],
)
def test_ratings_of_others_are_refused(name, change, message):
    model = create_model(name, USERS, ITEMS)
    with pytest.raises(UsageError, match=message):
        model_info(name).solve(model, stored(ratings(**change)))


def test_no_ratings_at_all_give_zero():
    nothing = np.full((4, 4), np.nan)
    for name in NAMES:
        assert not rate(solved(name, nothing), nothing).any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l2_user": -1.0}, "`l2_user` must not be negative"),
        ({"l2_item": float("nan")}, "`l2_item` must not be negative"),
        ({"alternations": 0}, "`alternations` must be at least 1"),
    ],
)
def test_biases_that_cannot_be_solved_for_are_refused(name, options, message):
    with pytest.raises(UsageError, match=message):
        create_model(name, 2, 2, **options)


# Biases


def test_one_alternation_by_hand():
    # Mean 3; item 1 is rated 5 and 3, item 2 only 1.
    dense = np.full((3, 3), np.nan)
    dense[1, 1], dense[2, 1], dense[1, 2] = 5, 3, 1
    mean, user_bias, item_bias = alternating_biases(stored(dense), l2_user=1, l2_item=2, alternations=1)
    assert mean == 3
    np.testing.assert_allclose(item_bias, [0, 2 / 4, -2 / 3])
    np.testing.assert_allclose(user_bias, [0, ((5 - 3 - 0.5) + (1 - 3 + 2 / 3)) / 3, (3 - 3 - 0.5) / 2])


def test_many_alternations_minimise_the_penalised_squares():
    dense = ratings(seed=2)
    user, item = np.nonzero(~np.isnan(dense))
    design = np.zeros((len(user), sum(dense.shape)))
    design[np.arange(len(user)), user] = 1
    design[np.arange(len(user)), dense.shape[0] + item] = 1
    penalty = np.diag(np.repeat([3.0, 2.0], dense.shape))
    target = dense[user, item] - np.nanmean(dense)
    expected = np.linalg.solve(design.T @ design + penalty, design.T @ target)
    found = alternating_biases(stored(dense), l2_user=3, l2_item=2, alternations=200)
    np.testing.assert_allclose(np.concatenate(found[1:]), expected, atol=1e-9)


def test_without_penalty_a_full_matrix_has_its_row_and_column_means():
    dense = np.full((5, 4), np.nan)
    dense[1:, 1:] = ratings(share=1.0)[1:5, 1:4]
    found = rate(solved("baseline", dense, l2_user=0.0, l2_item=0.0), dense)[1:, 1:]
    inner = dense[1:, 1:]
    expected = inner.mean(1, keepdims=True) + inner.mean(0) - inner.mean()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_infinite_penalties_leave_the_mean():
    dense = ratings()
    np.testing.assert_allclose(
        rate(solved("baseline", dense, l2_user=1e12, l2_item=1e12), dense), np.nanmean(dense), rtol=1e-6
    )


# Neighbours


@pytest.mark.parametrize("name", KNN)
@pytest.mark.parametrize("factor", [1e-9, 1e30])
def test_ratings_of_any_scale_give_ratings_of_that_scale(name, factor):
    dense = ratings(seed=4, users=12) + np.random.default_rng(6).uniform(0, 0.4, (13, ITEMS + 1))
    options = {"similarity": "pearson", "neighbours": 3, "min_support": 3}
    expected = rate(solved(name, dense, **options), dense)
    found = rate(solved(name, factor * dense, **options), dense * factor)
    np.testing.assert_allclose(found / factor, expected, rtol=1e-4)


def ratings_by_loops(dense, side, k, threshold, centre, settings):
    """Predict every known pair from sorted lists of neighbours."""
    table = dense if side == "item" else dense.T
    mean, user_bias, item_bias = alternating_biases(stored(dense), **PENALTIES)
    base = mean + user_bias[:, None] + item_bias
    similar = all_similarities(table, (dense - base) if side == "item" else (dense - base).T, **settings)
    if centre == "mean":
        own = [np.nanmean(column) if (~np.isnan(column)).any() else mean for column in table.T]
        base = np.tile(own, (len(table), 1)) if side == "item" else np.tile(own, (len(table), 1)).T
    base = base if side == "item" else base.T
    found = base.copy()
    for row, column in np.ndindex(*table.shape):
        rated = [other for other in range(table.shape[1]) if not np.isnan(table[row, other])]
        near = [other for other in rated if other != column and similar[column, other] > threshold]
        near = sorted(near, key=lambda other: -similar[column, other])[:k]
        weights = [similar[column, other] for other in near]
        if near:
            above = [table[row, other] - base[row, other] for other in near]
            found[row, column] += np.dot(weights, above) / np.sum(weights)
    return found if side == "item" else found.T


@pytest.mark.parametrize("side", ["user", "item"])
@pytest.mark.parametrize("centre", ["baseline", "mean"])
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize(("k", "threshold"), [(2, 0.0), (None, 0.1), (50, 0.0)])
def test_ratings_are_those_of_loops_over_neighbours(side, centre, similarity, k, threshold):
    # Neither of whole numbers nor of two ratings, of which many have the same similarity.
    dense = ratings(seed=4, users=12) + np.random.default_rng(6).uniform(0, 0.4, (13, ITEMS + 1))
    settings = {"similarity": similarity, "shrinkage": 1.0, "min_support": 3}
    options = {**PENALTIES, **settings, "neighbours": k, "threshold": threshold, "centre": centre}
    found = rate(solved(f"{side}-knn-rating", dense, **options), dense)
    expected = ratings_by_loops(dense, side, k, threshold, centre, settings)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert np.ptp(found[1:-1, 1:-1]) > 0.5


def test_two_users_of_one_taste_by_hand():
    # Means 3, 4 and 2; the second user agrees with the first, the third does not.
    dense = np.full((4, 4), np.nan)
    dense[1, 1:] = 4, 2, np.nan
    dense[2, 1:] = 5, 3, 4
    dense[3, 1:] = 1, 3, 2
    found = rate(solved("user-knn-rating", dense, similarity="pearson"), dense)
    assert found[1, 3] == pytest.approx(3 + 1 * (4 - 4))
    dense[2, 3] = 4.9
    found = rate(solved("user-knn-rating", dense, similarity="pearson"), dense)
    assert found[1, 3] == pytest.approx(3 + (4.9 - 12.9 / 3))


@pytest.mark.parametrize("name", KNN)
def test_more_ratings_of_others_change_only_what_they_are_neighbours_of(name):
    model = build(name)
    inputs = random_inputs(model, 40)
    row = "user_row" if name == "item-knn-rating" else "item_row"
    nothing = {**inputs, row: tf.zeros_like(inputs[row])}
    alone = model(nothing)["rating"].numpy()
    offsets = [
        model.get_layer(f"{side}_tower").get_layer(f"{side}_offset").get_weights()[0][:, 0]
        for side in ("user", "item")
    ]
    expected = offsets[0][inputs["user_id"]] + offsets[1][inputs["item_id"]]
    np.testing.assert_allclose(alone, expected, rtol=1e-5, atol=1e-6)
    assert not np.allclose(model(inputs)["rating"], alone, atol=0.1)


@pytest.mark.parametrize("name", KNN)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"similarity": "jaccard"}, "`similarity` must be one of .*'jaccard'"),
        ({"centre": "zscore"}, "`centre` must be one of .*'zscore'"),
        ({"neighbours": 0}, "`neighbours` must be at least 1, or None.*0"),
        ({"shrinkage": -1.0}, "`shrinkage` must be at least 0"),
        ({"min_support": 0}, "`min_support` must be at least 1"),
        ({"threshold": -0.1}, "`threshold` must be at least 0"),
    ],
)
def test_wrong_options_are_refused(name, options, message):
    with pytest.raises(UsageError, match=message):
        create_model(name, 2, 2, **options)


def test_too_many_for_a_dense_table_are_refused():
    with pytest.raises(UsageError, match="20,001 items takes 1 GiB"):
        create_model("item-knn-rating", 5, 20_001)
    with pytest.raises(UsageError, match="similarities of 20,001 users"):
        create_model("user-knn-rating", 20_001, 5)


# Published figures


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "options", "rmse", "mae"),
    [
        ("baseline", {}, 0.944, 0.748),
        ("item-knn-rating", {}, 0.9176, 0.7196),
        # Surprise's KNNBaseline as it is by default.
        ("user-knn-rating", {"neighbours": 40, "similarity": "msd", "centre": "baseline"}, 0.931, 0.733),
    ],
)
def test_five_folds_of_ml_100k(name, options, rmse, mae):
    data, found = load_dataset("ml-100k"), []
    task = get_task("rating")()
    for fold in range(5):
        split = with_validation(k_fold_split(data, seed=0, folds=5, fold=fold))
        model = create_model(name, data.num_users, data.num_items, **options)
        model_info(name).solve(model, task.matrix(split.train))
        metrics = build_evaluator(task, model, task.features(model, split, data), split).evaluate("test")
        found.append((metrics["rmse"], metrics["mae"]))
    np.testing.assert_allclose(np.mean(found, axis=0), (rmse, mae), atol=0.0015)
