"""Every registered model: contract, persistence, gradients, precision, backends, XLA."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import (
    INPUTS,
    NUM_ITEMS,
    NUM_USERS,
    OUTPUTS,
    SMALL,
    WITH_TOWERS,
    all_layers,
    build,
    call,
    contract,
    models_of,
    random_inputs,
    sampled,
    small,
    task_of,
)
from tfzoo.models import create_model, list_models
from tfzoo.tasks import TASKS
from tfzoo.tasks.implicit import logit_model

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
    inputs, expected = np.load(path.with_suffix(".in.npz")), np.load(path.with_suffix(".out.npz"))
    found = model({key: keras.ops.convert_to_tensor(inputs[key]) for key in inputs.files}, training=False)
    assert found.keys() == set(expected.files), path
    for key, array in expected.items():
        output = keras.ops.convert_to_numpy(found[key])
        assert output.shape == array.shape and output.dtype == array.dtype, path
        error = np.abs(output - array) / np.maximum(np.abs(array), 1)
        differences[path.stem] = max(differences.get(path.stem, 0.0), float(np.max(error)))
print(json.dumps(differences))
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory, model_names):
    """A folder with models, random inputs, and what they give for them here."""
    folder = tmp_path_factory.mktemp("models")
    for name in model_names:
        model = build(name)
        inputs = random_inputs(model, 16)
        model.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.in.npz", **{key: value.numpy() for key, value in inputs.items()})
        np.savez(folder / f"{name}.out.npz", **call(model, inputs))
    return folder


@pytest.fixture(scope="module")
def differences(saved):
    """By backend and model, the largest difference between the outputs here and in a new process.

    Differences are relative where outputs are above 1.
    """
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    processes = {
        backend: subprocess.Popen(
            [sys.executable, "-c", LOAD_AND_COMPARE, backend, str(saved)],
            env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for backend in ("tensorflow", "numpy")
    }
    found = {}
    for backend, process in processes.items():
        output, error = process.communicate(timeout=300)
        assert process.returncode == 0, error[-3000:]
        found[backend] = json.loads(output.splitlines()[-1])
    return found


@pytest.mark.parametrize(("backend", "tolerance"), [("tensorflow", 1e-6), ("numpy", 1e-5)])
def test_saved_models_give_the_same_in_a_new_process_and_on_another_backend(
    differences, model_names, backend, tolerance
):
    assert differences[backend] == pytest.approx(dict.fromkeys(model_names, 0), abs=tolerance)


def test_the_compared_outputs_are_not_all_alike(saved, model_names):
    for name in model_names:
        with np.load(saved / f"{name}.out.npz") as outputs:
            assert all(np.std(outputs[key]) > 1e-3 for key in outputs.files), name


@pytest.mark.parametrize("name", list_models())
def test_inputs_and_outputs_are_those_of_the_task(name):
    model, task = small(name), task_of(name)
    assert isinstance(model.input, dict)
    assert re.fullmatch(INPUTS[task], " ".join(sorted(model.input)))
    assert re.fullmatch(OUTPUTS[task], " ".join(sorted(model.output)))
    for key, tensor in model.input.items():
        assert tensor.name == key
    for key, tensor in (*model.input.items(), *model.output.items()):
        dtype, shape = contract(key)
        assert (tensor.dtype, tensor.shape) == (dtype, (None, *shape)), key


def test_every_task_has_a_contract_and_a_model():
    assert INPUTS.keys() == OUTPUTS.keys() == TASKS.keys() == {task_of(name) for name in list_models()}


@pytest.mark.parametrize("name", sampled(list_models()))
def test_examples_do_not_influence_each_other(name):
    model = build(name)
    inputs = random_inputs(model, 3)
    together = call(model, inputs)
    for row in range(3):
        alone = call(model, {key: value[row : row + 1] for key, value in inputs.items()})
        for key, array in together.items():
            np.testing.assert_allclose(alone[key], array[row : row + 1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", sampled(list_models()))
def test_the_smallest_sizes_build(name):
    model = small(name, 1, 1)
    inputs = {tensor.name: tf.ones((2, *tensor.shape[1:]), tensor.dtype) for tensor in model.inputs}
    for key, array in call(model, inputs).items():
        assert array.shape == (2, *contract(key, 1, 1)[1])
        assert np.isfinite(array).all()


@pytest.mark.parametrize("name", sampled(list_models()))
def test_a_gradient_reaches_every_weight(name):
    # Positive weights, so that no relu is closed, and small ones, so that no tanh is saturated.
    model = build(name, scale=0.1)
    for weight in model.trainable_variables:
        weight.assign(np.abs(weight.numpy()))
    inputs = random_inputs(model, 32)
    with tf.GradientTape() as tape:
        outputs = model(inputs, training=True)
        # A saturated probability has no gradient.
        if task_of(name) == "implicit":
            outputs = {"score": logit_model(model)(inputs, training=True)}
        loss = tf.add_n([tf.reduce_mean(tf.square(output - 3.0)) for output in outputs.values()])
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        values = tf.convert_to_tensor(gradient).numpy()
        assert np.isfinite(values).all(), variable.path
        assert values.any(), variable.path


@pytest.mark.parametrize("name", sampled(models_of(*WITH_TOWERS)))
def test_towers_and_head_compose_to_the_model(name):
    model = build(name)
    inputs = random_inputs(model, 6)
    pairs = task_of(name) == "implicit"
    vectors = {}
    for side in ("user", "item"):
        tower = model.get_layer(f"{side}_tower")
        assert {tensor.name.partition("_")[0] for tensor in tower.inputs} == {side}
        vector = tower({tensor.name: inputs[tensor.name] for tensor in tower.inputs})
        vectors[f"{side}_vector"] = vector[:, tf.newaxis] if pairs else vector
    found = model.get_layer("head")(vectors)
    if pairs:
        squash = any(layer.name == "probability" for layer in model.layers)
        found = tf.sigmoid(found[:, 0]) if squash else found[:, 0]
    (expected,) = call(model, inputs).values()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", models_of("implicit"))
def test_one_head_scores_a_list_and_a_catalogue_as_it_scores_pairs(name):
    model = build(name)
    some = random_inputs(model, max(3, NUM_ITEMS + 1))
    users = {key: value[:3] for key, value in some.items() if key.startswith("user")}
    items = {key: value[: NUM_ITEMS + 1] for key, value in some.items() if key.startswith("item")}
    pairs = {key: tf.repeat(value, NUM_ITEMS + 1, axis=0) for key, value in users.items()}
    pairs |= {key: tf.concat([value] * 3, axis=0) for key, value in items.items()}
    score = call(logit_model_of(model), pairs)["score"].reshape(3, -1)
    users = model.get_layer("user_tower")(users)[:, tf.newaxis]
    items = model.get_layer("item_tower")(items)[tf.newaxis]
    for catalogue in (items, tf.repeat(items, 3, axis=0)):
        found = model.get_layer("head")({"user_vector": users, "item_vector": catalogue})
        np.testing.assert_allclose(found, score, rtol=1e-5, atol=1e-5)
    assert np.ptp(score) > 0.01


def logit_model_of(model):
    return keras.Model(model.input, {"score": logit_model(model).output})


@pytest.mark.parametrize("name", list_models())
def test_there_is_no_lambda_layer(name):
    layers = list(all_layers(small(name)))
    assert len(layers) >= 2
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in layers)


@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_float16", 0.01), ("mixed_bfloat16", 0.1)])
@pytest.mark.parametrize("name", sampled(list_models()))
def test_mixed_precision_gives_float32_near_the_full_result(name, policy, tolerance):
    exact = build(name)
    inputs = random_inputs(exact, 8)
    expected = call(exact, inputs)
    keras.config.set_dtype_policy(policy)
    model = build(name)
    found = call(model, inputs)
    assert {weight.dtype for weight in model.weights} == {"float32"}
    for key, array in expected.items():
        assert model.output[key].dtype == "float32"
        assert found[key].dtype == np.float32
        np.testing.assert_allclose(found[key], array, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", sampled(list_models()))
def test_initial_weights_depend_on_the_seed_alone(name):
    def initial(seed):
        keras.utils.set_random_seed(seed)
        return np.concatenate([weight.ravel() for weight in small(name, 3, 4).get_weights()])

    np.testing.assert_array_equal(initial(1), initial(1))
    if small(name, 3, 4).trainable_variables:
        assert not np.array_equal(initial(1), initial(2))


@pytest.mark.parametrize("name", sampled(list_models()))
def test_xla_compiles_outputs_and_gradients(name):
    model = build(name)
    inputs = random_inputs(model, 4)

    @tf.function(jit_compile=True)
    def step(inputs):
        with tf.GradientTape() as tape:
            outputs = model(inputs, training=True)
            loss = tf.add_n([tf.reduce_sum(tf.square(output)) for output in outputs.values()])
        gradients = tape.gradient(loss, model.trainable_variables)
        return model(inputs, training=False), [tf.convert_to_tensor(gradient) for gradient in gradients]

    outputs, gradients = step(inputs)
    for key, array in call(model, inputs).items():
        np.testing.assert_allclose(outputs[key], array, rtol=1e-4, atol=1e-5)
    assert len(gradients) == len(model.trainable_variables)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_every_models_size_is_tested():
    """Count parameters of each model in a file of its family, or of its own."""
    texts = [
        path.read_text(encoding="utf-8")
        for path in sorted(Path(__file__).parent.glob("test_*.py"))
        if path.name not in ("test_models.py", "test_registry.py")
    ]
    counted = [text for text in texts if re.search("number_of_parameters|PARAMETERS", text)]
    assert counted
    missing = [name for name in list_models() if not any(f'"{name}"' in text for text in counted)]
    assert missing == []


def test_the_small_options_are_of_models():
    assert SMALL.keys() <= set(list_models())
    for name in SMALL:
        assert small(name).count_params() < create_model(name, NUM_USERS, NUM_ITEMS).count_params()
