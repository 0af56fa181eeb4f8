"""Models of clicks: sizes, limits, and one formula worked out by hand."""

import numpy as np
import pytest

from tests.zoo import build, call
from tfzoo.errors import UsageError
from tfzoo.models import create_model

FIELDS = (4, 3, 5)
ROWS = sum(FIELDS)
INPUTS = {"fields": np.array([[1, 2, 3], [0, 0, 0], [3, 1, 4]], np.int32)}
WITH_NUMBERS = {**INPUTS, "dense": np.array([[0.5, -1.0], [0, 0], [2, 3]], np.float32)}


def model_of(name, seed=0, **options):
    return build(name, seed, field_sizes=FIELDS, **options)


def logit(model, inputs=INPUTS):
    return call(model, {name: inputs[name] for name in model.input})["logit"]


def network_size(width, *units):
    count = 0
    for one in units:
        count, width = count + width * one + one, one
    return count + width


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("lr", {"dense_size": 0}, ROWS + 1),
        ("lr", {"dense_size": 2}, ROWS + 2 + 1),
        ("fm", {"dense_size": 0, "embedding_dim": 4}, ROWS * 5 + 1),
        ("dnn", {"dense_size": 2}, (ROWS + 2) * 4 + network_size(5 * 4, 6, 5) + 1),
        ("deepfm-click", {"dense_size": 2}, (ROWS + 2) * 5 + network_size(5 * 4, 6, 5) + 1),
    ],
)
def test_the_number_of_parameters_is_that_of_the_formula(name, options, expected):
    assert model_of(name, **options).count_params() == expected


def test_the_size_is_that_of_a_published_run():
    # BARS' DeepFM on MovielensLatest_x1: 1,328,630, of which 2,400 are of batch normalisation.
    options = {"hidden_units": (400, 400, 400), "embedding_dim": 10}
    model = create_model("deepfm-click", 1, 1, field_sizes=(90_237, 1, 1), **options)
    assert model.count_params() == 1_328_630 - 2_400


@pytest.mark.parametrize("inputs", [INPUTS, WITH_NUMBERS], ids=["fields", "numbers"])
def test_deepfm_is_the_formula(inputs):
    model = model_of("deepfm-click", dense_size=2 if "dense" in inputs else 0)
    weights = {
        weight.path.replace("/embeddings", "").replace("/vectors", ""): weight.numpy()
        for weight in model.weights
    }
    starts = np.cumsum([0, *FIELDS[:-1]])
    expected = []
    for row, ids in enumerate(inputs["fields"]):
        v = list(weights["field_embeddings"][ids + starts])
        w = list(weights["field_weights"][ids + starts, 0])
        for number, value in enumerate(inputs["dense"][row] if "dense" in inputs else []):
            v.append(weights["number_embeddings"][number] * value)
            w.append(weights["number_weights"][number, 0] * value)
        pairs = sum(float(v[i] @ v[j]) for i in range(len(v)) for j in range(i))
        hidden = np.concatenate(v)
        for layer in ("hidden_1", "hidden_2"):
            hidden = np.maximum(hidden @ weights[f"{layer}/kernel"] + weights[f"{layer}/bias"], 0)
        expected.append(
            weights["bias/bias"][0] + sum(w) + pairs + float(hidden @ weights["network/kernel"][:, 0])
        )
    np.testing.assert_allclose(logit(model, inputs), expected, rtol=1e-5, atol=1e-5)


def test_limits_of_deepfm_are_the_smaller_models():
    machine = model_of("deepfm-click", dense_size=0, hidden_units=())
    fm = model_of("fm", dense_size=0, embedding_dim=4)
    for one, other in zip(fm.weights, machine.weights, strict=True):
        one.assign(other)
    np.testing.assert_array_equal(logit(fm), logit(machine))
    lr = model_of("lr", dense_size=0)
    fm.get_layer("field_embeddings").embeddings.assign(np.zeros((ROWS, 4)))
    lr.get_layer("field_weights").embeddings.assign(fm.get_layer("field_weights").embeddings)
    lr.get_layer("bias").bias.assign(fm.get_layer("bias").bias)
    np.testing.assert_allclose(logit(lr), logit(fm), rtol=1e-6)


def test_a_network_needs_a_layer():
    with pytest.raises(UsageError, match="hidden_units"):
        create_model("dnn", 1, 1, hidden_units=())
