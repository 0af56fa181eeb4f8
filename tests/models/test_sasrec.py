"""SASRec: parameters, causality, padding, limits."""

import keras
import numpy as np
import pytest

from tfzoo.models import create_model


def small(items=11, length=6, **options):
    keras.utils.set_random_seed(0)
    return create_model("sasrec", 3, items, history_length=length, embedding_dim=4, **options)


def states(model, history):
    return model({"history": np.array(history, "int32")}, training=False)["states"].numpy()


@pytest.mark.parametrize(("items", "length", "expected"), [(3416, 200, 206_850), (57_289, 50, 2_893_000)])
def test_the_number_of_parameters_is_that_of_the_authors_code(items, length, expected):
    model = create_model("sasrec", 1, items, history_length=length)
    assert sum(np.prod(variable.shape) for variable in model.trainable_variables) == expected


@pytest.mark.parametrize("residual", ["normed", "plain"])
@pytest.mark.parametrize("heads", [1, 2])
def test_a_later_event_changes_no_earlier_state(residual, heads):
    model = small(residual=residual, heads=heads)
    one, other = states(model, [[0, 1, 2, 3, 4, 5]])[0], states(model, [[0, 1, 2, 3, 9, 5]])[0]
    np.testing.assert_allclose(one[:4], other[:4], atol=1e-6)
    assert np.abs(one[4:] - other[4:]).max() > 1e-3


def test_padding_is_attended_to_by_nobody():
    model = small()
    before = states(model, [[0, 0, 0, 1, 2, 3]])[0, 3:]
    table = model.get_layer("items").table
    changed = table.numpy()
    changed[0] = 100.0
    table.assign(changed)
    np.testing.assert_allclose(states(model, [[0, 0, 0, 1, 2, 3]])[0, 3:], before, atol=1e-5)


def test_scores_are_inner_products_of_the_last_state():
    model = small()
    history = np.array([[0, 0, 1, 2, 3, 4], [5, 6, 7, 8, 9, 10]], "int32")
    outputs = model({"history": history}, training=False)
    table = model.get_layer("items").table.numpy()
    np.testing.assert_allclose(
        outputs["scores"], outputs["states"].numpy()[:, -1] @ table.T, rtol=1e-5, atol=1e-5
    )


def test_without_blocks_only_the_last_event_counts():
    model = small(blocks=0)
    one, other = (states(model, [[*start, 3]])[0, -1] for start in ([0, 0, 1, 2, 9], [4, 5, 6, 7, 8]))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_attention_by_hand():
    model = small(blocks=1)
    layer = model.get_layer("attention_1")
    random = np.random.default_rng(0)
    queries, keys = random.normal(size=(2, 1, 6, 4)).astype("float32")
    history = np.array([[0, 0, 1, 2, 3, 4]], "int32")
    q, k, v = (
        source[0] @ getattr(layer, f"{name}_kernel").numpy() + getattr(layer, f"{name}_bias").numpy()
        for source, name in ((queries, "query"), (keys, "key"), (keys, "value"))
    )
    expected = np.zeros((6, 4))
    for at in range(2, 6):
        weights = np.exp(k[2 : at + 1] @ q[at] / 2)
        expected[at] = weights / weights.sum() @ v[2 : at + 1]
    np.testing.assert_allclose(layer(queries, keys, history)[0], expected, rtol=1e-4, atol=1e-5)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="must divide the width 4"):
        small(heads=3)
