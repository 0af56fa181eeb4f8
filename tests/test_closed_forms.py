"""Closed forms outside of runs."""

import numpy as np
import pytest
from scipy import sparse

import tfzoo
from tests.zoo import build, table
from tfzoo.errors import UsageError


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    cells = np.argwhere(random.random((6, 5)) < 0.6) + 1
    return table(*cells.T, random.integers(1, 6, len(cells)).astype("float32"), num_users=6, num_items=5)


def test_a_closed_form_is_solved_from_interactions_and_from_a_matrix(data):
    ones = sparse.csr_matrix((np.ones(len(data)), (data.user_id, data.item_id)), (7, 6))
    models = [tfzoo.fit_closed_form(tfzoo.models.EASE(6, 5, l2=2.0), known) for known in (data, ones)]
    # The regression of each item on the others, solved for one of them.
    known = ones.toarray()[1:, 1:]
    others = known[:, 1:]
    expected = np.linalg.solve(others.T @ others + 2.0 * np.eye(4), others.T @ known[:, 0])
    for model in models:
        np.testing.assert_allclose(model.get_layer("item_weights").kernel[2:, 1], expected, rtol=1e-5)


def test_models_of_ratings_are_solved_from_ratings(data):
    model = tfzoo.fit_closed_form(tfzoo.models.Baseline(6, 5, l2_user=0.0, l2_item=0.0), data)
    predicted = model.predict({"user_id": data.user_id, "item_id": data.item_id}, verbose=0)["rating"]
    assert np.abs(np.bincount(data.item_id, predicted - data.rating)).max() < 0.1


def test_a_model_with_another_name_is_told_by_its_own_and_others_are_refused(data):
    model = tfzoo.models.EASE(6, 5)
    model.name = "mine"
    with pytest.raises(UsageError, match="Unknown model 'mine'"):
        tfzoo.fit_closed_form(model, data)
    assert tfzoo.fit_closed_form(model, data, "ease") is model
    with pytest.raises(UsageError, match="Nothing of 'edrs' is computed in closed form"):
        tfzoo.fit_closed_form(build("edrs"), data)
