"""What every registered model must do, one check a function."""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzoo.errors import UsageError, nearest
from tfzoo.models import model_info
from tfzoo.models.saved import load_model
from tfzoo.tasks import get_task
from tfzoo.tasks.implicit import logit_model
from tfzoo.testing.exported import check_export
from tfzoo.testing.reload import differences, save
from tfzoo.testing.small import NUM_ITEMS, NUM_USERS, build, call, random_inputs, small

Check = Callable[[str], None]
CHECKS: dict[str, Check] = {}
# Of outputs on another backend, relative where they are above 1.
TOLERANCE = {"tensorflow": 1e-6, "numpy": 1e-5, "jax": 1e-5, "torch": 1e-5}


def check_model(
    name: str, *, parameters: int | None = None, only: Sequence[str] = (), without: Sequence[str] = ()
) -> None:
    """Run the checks that all models of tfzoo pass over one model; stops at the first that fails.

    The model is built small: with the ``small`` of its registration, 7 users and 5 items.

    Args:
        name: of a registered model, or of one of an installed package.
        parameters: how many trained weights it has at these sizes, worked out from the paper; None
            where that is tested elsewhere.
        only: names of checks; none for all `CHECKS`.
        without: names of checks to leave out.

    Raises:
        AssertionError: the model fails; the message begins with the name of the check.
        UsageError: there is no such model, or no such check.
    """
    model_info(name)
    for one in (*only, *without):
        if one not in CHECKS:
            raise UsageError(f"There is no check '{one}'. {nearest(one, CHECKS)}")
    if parameters is not None:
        found = sum(int(np.prod(weight.shape)) for weight in small(name).trainable_variables)
        _expect(found == parameters, f"parameters: '{name}' has {found} trained weights, not {parameters}")
    for one in only or CHECKS:
        if one in without:
            continue
        precision = keras.config.dtype_policy()
        try:
            CHECKS[one](name)
        except AssertionError as error:
            raise AssertionError(f"{one}: '{name}' fails: {error}") from error
        finally:
            keras.config.set_dtype_policy(precision)


def _check(named: str) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        CHECKS[named] = check
        return check

    return register


def _expect(holds: Any, otherwise: str) -> None:
    # No `assert`, which `python -O` leaves out.
    if not holds:
        raise AssertionError(otherwise)


def _same(found: Any, expected: Any, what: str, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=what)


@_check("contract")
def inputs_and_outputs_are_those_of_the_task(name: str) -> None:
    """Names are those of the task, ids are int32, all else float32, and the batch stands in front."""
    model, task = small(name), get_task(model_info(name).task)
    _expect(isinstance(model.input, dict) and isinstance(model.output, dict), "inputs and outputs are dicts")
    for what, tensors, pattern in (
        ("inputs", model.input, task.model_inputs),
        ("outputs", model.output, task.model_outputs),
    ):
        names = " ".join(sorted(tensors))
        _expect(
            not pattern or re.fullmatch(pattern, names),
            f"the {what} are '{names}'; the task '{task.name}' asks for the pattern '{pattern}'",
        )
    for key, tensor in model.input.items():
        _expect(tensor.name == key, f"the input '{tensor.name}' is called '{key}'")
    for key, tensor in (*model.input.items(), *model.output.items()):
        whole = key in model.input and key.endswith(("_id", "_tokens", "history", "fields"))
        dtype = "int32" if whole else "float32"
        _expect(tensor.dtype == dtype, f"'{key}' is {tensor.dtype}, expected {dtype}")
        wanted = _shape(key)
        if wanted is not None:
            _expect(tuple(tensor.shape) == wanted, f"'{key}' is {tensor.shape}, expected {wanted}")
        _expect(tensor.shape[0] is None, f"'{key}' is {tensor.shape}; a batch of any size stands in front")
    for key in model.input.keys() & model.output.keys():
        _expect(model.input[key].shape == model.output[key].shape, f"'{key}' goes in and out in two shapes")


def _shape(key: str) -> tuple[int | None, ...] | None:
    """Return the shape of an input or output that the numbers of users and items decide."""
    widths = {"user_row": NUM_ITEMS + 1, "scores": NUM_ITEMS + 1, "item_row": NUM_USERS + 1}
    if key in widths:
        return None, widths[key]
    return (None,) if key in ("user_id", "item_id", "rating", "score", "click", "logit") else None


@_check("no code")
def no_layer_brings_code(name: str) -> None:
    """There is no `Lambda` layer, which no safe loader takes."""
    layers = list(small(name)._flatten_layers(include_self=False))
    lambdas = [layer.name for layer in layers if isinstance(layer, keras.layers.Lambda)]
    _expect(not lambdas, f"Lambda layers bring code into saved models: {lambdas}")


@_check("batch")
def examples_do_not_influence_each_other(name: str) -> None:
    """Three examples together have the outputs that each of them has alone."""
    model = build(name)
    inputs = random_inputs(model, 3)
    together = call(model, inputs)
    for row in range(3):
        alone = call(model, {key: value[row : row + 1] for key, value in inputs.items()})
        for key, array in together.items():
            _same(alone[key], array[row : row + 1], f"'{key}' of example {row}, alone and among three")


@_check("smallest")
def the_smallest_sizes_build(name: str) -> None:
    """One user and one item make a model with finite outputs, one a row."""
    model = small(name, 1, 1)
    inputs = {tensor.name: tf.ones((2, *tensor.shape[1:]), tensor.dtype) for tensor in model.inputs}
    for key, array in call(model, inputs).items():
        _expect(len(array) == 2, f"'{key}' of two examples has the shape {array.shape}")
        _expect(np.isfinite(array).all(), f"'{key}' is not finite for one user and one item")


@_check("gradients")
def a_gradient_reaches_every_weight(name: str) -> None:
    """No trained weight is left out of the outputs, and no gradient is infinite."""
    # Positive weights, so that no relu is closed, and small ones, so that no tanh is saturated.
    model = build(name, scale=0.1)
    for weight in model.trainable_variables:
        weight.assign(np.abs(weight.numpy()))
    if not model.trainable_variables:
        return
    inputs = random_inputs(model, 32)
    with tf.GradientTape() as tape:
        outputs = model(inputs, training=True)
        # A saturated probability has no gradient.
        if set(outputs) == {"score"}:
            outputs = {"score": logit_model(model)(inputs, training=True)}
        loss = tf.add_n([tf.reduce_mean(tf.square(output - 3.0)) for output in outputs.values()])
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        _expect(gradient is not None, f"no output depends on {variable.path}")
        values = tf.convert_to_tensor(gradient).numpy()
        _expect(np.isfinite(values).all(), f"the gradient of {variable.path} is not finite")
        _expect(values.any(), f"the gradient of {variable.path} is 0")


@_check("seed")
def initial_weights_depend_on_the_seed_alone(name: str) -> None:
    """One seed makes the same weights twice, another one others."""

    def initial(seed: int) -> Any:
        keras.utils.set_random_seed(seed)
        weights = small(name, 3, 4).get_weights()
        return np.concatenate([weight.ravel() for weight in weights]) if weights else np.zeros(0)

    _expect(np.array_equal(initial(1), initial(1)), "the same seed gives other weights")
    # Logistic regression starts from zeros.
    if any(np.any(weight.numpy()) for weight in small(name, 3, 4).trainable_variables):
        _expect(not np.array_equal(initial(1), initial(2)), "another seed gives the same weights")


def _mixed(name: str, policy: str, tolerance: float) -> None:
    exact = build(name)
    inputs = random_inputs(exact, 8)
    expected = call(exact, inputs)
    keras.config.set_dtype_policy(policy)
    model = build(name)
    found = call(model, inputs)
    others = [weight.path for weight in model.weights if weight.dtype != "float32"]
    _expect(not others, f"under {policy} these weights are not float32: {others}")
    for key, array in expected.items():
        _expect(model.output[key].dtype == "float32", f"under {policy} '{key}' is {model.output[key].dtype}")
        _expect(found[key].dtype == np.float32, f"under {policy} '{key}' is {found[key].dtype}")
        _same(found[key], array, f"'{key}' under {policy}", tolerance)


@_check("mixed_float16")
def mixed_float16_gives_float32_near_the_full_result(name: str) -> None:
    """Weights and outputs stay float32, and lie near those of full precision."""
    _mixed(name, "mixed_float16", 0.01)


@_check("mixed_bfloat16")
def mixed_bfloat16_gives_float32_near_the_full_result(name: str) -> None:
    """Weights and outputs stay float32, and lie near those of full precision."""
    _mixed(name, "mixed_bfloat16", 0.1)


@_check("xla")
def xla_compiles_outputs_and_gradients(name: str) -> None:
    """A step compiled by XLA has the outputs of one that is not, and finite gradients."""
    model = build(name)
    inputs = random_inputs(model, 4)

    @tf.function(jit_compile=True)
    def step(inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            outputs = model(inputs, training=True)
            loss = tf.add_n([tf.reduce_sum(tf.square(output)) for output in outputs.values()])
        gradients = tape.gradient(loss, model.trainable_variables)
        return model(inputs, training=False), [tf.convert_to_tensor(gradient) for gradient in gradients]

    outputs, gradients = step(inputs)
    for key, array in call(model, inputs).items():
        np.testing.assert_allclose(outputs[key], array, rtol=1e-4, atol=1e-5, err_msg=f"'{key}' under XLA")
    finite = all(np.isfinite(gradient).all() for gradient in gradients)
    _expect(finite, "a gradient is not finite under XLA")


@_check("saved")
def a_saved_model_gives_the_same_here_and_elsewhere(name: str) -> None:
    """A saved model has its outputs after loading, also in a new process and on the backends there are."""
    model = build(name)
    inputs = random_inputs(model, 16)
    expected = call(model, inputs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.keras"
        save(path, model, inputs, expected)
        for key, array in call(load_model(path, compile=False), inputs).items():
            _same(array, expected[key], f"'{key}' after loading", 1e-6)
        backends = tuple(one for one in TOLERANCE if one == "numpy" or importlib.util.find_spec(one))
        for backend, found in differences(Path(folder), backends).items():
            _expect(
                found[name] <= TOLERANCE[backend],
                f"on Keras' backend {backend} the saved model's outputs are off by {found[name]:.1e}",
            )


@_check("export")
def an_export_answers_as_the_model_does(name: str) -> None:
    """The SavedModel for a server gives the scores and the lists of the model."""
    check_export(name)
