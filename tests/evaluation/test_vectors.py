"""Vectors of items and users, and their projection."""

import keras
import numpy as np
import pytest

from tests.zoo import NUM_ITEMS, NUM_USERS, build
from tfzoo.errors import UsageError
from tfzoo.evaluation.vectors import category, id_vectors, project


def test_vectors_of_towers_are_those_of_their_tables(monkeypatch):
    monkeypatch.setattr("tfzoo.evaluation.vectors.IDS_PER_CALL", 2)
    model = build("pmf")
    for side, count in (("item", NUM_ITEMS), ("user", NUM_USERS)):
        (table,) = model.get_layer(f"{side}_tower").weights
        assert id_vectors(model, None, side, count) == pytest.approx(np.array(table)[1:])


@pytest.mark.parametrize(
    ("name", "layer", "weight", "columns"),
    [
        ("mult-dae", "scores", 0, True),
        ("ease", "item_weights", 0, True),
        ("gru4rec", "item_scores", 0, False),
        ("pure-svd", "item_factors", 0, False),
    ],
)
def test_vectors_of_items_in_the_last_layer(name, layer, weight, columns):
    model = build(name)
    table = keras.ops.convert_to_numpy(model.get_layer(layer).weights[weight])
    expected = table.T[1:] if columns else table[1:]
    assert id_vectors(model, None, "item", NUM_ITEMS) == pytest.approx(expected)
    assert id_vectors(model, None, "user", NUM_USERS) is None


def test_popularity_has_no_vectors():
    assert id_vectors(build("popularity"), None, "item", NUM_ITEMS) is None


def test_a_projection_by_hand():
    # Along (3, 4) / 5 at -2, 0, 2, and across it at 1, -2, 1.
    along, across = np.array([0.6, 0.8]), np.array([-0.8, 0.6])
    vectors = np.outer([-2, 0, 2], along) + np.outer([1, -2, 1], across) / 10 + 7
    places, shares = project(vectors, 2)
    assert places[:, 0] == pytest.approx([-2, 0, 2])
    # The largest weight of a component is positive: (-0.8, 0.6) is drawn as (0.8, -0.6).
    assert places[:, 1] == pytest.approx([-0.1, 0.2, -0.1])
    assert shares == pytest.approx([8 / 8.06, 0.06 / 8.06])


def test_a_projection_keeps_distances_and_does_not_hang_on_signs():
    vectors = np.random.default_rng(0).normal(size=(50, 3))
    places, shares = project(vectors, 3)
    pairs = [np.linalg.norm(table[:, None] - table[None], axis=-1) for table in (vectors, places)]
    assert pairs[0] == pytest.approx(pairs[1])
    assert shares.sum() == pytest.approx(1)
    assert np.all(np.diff(shares) < 0)
    turned, same = project(vectors[::-1], 2)
    assert turned[::-1] == pytest.approx(places[:, :2])
    assert same == pytest.approx(shares[:2])


@pytest.mark.parametrize("dimensions", [2, 3])
def test_wide_tables_are_projected_alike(monkeypatch, dimensions):
    vectors = np.random.default_rng(0).normal(size=(60, 40)) * np.linspace(1, 3, 40)
    places, shares = project(vectors, dimensions)
    monkeypatch.setattr("tfzoo.evaluation.vectors.FULL_DECOMPOSITION", 10)
    again, same = project(vectors, dimensions)
    assert again == pytest.approx(places, abs=1e-8)
    assert same == pytest.approx(shares)
    assert np.array_equal(project(vectors, dimensions)[0], again)


def test_equal_vectors_have_no_variance():
    places, shares = project(np.ones((4, 3)), 2)
    assert places == pytest.approx(np.zeros((4, 2)))
    assert shares.tolist() == [0, 0]


def test_too_few_dimensions_are_refused():
    with pytest.raises(UsageError, match=r"3 dimensions .* shape \(9, 2\)"):
        project(np.ones((9, 2)), 3)
    with pytest.raises(UsageError, match="finite"):
        project(np.full((9, 2), np.nan), 2)


def test_the_category_that_most_items_have():
    features = {
        "title": np.array(["", "A", "B", "C", "D", "E", "F"]),
        "year": np.array([0, 1, 2, 1, 2, 1, 2]),
        "genres": np.array(["", "Comedy|Drama", "Drama", "Comedy|War", "Comedy", "", "War"]),
    }
    name, values = category(features)
    assert name == "genres"
    assert values.tolist() == ["Comedy", "Drama", "Comedy", "Comedy", "", "War"]
    assert category({"title": features["title"]}) is None
    assert category({"one": np.array(["", "x", "x", "x"])}) is None
