"""Models for implicit feedback: contract, size, gradients, precision, persistence, training."""

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
import tensorflow as tf

from tests.patience import PATIENCE
from tfzoo.layers import catalogue_scores
from tfzoo.models import create_model, model_info

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

import tfzoo

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
    # Small positive weights, so that no relu is closed and no sigmoid saturated.
    model = build(variant, scale=0.1)
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


@pytest.mark.slow
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
        timeout=PATIENCE,
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
