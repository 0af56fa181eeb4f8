"""Every registered model passes the checks that are shipped for the models of others, and some of our own."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.patience import PATIENCE
from tests.zoo import (
    NUM_ITEMS,
    NUM_USERS,
    SAMPLE,
    build,
    call,
    kind_of,
    models_of,
    random_inputs,
    sampled,
    small,
    task_of,
)
from tfzoo.models import create_model, list_models, model_info
from tfzoo.tasks import TASKS
from tfzoo.tasks.implicit import logit_model
from tfzoo.testing import CHECKS, check_model
from tfzoo.testing.reload import differences, save
from tfzoo.testing.small import SIZES

WITH_TOWERS = ("rating", "review-rating", "implicit")
# Quick enough for all models.
OF_ALL = ("contract", "no code")
# What takes a process of its own is done for many models at once; exports are asked more in tests/serving.
APART = ("saved", "export")


@pytest.mark.parametrize("check", OF_ALL)
@pytest.mark.parametrize("name", list_models())
def test_every_model_passes(name, check):
    check_model(name, only=[check])


@pytest.mark.parametrize("check", [check for check in CHECKS if check not in (*OF_ALL, *APART)])
@pytest.mark.parametrize("name", sampled(list_models()))
def test_one_model_of_each_kind_passes(name, check):
    check_model(name, only=[check])


@pytest.mark.parametrize("name", sampled(list_models(), ("gmf",)))
def test_exports_answer_as_the_model_does(name):
    check_model(name, only=["export"])


@pytest.fixture(scope="module")
def saved(tmp_path_factory, model_names):
    """A folder with models, random inputs, and what they give for them here."""
    folder = tmp_path_factory.mktemp("models")
    for name in model_names:
        model = build(name)
        inputs = random_inputs(model, 16)
        save(folder / f"{name}.keras", model, inputs, call(model, inputs))
    return folder


def test_saved_models_give_the_same_in_a_new_process_and_on_another_backend(saved, model_names):
    found = differences(saved, ("tensorflow", "numpy"), PATIENCE)
    for backend, tolerance in (("tensorflow", 1e-6), ("numpy", 1e-5)):
        assert found[backend] == pytest.approx(dict.fromkeys(model_names, 0), abs=tolerance)


def test_the_compared_outputs_are_not_all_alike(saved, model_names):
    for name in model_names:
        with np.load(saved / f"{name}.out.npz") as outputs:
            assert all(np.std(outputs[key]) > 1e-3 for key in outputs.files), name


def test_every_task_has_a_contract_and_a_model():
    assert TASKS.keys() == {task_of(name) for name in list_models()}
    assert all(task.model_inputs and task.model_outputs for task in TASKS.values())


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


@pytest.mark.slow
def test_the_sample_has_a_model_of_each_kind():
    assert {kind_of(name) for name in SAMPLE} == {kind_of(name) for name in list_models()}


def test_the_small_options_are_smaller_than_the_defaults():
    declared = [name for name in list_models() if model_info(name).small]
    assert len(declared) > 10
    for name in declared:
        options = model_info(name).options
        sizes = {key: value for key, value in SIZES.items() if key in options}
        assert small(name).count_params() < create_model(name, NUM_USERS, NUM_ITEMS, **sizes).count_params()
