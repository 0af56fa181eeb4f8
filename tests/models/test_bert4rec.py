"""BERT4Rec: parameters, the block by hand, both directions, padding, the hidden event at the end."""

import keras
import numpy as np
import pytest

from tfzoo.layers.item_table import MASK
from tfzoo.models import create_model
from tfzoo.models.bert4rec import EPSILON, BidirectionalBlock


def small(**options):
    keras.utils.set_random_seed(0)
    model = create_model("bert4rec", 3, 11, **{"history_length": 6, "embedding_dim": 4, **options})
    random = np.random.default_rng(4)
    for weight in model.weights:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    return model


def ask(model, history):
    return {k: v.numpy() for k, v in model({"history": np.array(history, "int32")}, training=False).items()}


def test_the_number_of_parameters_is_that_of_the_authors_code():
    # Their 3,420 tokens are 3,418 items, padding and the hidden event, which has a bias there.
    model = create_model("bert4rec", 1, 3418)
    assert model.count_params() == 339_484 - 1


@pytest.mark.parametrize(("items", "blocks"), [(11, 1), (5, 3)])
def test_the_number_of_parameters_by_the_formula(items, blocks):
    model = create_model("bert4rec", 1, items, history_length=7, embedding_dim=4, blocks=blocks)
    expected = (items + 2) * 4 + 7 * 4 + 2 * 4 + blocks * (12 * 16 + 13 * 4) + 16 + 3 * 4 + items + 1
    assert model.count_params() == expected


def normed(values, layer):
    mean, variance = values.mean(-1, keepdims=True), values.var(-1, keepdims=True)
    return (values - mean) / np.sqrt(variance + EPSILON) * layer.gamma.numpy() + layer.beta.numpy()


def test_a_block_by_hand():
    block = BidirectionalBlock(2)
    random = np.random.default_rng(5)
    hidden = random.normal(size=(1, 4, 6)).astype("float32")
    history = np.array([[0, 3, MASK, 5]], "int32")
    block.build(hidden.shape, history.shape)
    for weight in block.weights:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    attention, x = block.attention, hidden[0]
    q, k, v = (
        x @ getattr(attention, f"{name}_kernel").numpy() + getattr(attention, f"{name}_bias").numpy()
        for name in ("query", "key", "value")
    )
    heads = []
    for part in (slice(0, 3), slice(3, 6)):
        weights = np.exp(q[:, part] @ k[1:, part].T / 3**0.5)
        heads.append(weights / weights.sum(1, keepdims=True) @ v[1:, part])
    dense = {
        one.name: [weight.numpy() for weight in one.weights]
        for one in (block.merge, block.inner, block.outer)
    }
    x = normed(x + np.concatenate(heads, 1) @ dense["merge"][0] + dense["merge"][1], block.attention_norm)
    inner = x @ dense["inner"][0] + dense["inner"][1]
    inner = keras.ops.convert_to_numpy(keras.activations.gelu(inner, approximate=False))
    x = normed(x + inner @ dense["outer"][0] + dense["outer"][1], block.network_norm)
    np.testing.assert_allclose(block(hidden, history)[0], x, rtol=1e-4, atol=1e-5)


def test_events_look_both_ways():
    one, other = ask(small(), [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 9]])["states"]
    assert (np.abs(one - other).max(axis=1) > 1e-4).all()


def test_scores_are_those_of_a_hidden_event_after_the_last_one():
    model = small()
    scores = ask(model, [[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6]])["scores"]
    asked = ask(model, [[1, 2, 3, 4, 5, MASK], [2, 3, 4, 5, 6, MASK]])["states"][:, -1]
    items = model.get_layer("items")
    expected = asked @ items.table.numpy()[:-1].T + items.bias.numpy()
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
    assert scores.shape == (2, 12)


def test_the_hidden_event_has_a_vector_of_its_own():
    model = small()
    table = model.get_layer("items").table
    before = ask(model, [[1, 2, 3, 4, MASK, 6], [1, 2, 3, 4, 5, 6]])["states"]
    changed = table.numpy()
    changed[-1] = [3, -1, 0, 2]
    table.assign(changed)
    after = ask(model, [[1, 2, 3, 4, MASK, 6], [1, 2, 3, 4, 5, 6]])["states"]
    assert np.abs(after[0] - before[0]).max() > 1e-3
    np.testing.assert_array_equal(after[1], before[1])


def test_padding_changes_nothing():
    model = small()
    before = ask(model, [[0, 0, 0, 1, 2, 3]])
    items, places = model.get_layer("items").table, model.get_layer("positions").table
    for table, rows in ((items, 0), (places, slice(0, 2))):
        changed = table.numpy()
        changed[rows] = 100.0
        table.assign(changed)
    after = ask(model, [[0, 0, 0, 1, 2, 3]])
    np.testing.assert_allclose(after["states"][0, 3:], before["states"][0, 3:], atol=1e-5)
    # Row 0 is no item.
    np.testing.assert_allclose(after["scores"][0, 1:], before["scores"][0, 1:], atol=1e-5)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="must divide the width 4"):
        small(heads=3)
