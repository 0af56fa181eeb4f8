"""Auto-encoders, EASE and the neighbourhood baselines: sizes, formulas, limits, closed forms."""

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
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.spatial import distance
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import cosine_similarity

from tfzoo.errors import UsageError
from tfzoo.layers import closed_form
from tfzoo.models import create_model, model_info
from tfzoo.models.neighbours import keep_largest, weigh

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


def interactions(seed=0, users=USERS, items=ITEMS, share=0.4):
    """Return a random matrix of ones with an empty row and column for the unknown ids."""
    dense = (np.random.default_rng(seed).random((users + 1, items + 1)) < share).astype(np.float32)
    dense[0], dense[:, 0] = 0, 0
    return sparse.csr_matrix(dense)


def inputs_of(model, rows, user_ids=None):
    values = {"user_row": rows, "user_id": np.arange(len(rows)) if user_ids is None else user_ids}
    return {key: tf.constant(values[key], tensor.dtype) for key, tensor in model.input.items()}


def score(model, rows, user_ids=None, training=False):
    return model(inputs_of(model, rows, user_ids), training=training)["scores"].numpy()


def build(name, seed=0, scale=0.5, matrix=None, **options):
    """Build a small model; trained weights are random, biases included, the others are solved."""
    model = create_model(name, USERS, ITEMS, **options)
    random = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        weight.assign(random.normal(scale=scale, size=weight.shape))
    if model_info(name).solve is not None:
        model_info(name).solve(model, interactions() if matrix is None else matrix)
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

import tfzoo.layers

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
        timeout=300,
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


@pytest.mark.parametrize("name", ["ease", "item-knn", "popularity"])
def test_closed_forms_have_nothing_to_train(name):
    model = build(name)
    assert model.trainable_variables == []
    assert len(model.non_trainable_variables) == 1
    assert model_info(name).solve is not None
    assert not score(model, ROWS)[:, 0].any()


@pytest.mark.parametrize("name", ["ease", "item-knn", "popularity"])
def test_interactions_of_other_items_are_refused(name):
    with pytest.raises(UsageError, match=f"The model has {ITEMS} items, the interactions {ITEMS + 1}"):
        build(name, matrix=interactions(items=ITEMS + 1))


@pytest.mark.parametrize("name", ["ease", "item-knn"])
def test_too_many_items_for_a_dense_matrix_are_refused(name):
    with pytest.raises(UsageError, match=r"40,001 items takes 6 GiB"):
        create_model(name, 5, 40_001)


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


# EASE


def known(matrix):
    return matrix.toarray()[:, 1:].astype(np.float64)


def ease_kernel(l2, matrix):
    model = create_model("ease", matrix.shape[0] - 1, matrix.shape[1] - 1, l2=l2)
    model_info("ease").solve(model, matrix)
    return model, weights(model, "item_weights")[0]


def test_ease_on_four_users_by_hand():
    x = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 0]], np.float32)
    model, kernel = ease_kernel(1.0, sparse.csr_matrix(np.pad(x, ((1, 0), (1, 0)))))
    expected = [[0, 0.454545, 0.166667], [0.454545, 0, 0.166667], [0.181818, 0.181818, 0]]
    np.testing.assert_allclose(kernel[1:, 1:], expected, atol=6e-7)
    found = score(model, [[0, 1, 1, 0]])[0]
    np.testing.assert_allclose(found, [0, 0.454545, 0.454545, 0.333333], atol=6e-7)


def test_ease_is_ridge_regression_of_each_item_on_the_others():
    matrix = interactions(seed=3, users=40)
    x = known(matrix)
    _, kernel = ease_kernel(2.5, matrix)
    for item in range(ITEMS):
        others = [other for other in range(ITEMS) if other != item]
        ridge = Ridge(alpha=2.5, fit_intercept=False, solver="cholesky").fit(x[:, others], x[:, item])
        np.testing.assert_allclose(kernel[1:, 1:][others, item], ridge.coef_, atol=1e-6)
    assert not np.diag(kernel).any()
    assert not kernel[0].any()
    assert not kernel[:, 0].any()


def test_ease_with_an_infinite_penalty_counts_what_occurs_together():
    matrix = interactions(seed=3, users=40)
    gram = known(matrix).T @ known(matrix)
    np.fill_diagonal(gram, 0)
    _, kernel = ease_kernel(1e7, matrix)
    np.testing.assert_allclose(1e7 * kernel[1:, 1:], gram, rtol=1e-4, atol=1e-4)


def test_ease_columns_are_scaled_by_the_inverse_of_the_gram_matrix():
    matrix = interactions(seed=3, users=40)
    inverse = np.linalg.inv(known(matrix).T @ known(matrix) + 2.5 * np.eye(ITEMS))
    kernel = ease_kernel(2.5, matrix)[1][1:, 1:]
    scaled = kernel * np.diag(inverse)
    assert not np.allclose(kernel, kernel.T, atol=1e-3)
    np.testing.assert_allclose(scaled, scaled.T, atol=1e-6)
    assert np.count_nonzero(kernel) == ITEMS * (ITEMS - 1)


def test_an_item_that_nobody_has_gets_no_weight():
    dense = interactions(seed=3).toarray()
    dense[:, 4] = 0
    _, kernel = ease_kernel(1.0, sparse.csr_matrix(dense))
    assert not kernel[4].any()
    assert not kernel[:, 4].any()
    assert kernel.any()


@pytest.mark.parametrize("l2", [0.0, -1.0, float("nan")])
def test_ease_needs_a_penalty(l2):
    with pytest.raises(UsageError, match="`l2` must be above 0"):
        create_model("ease", 2, 2, l2=l2)


def test_ease_tells_when_the_penalty_is_too_small():
    twins = np.pad(np.ones((3, 2), np.float32), ((1, 0), (1, 0)))
    with pytest.raises(UsageError, match=r"l2 = 1e-300 has no solution .* Use a larger l2"):
        ease_kernel(1e-300, sparse.csr_matrix(twins))


@pytest.mark.parametrize("key", ["ease", "item-knn"])
def test_blocks_do_not_change_the_weights(key, monkeypatch):
    whole = weights(build_key(key), "item_weights")[0]
    monkeypatch.setattr(closed_form, "ITEMS_PER_BLOCK", 4)
    np.testing.assert_array_equal(weights(build_key(key), "item_weights")[0], whole)


# Item-based nearest neighbours


def knn_kernel(matrix=None, **options):
    return weights(build("item-knn", matrix=matrix, **options), "item_weights")[0]


def off_diagonal(similar):
    similar = np.array(similar, np.float64)
    np.fill_diagonal(similar, 0)
    return similar


def set_similarity(metric):
    columns = known(interactions()).T.astype(bool)
    return 1 - distance.squareform(distance.pdist(columns, metric))


@pytest.mark.parametrize("similarity", ["cosine", "jaccard", "dice"])
def test_similarities_are_those_of_scipy_and_sklearn(similarity):
    columns = known(interactions()).T
    expected = cosine_similarity(columns) if similarity == "cosine" else set_similarity(similarity)
    kernel = knn_kernel(similarity=similarity, neighbours=None)
    np.testing.assert_allclose(kernel[1:, 1:], off_diagonal(expected), rtol=1e-6)
    assert not kernel[0].any()
    assert not kernel[:, 0].any()


def test_an_item_that_nobody_has_is_similar_to_none():
    dense = interactions().toarray()
    dense[:, 4] = 0
    for similarity in ("cosine", "jaccard", "dice"):
        kernel = knn_kernel(matrix=sparse.csr_matrix(dense), similarity=similarity)
        assert np.isfinite(kernel).all()
        assert not kernel[4].any()
        assert not kernel[:, 4].any()


def test_shrinkage_is_added_to_the_denominator():
    x = known(interactions())
    lengths = np.linalg.norm(x, axis=0)
    expected = off_diagonal(x.T @ x / (np.outer(lengths, lengths) + 5))
    np.testing.assert_allclose(
        knn_kernel(shrinkage=5.0, neighbours=None)[1:, 1:], expected, rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("neighbours", [1, 3, 8, 9, 50])
def test_the_nearest_neighbours_are_kept(neighbours):
    matrix = interactions(seed=5, users=2000)
    similar = off_diagonal(cosine_similarity(known(matrix).T))
    assert len(np.unique(similar.round(9))) == 1 + ITEMS * (ITEMS - 1) / 2  # Without ties.
    expected = np.where(similar >= np.sort(similar, axis=0)[::-1][min(neighbours, ITEMS) - 1], similar, 0)
    of_candidates = knn_kernel(matrix=matrix, neighbours=neighbours)[1:, 1:]
    np.testing.assert_allclose(of_candidates, expected, rtol=1e-6)
    of_history = knn_kernel(matrix=matrix, neighbours=neighbours, neighbours_of="history")[1:, 1:]
    np.testing.assert_allclose(of_history, expected.T, rtol=1e-6)
    assert ((of_candidates > 0).sum(axis=0) == min(neighbours, ITEMS - 1)).all()


def test_the_score_is_the_sum_over_the_history():
    model = build("item-knn", neighbours=3)
    kernel = weights(model, "item_weights")[0]
    row = np.zeros((1, ITEMS + 1))
    row[0, [2, 5, 7]] = 1
    np.testing.assert_allclose(score(model, row)[0], kernel[[2, 5, 7]].sum(axis=0), rtol=1e-6)


@given(
    values=st.lists(st.lists(st.integers(0, 4), min_size=6, max_size=6), min_size=1, max_size=4),
    count=st.integers(1, 8),
)
def test_keep_largest_keeps_the_first_of_equals(values, count):
    found = keep_largest(np.array(values, float), count)
    for row, kept in zip(values, found, strict=True):
        order = sorted(range(6), key=lambda at: (-row[at], at))[:count]
        assert kept.tolist() == [row[at] if at in order else 0 for at in range(6)]


@pytest.mark.parametrize("weighting", ["tfidf", "bm25"])
def test_weightings_by_their_formula(weighting):
    x = known(interactions())
    x[1] = 1
    found = weigh(sparse.csr_matrix(x), weighting).toarray()
    lengths = x.sum(axis=0)
    for user, item in np.ndindex(*x.shape):
        inverse = max(0.0, math.log(ITEMS / (1 + x[user].sum())))
        relative = 0.25 + 0.75 * lengths[item] / lengths.mean()
        gain = 2.2 / (1.2 * relative + 1) if weighting == "bm25" else 1.0
        assert found[user, item] == pytest.approx(x[user, item] * inverse * gain, rel=1e-9)
    assert not found[1].any()
    kernel = knn_kernel(matrix=interactions(), weighting=weighting, neighbours=None)
    expected = cosine_similarity(weigh(sparse.csr_matrix(known(interactions())), weighting).T)
    np.testing.assert_allclose(kernel[1:, 1:], off_diagonal(expected), rtol=1e-5, atol=1e-7)


def test_the_tie_break_orders_equal_scores_by_popularity():
    matrix = interactions()
    plain, broken = build("item-knn"), build("item-knn", popularity_tiebreak=True)
    nothing = np.zeros((1, ITEMS + 1))
    counts = matrix.toarray().sum(axis=0)
    assert not score(plain, nothing).any()
    np.testing.assert_allclose(score(broken, nothing)[0], 1e-6 * counts / counts.max(), rtol=1e-5)
    assert np.abs(score(broken, ROWS) - score(plain, ROWS)).max() < 2e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"similarity": "pearson"}, "`similarity` must be one of .*'pearson'"),
        ({"weighting": "idf"}, "`weighting` must be one of .*'idf'"),
        ({"neighbours_of": "user"}, "`neighbours_of` must be one of .*'user'"),
        ({"neighbours": 0}, "`neighbours` must be at least 1, or None.*0"),
        ({"shrinkage": -1.0}, "`shrinkage` must not be negative"),
        ({"similarity": "jaccard", "weighting": "bm25"}, "compares sets.*not 'bm25'"),
    ],
)
def test_wrong_options_of_item_knn_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        create_model("item-knn", 2, 2, **options)


# Popularity


def test_popularity_counts_interactions_for_everyone():
    matrix = interactions()
    found = score(build("popularity", matrix=matrix), np.random.default_rng(0).random((4, ITEMS + 1)))
    np.testing.assert_array_equal(found, np.tile(matrix.toarray().sum(axis=0), (4, 1)))
    assert len(np.unique(found)) > 3
