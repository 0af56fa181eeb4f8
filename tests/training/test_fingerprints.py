"""Fingerprints: the committed records read back, and a record is read in the way in which it was written."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.test_experiment import prepare
from tests.training.test_record import record
from tfzoo.data.datasets import load_dataset
from tfzoo.experiment import Experiment
from tfzoo.tasks import get_task
from tfzoo.training.fingerprints import only_stated, settings_of
from tfzoo.training.recipe import recorded_recipe
from tfzoo.training.record import RunRecord

RESULTS = Path(__file__).parents[2] / "results"
# Read in seconds; the others take half a minute.
SMALL = ("ml-100k", "amazon-musical-instruments")
LARGE = ("ml-1m", "amazon-2023-musical-instruments", "frappe", "yoochoose1_64")


def committed():
    return [RunRecord.load(path) for path in sorted(RESULTS.glob("*/seed-*.json"))]


def of(experiment, **changes):
    """Return a record of an experiment that has run."""
    recipe = {"recipe": experiment.recipe.model_dump(mode="json"), "fingerprint": experiment.fingerprint()}
    return record(**{**recipe, **changes})


def sha(*content):
    digest = hashlib.sha256()
    for part in content:
        digest.update(np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else part.encode())
    return digest.hexdigest()


def test_this_version_takes_the_settings_of_every_committed_record():
    records = committed()
    assert len(records) > 390
    for known in records:
        settings = settings_of(known)
        assert settings is not None
        # All that the record says counts, but for what is only said and for what was added later.
        for group in ("builder", "training", "split", "task"):
            stated = only_stated(settings[group], known.recipe[group])
            assert stated.items() <= known.recipe[group].items()
            left_out = known.recipe[group].keys() - stated.keys()
            assert left_out <= {"fit_on"}, f"{known.run_name}: {left_out}"


def read_back(dataset):
    """Return the number of records of a data set, and those that are not of their settings and data."""
    data, prepared, unknown = load_dataset(dataset), {}, []
    records = [known for known in committed() if known.dataset == dataset]
    for known in records:
        recipe = recorded_recipe(known.recipe, known.run_name)
        key = json.dumps([recipe.split.model_dump(), recipe.filter.model_dump(), known.task, known.seed])
        if key not in prepared:
            prepared[key] = Experiment.prepare(recipe, data, known.seed)
        task = get_task(known.task)
        bound = task(task.Settings(**recipe.task))
        if not replace(prepared[key], recipe=recipe, task=bound).is_of(known):
            unknown.append(f"{known.run_name}/seed-{known.seed}")
    return len(records), unknown


@pytest.mark.data
@pytest.mark.parametrize(
    "dataset", [*SMALL, *(pytest.param(dataset, marks=pytest.mark.slow) for dataset in LARGE)]
)
def test_every_committed_record_is_of_its_settings_and_data(dataset):
    found, unknown = read_back(dataset)
    assert found > 0
    assert unknown == []


def test_the_data_sets_of_all_committed_records_are_read_back():
    assert {known.dataset for known in committed()} == {*SMALL, *LARGE}


def test_an_experiment_is_of_its_own_record_and_of_no_other(toy):
    base = prepare(toy)
    assert base.is_of(of(base))
    assert not base.is_of(of(base, fingerprint="0" * 64))
    ratings = toy.ratings.copy()
    ratings[:] = ratings[::-1]
    others = [
        prepare(toy, seed=1),
        prepare(toy, "training.epochs=4"),
        prepare(toy, model="biased-mf"),
        prepare(replace(toy, rating=ratings)),
    ]
    assert not any(base.is_of(of(other)) for other in others)


def test_settings_that_a_record_does_not_state_are_left_out(toy):
    """The fingerprint of a version without pre-training, written by hand."""
    base = prepare(toy)
    recipe = {k: v for k, v in base.recipe.model_dump(mode="json").items() if k != "pretraining"}
    del recipe["training"]["momentum"]
    # What counted then; later settings are left out where they have their default.
    counted = {k: recipe[k] for k in ("model", "name", "builder", "filter", "split", "task", "training")}
    counted["training"] = {k: v for k, v in recipe["training"].items() if k != "fit_on"}
    counted["filter"] = {k: v for k, v in recipe["filter"].items() if k != "min_rating_of"}
    columns = [
        column
        for part in (base.split.train, base.split.validation, base.split.test)
        for column in (part.user_id, part.item_id, part.rating, part.timestamp)
    ]
    old = sha(*columns, json.dumps([counted, 0, "float32"], sort_keys=True))
    assert old != base.fingerprint()
    known = of(base, recipe=recipe, fingerprint=old)
    assert base.is_of(known)
    # Other settings are other settings, also where the data is the same.
    assert not prepare(toy, "training.momentum=0.5", "training.optimizer=sgd").is_of(known)
    assert not prepare(toy, seed=1).is_of(known)


def test_the_first_versions_knew_ratings_alone(toy):
    base = prepare(toy)
    counted = {
        key: value
        for key, value in base.recipe.model_dump(mode="json").items()
        if key in ("model", "name", "builder", "task", "split")
    }
    columns = [
        column
        for part in (base.split.train, base.split.validation, base.split.test)
        for column in (part.user_id, part.item_id, part.rating)
    ]
    counted["training"] = base.recipe.training.model_dump(mode="json", exclude={"fit_on"})
    old = sha(*columns, json.dumps([counted, 0, "float32"], sort_keys=True))
    assert base.is_of(of(base, recipe=counted, fingerprint=old))
    changed = {**counted, "split": {**counted["split"], "cold": "drop"}}
    assert not base.is_of(of(base, recipe=changed, fingerprint=old))


def test_texts_were_once_written_twice(toy):
    text = np.array([f"word {row % 7}" for row in range(len(toy))])
    base = prepare(replace(toy, text=text))
    columns = []
    for part in (base.split.train, base.split.validation, base.split.test):
        columns += [part.user_id, part.item_id, part.rating, part.timestamp]
        columns += ["\x1f".join(part.text), "\0".join(part.text)]
    settings = json.dumps([settings_of(of(base)), 0, "float32"], sort_keys=True)
    assert base.is_of(of(base, fingerprint=sha(*columns, settings)))
    assert not prepare(toy).is_of(of(base, fingerprint=sha(*columns, settings)))


def test_settings_that_this_version_does_not_take_are_of_no_experiment(toy):
    base = prepare(toy)
    recipe = {**base.recipe.model_dump(mode="json"), "moon": 1}
    assert settings_of(of(base, recipe=recipe)) is None
    assert not base.is_of(of(base, recipe=recipe, fingerprint="f"))
