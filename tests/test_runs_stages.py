"""Runs with more than one stage, and runs that train nothing."""

from dataclasses import replace

import numpy as np
import pytest

from tfzoo.errors import UsageError
from tfzoo.experiment import Experiment
from tfzoo.runs import load_model, run, run_folder
from tfzoo.training.record import RunRecord
from tfzoo.training.settings import Recipe
from tfzoo.training.trainer import Trainer

# Without XLA, which takes longer to compile than these runs take.
FAST = {"batch_size": 8, "jit_compile": False, "checkpoint_seconds": 0, "learning_rate": 0.02, "epochs": 4}
RANKING = {"cutoffs": (5,), "monitor": "ndcg@5"}
REFIT = {"refit": True}
FIXED = {"patience": None, "restore_best": False, "refit": True}
HELD_OUT = {"kind": "strong-generalization", "held_out_users": 4}


def prepare(interactions, model, *, split=None, task=None, training=None, **groups):
    recipe = Recipe(
        model=model,
        name="own",
        split=split or {"kind": "leave-out"},
        task=RANKING if task is None else {**RANKING, **task},
        training={**FAST, **(training or {})},
        **groups,
    )
    return Experiment.prepare(recipe, interactions, 0)


def prepare_cdae(interactions, **groups):
    return prepare(interactions, "cdae", **{"builder": {"embedding_dim": 4}, **groups})


def assert_same_weights(first, second):
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def refitted(toy, tmp_path_factory):
    """Return an experiment that is refitted, its record and its folder."""
    experiment = prepare_cdae(toy, training=REFIT)
    return experiment, *run(experiment, tmp_path_factory.mktemp("runs"))


def trained_on_both(experiment, epochs):
    """Train a model on train and validation for a number of epochs, without `run`."""
    final = experiment.refitted()
    model = final.build()
    features = final.features(model)
    settings = experiment.recipe.training
    Trainer(model, final.task, features, final.split.train, settings, seed=0).fit(None, epochs=epochs)
    final.task.finish(model, final.split.train)
    return final, model


def test_the_final_model_is_trained_on_train_and_validation_for_the_chosen_epochs(refitted):
    experiment, record, folder = refitted
    final, model = trained_on_both(experiment, record.best_epoch)
    assert_same_weights(load_model(folder), model)
    assert record.metrics["test"] == pytest.approx(final.evaluator(model).evaluate("test"), abs=1e-6)
    assert record.metrics.keys() == {"validation", "test"}
    assert "refitted with validation" in record.protocol


def test_the_history_tells_the_stages_apart(refitted):
    _, record, _ = refitted
    selection = [row for row in record.history if "refit" not in row]
    again = [row for row in record.history if "refit" in row]
    assert record.history == selection + again
    values = [row["val_ndcg@5"] for row in selection]
    assert record.best_epoch == 1 + int(np.argmax(values))
    assert len(again) == record.best_epoch
    assert not any(key.startswith("val_") for row in again for key in row)
    assert record.timing["epochs"] == len(record.history)


def test_validation_is_measured_with_the_model_that_has_not_seen_it(refitted, toy, tmp_path):
    _, record, _ = refitted
    plain, folder = run(prepare_cdae(toy), tmp_path)
    assert record.metrics["validation"] == plain.metrics["validation"]
    assert record.metrics["test"] != plain.metrics["test"]
    assert plain.metrics["validation"]["ndcg@5"] == max(row["val_ndcg@5"] for row in plain.history)
    assert "refit" not in plain.protocol
    with pytest.raises(AssertionError):
        assert_same_weights(load_model(folder), load_model(refitted[2]))


def test_a_fixed_number_of_epochs_needs_no_selection(toy, tmp_path):
    experiment = prepare_cdae(toy, training=FIXED)
    epochs = []
    record, _ = run(experiment, tmp_path, on_epoch=lambda state: epochs.append(state.epoch))
    assert epochs == [1, 2, 3, 4]
    assert record.best_epoch == 4
    assert [set(row) for row in record.history] == [{"loss", "refit"}] * 4
    # There is no model left that has not seen the validation part.
    assert record.metrics.keys() == {"test"}


def test_a_rating_model_can_be_refitted_too(toy, tmp_path):
    recipe = Recipe(model="pmf", name="own", training={**FAST, **FIXED, "epochs": 2})
    experiment = Experiment.prepare(recipe, toy, 0)
    record, folder = run(experiment, tmp_path)
    assert record.metrics.keys() == {"train", "test"}
    train = experiment.refitted().split.train
    predicted = load_model(folder)({"user_id": train.user_id, "item_id": train.item_id})["rating"].numpy()
    error = np.clip(predicted, 1, 5) - train.ratings
    assert record.metrics["train"]["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), abs=1e-5)


@pytest.fixture(scope="module")
def piloted(toy, tmp_path_factory):
    """Return a run of Mult-VAE in three stages, and how often `on_epoch` was called."""
    calls = []
    experiment = piloted_experiment(toy)
    output = tmp_path_factory.mktemp("piloted")
    return *run(experiment, output, on_epoch=lambda state: calls.append(state.epoch)), calls


def piloted_experiment(toy):
    return prepare(
        toy,
        "mult-vae",
        builder={"hidden_units": [12], "latent_dim": 5, "total_anneal_steps": 40},
        task={"find_kl_cap": True},
        training={"patience": None, "refit": True},
    )


def test_a_pilot_finds_what_the_real_training_is_built_with(piloted):
    record, folder, calls = piloted
    # 4 steps an epoch, 40 steps to a beta of 1.
    found = record.metrics["found"]["kl_cap"]
    assert found in [pytest.approx(0.1 * epoch) for epoch in (1, 2, 3, 4)]
    model = load_model(folder)
    assert model.get_layer("code").kl_cap == pytest.approx(found)
    assert calls == [1, 2, 3, 4, 1, 2, 3, 4, *range(1, record.best_epoch + 1)]
    # The record's history and time are of the real training.
    assert len(record.history) == record.timing["epochs"] == 4 + record.best_epoch
    assert sorted(entry.name for entry in folder.iterdir()) == ["model.keras", "record.json", "vocabulary"]


def test_a_run_that_is_interrupted_in_its_first_and_last_stage_ends_as_the_unbroken_one(
    piloted, toy, tmp_path
):
    record, _, calls = piloted
    experiment = piloted_experiment(toy)
    folder = run_folder(tmp_path, experiment.recipe, "toy", 0)
    seen = []
    for after, left in (
        (2, ["checkpoint-pilot.npz"]),
        (9, ["checkpoint-pilot.npz", "checkpoint-refit.npz", "checkpoint.npz"]),
    ):

        def interrupt(state, after=after):
            seen.append(state.epoch)
            if len(seen) == after:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(experiment, tmp_path, resume=True, on_epoch=interrupt)
        assert sorted(entry.name for entry in folder.iterdir()) == left
    resumed, _ = run(experiment, tmp_path, resume=True, on_epoch=lambda state: seen.append(state.epoch))
    assert seen == calls
    assert resumed.metrics == record.metrics
    assert resumed.history == record.history


def test_a_solved_model_is_not_trained(toy, tmp_path):
    experiment = prepare(toy, "ease", builder={"l2": 3})
    epochs = []
    record, folder = run(experiment, tmp_path, on_epoch=epochs.append)
    assert epochs == record.history == []
    assert (record.best_epoch, record.parameters, record.timing["epochs"]) == (0, 0, 0)
    assert record.metrics.keys() == {"validation", "test"}
    train = experiment.split.train
    matrix = np.zeros((31, 21))
    matrix[train.user_id, train.item_id] = 1
    inverse = np.linalg.inv(matrix[1:, 1:].T @ matrix[1:, 1:] + 3 * np.eye(20))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    found = load_model(folder)({"user_row": matrix})["scores"].numpy()[1:, 1:]
    np.testing.assert_allclose(found, matrix[1:, 1:] @ weights, rtol=1e-4, atol=1e-5)


def test_a_solved_model_is_solved_again_with_validation(toy, tmp_path):
    plain, _ = run(prepare(toy, "popularity"), tmp_path)
    experiment = prepare(toy, "popularity", training=REFIT)
    record, folder = run(experiment, tmp_path, overwrite=True)
    both = experiment.refitted().split.train
    found = load_model(folder)({"user_row": np.zeros((1, 21), np.float32)})["scores"].numpy()[0]
    assert found.tolist() == both.item_counts().tolist()
    assert record.metrics["validation"] == plain.metrics["validation"]


def test_the_protocol_tells_how_candidates_are_ranked(toy, tmp_path):
    record, _ = run(prepare(toy, "popularity", split={"kind": "leave-out", "negatives": 4}), tmp_path)
    assert record.protocol == (
        "leave 1 out per user, latest row before for validation, 4 drawn negatives, seed 0, sampled-4 ranking"
    )
    record, _ = run(prepare(toy, "popularity", split={"kind": "per-user"}), tmp_path, overwrite=True)
    assert record.protocol == "per user random 70/15/15, seed 0, full ranking"


def test_variants_of_the_test_part_are_in_the_record(toy, tmp_path):
    experiment = prepare(toy, "popularity")
    half = experiment.split.test.take(np.arange(10))
    split = replace(experiment.split, variants={"test of ten": half})
    record, _ = run(replace(experiment, split=split), tmp_path, overwrite=True)
    assert list(record.metrics) == ["validation", "test", "test of ten"]
    assert record.metrics["test of ten"] != record.metrics["test"]


def test_held_out_users_are_ranked_by_their_known_items(toy, tmp_path):
    experiment = prepare(toy, "item-knn", split=HELD_OUT)
    record, _ = run(experiment, tmp_path, overwrite=True)
    assert "strong generalisation" in record.protocol
    assert 0 < record.metrics["test"]["recall@5"] <= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"builder": {"neighbours": 0}}, "cannot be built"),
        ({"split": HELD_OUT, "training": REFIT}, "held-out users"),
    ],
)
def test_settings_that_make_no_model_leave_an_old_run_alone(toy, tmp_path, settings, message):
    experiment = prepare(toy, "item-knn")
    old, folder = run(experiment, tmp_path)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match=message):
        run(prepare(toy, "item-knn", **settings), tmp_path, overwrite=True)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert RunRecord.load(folder) == old
    with pytest.raises(UsageError, match=message):
        run(prepare(toy, "item-knn", **settings), tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def test_a_resumed_run_does_not_train_its_parts_again(toy, tmp_path, monkeypatch):
    calls = []

    def pretrain(model, name, options, task, features, train, settings, *, seed, distribution):
        assert distribution.strategy is None
        calls.append((name, options["embedding_dim"], len(train), settings.alpha, seed))
        for weight in model.trainable_variables:
            weight.assign(0.5 * np.ones(weight.shape))

    monkeypatch.setattr("tfzoo.runs.pretrain", pretrain)
    experiment = prepare_cdae(toy, pretraining={"alpha": 0.25}, training={"epochs": 2})

    def interrupt(state):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(experiment, tmp_path, on_epoch=interrupt)
    assert calls == [("cdae", 4, len(experiment.split.train), 0.25, 0)]
    record, _ = run(experiment, tmp_path, resume=True)
    assert len(calls) == 1
    assert len(record.history) == 2
