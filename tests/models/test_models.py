"""Every registered model: contract, size, persistence, gradients, precision, backends, limits."""

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

from tfzoo.data.interactions import Interactions
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.models import create_model, list_models
from tfzoo.tasks import RatingSettings, RatingTask
from tfzoo.tasks.rating import PairFeatures
from tfzoo.training.settings import TrainingSettings
from tfzoo.training.trainer import Trainer

NUM_USERS, NUM_ITEMS = 7, 5
CONTRACT = {
    "user_id": ("int32", ()),
    "item_id": ("int32", ()),
    "user_row": ("float32", (NUM_ITEMS + 1,)),
    "item_row": ("float32", (NUM_USERS + 1,)),
}


def dense(*widths):
    """Return the number of parameters of fully connected layers."""
    return sum(a * b + b for a, b in itertools.pairwise(widths))


# Number of parameters of the papers' sizes, m and n being the numbers of table rows.
PARAMETERS = {
    "edrs": lambda m, n: 10 * (m + n) + 2 * dense(10, 80, 40) + dense(80, 80, 40, 1),
    "edrs-woe": lambda m, n: dense(n, 80, 40) + dense(m, 80, 40) + dense(80, 80, 40, 1),
    "delcr": lambda m, n: 10 * (m + n) + 2 * dense(10, 80, 40),
    "delcr-woe": lambda m, n: dense(n, 80, 40) + dense(m, 80, 40),
    "dcf": lambda m, n: dense(n, 80, 40) + dense(m, 80, 40),
    "pmf": lambda m, n: 10 * (m + n),
    "biased-mf": lambda m, n: 100 * (m + n) + m + n,
}
# The same for 943 users and 1,682 items, worked out on paper.
ML_100K = {
    "edrs": 44_271,
    "edrs-woe": 226_561,
    "delcr": 34_510,
    "delcr-woe": 216_800,
    "dcf": 216_800,
    "pmf": 26_270,
    "biased-mf": 265_327,
}
NO_PENALTY = {"dense_l2": 0.0}
OVERFIT = {
    "edrs": {**NO_PENALTY, "rating_activation": None, "mean_rating": 3.0},
    "edrs-woe": {**NO_PENALTY, "rating_activation": None, "mean_rating": 3.0},
    "delcr": {**NO_PENALTY, "last_activation": None, "mean_rating": 3.0},
    "delcr-woe": {**NO_PENALTY, "last_activation": None, "mean_rating": 3.0},
    "dcf": {**NO_PENALTY, "last_activation": None, "mean_rating": 3.0},
    "pmf": {"lookup_l2": 0.0, "mean_rating": 3.0},
    "biased-mf": {"lookup_l2": 0.0, "mean_rating": 3.0},
}

LOAD_AND_COMPARE = """
import importlib.util, json, sys
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

backend, folder = sys.argv[1], Path(sys.argv[2])
assert keras.backend.backend() == backend
differences = {}
for path in sorted(folder.glob("*.keras")):
    model = keras.saving.load_model(path, compile=False)
    assert isinstance(model.weights[0].value, np.ndarray) == (backend == "numpy")
    arrays = np.load(path.with_suffix(".in.npz"))
    inputs = {key: keras.ops.convert_to_tensor(arrays[key]) for key in arrays.files}
    found = keras.ops.convert_to_numpy(model(inputs, training=False)["rating"])
    expected = np.load(path.with_suffix(".out.npy"))
    assert found.shape == expected.shape, path
    differences[path.stem] = float(np.max(np.abs(found - expected) / np.maximum(np.abs(expected), 1)))
print(json.dumps(differences))
"""


def random_inputs(model, batch, seed=0):
    random = np.random.default_rng(seed)
    values = {
        "user_id": random.integers(0, NUM_USERS + 1, batch),
        "item_id": random.integers(0, NUM_ITEMS + 1, batch),
        "user_row": random.integers(0, 6, (batch, NUM_ITEMS + 1)),
        "item_row": random.integers(0, 6, (batch, NUM_USERS + 1)),
    }
    return {tensor.name: tf.constant(values[tensor.name], tensor.dtype) for tensor in model.inputs}


def build(name, seed=0, scale=0.3, **options):
    """Build a small model with random weights, biases included."""
    model = create_model(name, NUM_USERS, NUM_ITEMS, **options)
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(scale=scale, size=weight.shape) for weight in model.weights])
    return model


def rate(model, inputs):
    return model(inputs, training=False)["rating"].numpy()


def all_layers(model):
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)


# Every model


@pytest.mark.parametrize("name", list_models())
def test_inputs_and_outputs_are_those_of_the_contract(name):
    model = create_model(name, NUM_USERS, NUM_ITEMS)
    assert isinstance(model.input, dict)
    assert model.inputs
    for key, tensor in model.input.items():
        assert (tensor.name, tensor.dtype, tensor.shape) == (key, CONTRACT[key][0], (None, *CONTRACT[key][1]))
    assert {key: (tensor.dtype, tensor.shape) for key, tensor in model.output.items()} == {
        "rating": ("float32", (None,))
    }


@pytest.mark.parametrize("name", list_models())
def test_examples_do_not_influence_each_other(name):
    model = build(name)
    inputs = random_inputs(model, 3)
    together = rate(model, inputs)
    assert together.shape == (3,)
    for row in range(3):
        alone = rate(model, {key: value[row : row + 1] for key, value in inputs.items()})
        assert alone.shape == (1,)
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", list_models())
def test_the_smallest_sizes_build(name):
    model = create_model(name, 1, 1)
    shapes = {"user_id": (2,), "item_id": (2,), "user_row": (2, 2), "item_row": (2, 2)}
    inputs = {tensor.name: tf.ones(shapes[tensor.name], tensor.dtype) for tensor in model.inputs}
    assert np.isfinite(rate(model, inputs)).all()


@pytest.mark.parametrize(("num_users", "num_items"), [(943, 1682), (6040, 3706)])
@pytest.mark.parametrize("name", list_models())
def test_the_number_of_parameters_is_the_papers(name, num_users, num_items):
    model = create_model(name, num_users, num_items)
    found = sum(math.prod(weight.shape) for weight in model.trainable_variables)
    assert found == PARAMETERS[name](num_users + 1, num_items + 1)
    assert len(model.non_trainable_variables) == 0
    if num_users == 943:
        assert found == ML_100K[name]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with every model, random inputs, and the ratings that it gives them here."""
    folder = tmp_path_factory.mktemp("models")
    for name in list_models():
        model = build(name)
        inputs = random_inputs(model, 16)
        model.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.in.npz", **{key: value.numpy() for key, value in inputs.items()})
        np.save(folder / f"{name}.out.npy", rate(model, inputs))
    return folder


def differences_in_a_new_process(folder, backend):
    """Return, for every saved model, the largest difference from the ratings computed here.

    Differences are relative where ratings are above 1.
    """
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", LOAD_AND_COMPARE, backend, str(folder)],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_saved_models_give_the_same_ratings_in_a_new_process(saved):
    assert differences_in_a_new_process(saved, "tensorflow") == pytest.approx(
        dict.fromkeys(list_models(), 0), abs=1e-6
    )


def test_the_numpy_backend_gives_the_same_ratings(saved):
    assert differences_in_a_new_process(saved, "numpy") == pytest.approx(
        dict.fromkeys(list_models(), 0), abs=1e-5
    )


def test_the_compared_ratings_are_not_all_alike(saved):
    for name in list_models():
        assert np.std(np.load(saved / f"{name}.out.npy")) > 1e-3, name


@pytest.mark.parametrize("name", list_models())
def test_a_gradient_reaches_every_weight(name):
    # Positive weights, so that no relu is closed.
    model = build(name)
    model.set_weights([np.abs(weight) for weight in model.get_weights()])
    inputs = random_inputs(model, 32)
    with tf.GradientTape() as tape:
        outputs = model(inputs, training=True)
        loss = tf.reduce_mean(tf.square(outputs["rating"] - 3.0))
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        values = tf.convert_to_tensor(gradient).numpy()
        assert np.isfinite(values).all(), variable.path
        assert values.any(), variable.path


@pytest.mark.parametrize("name", list_models())
def test_towers_and_head_compose_to_the_model(name):
    model = build(name)
    inputs = random_inputs(model, 6)
    vectors = {}
    for side in ("user", "item"):
        tower = model.get_layer(f"{side}_tower")
        assert [tensor.name.partition("_")[0] for tensor in tower.inputs] == [side]
        vectors[f"{side}_vector"] = tower({tensor.name: inputs[tensor.name] for tensor in tower.inputs})
    np.testing.assert_array_equal(model.get_layer("head")(vectors), rate(model, inputs))


@pytest.mark.parametrize("name", list_models())
def test_there_is_no_lambda_layer(name):
    layers = list(all_layers(create_model(name, NUM_USERS, NUM_ITEMS)))
    assert len(layers) > 5
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in layers)


@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_float16", 0.01), ("mixed_bfloat16", 0.1)])
@pytest.mark.parametrize("name", list_models())
def test_mixed_precision_gives_float32_near_the_full_result(name, policy, tolerance):
    exact = build(name)
    inputs = random_inputs(exact, 8)
    expected = rate(exact, inputs)
    keras.config.set_dtype_policy(policy)
    model = build(name)
    found = rate(model, inputs)
    assert model.output["rating"].dtype == "float32"
    assert found.dtype == np.float32
    assert {weight.dtype for weight in model.weights} == {"float32"}
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", list_models())
def test_initial_weights_depend_on_the_seed_alone(name):
    def initial(seed):
        keras.utils.set_random_seed(seed)
        return np.concatenate([weight.ravel() for weight in create_model(name, 3, 4).get_weights()])

    np.testing.assert_array_equal(initial(1), initial(1))
    assert not np.array_equal(initial(1), initial(2))


@pytest.fixture(scope="module")
def determined():
    """All ratings of 8 users for 6 items: two tastes, two kinds of items, and generous users."""
    user, item = np.divmod(np.arange(48), 6)
    rating = 3 + np.where(user % 2 == item % 2, 1.0, -1.0) + (user >= 4)
    return Interactions(
        Vocabulary(np.arange(8)), Vocabulary(np.arange(6)), user + 1, item + 1, rating, rating_scale=(1, 5)
    )


@pytest.mark.parametrize("name", list_models())
def test_training_fits_a_small_data_set(name, determined):
    keras.utils.set_random_seed(0)
    model = create_model(name, 8, 6, **OVERFIT[name])
    task = RatingTask(RatingSettings(mask_target=False))
    features = PairFeatures.of(model, determined)
    predict = task.predictor(model, features)

    def train_error():
        return np.sqrt(np.mean((predict(determined) - determined.ratings) ** 2))

    before = train_error()
    settings = TrainingSettings(
        learning_rate=0.003, batch_size=12, epochs=300, patience=None, restore_best=False, jit_compile=False
    )
    Trainer(model, task, features, determined, settings, seed=0).fit(lambda: {"rmse": 0.0})
    assert before > 0.8
    assert train_error() < 0.2


# Limiting cases


def test_delcr_without_layers_is_pmf():
    delcr, pmf = build("delcr", tower_units=()), build("pmf", seed=1)
    assert not any(isinstance(layer, keras.layers.Dense) for layer in all_layers(delcr))
    inputs = random_inputs(pmf, 20)
    assert not np.allclose(rate(delcr, inputs), rate(pmf, inputs), atol=0.01)
    for side in ("user", "item"):
        weights = pmf.get_layer(f"{side}_tower").get_weights()
        delcr.get_layer(f"{side}_tower").set_weights(weights)
    np.testing.assert_allclose(rate(delcr, inputs), rate(pmf, inputs), rtol=1e-6, atol=1e-6)


def test_pmf_is_the_inner_product_of_two_tables():
    model = build("pmf", mean_rating=2.5)
    users, items = (model.get_layer(f"{side}_tower").get_weights()[0] for side in ("user", "item"))
    assert len(model.trainable_variables) == 2
    inputs = random_inputs(model, 20)
    expected = 2.5 + np.sum(users[inputs["user_id"]] * items[inputs["item_id"]], axis=1)
    np.testing.assert_allclose(rate(model, inputs), expected, rtol=1e-5)


def test_biased_mf_without_factors_is_the_bias_baseline():
    model = build("biased-mf", embedding_dim=4, mean_rating=3.5)
    biases = {}
    for side in ("user", "item"):
        tower = model.get_layer(f"{side}_tower")
        table = tower.get_layer(f"{side}_embedding")
        table.set_weights([np.zeros(table.embeddings.shape)])
        biases[side] = tower.get_layer(f"{side}_bias").get_weights()[0][:, 0]
    inputs = random_inputs(model, 20)
    expected = 3.5 + biases["user"][inputs["user_id"]] + biases["item"][inputs["item_id"]]
    np.testing.assert_allclose(rate(model, inputs), expected, rtol=1e-6)


def test_biases_start_at_zero():
    model = create_model("biased-mf", NUM_USERS, NUM_ITEMS)
    for side in ("user", "item"):
        assert not model.get_layer(f"{side}_tower").get_layer(f"{side}_bias").get_weights()[0].any()


@pytest.mark.parametrize("factor", [0.25, 3.0])
@pytest.mark.parametrize("name", ["delcr", "dcf"])
def test_scaling_one_tower_up_and_the_other_down_changes_nothing(name, factor):
    model = build(name)
    inputs = random_inputs(model, 20)
    before = rate(model, inputs)
    for side, scale in (("user", factor), ("item", 1 / factor)):
        layers = model.get_layer(f"{side}_tower").layers
        last = [layer for layer in layers if isinstance(layer, keras.layers.Dense)][-1]
        last.set_weights([scale * weight for weight in last.get_weights()])
    np.testing.assert_allclose(rate(model, inputs), before, rtol=1e-4, atol=1e-5)
    assert before.any()


def test_the_sigmoid_link_stays_inside_the_scale():
    model = build("pmf", scale=1.0, link="sigmoid")
    found = rate(model, random_inputs(model, 200))
    assert (found > 1).all()
    assert (found < 5).all()
    assert found.min() < 1.5
    assert found.max() > 4.5


def test_the_sigmoid_link_starts_in_the_middle():
    keras.utils.set_random_seed(0)
    model = create_model("pmf", NUM_USERS, NUM_ITEMS, link="sigmoid", rating_scale=(1.0, 5.0))
    np.testing.assert_allclose(rate(model, random_inputs(model, 200)), 3, atol=0.2)


def test_the_sigmoid_link_by_hand():
    model = build("pmf", link="sigmoid", rating_scale=(2.0, 10.0))
    linear = build("pmf")
    inputs = random_inputs(model, 20)
    expected = 2 + 8 / (1 + np.exp(-rate(linear, inputs)))
    np.testing.assert_allclose(rate(model, inputs), expected, rtol=1e-5)


def test_an_unknown_link_is_refused():
    with pytest.raises(ValueError, match=r"'linear' or 'sigmoid'\. Received: link='probit'"):
        create_model("pmf", 2, 2, link="probit")


@pytest.mark.parametrize("name", ["edrs", "edrs-woe"])
def test_the_relu_rating_unit_cuts_at_zero(name):
    linear, cut = build(name, rating_activation=None), build(name)
    inputs = random_inputs(cut, 60)
    expected = rate(linear, inputs)
    shift = np.median(expected)
    for model in (linear, cut):
        unit = model.get_layer("head").get_layer("rating_unit")
        kernel, bias = unit.get_weights()
        unit.set_weights([kernel, bias - shift])
    assert (rate(linear, inputs) < 0).any()
    assert (rate(cut, inputs) > 0).any()
    np.testing.assert_allclose(rate(cut, inputs), np.maximum(rate(linear, inputs), 0), atol=1e-6)


def test_edrs_with_a_product_for_its_head_is_delcr():
    edrs, delcr = build("edrs"), build("delcr", seed=1)
    for side in ("user", "item"):
        delcr.get_layer(f"{side}_tower").set_weights(edrs.get_layer(f"{side}_tower").get_weights())
    inputs = random_inputs(edrs, 20)
    user, item = (
        edrs.get_layer(f"{side}_tower")({f"{side}_id": inputs[f"{side}_id"]}) for side in ("user", "item")
    )
    np.testing.assert_allclose(rate(delcr, inputs), np.sum(user * item, axis=1), rtol=1e-5, atol=1e-6)


def test_dcf_rates_a_user_without_ratings_by_the_item_alone():
    model = build("dcf")
    items = tf.constant(np.random.default_rng(3).integers(0, 6, (4, NUM_USERS + 1)), tf.float32)
    found = rate(model, {"user_row": tf.zeros([4, NUM_ITEMS + 1]), "item_row": items})
    # The user's vector is what the biases alone give.
    weights = model.get_layer("user_tower").get_weights()
    vector = np.maximum(np.maximum(weights[1], 0) @ weights[2] + weights[3], 0)
    item_vectors = model.get_layer("item_tower")({"item_row": items}).numpy()
    np.testing.assert_allclose(found, item_vectors @ vector, rtol=1e-5, atol=1e-6)
    assert np.ptp(found) > 1e-3
