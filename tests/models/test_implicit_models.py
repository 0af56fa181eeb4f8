"""Models for implicit feedback: sizes, limiting cases, pre-training, penalties, persistence."""

import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf

from tfzoo.errors import UsageError
from tfzoo.layers import catalogue_scores
from tfzoo.models import create_model, model_info
from tfzoo.models.implicit_mf import count_interactions
from tfzoo.models.ncf import merge_pretrained

MODELS = ("gmf", "mlp", "neumf", "bmf", "bpr-mf")
NUM_USERS, NUM_ITEMS = 7, 5
SIDES = ("user", "item")


def dense(*widths):
    """Return the number of parameters of fully connected layers."""
    return sum(a * b + b for a, b in itertools.pairwise(widths))


# Number of trained parameters, m and n being the numbers of table rows.
PARAMETERS = {
    "gmf": lambda m, n: 8 * (m + n) + 8 + 1,
    "mlp": lambda m, n: 32 * (m + n) + dense(64, 32, 16, 8, 1),
    "neumf": lambda m, n: 40 * (m + n) + dense(64, 32, 16, 8) + 8 + 8 + 1,
    "bmf": lambda m, n: 10 * (m + n),
    "bpr-mf": lambda m, n: 64 * (m + n),
}
# The papers' counts for ML-100K and ML-1M, whose tables have no row for the unknown id.
PUBLISHED = {
    "gmf": ((21_009, 77_977), 8),
    "mlp": ((86_753, 314_625), 32),
    "neumf": ((107_761, 392_601), 40),
    "bmf": ((26_250, 97_460), 10),
}
VARIANTS = {
    **{name: (name, {}) for name in MODELS},
    "gmf, fixed": ("gmf", {"fixed_output": True}),
    "gmf, fixed, biases": ("gmf", {"fixed_output": True, "biases": True}),
    "gmf, biases": ("gmf", {"biases": True, "embedding_l2": 0.1, "embedding_dropout": 0.2}),
    "mlp, biases": ("mlp", {"biases": True, "embedding_l2": 0.1, "dropout": 0.2, "dense_l2": 0.1}),
    "mlp, no layers": ("mlp", {"layers": (8,), "output_bias": False}),
    "neumf, biases": ("neumf", {"biases": True, "embedding_l2": 0.1, "dropout": 0.2, "dense_l2": 0.1}),
    "bmf, exponent": ("bmf", {"frequency_exponent": 1.0, "embedding_dropout": 0.2}),
    "bpr-mf, bias": ("bpr-mf", {"item_bias": True, "embedding_dropout": 0.2}),
}

LOAD_AND_COMPARE = """
import importlib.util, json, sys
from pathlib import Path
from unittest.mock import MagicMock

if importlib.util.find_spec("jax") is None:
    # Keras' NumPy backend borrows convolution and FFT from JAX; nothing here needs them.
    for name in ("jax", "keras.src.backend.jax", "keras.src.backend.jax.math"):
        sys.modules[name] = MagicMock()

import keras
import numpy as np

import tfzoo.layers

assert keras.backend.backend() == "numpy"
differences = {}
for path in sorted(Path(sys.argv[1]).glob("*.keras")):
    model = keras.saving.load_model(path, compile=False)
    arrays = np.load(path.with_suffix(".npz"))
    found = model({"user_id": arrays["user_id"], "item_id": arrays["item_id"]}, training=False)["score"]
    differences[path.stem] = float(np.max(np.abs(found - arrays["score"])))
print(json.dumps(differences))
"""


def build(variant, seed=0, scale=0.5, **options):
    """Build a small model with random weights, biases included."""
    name, defaults = VARIANTS[variant]
    model = create_model(name, NUM_USERS, NUM_ITEMS, **{**defaults, **options})
    random = np.random.default_rng(seed)
    model.set_weights(
        [
            np.abs(random.normal(scale=scale, size=w.shape))
            if w.name == "counts"
            else random.normal(scale=scale, size=w.shape)
            for w in model.weights
        ]
    )
    return model


def all_pairs():
    user, item = np.divmod(np.arange((NUM_USERS + 1) * (NUM_ITEMS + 1)), NUM_ITEMS + 1)
    return {"user_id": tf.constant(user, tf.int32), "item_id": tf.constant(item, tf.int32)}


def score(model, pairs=None):
    return model(pairs or all_pairs(), training=False)["score"].numpy()


def logits(model):
    """Return the unsquashed score of every pair ``[NUM_USERS + 1, NUM_ITEMS + 1]``."""
    vectors = [
        model.get_layer(f"{side}_tower")({f"{side}_id": tf.range(count + 1)}, training=False)
        for side, count in zip(SIDES, (NUM_USERS, NUM_ITEMS), strict=True)
    ]
    return catalogue_scores(model.get_layer("head"), *vectors).numpy()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def table(model, side, name):
    return model.get_layer(f"{side}_tower").get_layer(f"{side}_{name}").get_weights()[0]


# Every model


@pytest.mark.parametrize("variant", VARIANTS)
def test_inputs_and_outputs_are_those_of_the_contract(variant):
    model = build(variant)
    assert {key: (t.name, t.dtype, t.shape) for key, t in model.input.items()} == {
        f"{side}_id": (f"{side}_id", "int32", (None,)) for side in SIDES
    }
    assert {key: (t.dtype, t.shape) for key, t in model.output.items()} == {"score": ("float32", (None,))}
    assert model_info(model.name).task == "implicit"


@pytest.mark.parametrize("variant", VARIANTS)
def test_towers_and_head_compose_to_the_model(variant):
    model = build(variant)
    found = logits(model).ravel()
    names = [layer.name for layer in model.layers]
    assert ("probability" in names) == (model.name != "bpr-mf")
    np.testing.assert_allclose(
        score(model), sigmoid(found) if "probability" in names else found, rtol=1e-4, atol=1e-5
    )
    assert found.std() > 0.05


@pytest.mark.parametrize(("num_users", "num_items"), [(943, 1682), (6040, 3706)])
@pytest.mark.parametrize("name", MODELS)
def test_the_number_of_parameters_is_the_papers(name, num_users, num_items):
    model = create_model(name, num_users, num_items)
    found = sum(math.prod(weight.shape) for weight in model.trainable_variables)
    assert found == PARAMETERS[name](num_users + 1, num_items + 1)
    if name in PUBLISHED:
        counts, width = PUBLISHED[name]
        # Two rows more: those of the unknown user and the unknown item.
        assert found - 2 * width == counts[num_users == 6040]


@pytest.mark.parametrize("name", MODELS)
def test_the_smallest_sizes_build(name):
    ids = tf.constant([0, 1])
    found = create_model(name, 1, 1)({"user_id": ids, "item_id": ids})["score"]
    assert np.isfinite(found.numpy()).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_gradient_reaches_every_weight(variant):
    # Positive weights, so that no relu is closed.
    model = build(variant)
    model.set_weights([np.abs(weight) for weight in model.get_weights()])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(model(all_pairs(), training=True)["score"] - 3.0))
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        values = tf.convert_to_tensor(gradient).numpy()
        assert np.isfinite(values).all(), variable.path
        assert values.any(), variable.path


@pytest.mark.parametrize("name", MODELS)
def test_initial_weights_depend_on_the_seed_alone(name):
    def initial(seed):
        keras.utils.set_random_seed(seed)
        return np.concatenate([w.numpy().ravel() for w in create_model(name, 3, 4).trainable_variables])

    np.testing.assert_array_equal(initial(1), initial(1))
    assert not np.array_equal(initial(1), initial(2))


@pytest.mark.parametrize("variant", VARIANTS)
def test_users_and_items_do_not_start_alike(variant):
    name, options = VARIANTS[variant]
    keras.utils.set_random_seed(5)
    model = create_model(name, 6, 6, **options)
    tables = [weight.numpy() for weight in model.trainable_variables if "embeddings" in weight.name]
    tables = [values for values in tables if values.shape[1] > 1]
    assert len(tables) == (4 if name == "neumf" else 2)
    for one, other in itertools.combinations(tables, 2):
        width = min(one.shape[1], other.shape[1])
        assert not np.isclose(one[:, :width], other[:, :width]).any()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_float16", 0.01), ("mixed_bfloat16", 0.08)])
def test_mixed_precision_gives_float32_near_the_full_result(variant, policy, tolerance):
    expected = score(build(variant))
    keras.config.set_dtype_policy(policy)
    model = build(variant)
    found = score(model)
    assert model.output["score"].dtype == "float32"
    assert found.dtype == np.float32
    assert {weight.dtype for weight in model.weights} == {"float32"}
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_saved_models_give_the_same_scores_in_a_new_process_without_tensorflow(tmp_path):
    pairs = all_pairs()
    for variant in VARIANTS:
        model = build(variant)
        path = tmp_path / f"{variant}.keras"
        model.save(path)
        found = score(model)
        assert found.std() > 1e-2
        restored = keras.saving.load_model(path, compile=False)
        np.testing.assert_array_equal(score(restored), found)
        arrays = {key: value.numpy() for key, value in pairs.items()}
        np.savez(path.with_suffix(".npz"), score=found, **arrays)
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", LOAD_AND_COMPARE, str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": "numpy", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == pytest.approx(dict.fromkeys(VARIANTS, 0), abs=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_tells_positives_from_negatives(variant):
    name, options = VARIANTS[variant]
    if name != "bmf":
        options = {**options, "embedding_l2": 0.0}
    if "dense_l2" in options:
        options = {**options, "dense_l2": 0.0, "dropout": 0.0}
    keras.utils.set_random_seed(3)
    model = create_model(name, NUM_USERS, NUM_ITEMS, **options)
    pairs = all_pairs()
    known = tf.cast((pairs["user_id"] > 0) & (pairs["item_id"] > 0), tf.float32)
    label = tf.cast(pairs["user_id"] % 2 == pairs["item_id"] % 2, tf.float32)
    optimizer = keras.optimizers.Adam(0.03)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            found = model(pairs, training=True)["score"]
            error = tf.square(found - label) * known
            loss = tf.reduce_mean(error) + 0.001 * sum(model.losses, tf.constant(0.0))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    def margin():
        found, right = score(model)[known.numpy() > 0], label.numpy()[known.numpy() > 0] > 0
        return found[right].min() - found[~right].max()

    if variant == "mlp, no layers":
        # Embeddings that are only added cannot interact: the best is popularity.
        for _ in range(150):
            step()
        assert margin() < 0
        return
    assert margin() < 0.1
    for _ in range(150):
        step()
    assert margin() > 0.3


# NCF


@pytest.mark.parametrize("name", ["gmf", "mlp", "neumf"])
def test_before_training_all_scores_are_near_that_of_the_output_bias(name):
    keras.utils.set_random_seed(0)
    model = create_model(name, 300, 200)
    random = np.random.default_rng(0)
    ids = {
        "user_id": tf.constant(random.integers(1, 301, 2000), tf.int32),
        "item_id": tf.constant(random.integers(1, 201, 2000), tf.int32),
    }
    found = score(model, ids)
    np.testing.assert_allclose(found, 0.5, atol=2e-3)
    assert found.std() > 0
    # Binary cross-entropy with four negatives a positive starts at ln 2, whatever the labels.
    assert -np.mean(0.2 * np.log(found) + 0.8 * np.log(1 - found)) == pytest.approx(math.log(2), abs=1e-3)
    output = model.get_layer("head").get_layer("output")
    output.set_weights([output.get_weights()[0], np.float32([1.5])])
    np.testing.assert_allclose(score(model, ids), sigmoid(1.5), atol=2e-3)


@pytest.mark.parametrize(("name", "fan_in"), [("gmf", 8), ("mlp", 8), ("neumf", 16)])
def test_the_output_unit_starts_from_lecun_uniform(name, fan_in):
    kernels = []
    for seed in range(20):
        keras.utils.set_random_seed(seed)
        output = create_model(name, 2, 2).get_layer("head").get_layer("output")
        kernel, bias = output.get_weights()
        assert kernel.shape == (fan_in, 1)
        assert not bias.any()
        kernels.append(kernel)
    limit = math.sqrt(3 / fan_in)
    assert 0.9 * limit < np.abs(kernels).max() <= limit


def test_gmf_with_a_weight_of_one_is_matrix_factorisation():
    gmf, mf = build("gmf"), build("gmf, fixed")
    gmf.get_layer("head").get_layer("output").set_weights([np.ones((8, 1)), np.zeros(1)])
    for side in SIDES:
        mf.get_layer(f"{side}_tower").set_weights(gmf.get_layer(f"{side}_tower").get_weights())
    expected = table(gmf, "user", "gmf") @ table(gmf, "item", "gmf").T
    np.testing.assert_allclose(logits(gmf), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(logits(mf), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(score(mf), sigmoid(expected).ravel(), rtol=1e-5)
    assert len(mf.weights) == 2


def test_biased_matrix_factorisation_by_numpy():
    model = build("gmf, fixed, biases")
    user, item = (table(model, side, "gmf") for side in SIDES)
    user_bias, item_bias = (table(model, side, "bias") for side in SIDES)
    np.testing.assert_allclose(logits(model), user @ item.T + user_bias + item_bias.T, rtol=1e-5, atol=1e-5)


def test_mlp_by_numpy():
    model = build("mlp", layers=(6, 4, 3))
    user, item = (table(model, side, "mlp") for side in SIDES)
    head = model.get_layer("head")
    hidden = np.concatenate(
        [np.repeat(user, NUM_ITEMS + 1, axis=0), np.tile(item, (NUM_USERS + 1, 1))], axis=1
    )
    for name in ("hidden_1", "hidden_2"):
        kernel, bias = head.get_layer(name).get_weights()
        hidden = np.maximum(hidden @ kernel + bias, 0)
    kernel, bias = head.get_layer("output").get_weights()
    np.testing.assert_allclose(score(model), sigmoid(hidden @ kernel + bias)[:, 0], rtol=1e-5)


@pytest.mark.parametrize("layers", [(), (7, 4), (0, 2), (1,)])
def test_an_odd_width_of_the_concatenation_is_refused(layers):
    for name in ("mlp", "neumf"):
        with pytest.raises(UsageError, match="an even number"):
            create_model(name, 2, 2, layers=layers)


def test_neumf_needs_a_hidden_layer():
    with pytest.raises(UsageError, match="at least one hidden layer"):
        create_model("neumf", 2, 2, layers=(8,))


@pytest.mark.parametrize("name", ["gmf", "mlp", "neumf", "bpr-mf"])
def test_l2_is_on_the_looked_up_rows(name):
    model = create_model(name, NUM_USERS, NUM_ITEMS, embedding_l2=0.5)
    tables = [
        [weight.numpy() for weight in model.get_layer(f"{side}_tower").trainable_variables] for side in SIDES
    ]
    user_id, item_id = [3, 3, 0], [1, 0, 2]
    model({"user_id": tf.constant(user_id), "item_id": tf.constant(item_id)})
    expected = sum(0.5 * np.square(values[3]).sum() for values in tables[0])
    expected += sum(0.5 * np.square(values[[1, 2]]).sum() / 2 for values in tables[1])
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


# Pre-training of NeuMF


@pytest.mark.parametrize("options", [{}, {"biases": True}, {"output_bias": False}], ids=str)
@pytest.mark.parametrize("alpha", [0.5, 0.0, 0.3, 1.0])
def test_the_merged_logit_is_the_mix_of_the_pretrained_logits(alpha, options):
    gmf, mlp = build("gmf", 1, **options), build("mlp", 2, **options)
    neumf = build("neumf", 3, **options)
    assert merge_pretrained(neumf, gmf, mlp, alpha) is neumf
    expected = alpha * logits(gmf) + (1 - alpha) * logits(mlp)
    assert expected.std() > 0.1
    np.testing.assert_allclose(logits(neumf), expected, rtol=1e-4, atol=1e-4)


def test_pretrained_models_are_left_alone():
    gmf, mlp = build("gmf", 1), build("mlp", 2)
    before = [weight.copy() for model in (gmf, mlp) for weight in model.get_weights()]
    merge_pretrained(build("neumf"), gmf, mlp)
    for found, expected in zip([*gmf.get_weights(), *mlp.get_weights()], before, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("gmf", "mlp", "message"),
    [
        ({"embedding_dim": 4}, {}, r"'user_tower' .* \[\(8, 8\)\] .* give \[\(8, 4\)\]"),
        ({}, {"layers": (32, 32, 16, 8)}, r"\(8, 32\).*\(8, 16\)"),
        ({}, {"layers": (64, 32, 16)}, "'mlp' has no layer 'hidden_3'"),
        ({}, {"layers": (64, 32, 16, 8, 8)}, "'neumf' has no layer 'hidden_4'"),
        ({}, {"layers": (64, 16, 16, 8)}, r"'head' .*\(64, 32\)"),
        ({"fixed_output": True}, {}, "both have an output bias"),
        ({"output_bias": False}, {}, "both have an output bias"),
        ({"output_bias": False}, {"output_bias": False}, r"'head' .* in 'output'"),
    ],
)
def test_models_that_do_not_fit_are_refused_and_nothing_changes(gmf, mlp, message):
    neumf = build("neumf")
    before = [weight.copy() for weight in neumf.get_weights()]
    with pytest.raises(UsageError, match=message):
        merge_pretrained(neumf, build("gmf", **gmf), build("mlp", **mlp))
    for found, expected in zip(neumf.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_biases_of_users_and_items_cannot_come_from_models_without_them():
    with pytest.raises(UsageError, match="'gmf' has no layer 'user_bias'"):
        merge_pretrained(build("neumf, biases"), build("gmf"), build("mlp"))


def test_models_in_the_wrong_order_are_refused():
    with pytest.raises(UsageError, match="NeuMF, GMF and MLP, in this order"):
        merge_pretrained(build("neumf"), build("mlp"), build("gmf"))


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_a_share_outside_zero_and_one_is_refused(alpha):
    with pytest.raises(UsageError, match=r"must lie in \[0, 1\]"):
        merge_pretrained(build("neumf"), build("gmf"), build("mlp"), alpha)


# BMF and BPR-MF


@pytest.mark.parametrize(("exponent", "shares"), [(0.5, (1 / 2, 1)), (1.0, (1 / 4, 1))])
def test_bmf_charges_by_frequency(exponent, shares):
    model = create_model("bmf", NUM_USERS, NUM_ITEMS, embedding_l2=0.2, frequency_exponent=exponent)
    matrix = np.zeros((NUM_USERS + 1, NUM_ITEMS + 1), np.float32)
    # User 2 has four interactions, item 5 has one.
    matrix[2, [1, 2, 3, 5]] = matrix[3, [1, 2]] = 1
    solve = model_info("bmf").solve
    assert solve is count_interactions
    solve(model, scipy.sparse.csr_matrix(matrix))
    model({"user_id": tf.constant([2]), "item_id": tf.constant([5])})
    rows = (table(model, "user", "embedding")[2], table(model, "item", "embedding")[5])
    expected = sum(share * 0.2 / 2 * np.square(row).sum() for share, row in zip(shares, rows, strict=True))
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    for side, axis in (("user", 1), ("item", 0)):
        counts = model.get_layer(f"{side}_tower").get_layer(f"{side}_penalty").counts
        np.testing.assert_array_equal(counts, matrix.sum(axis=axis))


def test_bmf_takes_the_step_of_the_authors_code():
    # p += eta ((r - s) q - lambda / sqrt(n) p), for one pair.
    model = build("bmf", embedding_l2=0.3)
    matrix = scipy.sparse.csr_matrix(np.ones((NUM_USERS + 1, NUM_ITEMS + 1), np.float32))
    count_interactions(model, matrix)
    p, q = (table(model, side, "embedding")[row] for side, row in (("user", 4), ("item", 3)))
    s = sigmoid(p @ q)
    with tf.GradientTape() as tape:
        found = model({"user_id": tf.constant([4]), "item_id": tf.constant([3])}, training=True)["score"]
        loss = -tf.math.log(found[0]) + sum(model.losses)
    gradients = [tf.convert_to_tensor(g).numpy() for g in tape.gradient(loss, model.trainable_variables)]
    expected = (s - 1) * q + 0.3 / math.sqrt(NUM_ITEMS + 1) * p
    np.testing.assert_allclose(gradients[0][4], expected, rtol=1e-4)
    expected = (s - 1) * p + 0.3 / math.sqrt(NUM_USERS + 1) * q
    np.testing.assert_allclose(gradients[1][3], expected, rtol=1e-4)
    assert np.count_nonzero(gradients[0].any(axis=1)) == np.count_nonzero(gradients[1].any(axis=1)) == 1


def test_bmf_starts_at_ln_two():
    keras.utils.set_random_seed(0)
    found = score(create_model("bmf", NUM_USERS, NUM_ITEMS))
    assert -np.mean(np.log(found)) == pytest.approx(math.log(2), abs=0.02)


@pytest.mark.parametrize("name", ["bmf", "bpr-mf"])
def test_the_factors_are_multiplied_and_summed(name):
    model = build(name)
    expected = table(model, "user", "embedding") @ table(model, "item", "embedding").T
    np.testing.assert_allclose(logits(model), expected, rtol=1e-4, atol=1e-5)


def test_bpr_with_an_item_bias():
    model = build("bpr-mf, bias")
    expected = table(model, "user", "embedding") @ table(model, "item", "embedding").T
    expected = expected + table(model, "item", "bias").T
    np.testing.assert_allclose(score(model), expected.ravel(), rtol=1e-4, atol=1e-5)
    widths = [model.get_layer(f"{side}_tower").output_shape[-1] for side in SIDES]
    assert widths == [64, 65]
