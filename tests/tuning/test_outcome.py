"""The files of a search: a table, a plot, and a recipe that is read as it was meant."""

import csv

import pytest

from tfzoo.errors import UsageError
from tfzoo.training.recipe import load_recipe
from tfzoo.training.search import Budget, Range
from tfzoo.tuning.outcome import plot_trials, write_recipe, write_table
from tfzoo.tuning.space import with_settings
from tfzoo.tuning.study import Trial

SETTINGS = {"training.learning_rate": 1e-05, "builder.embedding_dim": 7}
TRIALS = [
    Trial(1, "complete", 0.5, SETTINGS, 1.5, 9, 4),
    Trial(2, "pruned", 0.9, {**SETTINGS, "builder.embedding_dim": 8}, 0.5, 2),
    Trial(3, "failed", None, SETTINGS, 0.1, reason="it\nburned, down"),
]
BUDGET = Budget(
    space={"training.learning_rate": Range(low=1e-6, high=1.0, log=True)},
    trials=3,
    seconds=2.1,
    rows=9,
    metric="rmse",
    value=0.5,
    seed=4,
)


@pytest.mark.parametrize(
    ("model", "dataset", "protocol", "overrides"),
    [
        ("pmf", "ml-100k", None, []),
        ("edrs", "ml-1m", None, ["split.kind=k-fold", "filter.min_rating=2"]),
        ("neumf", "ml-1m", "leave-one-out", []),
        ("sasrec", "ml-1m", None, ["training.schedule=cosine"]),
    ],
)
def test_the_recipe_is_read_as_the_settings_of_the_trial(tmp_path, model, dataset, protocol, overrides):
    recipe = load_recipe(model, dataset, overrides=overrides, protocol=protocol)
    path = write_recipe(recipe, TRIALS[0], BUDGET, tmp_path)
    again = load_recipe(model, dataset, str(path))
    expected = with_settings(recipe, SETTINGS)
    named = again.model_copy(update={"name": expected.name})
    assert named.model_dump(exclude={"description", "budget"}) == expected.model_dump(
        exclude={"description", "budget"}
    )
    assert again.budget == BUDGET
    assert (
        "3 trials of training.learning_rate in 2 s on 9 rows, chosen by rmse on validation"
        in again.description
    )
    assert again.changes == {}
    assert again.name == tmp_path.name


@pytest.mark.parametrize(("folder", "name"), [("t 9", "t 9"), (".hidden", "recipe"), ("tuned", "tuned")])
def test_the_recipe_is_named_after_the_folder_where_it_can_be(tmp_path, folder, name):
    (tmp_path / folder).mkdir()
    path = write_recipe(load_recipe("pmf", "ml-100k"), TRIALS[0], BUDGET, tmp_path / folder)
    assert load_recipe("pmf", "ml-100k", str(path)).name == name


def test_the_table_has_a_row_a_trial(tmp_path):
    with write_table(TRIALS, "rmse", list(SETTINGS), tmp_path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["1", "2", "3"]
    assert [row["rmse"] for row in rows] == ["0.5", "0.9", ""]
    assert [float(row["training.learning_rate"]) for row in rows] == [1e-5] * 3
    assert rows[2]["reason"] == "it\nburned, down"


def test_the_plot_is_drawn_where_there_are_figures(tmp_path):
    pytest.importorskip("matplotlib")
    written = plot_trials(TRIALS, "rmse", tmp_path, maximize=False)
    assert [path.name for path in written] == ["trials.png", "trials.svg"]
    with pytest.raises(UsageError, match="No trial has a figure"):
        plot_trials(TRIALS[2:], "rmse", tmp_path, maximize=False)
