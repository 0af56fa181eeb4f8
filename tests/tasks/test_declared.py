"""What is declared of a task or a model decides, not the names of layers and of evaluators."""

import ast
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import build, models_of, random_inputs
from tfzoo.layers import GaussianCode
from tfzoo.tasks import TASKS
from tfzoo.tasks.implicit import logit_model, squash_of
from tfzoo.tasks.reconstruction import ReconstructionTask
from tfzoo.tasks.sequences import SequenceTask

PACKAGE = Path(__file__).parents[2] / "tfzoo"
# Models whose papers give a probability.
PROBABILITIES = {"bmf", "dmf", "gmf", "mlp", "neumf"}


def test_nothing_compares_the_name_of_an_evaluator():
    found = [
        f"{path.name}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare)
        for part in (node.left, *node.comparators)
        if isinstance(part, ast.Attribute) and part.attr == "evaluation"
    ]
    assert found == []


def test_what_tasks_declare():
    rated = {name for name, task in TASKS.items() if task.predicts_ratings}
    assert rated == {"rating", "review-rating"}
    assert {name for name, task in TASKS.items() if task.ranks_lists} == {"implicit", "reconstruction"}
    asked = {name for name, task in TASKS.items() if task().asks_every_event}
    assert asked == {"next-item"}
    assert SequenceTask(SequenceTask.Settings(measure="events")).asks_every_event


@pytest.mark.parametrize("name", models_of("implicit"))
def test_a_probability_is_known_by_what_it_is(name, tmp_path):
    model = build(name)
    assert (squash_of(model) is not None) == (name in PROBABILITIES)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (squash_of(loaded) is not None) == (name in PROBABILITIES)
    inputs = random_inputs(model, 5)
    logit, score = logit_model(loaded)(inputs), model(inputs)["score"]
    expected = tf.sigmoid(logit) if name in PROBABILITIES else logit
    np.testing.assert_allclose(score, expected, rtol=1e-6)


def test_the_logistic_function_may_have_any_name():
    user = keras.Input((), dtype="int32", name="user_id")
    logit = keras.layers.Rescaling(0.5, dtype="float32")(user)
    score = keras.layers.Activation("sigmoid", name="chance")(logit)
    model = keras.Model({"user_id": user}, {"score": score})
    assert squash_of(model).name == "chance"
    np.testing.assert_allclose(logit_model(model)({"user_id": np.array([3])}), [1.5])
    # A squashed part that is not the end of the model is none.
    other = keras.Model({"user_id": user}, {"score": keras.layers.Activation("tanh")(score)})
    assert squash_of(other) is None


def test_the_cap_of_a_variational_code_is_found_whatever_the_layer_is_called():
    parameters = keras.Input((8,), name="user_row")
    code = GaussianCode(kl_cap=0.25, total_anneal_steps=0, name="anything")(parameters, rows=parameters)
    model = keras.Model({"user_row": parameters}, {"scores": code})
    expected = float(model.get_layer("anything").beta)
    assert ReconstructionTask().after_pilot(model) == {"kl_cap": expected}
