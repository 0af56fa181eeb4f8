"""Every reconstruction model by its contract; CDAE, Mult-VAE and Mult-DAE by formulas and limits."""

import inspect
import math
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from tests.patience import PATIENCE
from tfzoo.errors import UsageError
from tfzoo.models import create_model, model_info

USERS, ITEMS = 12, 9
MODELS = {
    "cdae": ("cdae", {}),
    "cdae tied and scaled": ("cdae", {"tied": True, "user_scaling": True, "scaled": False}),
    "cdae without user": ("cdae", {"user_node": False, "hidden_activation": "tanh"}),
    "cdae of users": ("cdae", {"corruption": 1.0, "hidden_activation": "linear"}),
    "mult-vae": ("mult-vae", {"hidden_units": (8, 6), "latent_dim": 4, "total_anneal_steps": 10}),
    "mult-dae": ("mult-dae", {"hidden_units": (8,), "latent_dim": 4}),
    "ease": ("ease", {"l2": 2.0}),
    "item-knn": ("item-knn", {"neighbours": 3, "weighting": "bm25", "popularity_tiebreak": True}),
    "popularity": ("popularity", {}),
}
every_model = pytest.mark.parametrize("key", MODELS)


def interactions():
    """Return a random matrix of ones with an empty row and column for the unknown ids."""
    dense = (np.random.default_rng(0).random((USERS + 1, ITEMS + 1)) < 0.4).astype(np.float32)
    dense[0], dense[:, 0] = 0, 0
    return sparse.csr_matrix(dense)


def inputs_of(model, rows, user_ids=None):
    values = {"user_row": rows, "user_id": np.arange(len(rows)) if user_ids is None else user_ids}
    return {key: tf.constant(values[key], tensor.dtype) for key, tensor in model.input.items()}


def score(model, rows, user_ids=None, training=False):
    return model(inputs_of(model, rows, user_ids), training=training)["scores"].numpy()


def build(name, seed=0, scale=0.5, **options):
    """Build a small model; trained weights are random, biases included, the others are solved."""
    model = create_model(name, USERS, ITEMS, **options)
    random = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        weight.assign(random.normal(scale=scale, size=weight.shape))
    if model_info(name).solve is not None:
        model_info(name).solve(model, interactions())
    return model


def build_key(key):
    name, options = MODELS[key]
    return build(name, **options)


def weights(model, layer):
    return model.get_layer(layer).get_weights()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


ROWS = interactions().toarray()


# Every model


@every_model
def test_inputs_and_outputs_are_those_of_the_task(key):
    model = build_key(key)
    name, options = MODELS[key]
    assert model_info(name).task == "reconstruction"
    asks_for_users = name == "cdae" and (options.get("user_node", True) or options.get("user_scaling"))
    expected = {"user_row": ("float32", (None, ITEMS + 1))}
    if asks_for_users:
        expected["user_id"] = ("int32", (None,))
    assert {k: (tensor.dtype, tensor.shape) for k, tensor in model.input.items()} == expected
    assert [tensor.name for tensor in model.input.values()] == list(expected)
    assert {k: (tensor.dtype, tensor.shape) for k, tensor in model.output.items()} == {
        "scores": ("float32", (None, ITEMS + 1))
    }


@every_model
def test_every_user_is_scored_by_himself(key):
    model = build_key(key)
    together = score(model, ROWS)
    assert together.std() > 1e-3
    for user in (0, 3, USERS):
        alone = score(model, ROWS[[user]], [user])
        np.testing.assert_allclose(alone[0], together[user], rtol=1e-5, atol=1e-6)


@every_model
def test_the_smallest_sizes_build(key):
    name, options = MODELS[key]
    model = create_model(name, 1, 1, **options)
    if model_info(name).solve is not None:
        model_info(name).solve(model, sparse.csr_matrix(np.array([[0, 0], [0, 1]], np.float32)))
    assert np.isfinite(score(model, np.array([[0, 0], [0, 1]]))).all()


@every_model
def test_a_saved_model_gives_the_same_scores(key, tmp_path):
    model = build_key(key)
    model.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(score(restored, ROWS), score(model, ROWS))
    assert len(restored.weights) == len(model.weights)
    if MODELS[key][0] in ("ease", "item-knn"):
        assert restored.get_layer("item_weights").settings == model.get_layer("item_weights").settings


NUMPY_BACKEND = """
import importlib.util, sys
from pathlib import Path
from unittest.mock import MagicMock

if importlib.util.find_spec("jax") is None:
    # Keras' NumPy backend borrows convolution and FFT from JAX. A stand-in for them gives no
    # numbers, so a model that needs them fails below.
    for name in ("jax", "keras.src.backend.jax", "keras.src.backend.jax.math"):
        sys.modules[name] = MagicMock()

import keras
import numpy as np

import tfzoo

assert keras.backend.backend() == "numpy" and "tensorflow" not in sys.modules
for path in sorted(Path(sys.argv[1]).glob("*.keras")):
    model = keras.saving.load_model(path, compile=False)
    arrays = np.load(path.with_suffix(".npz"))
    found = model({key: arrays[key] for key in model.input}, training=False)["scores"]
    np.testing.assert_allclose(found, arrays["scores"], rtol=1e-5, atol=1e-5, err_msg=path.stem)
    print(path.stem)
"""


def test_the_numpy_backend_gives_the_same_scores_in_a_new_process(tmp_path):
    for key in MODELS:
        model = build_key(key)
        model.save(tmp_path / f"{key}.keras")
        arrays = {k: value.numpy() for k, value in inputs_of(model, ROWS).items()}
        np.savez(tmp_path / f"{key}.npz", scores=score(model, ROWS), **arrays)
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", NUMPY_BACKEND, str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": "numpy", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert set(done.stdout.splitlines()) == set(MODELS)


@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_float16", 0.01), ("mixed_bfloat16", 0.1)])
@every_model
def test_mixed_precision_gives_float32_near_the_full_result(key, policy, tolerance):
    expected = score(build_key(key), ROWS)
    keras.config.set_dtype_policy(policy)
    model = build_key(key)
    found = score(model, ROWS)
    assert not ROWS[0].any()
    assert np.isfinite(found).all()
    assert found.dtype == np.float32
    assert {weight.dtype for weight in model.weights} == {"float32"}
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@every_model
def test_a_training_step_compiles(key):
    model = build_key(key)
    step = tf.function(
        lambda inputs: (model(inputs, training=True)["scores"], sum(model.losses, tf.constant(0.0))),
        autograph=False,
        jit_compile=True,
    )
    scores, penalty = step(inputs_of(model, ROWS))
    assert model.supports_jit
    assert scores.shape == ROWS.shape
    assert np.isfinite(scores).all()
    assert np.isfinite(penalty)


@pytest.mark.parametrize("key", ["cdae", "cdae tied and scaled", "cdae without user", "mult-vae", "mult-dae"])
def test_a_gradient_reaches_every_weight(key):
    keras.utils.set_random_seed(0)
    model = build_key(key)
    inputs = inputs_of(model, np.ones((USERS + 1, ITEMS + 1)))
    with tf.GradientTape() as tape:
        scores = model(inputs, training=True)["scores"]
        loss = tf.reduce_sum(tf.square(scores - 3.0))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert len(gradients) >= 4
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        values = tf.convert_to_tensor(gradient).numpy()
        assert np.isfinite(values).all(), variable.path
        assert values.any(), variable.path


@pytest.mark.parametrize("name", ["cdae", "mult-vae", "mult-dae"])
def test_initial_weights_depend_on_the_seed_alone(name):
    def initial(seed):
        keras.utils.set_random_seed(seed)
        return np.concatenate([weight.ravel() for weight in create_model(name, 3, 4).get_weights()])

    np.testing.assert_array_equal(initial(1), initial(1))
    assert not np.array_equal(initial(1), initial(2))


@pytest.mark.parametrize("name", ["cdae", "mult-vae", "mult-dae", "ease", "item-knn", "popularity"])
def test_the_docstring_has_the_sections_of_a_card(name):
    lines = inspect.getdoc(model_info(name).builder).splitlines()
    for section in ("Args:", "Returns:", "Differences from the paper:"):
        assert lines.count(section) == 1
    for option in model_info(name).options:
        assert any(line.startswith(f"    {option}: ") for line in lines), option


# Sizes, worked out on paper for the data sets' items; ours have one row more, for unknown ids


@pytest.mark.parametrize(
    ("name", "options", "ml_100k", "ml_1m"),
    [
        ("cdae", {}, 217_082, 676_356),
        ("cdae", {"tied": True}, 132_982, 491_056),
        ("cdae", {"user_node": False}, 217_082 - 943 * 50, 676_356 - 6040 * 50),
        ("cdae", {"user_scaling": True}, 217_082 + 943 * 50, 676_356 + 6040 * 50),
        ("mult-vae", {}, 2_381_682, 4_812_506),
        ("mult-dae", {}, 674_682, 1_486_306),
    ],
)
def test_the_number_of_parameters_is_the_papers(name, options, ml_100k, ml_1m):
    for users, items, expected in ((943, 1682, ml_100k), (6040, 3706, ml_1m)):
        model = create_model(name, users - 1, items - 1, **options)
        assert sum(math.prod(weight.shape) for weight in model.trainable_variables) == expected


# CDAE


def cdae_parts(model, users=None):
    """Return W, W', V of the users, b and b'."""
    kernel, (out, out_bias) = weights(model, "encoder")[0], weights(model, "scores")
    vectors = weights(model, "user_node")[0][np.arange(len(ROWS)) if users is None else users]
    return kernel, out.T, vectors, weights(model, "hidden_bias")[0], out_bias


@pytest.mark.parametrize(
    ("activation", "function"), [("sigmoid", sigmoid), ("linear", lambda x: x), ("tanh", np.tanh)]
)
def test_cdae_is_its_formula(activation, function):
    model = build("cdae", hidden_activation=activation)
    kernel, out, vectors, bias, out_bias = cdae_parts(model)
    expected = function(ROWS @ kernel + vectors + bias) @ out.T + out_bias
    np.testing.assert_allclose(score(model, ROWS), expected, rtol=1e-4, atol=1e-5)


def test_tied_cdae_with_user_scaling_is_its_formula():
    model = build("cdae", tied=True, user_scaling=True)
    (kernel,), (bias,), (out_bias,) = (weights(model, name) for name in ("items", "hidden_bias", "scores"))
    vectors, factors = (weights(model, name)[0][: len(ROWS)] for name in ("user_node", "user_scaling"))
    expected = sigmoid(ROWS @ kernel * factors + vectors + bias) @ kernel.T + out_bias
    np.testing.assert_allclose(score(model, ROWS), expected, rtol=1e-4, atol=1e-5)


def test_cdae_without_corruption_and_user_vectors_is_a_plain_auto_encoder():
    model = build("cdae", corruption=0.0)
    model.get_layer("user_node").set_weights([np.zeros((USERS + 1, 50))])
    plain = keras.Sequential([keras.layers.Dense(50, "sigmoid"), keras.layers.Dense(ITEMS + 1)])
    plain(ROWS)
    kernel, out, _, bias, out_bias = cdae_parts(model)
    plain.set_weights([kernel, bias, out.T, out_bias])
    for training in (False, True):
        np.testing.assert_allclose(score(model, ROWS, training=training), plain(ROWS), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_linear_cdae_of_users_alone_is_matrix_factorisation(training):
    model = build("cdae", corruption=1.0, hidden_activation="linear")
    _, out, vectors, bias, out_bias = cdae_parts(model)
    expected = (vectors + bias) @ out.T + out_bias
    np.testing.assert_allclose(score(model, ROWS, training=training), expected, rtol=1e-4, atol=1e-5)


def test_tied_linear_cdae_of_users_alone_is_matrix_factorisation():
    model = build("cdae", corruption=1.0, hidden_activation="linear", tied=True)
    factors, vectors = weights(model, "items")[0], weights(model, "user_node")[0]
    expected = (vectors + weights(model, "hidden_bias")[0]) @ factors.T + weights(model, "scores")[0]
    np.testing.assert_allclose(score(model, ROWS), expected, rtol=1e-4, atol=1e-5)


def test_linear_cdae_of_items_alone_is_a_factored_item_model():
    model = build("cdae", user_node=False, hidden_activation="linear")
    model.get_layer("hidden_bias").set_weights([np.zeros(50)])
    kernel, (out, out_bias) = weights(model, "encoder")[0], weights(model, "scores")
    np.testing.assert_allclose(score(model, ROWS), ROWS @ (kernel @ out) + out_bias, rtol=1e-4, atol=1e-5)


def test_user_scaling_starts_without_effect():
    keras.utils.set_random_seed(0)
    model = create_model("cdae", USERS, ITEMS, user_scaling=True)
    assert (weights(model, "user_scaling")[0] == 1).all()


def test_cdae_starts_from_the_papers_uniform_distribution():
    model = create_model("cdae", 400, 300, embedding_dim=20)
    limit = 4 * np.sqrt(6 / 320)
    matrices = [weights(model, name)[0] for name in ("encoder", "scores", "user_node")]
    for matrix in matrices:
        assert 0.99 * limit < np.abs(matrix).max() <= limit
        assert abs(matrix.mean()) < 0.05 * limit
        assert matrix.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)
    assert not np.allclose(matrices[0].ravel(), matrices[1].ravel())
    assert not np.allclose(matrices[0][:301], matrices[2][:301])
    assert not weights(model, "scores")[1].any()
    assert not weights(model, "hidden_bias")[0].any()


@pytest.mark.parametrize("tied", [False, True])
def test_cdaes_penalty_by_hand(tied):
    model = build("cdae", l2=0.2, embedding_dim=3, tied=tied)
    ids = [2, 0, 5, 2]
    model(inputs_of(model, ROWS[ids], ids))
    charged = [weight for weight in model.trainable_variables if "user_node" not in weight.path]
    vectors = weights(model, "user_node")[0]
    # The user with id 0 is padding and not counted.
    users = np.mean([np.sum(vectors[user] ** 2) for user in (2, 5, 2)])
    expected = 0.1 * (sum(np.sum(weight.numpy() ** 2) for weight in charged) + users)
    assert len(charged) == (3 if tied else 4)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("tied", [False, True])
def test_without_l2_cdae_has_no_penalty(tied):
    model = build("cdae", l2=0.0, tied=tied, user_scaling=True)
    model(inputs_of(model, ROWS))
    assert model.losses == []


def test_cdaes_corruption_acts_in_training_only():
    model = build("cdae")
    np.testing.assert_array_equal(score(model, ROWS), score(model, ROWS))
    assert not np.allclose(score(model, ROWS, training=True), score(model, ROWS), atol=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_activation": "relu"}, "`hidden_activation` must be one of .*'relu'"),
        ({"corruption": 1.5}, "corruption must lie from 0 to 1"),
        ({"corruption": 1.0, "user_node": False}, "needs `user_node=True`"),
    ],
)
def test_wrong_options_of_cdae_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        create_model("cdae", 2, 2, **options)


# Mult-VAE and Mult-DAE


def unit_rows():
    return ROWS / np.maximum(np.linalg.norm(ROWS, axis=1, keepdims=True), 1e-12)


def numpy_stack(model, x, *names):
    for name in names:
        kernel, bias = weights(model, name)
        x = np.tanh(x @ kernel + bias)
    return x


def test_mult_vae_is_its_formula():
    model = build_key("mult-vae")
    kernel, bias = weights(model, "statistics")
    mean = numpy_stack(model, unit_rows(), "encoder_1", "encoder_2") @ kernel[:, :4] + bias[:4]
    out, out_bias = weights(model, "scores")
    expected = numpy_stack(model, mean, "decoder_1", "decoder_2") @ out + out_bias
    np.testing.assert_allclose(score(model, ROWS), expected, rtol=1e-4, atol=1e-5)
    widths = [model.get_layer(f"{part}_{n}").units for part in ("encoder", "decoder") for n in (1, 2)]
    assert widths == [8, 6, 6, 8]


def test_mult_dae_is_its_formula():
    model = build("mult-dae", latent_dim=4)
    out, out_bias = weights(model, "scores")
    expected = numpy_stack(model, unit_rows(), "code") @ out + out_bias
    np.testing.assert_allclose(score(model, ROWS), expected, rtol=1e-4, atol=1e-5)


def test_without_noise_and_kl_mult_vae_is_mult_dae_without_tanh_on_the_code():
    sizes = {"hidden_units": (8,), "latent_dim": 4}
    vae, dae = build("mult-vae", kl_cap=0.0, **sizes), build("mult-dae", seed=1, **sizes)
    for name in ("encoder_1", "decoder_1", "scores"):
        dae.get_layer(name).set_weights(weights(vae, name))
    kernel, bias = weights(vae, "statistics")
    dae.get_layer("code").set_weights([kernel[:, :4], bias[:4]])
    assert not np.allclose(score(vae, ROWS), score(dae, ROWS), atol=0.01)
    dae.get_layer("code").activation = keras.activations.linear
    np.testing.assert_allclose(score(vae, ROWS), score(dae, ROWS), rtol=1e-5, atol=1e-5)
    vae(inputs_of(vae, ROWS), training=True)
    assert float(sum(vae.losses)) == 0


@pytest.mark.parametrize("key", ["mult-vae", "mult-dae"])
def test_the_length_of_a_row_does_not_matter(key):
    model = build_key(key)
    np.testing.assert_allclose(score(model, 7 * ROWS), score(model, ROWS), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["mult-vae", "mult-dae"])
def test_mult_models_start_as_the_authors_code_does(name):
    model = create_model(name, 5, 500)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            kernel, bias = layer.get_weights()
            limit = np.sqrt(6 / sum(kernel.shape))
            assert 0.99 * limit < np.abs(kernel).max() <= limit
            assert 0 < np.abs(bias).max() <= 0.002
            assert bias.std() == pytest.approx(0.00088, rel=0.3)


def test_input_dropout_acts_on_the_unit_row():
    model = build("mult-dae", latent_dim=4, input_dropout=0.5)
    dropped = keras.Model(model.input, model.get_layer("input_dropout").output)
    found = dropped(inputs_of(model, np.ones((50, ITEMS + 1))), training=True).numpy()
    np.testing.assert_allclose(found[found > 0], 2 / np.sqrt(ITEMS + 1), rtol=1e-5)
    assert (found >= 0).all()
    assert 0.35 < np.mean(found == 0) < 0.65


def test_mult_vae_charges_the_divergence_of_its_users_alone():
    model = build("mult-vae", hidden_units=(8,), latent_dim=4, kl_cap=0.5, total_anneal_steps=0)
    known_users = ROWS.any(axis=1)
    assert 1 < known_users.sum() < len(ROWS)
    model(inputs_of(model, ROWS))
    (with_padding,) = model.losses
    model(inputs_of(model, ROWS[known_users]))
    (without,) = model.losses
    assert float(with_padding) == pytest.approx(float(without), rel=1e-5)
    kernel, bias = weights(model, "statistics")
    statistics = numpy_stack(model, unit_rows()[known_users], "encoder_1") @ kernel + bias
    mean, log_variance = np.split(statistics, 2, axis=1)
    each = 0.5 * np.sum(-log_variance + np.exp(log_variance) + mean**2 - 1, axis=1)
    assert float(without) == pytest.approx(0.5 * each.mean(), rel=1e-4)


def test_beta_can_be_read_after_training_steps():
    model = build("mult-vae", total_anneal_steps=10)
    for _ in range(3):
        score(model, ROWS[1:], training=True)
        score(model, ROWS[1:])
    assert float(model.get_layer("code").beta) == pytest.approx(0.2)
    assert float(build("mult-vae", total_anneal_steps=10).get_layer("code").beta) == 0


def test_mult_vae_draws_in_training_only():
    model = build("mult-vae", input_dropout=0.0)
    np.testing.assert_array_equal(score(model, ROWS), score(model, ROWS))
    first, second = (score(model, ROWS, training=True) for _ in range(2))
    assert not np.allclose(first, second, atol=0.01)


@pytest.mark.parametrize(("name", "kernels"), [("mult-dae", 2), ("mult-vae", 4)])
def test_the_penalty_of_the_mult_models_is_on_kernels_alone(name, kernels):
    model = build(name, dense_l2=0.1, **({"kl_cap": 0.0} if name == "mult-vae" else {}))
    charged = [weight.numpy() for weight in model.trainable_variables if weight.path.endswith("kernel")]
    assert len(charged) == kernels
    model(inputs_of(model, ROWS))
    expected = 0.1 * sum(np.sum(kernel**2) for kernel in charged)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
