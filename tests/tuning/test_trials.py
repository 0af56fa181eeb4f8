"""One trial: judged by validation alone, or by folds of what is not tested on."""

from dataclasses import replace

import numpy as np
import pytest

from tfzoo.errors import UsageError
from tfzoo.evaluation.rating import RatingEvaluator
from tfzoo.experiment import Experiment
from tfzoo.runs import run, train_for_validation
from tfzoo.training.recipe import load_recipe
from tfzoo.tuning.space import with_settings
from tfzoo.tuning.trials import check_folds, folds_of, measure, with_recipe

FEW = ["training.epochs=3", "training.jit_compile=false", "builder.embedding_dim=4"]


@pytest.fixture(scope="module")
def experiment(toy):
    return Experiment.prepare(load_recipe("pmf", "", overrides=FEW), toy, 0)


def nothing(step, value):
    """A report that nobody reads."""


def test_a_trial_is_judged_as_validation_judges_a_run(experiment, tmp_path):
    record, _ = run(experiment, tmp_path)
    told = []
    outcome = measure(experiment, lambda step, value: told.append((step, value)))
    assert outcome.value == pytest.approx(record.metrics["validation"]["rmse"])
    assert (outcome.epochs, outcome.best_epoch) == (3, record.best_epoch)
    assert told == [(n, row["val_rmse"]) for n, row in enumerate(record.history, start=1)]


def test_the_test_part_has_no_say_and_is_never_measured(experiment, monkeypatch):
    measured = []
    evaluate = RatingEvaluator.evaluate
    monkeypatch.setattr(
        RatingEvaluator,
        "evaluate",
        lambda self, part: measured.append(part) or evaluate(self, part),
    )
    garbled = replace(experiment.split.test, rating=np.full(len(experiment.split.test), 1000.0, np.float32))
    other = replace(experiment, split=replace(experiment.split, test=garbled))
    for folds in (None, 2):
        assert measure(other, nothing, folds) == measure(experiment, nothing, folds)
    assert "test" not in measured


def test_folds_divide_all_that_is_not_tested_on(experiment):
    split = experiment.split
    cells = [sorted(zip(p.user_id, p.item_id, strict=True)) for p in (split.train, split.validation)]
    pool = sorted(cells[0] + cells[1])
    folds = folds_of(experiment, 4)
    held = [list(zip(f.split.validation.user_id, f.split.validation.item_id, strict=True)) for f in folds]
    assert sorted(cell for part in held for cell in part) == pool
    assert max(map(len, held)) - min(map(len, held)) <= 1
    for fold, part in zip(folds, held, strict=True):
        train = list(zip(fold.split.train.user_id, fold.split.train.item_id, strict=True))
        assert sorted(train + part) == pool
        assert fold.split.test is split.test


def test_a_trial_of_folds_is_their_mean_and_tells_it_as_it_grows(experiment):
    told = []
    outcome = measure(experiment, lambda step, value: told.append((step, value)), folds=3)
    values = [train_for_validation(fold)[0] for fold in folds_of(experiment, 3)]
    assert outcome.value == pytest.approx(np.mean(values))
    assert outcome.epochs == 9
    assert told == [(1, pytest.approx(values[0])), (2, pytest.approx(np.mean(values[:2])))]


@pytest.mark.parametrize("folds", [1, 0, 10_000])
def test_too_few_and_too_many_folds_are_refused(experiment, folds):
    with pytest.raises(UsageError, match=f"--folds.*{folds}"):
        check_folds(experiment, folds)


def test_ranked_lists_have_no_folds(toy):
    experiment = Experiment.prepare(load_recipe("ease", ""), toy, 0)
    check_folds(experiment, None)
    with pytest.raises(UsageError, match="--folds is for models of ratings"):
        check_folds(experiment, 3)


def test_other_settings_are_those_of_an_experiment_that_is_prepared_with_them(experiment, toy):
    settings = {"training.learning_rate": 0.02, "builder.embedding_dim": 6}
    changed = with_recipe(experiment, with_settings(experiment.recipe, settings))
    overrides = [f"{path}={value}" for path, value in settings.items()]
    prepared = Experiment.prepare(load_recipe("pmf", "", overrides=[*FEW, *overrides]), toy, 0)
    assert changed.fingerprint() == prepared.fingerprint()


def test_settings_of_the_task_do_not_change_what_trials_are_judged_by(toy):
    experiment = Experiment.prepare(load_recipe("ease", ""), toy, 0)
    with pytest.raises(UsageError, match=r"judged by ndcg@10 and recall@10"):
        with_recipe(experiment, with_settings(experiment.recipe, {"task.monitor": "recall@10"}))
