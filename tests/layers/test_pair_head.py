"""Towers and heads of pair models against NumPy and against single pairs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tfzoo.layers import (
    catalogue_scores,
    dot_pair_head,
    factor_tower,
    gmf_head,
    implicit_model,
    mlp_pair_head,
    neumf_head,
)

USERS, ITEMS, CANDIDATES = 4, 7, 3
HEADS = {
    "dot": lambda: dot_pair_head(6),
    "dot, biases": lambda: dot_pair_head(6, biases=True),
    "dot, item bias": lambda: dot_pair_head(6, item_bias=True),
    "gmf": lambda: gmf_head(6),
    "gmf, biases": lambda: gmf_head(6, biases=True),
    "gmf, no output bias": lambda: gmf_head(6, output_bias=False),
    "mlp": lambda: mlp_pair_head(6, 5, units=(8, 3)),
    "mlp, biases": lambda: mlp_pair_head(6, 5, units=(8, 3), biases=True),
    "mlp, no layers": lambda: mlp_pair_head(6, 5, units=()),
    "mlp, dropout": lambda: mlp_pair_head(6, 5, units=(8, 3), dropout=0.5),
    "neumf": lambda: neumf_head(2, 4, units=(8, 3)),
    "neumf, biases": lambda: neumf_head(2, 4, units=(8, 3), biases=True),
}
PRODUCTS = [name for name in HEADS if name.startswith(("dot", "gmf"))]


def randomise(model, seed=0):
    """Give every weight, biases included, a random value."""
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(size=weight.shape) for weight in model.weights])
    return model


def widths(head):
    return [head.input[f"{side}_vector"].shape[-1] for side in ("user", "item")]


def random_vectors(head, seed=1):
    """Return user vectors ``[USERS, wu]`` and item vectors ``[ITEMS, wi]``."""
    random = np.random.default_rng(seed)
    user_width, item_width = widths(head)
    return (
        tf.constant(random.normal(size=(USERS, user_width)), tf.float32),
        tf.constant(random.normal(size=(ITEMS, item_width)), tf.float32),
    )


def pairwise(head, users, items):
    """Score every user with every item, each pair by itself."""
    scores = [
        [float(head({"user_vector": u[None, None], "item_vector": i[None, None]})[0, 0]) for i in items]
        for u in users
    ]
    return np.array(scores)


def relu(x):
    return np.maximum(x, 0)


def numpy_logits(head, users, items, units, factors=0, biases=False):
    """Work out a head on the concatenation of all pairs, from its weights by name."""
    if biases:
        offset = users[:, None, -1] + items[None, :, -1]
        users, items = users[:, :-1], items[:, :-1]
    product = users[:, None, :factors] * items[None, :, :factors]
    users, items = users[:, factors:], items[:, factors:]
    hidden = np.concatenate(
        [
            np.broadcast_to(users[:, None], (len(users), len(items), users.shape[1])),
            np.broadcast_to(items[None], (len(users), len(items), items.shape[1])),
        ],
        axis=-1,
    )
    for number in range(1, units + 1):
        kernel, bias = head.get_layer(f"hidden_{number}").get_weights()
        hidden = relu(hidden @ kernel + bias)
    kernel, bias = head.get_layer("output").get_weights()
    logits = (np.concatenate([product, hidden], axis=-1) @ kernel + bias)[..., 0]
    return logits + offset if biases else logits


# Towers


def test_a_tower_puts_its_tables_side_by_side():
    tower = randomise(factor_tower("item", 4, {"a": 3, "b": 2}, initial_stddev=0.1, bias=True))
    tables = [tower.get_layer(f"item_{name}").get_weights()[0] for name in ("a", "b", "bias")]
    assert [table.shape for table in tables] == [(5, 3), (5, 2), (5, 1)]
    ids = [2, 0, 4, 2]
    found = tower({"item_id": tf.constant(ids)})
    np.testing.assert_array_equal(found, np.concatenate(tables, axis=1)[ids])


def test_tables_of_a_tower_start_differently():
    keras.utils.set_random_seed(1)
    tower = factor_tower("user", 2000, {"a": 3, "b": 3}, initial_stddev=0.02, bias=True)
    a, b, bias = (tower.get_layer(f"user_{name}").get_weights()[0] for name in ("a", "b", "bias"))
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.05
    for table in (a, b):
        assert table.std() == pytest.approx(0.02, rel=0.03)
        assert abs(table.mean()) < 0.001
    assert not bias.any()


@pytest.mark.parametrize("exponent", [None, 1.0])
def test_a_tower_charges_all_its_tables(exponent):
    tower = randomise(
        factor_tower(
            "user",
            3,
            {"a": 3, "b": 2},
            initial_stddev=0.1,
            embedding_l2=0.5,
            frequency_exponent=exponent,
            bias=True,
        )
    )
    if exponent:
        tower.get_layer("user_penalty").counts.assign([1, 2, 4, 8])
    vectors = tower({"user_id": tf.constant([3, 0, 1])}).numpy()
    share = np.array([1 / 16, 1 / 4]) if exponent else np.ones(2)
    expected = 0.5 * np.mean(share * np.square(vectors[[0, 2]]).sum(axis=1))
    assert float(sum(tower.losses)) == pytest.approx(expected, rel=1e-5)


def test_dropout_of_a_tower_acts_in_training_alone_and_spares_the_bias():
    tower = randomise(factor_tower("user", 3, {"a": 50}, initial_stddev=1, embedding_dropout=0.5, bias=True))
    ids = {"user_id": tf.constant([1, 2, 3])}
    still, noisy = tower(ids, training=False).numpy(), tower(ids, training=True).numpy()
    np.testing.assert_array_equal(noisy[:, -1], still[:, -1])
    dropped = noisy[:, :-1] == 0
    assert 0.3 < dropped.mean() < 0.7
    np.testing.assert_allclose(noisy[:, :-1][~dropped], 2 * still[:, :-1][~dropped], rtol=1e-6)


# Heads


@pytest.mark.parametrize("name", HEADS)
def test_catalogue_scores_are_those_of_the_pairs(name):
    head = randomise(HEADS[name]())
    users, items = random_vectors(head)
    expected = pairwise(head, users, items)
    assert expected.std() > 0.1
    found = catalogue_scores(head, users, items)
    assert found.shape == (USERS, ITEMS)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", HEADS)
def test_candidates_of_each_user_are_scored_like_the_catalogue(name):
    head = randomise(HEADS[name]())
    users, items = random_vectors(head)
    chosen = np.random.default_rng(0).integers(0, ITEMS, (USERS, CANDIDATES))
    found = head({"user_vector": users[:, None], "item_vector": tf.gather(items, chosen)})
    assert found.shape == (USERS, CANDIDATES)
    expected = np.take_along_axis(catalogue_scores(head, users, items).numpy(), chosen, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("name", HEADS)
def test_catalogue_scores_in_a_compiled_function(name, jit_compile):
    head = randomise(HEADS[name]())
    users, items = random_vectors(head)
    signature = [tf.TensorSpec([None, width]) for width in widths(head)]

    def score(user, item):
        return catalogue_scores(head, user, item)

    compiled = tf.function(score, input_signature=signature, jit_compile=jit_compile)
    np.testing.assert_allclose(compiled(users, items), score(users, items), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_with_a_catalogue_need_no_tensor_of_users_items_and_width(name):
    head = HEADS[name]()
    specs = [tf.TensorSpec([size, width]) for size, width in zip((80, 90), widths(head), strict=True)]
    function = tf.function(lambda user, item: catalogue_scores(head, user, item)).get_concrete_function(
        *specs
    )
    shapes = [tensor.shape for op in function.graph.get_operations() for tensor in op.outputs]
    assert tf.TensorShape([80, 90]) in shapes
    assert max(shape.num_elements() for shape in shapes) == 80 * 90


def test_dot_head_by_numpy():
    for biases, item_bias in ((False, False), (True, False), (False, True)):
        head = dot_pair_head(6, biases=biases, item_bias=item_bias)
        users, items = (vectors.numpy() for vectors in random_vectors(head))
        expected = users[:, :5] @ items[:, :5].T
        if biases:
            expected = expected + users[:, 5:] + items[:, 5]
        elif item_bias:
            expected = expected + items[:, 5]
        else:
            expected = users @ items.T
        np.testing.assert_allclose(catalogue_scores(head, users, items), expected, rtol=1e-5, atol=1e-5)
        assert head.weights == []


def test_both_kinds_of_bias_are_refused():
    with pytest.raises(ValueError, match="Only one of"):
        dot_pair_head(4, biases=True, item_bias=True)


@pytest.mark.parametrize(
    ("name", "units", "factors", "biases"),
    [
        ("gmf", 0, 6, False),
        ("gmf, biases", 0, 5, True),
        ("mlp", 2, 0, False),
        ("mlp, biases", 2, 0, True),
        ("mlp, no layers", 0, 0, False),
        ("neumf", 2, 2, False),
        ("neumf, biases", 2, 2, True),
    ],
)
def test_heads_by_numpy(name, units, factors, biases):
    head = randomise(HEADS[name]())
    users, items = (vectors.numpy() for vectors in random_vectors(head))
    expected = numpy_logits(head, users, items, units, factors, biases)
    np.testing.assert_allclose(catalogue_scores(head, users, items), expected, rtol=1e-4, atol=1e-4)


def test_neumf_without_hidden_layers_is_refused():
    with pytest.raises(ValueError, match="at least one hidden layer"):
        neumf_head(2, 4, units=())


def test_l2_of_heads_is_on_the_kernels_of_hidden_layers():
    for head in (
        mlp_pair_head(6, 5, units=(8, 3), dense_l2=0.1),
        neumf_head(2, 4, units=(8, 3), dense_l2=0.1),
    ):
        randomise(head)
        kernels = [head.get_layer(f"hidden_{number}").get_weights()[0] for number in (1, 2)]
        expected = 0.1 * sum(np.square(kernel).sum() for kernel in kernels)
        assert float(sum(head.losses)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", HEADS)
def test_heads_are_float32_under_mixed_precision(name, policy):
    exact = randomise(HEADS[name]())
    users, items = random_vectors(exact)
    keras.config.set_dtype_policy(policy)
    head = randomise(HEADS[name]())
    found = catalogue_scores(head, users, items)
    assert head.output.dtype == "float32"
    assert found.dtype == tf.float32
    scale = np.abs(catalogue_scores(exact, users, items)).max()
    expected = catalogue_scores(exact, users, items)
    np.testing.assert_allclose(found, expected, atol=scale * (0.01 if policy == "mixed_float16" else 0.05))


@pytest.mark.parametrize("name", HEADS)
def test_heads_survive_a_file(name, tmp_path):
    head = randomise(HEADS[name]())
    head.save(tmp_path / "head.keras")
    restored = keras.saving.load_model(tmp_path / "head.keras")
    users, items = random_vectors(head)
    expected = catalogue_scores(head, users, items)
    np.testing.assert_array_equal(catalogue_scores(restored, users, items), expected)


# Models


@pytest.mark.parametrize("probability", [False, True])
def test_a_model_joins_towers_and_head(probability):
    towers = [randomise(factor_tower(side, 5, {"a": 4}, initial_stddev=1)) for side in ("user", "item")]
    model = implicit_model(*towers, dot_pair_head(4), name="joined", probability=probability)
    assert model.name == "joined"
    assert model.output["score"].dtype == "float32"
    assert model.output["score"].shape == (None,)
    assert ("probability" in [layer.name for layer in model.layers]) == probability
    user_id, item_id = np.array([1, 0, 5]), np.array([2, 3, 5])
    logit = np.sum(towers[0].get_weights()[0][user_id] * towers[1].get_weights()[0][item_id], axis=1)
    expected = 1 / (1 + np.exp(-logit)) if probability else logit
    found = model({"user_id": tf.constant(user_id), "item_id": tf.constant(item_id)})
    np.testing.assert_allclose(ops.convert_to_numpy(found["score"]), expected, rtol=1e-5)
