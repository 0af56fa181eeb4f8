"""Every model does the same on every backend of Keras; what needs no TensorFlow does without it."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tfzoo
from tests.models.backends import compare, draws, exercise
from tests.patience import PATIENCE
from tests.zoo import random_inputs
from tfzoo.models import list_models

ROOT = Path(__file__).parents[2]
SHIPPED = "biased-mf-ml-100k"
# Those that differ most in what they are made of.
FEW = ("edrs", "gru4rec", "sasrec", "user-knn")


def needed(package, request):
    """Skip where a backend is not installed; checks of every change must have JAX."""
    if package == "torch" and not request.config.getoption("--torch"):
        pytest.skip("runs with --torch")
    if importlib.util.find_spec(package) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{package} is not installed; CI must run the models on it.", pytrace=False)
        pytest.skip(f"{package} is not installed")


def on(backend, *arguments):
    """Run Python with Keras on a backend and return what it prints."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def on_tensorflow(chosen, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensorflow")
    return {name: exercise(name, folder) for name in sorted({*FEW, *chosen})}


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_every_model_does_the_same_on_every_backend(request, on_tensorflow, tmp_path, backend):
    needed(backend, request)
    on(backend, "-m", "tests.models.backends", backend, str(tmp_path), *on_tensorflow)
    differences = {}
    for name, expected in on_tensorflow.items():
        with np.load(tmp_path / f"{name}.npz") as found:
            differences[name] = compare(expected, found, chance=draws(name))
    assert differences == pytest.approx(dict.fromkeys(on_tensorflow, 0), abs=1e-5)


def test_a_difference_is_found():
    one = {"built/score": np.array([1.0, 20.0]), "loss": np.array([1.0])}
    assert compare(one, one) == 0
    assert compare(one, {**one, "built/score": np.array([1.0, 21.0])}) == pytest.approx(0.05)
    assert compare(one, {**one, "loss": np.array([1.5])}) == pytest.approx(0.5)
    assert compare(one, {**one, "loss": np.array([1.5])}, chance=True) == 0
    with pytest.raises(AssertionError):
        compare(one, {**one, "solved/score": np.ones(2)})
    with pytest.raises(AssertionError):
        compare(one, {**one, "loss": np.array([np.nan])}, chance=True)
    assert draws("mult-vae")
    assert not draws("biased-mf")


def test_the_table_is_of_models_and_has_no_difference_above_the_limit():
    text = (ROOT / "docs" / "backends.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", text, re.MULTILINE))
    assert rows.keys() <= set(list_models())
    assert len(rows) > 40
    assert all(float(cell) <= 1e-5 for row in rows.values() for cell in row.split(" | "))


WITHOUT_TENSORFLOW = f"""
import sys
sys.modules["tensorflow"] = None
import numpy as np
import tfzoo
from tfzoo.discovery import list_recipes
from tfzoo.evaluation.metrics import rmse
from tfzoo.evaluation.ranking_metrics import *
from tfzoo.layers import item_losses, session_losses
from tfzoo.layers.losses import SquaredError
from tfzoo.training.record import RunRecord

model, (users, items) = tfzoo.load_pretrained("{SHIPPED}", with_vocabulary=True)
assert len(users), len(items)
found = model.predict(dict(np.load(sys.argv[1])), verbose=0)
np.savez(sys.argv[2], **found)
vectors = tfzoo.retrieval_vectors(model)
assert vectors.users.shape[0] == len(users) + 1 and vectors.items.shape[0] == len(items) + 1
assert float(tfzoo.losses.BPR()(np.eye(2), np.zeros([2, 2]))) > 0.69
assert tfzoo.metrics.metrics_of_scores(np.eye(2), np.zeros([2, 2]), [1])["hr@1"] == 0
metric = tfzoo.metrics.NDCG(2)
metric.update_state(np.eye(2), np.zeros([2, 2]))
assert abs(float(metric.result()) - 1 / np.log2(3)) < 1e-6
assert rmse(np.array([1.0]), np.array([3.0])) == 2
assert float(SquaredError()(np.ones([2]), np.zeros([2]))) == 1
assert "edrs" in tfzoo.list_models()
for name in tfzoo.list_models():
    for recipe in list_recipes(name):
        assert tfzoo.load_recipe(name, "ml-100k", recipe, ["training.epochs=3"]).training.epochs == 3
"""


def test_what_needs_no_tensorflow_does_without_it(request, tmp_path):
    needed("jax", request)
    model = tfzoo.load_pretrained(SHIPPED)
    inputs = {key: np.asarray(value) for key, value in random_inputs(model, 8).items()}
    np.savez(tmp_path / "inputs.npz", **inputs)
    on("jax", "-c", WITHOUT_TENSORFLOW, str(tmp_path / "inputs.npz"), str(tmp_path / "found.npz"))
    expected = model.predict(inputs, verbose=0)
    with np.load(tmp_path / "found.npz") as found:
        assert expected.keys() == set(found)
        for key, values in expected.items():
            np.testing.assert_allclose(found[key], values, rtol=1e-5, atol=1e-5)


TRAIN = """
from tfzoo.errors import UsageError
from tfzoo.runs import run
try:
    run(None, None)
except UsageError as error:
    print(error)
"""


def test_training_by_a_recipe_says_that_it_needs_tensorflow(request):
    needed("jax", request)
    assert "Keras runs on 'jax'. Set KERAS_BACKEND=tensorflow" in on("jax", "-c", TRAIN)
