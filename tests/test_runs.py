"""One run from data to record."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from tfzoo.errors import TfzooError, UsageError
from tfzoo.evaluation import mae, rmse
from tfzoo.experiment import Experiment
from tfzoo.runs import load_model, run, run_folder
from tfzoo.training.folders import refuse_another_run
from tfzoo.training.recipe import load_recipe
from tfzoo.training.record import RunRecord

# Without XLA, which takes longer to compile than these runs take.
FAST = ["training.epochs=3", "training.batch_size=64", "training.jit_compile=false"]
FAST += ["training.learning_rate=0.01", "training.checkpoint_seconds=0"]


def prepare(interactions, *overrides, model="pmf", seed=0):
    recipe = load_recipe(model, interactions.name, overrides=[*FAST, *overrides])
    return Experiment.prepare(recipe, interactions, seed)


@pytest.fixture(scope="module")
def finished(toy, tmp_path_factory):
    """Return an experiment, its record and its folder."""
    output = tmp_path_factory.mktemp("runs")
    experiment = prepare(toy)
    return experiment, *run(experiment, output)


def test_the_record_has_every_field(finished):
    experiment, record, folder = finished
    assert (record.model, record.task, record.dataset) == ("pmf", "rating", "toy")
    assert record.protocol == experiment.split.protocol
    assert record.recipe["name"] == "paper"
    assert record.recipe["training"]["epochs"] == 3
    assert record.seed == 0
    assert record.parameters == 10 * (31 + 21)
    assert record.metrics.keys() == {"train", "validation", "test"}
    for part in record.metrics.values():
        assert {"rmse", "mae", "rmse_unclipped", "mae_unclipped", "rmse_user_mean"} <= part.keys()
        assert all(type(value) is float and math.isfinite(value) for value in part.values())
    assert record.paper is None
    assert [set(row) for row in record.history] == [{"loss", "val_rmse", "val_mae"}] * 3
    assert record.timing.keys() == {"train_seconds", "epochs", "examples_per_second", "evaluate_seconds"}
    assert record.timing["epochs"] == 3
    assert record.timing["train_seconds"] > 0
    assert record.peak_memory_mb > 0
    assert {"python", "tensorflow", "keras", "numpy"} <= record.versions.keys()
    assert "commit" in RunRecord.model_fields
    assert folder.name == "seed-0"
    assert re.fullmatch("pmf-toy-paper-[0-9a-f]{6}", folder.parent.name)
    assert RunRecord.load(folder) == record
    json.loads((folder / "record.json").read_text(encoding="utf-8"))


def test_the_folder_holds_what_it_should(finished):
    _, _, folder = finished
    assert sorted(entry.name for entry in folder.iterdir()) == ["model.keras", "record.json", "vocabulary"]
    items = (folder / "vocabulary" / "items.txt").read_text(encoding="utf-8").splitlines()
    assert items == [f"film-{number:02d}" for number in range(20)]


def test_the_figures_of_the_record_are_those_of_the_saved_model(finished):
    experiment, record, folder = finished
    model = load_model(folder)
    for part in ("train", "validation", "test"):
        pairs_ = getattr(experiment.split, part)
        inputs = {"user_id": pairs_.user_id, "item_id": pairs_.item_id}
        predicted = np.clip(model(inputs)["rating"].numpy(), 1, 5)
        assert record.metrics[part]["rmse"] == pytest.approx(rmse(pairs_.ratings, predicted), abs=1e-6)
        assert record.metrics[part]["mae"] == pytest.approx(mae(pairs_.ratings, predicted), abs=1e-6)
    best = record.history[record.best_epoch - 1]
    assert best["val_rmse"] == min(row["val_rmse"] for row in record.history)


def test_paper_figures_of_a_named_data_set_reach_the_record(toy, tmp_path):
    record, _ = run(prepare(replace(toy, name="ml-100k"), "training.epochs=1"), tmp_path)
    assert record.paper["metrics"] == {"mae": 0.728, "rmse": 0.920}


def test_a_run_repeats_itself(finished, toy, tmp_path):
    _, record, _ = finished
    again, _ = run(prepare(toy), tmp_path)
    assert again.metrics == record.metrics
    assert again.history == record.history
    assert again.fingerprint == record.fingerprint
    other, _ = run(prepare(toy, seed=1), tmp_path)
    assert other.metrics != record.metrics


def test_the_order_of_the_rows_in_the_file_does_not_matter(finished, toy, tmp_path):
    _, record, _ = finished
    shuffled = toy.take(np.random.default_rng(5).permutation(len(toy)))
    assert run(prepare(shuffled), tmp_path)[0].metrics == record.metrics


def test_resume_returns_a_finished_run_without_training(finished):
    experiment, record, folder = finished
    epochs = []
    again, same = run(experiment, folder.parents[1], resume=True, on_epoch=epochs.append)
    assert epochs == []
    assert again == record
    assert same == folder


def test_changed_settings_have_a_folder_of_their_own(finished, toy, tmp_path):
    experiment, record, folder = finished
    other = prepare(toy, "training.epochs=4")
    places = {run_folder(tmp_path, one.recipe, "toy", 0).parent.name for one in (experiment, other)}
    assert len(places) == 2
    # What is set to what it is already changes nothing.
    plain = load_recipe("pmf", "toy")
    same = load_recipe("pmf", "toy", overrides=[f"training.epochs={plain.training.epochs}"])
    assert run_folder(tmp_path, same, "toy", 0) == tmp_path / "pmf-toy-paper" / "seed-0"
    assert record.changes == experiment.recipe.changes
    assert record.changes["training.epochs"] == 3
    assert record.recipe_name == "paper*"
    assert record.run_name == folder.parent.name


def test_what_is_said_of_the_changes_is_not_in_the_fingerprint(finished, toy):
    experiment, record, _ = finished
    unsaid = replace(experiment, recipe=experiment.recipe.model_copy(update={"changes": {}}))
    assert unsaid.fingerprint() == record.fingerprint


@pytest.mark.parametrize("resume", [False, True])
def test_another_run_of_the_name_is_refused_unless_it_is_to_be_replaced(finished, toy, tmp_path, resume):
    experiment, _, _ = finished
    kept, folder = run(experiment, tmp_path, name="mine")
    assert folder == tmp_path / "mine" / "seed-0"
    assert kept.name == kept.run_name == "mine"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    other = prepare(toy, "training.epochs=1")
    with pytest.raises(TfzooError, match=r"other settings or other data: training.epochs=3.*--overwrite"):
        run(other, tmp_path, name="mine", resume=resume)
    data = replace(experiment, split=prepare(toy, seed=5).split)
    with pytest.raises(
        TfzooError, match=r"other data: the same recipe, when toy had other rows than it has now\..*--name"
    ):
        run(data, tmp_path, name="mine", resume=resume)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    with pytest.raises(UsageError, match="not both"):
        run(other, tmp_path, name="mine", resume=True, overwrite=True)
    if not resume:
        record, _ = run(other, tmp_path, name="mine", overwrite=True)
        assert record.timing["epochs"] == 1
        assert RunRecord.load(folder) == record


def test_seeds_of_one_folder_differ_by_the_seed_alone(finished, toy, tmp_path):
    experiment, _, _ = finished
    run(experiment, tmp_path, name="mine")
    other_data = replace(experiment, seed=1, data_fingerprint="other")
    update = replace(experiment, seed=1, update={"replay": 0.5})
    for other, told in (
        (update, "the same recipe, no update"),
        (prepare(toy, "training.epochs=1", seed=1), "training.epochs=3"),
        (other_data, "toy had other rows"),
    ):
        with pytest.raises(TfzooError, match=f"mine holds seed 0 with other settings.*{told}.*--name"):
            run(other, tmp_path, name="mine")
    assert not (tmp_path / "mine" / "seed-1").exists()
    folder = tmp_path / "mine" / "seed-1"
    refuse_another_run(folder, prepare(toy, "training.epochs=3", seed=1), "")
    renamed = replace(experiment, seed=1, recipe=experiment.recipe.model_copy(update={"name": "b"}))
    refuse_another_run(folder, renamed, "")
    run(prepare(toy, "training.epochs=1", seed=1), tmp_path, name="mine", overwrite=True)
    assert RunRecord.load(folder).timing["epochs"] == 1


def test_an_interrupted_run_of_other_settings_is_refused_too(toy, tmp_path):
    def interrupt(state):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(prepare(toy), tmp_path, name="mine", on_epoch=interrupt)
    checkpoint = (tmp_path / "mine/seed-0/checkpoint.npz").read_bytes()
    other = prepare(toy, "training.epochs=1")
    with pytest.raises(TfzooError, match="holds an interrupted run with other settings"):
        run(other, tmp_path, name="mine")
    assert (tmp_path / "mine/seed-0/checkpoint.npz").read_bytes() == checkpoint
    record, _ = run(other, tmp_path, name="mine", overwrite=True)
    assert record.timing["epochs"] == 1
    assert not (tmp_path / "mine/seed-0/checkpoint.npz").exists()


def test_an_interrupted_run_ends_as_the_unbroken_one(finished, toy, tmp_path):
    _, record, _ = finished

    def interrupt(state):
        if state.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(prepare(toy), tmp_path, on_epoch=interrupt)
    folder = run_folder(tmp_path, prepare(toy).recipe, "toy", 0)
    assert sorted(entry.name for entry in folder.iterdir()) == ["checkpoint.npz"]
    epochs = []
    resumed, _ = run(prepare(toy), tmp_path, resume=True, on_epoch=lambda state: epochs.append(state.epoch))
    assert epochs == [3]
    assert resumed.metrics == record.metrics
    assert resumed.history == record.history
    assert not (folder / "checkpoint.npz").exists()


def test_an_old_run_and_what_was_drawn_of_it_are_forgotten_and_other_files_stay(finished, toy, tmp_path):
    experiment = prepare(toy, "training.epochs=1")
    _, folder = run(experiment, tmp_path)
    board = folder / "tensorboard"
    (board / "refit").mkdir(parents=True)
    stale = ["history.png", "errors.svg", "embeddings-3d.png", "tensorboard/vectors.tsv"]
    stale += ["tensorboard/events.out.tfevents.1", "tensorboard/refit/events.out.tfevents.2"]
    for name in ("checkpoint.npz", "notes.txt", "tensorboard/refit/mine.txt", *stale):
        (folder / name).write_text("old", encoding="utf-8")
    seen = []

    def look(_):
        seen.extend(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    run(experiment, tmp_path, on_epoch=look)
    assert {name for name in seen if not name.startswith("vocabulary")} == {
        "checkpoint.npz",
        "model.keras",
        "notes.txt",
        "record.json",
        "tensorboard/refit/mine.txt",
    }
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_finished_run_that_is_trained_again_and_stopped_is_not_lost(toy, tmp_path, overwrite):
    experiment = prepare(toy, "training.epochs=2")
    record, folder = run(experiment, tmp_path)
    model = (folder / "model.keras").read_bytes()

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(experiment, tmp_path, overwrite=overwrite, on_epoch=stop)
    assert (folder / "checkpoint.npz").is_file()
    assert (folder / "record.json").is_file() is not overwrite
    if overwrite:
        return
    assert (folder / "model.keras").read_bytes() == model
    resumed, _ = run(experiment, tmp_path, resume=True)
    assert resumed == record
    assert not (folder / "checkpoint.npz").exists()


def test_a_record_that_cannot_be_read_is_not_thrown_away(finished, tmp_path):
    experiment, _, _ = finished
    folder = run_folder(tmp_path, experiment.recipe, "toy", 0)
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("old", encoding="utf-8")
    with pytest.raises(TfzooError, match=r"is not a run record.*--overwrite"):
        run(experiment, tmp_path)
    assert (folder / "record.json").read_text(encoding="utf-8") == "old"


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(UsageError, match="No trained model at"):
        load_model(tmp_path)
