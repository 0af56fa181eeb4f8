"""Saved models answer as before: in a fresh process, and from files that an earlier version has written."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

from tests.patience import PATIENCE
from tests.reliability.golden_models import KERAS_FILES, ask, golden_table, outputs
from tests.serving.keras_truth import OPTIONS
from tests.zoo import build, call, random_inputs, sampled
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.experiment import Experiment
from tfzoo.models import list_models
from tfzoo.runs import run
from tfzoo.training.checkpoint import TrainingState, save_checkpoint, save_model
from tfzoo.training.recipe import load_recipe
from tfzoo.training.record import RunRecord
from tfzoo.training.settings import Recipe, parse

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
BATCH = 6

# A file needs what it holds alone, and finds it by itself.
FRESH_PROCESS = """
import sys
from pathlib import Path

import keras
import numpy as np

import tfzoo

assert not any(name.startswith(("tfzoo.layers", "tfzoo.models")) for name in sys.modules)

paths = sorted(Path(sys.argv[1]).glob("*.keras"))
models = {path: keras.saving.load_model(path, safe_mode=True) for path in paths}

from tests.serving.keras_truth import OPTIONS
from tests.zoo import build, call, random_inputs, sampled
from tfzoo.training.checkpoint import load_checkpoint

for path, model in models.items():
    found = {f"keras/{key}": value for key, value in call(model, random_inputs(model, 6)).items()}
    # Other numbers than those of the file, so that only the file can make the outputs equal.
    other = build(path.stem, seed=99, **OPTIONS.get(path.stem, {}))
    state, groups = load_checkpoint(path.with_suffix(".npz"), "the same")
    assert state.epoch == 3
    for variable, values in zip(other.variables, groups["model"], strict=True):
        assert variable.shape == values.shape
        variable.assign(values)
    found |= {f"checkpoint/{key}": value for key, value in call(other, random_inputs(other, 6)).items()}
    np.savez(path.with_suffix(".out.npz"), **found)
"""


@pytest.fixture(scope="module")
def reloaded(tmp_path_factory, model_names):
    """Save models, have a fresh process load them, and return both outputs by model."""
    folder, before = tmp_path_factory.mktemp("models"), {}
    for name in model_names:
        model = build(name, seed=11, **OPTIONS.get(name, {}))
        before[name] = call(model, random_inputs(model, BATCH))
        save_model(model, folder / f"{name}.keras")
        arrays = [keras.ops.convert_to_numpy(variable) for variable in model.variables]
        save_checkpoint(
            folder / f"{name}.npz",
            TrainingState(epoch=3, history=[{"loss": 1.0}] * 3),
            {"model": arrays},
            "the same",
        )
    done = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS, str(folder)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, before


@pytest.mark.parametrize("source", ["keras", "checkpoint"])
@pytest.mark.parametrize("name", sampled(list_models()))
def test_a_fresh_process_gives_the_outputs_from_before(reloaded, name, source):
    folder, before = reloaded
    with np.load(folder / f"{name}.out.npz") as found:
        assert {key for key in found if key.startswith(source)} == {f"{source}/{key}" for key in before[name]}
        for key, values in before[name].items():
            np.testing.assert_allclose(found[f"{source}/{key}"], values, rtol=1e-6, atol=1e-6)
            # The initial weights of another process would give others.
            assert np.ptp(values) > 0


# Files of an earlier version


@pytest.mark.parametrize("name", KERAS_FILES)
def test_a_golden_keras_file_loads_in_safe_mode_and_gives_its_numbers(name):
    found = outputs(keras.saving.load_model(GOLDEN / f"{name}.keras", safe_mode=True))
    assert found.keys() == EXPECTED[name].keys()
    for key, values in EXPECTED[name].items():
        np.testing.assert_allclose(found[key], values, rtol=1e-5, atol=1e-6)


def test_a_golden_export_gives_its_numbers_and_its_description(tmp_path):
    with zipfile.ZipFile(GOLDEN / "saved_model.zip") as archive:
        archive.extractall(tmp_path / "1")
    found, expected = ask(tmp_path / "1"), EXPECTED["saved_model"]
    assert found.keys() == expected.keys()
    assert found["item_ids"] == expected["item_ids"]
    assert found["known_user"] == expected["known_user"]
    for key in ("pairs", "scores"):
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-5, atol=1e-6)
    described = json.loads((tmp_path / "1" / "assets.extra" / "tfzoo.json").read_text(encoding="utf-8"))
    assert described["model"] == "biased-mf"
    assert described["ids"] == {"user": "int64", "item": "int64"}
    assert described["policy"]["blank_id"] == -1


def test_a_golden_record_is_read_as_it_was_written():
    record = RunRecord.load(GOLDEN)
    written = json.loads((GOLDEN / "record.json").read_text(encoding="utf-8"))
    # A later version may know more fields; what is in the file must stay what it is.
    assert json.loads(record.text()).items() >= written.items()
    assert record.metrics["test"] == EXPECTED["test"]


def test_golden_vocabularies_give_their_dense_ids():
    folder, known = GOLDEN / "vocabulary", golden_table()
    types = json.loads((folder / "types.json").read_text(encoding="utf-8"))
    assert types == {"users": "int64", "items": "int64"}
    assert Vocabulary.load(folder / "users.txt", types["users"]) == known.users
    assert Vocabulary.load(folder / "items.txt", types["items"]) == known.items


def test_a_golden_recipe_trains_to_the_figures_of_its_record(tmp_path):
    values = yaml.safe_load((GOLDEN / "recipe.yaml").read_text(encoding="utf-8"))
    recipe = parse(Recipe, values, "recipe.yaml")
    assert values == RunRecord.load(GOLDEN).recipe
    for group, settings in recipe.model_dump(mode="json").items():
        known = values.get(group, settings)
        assert settings == known or settings.items() >= known.items(), group
    # As a user gives it, by its path; the name is the one that the file states.
    loaded = load_recipe("biased-mf", "golden", str(GOLDEN / "recipe.yaml"))
    # Settings of the task that came later have their defaults.
    assert loaded.task.items() >= recipe.task.items()
    assert loaded == recipe.model_copy(update={"changes": loaded.changes, "task": loaded.task})
    record, _ = run(Experiment.prepare(recipe, golden_table(), 0), tmp_path)
    for metric, value in EXPECTED["test"].items():
        assert record.metrics["test"][metric] == pytest.approx(value, rel=1e-4), metric


def test_the_golden_files_stay_small():
    sizes = {path.name: path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 1_000_000
    assert sizes["saved_model.zip"] < 300_000
