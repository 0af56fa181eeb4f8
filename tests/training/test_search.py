"""What a search may try and what it has cost, as recipe files say it."""

import numpy as np
import pytest

from tfzoo.errors import UsageError
from tfzoo.experiment import Experiment
from tfzoo.training.recipe import load_recipe
from tfzoo.training.search import Budget, Range

BUDGET = {"space": {"training.epochs": {"low": 1, "high": 9}}, "trials": 3, "seconds": 1.5, "rows": 7}
BUDGET |= {"metric": "rmse", "value": 0.9, "seed": 0}


def recipe_file(folder, search):
    path = folder / "mine.yaml"
    path.write_text(f"base: paper\nsearch:\n  {search}\n", encoding="utf-8")
    return load_recipe("pmf", "", str(path))


def test_ranges_are_read_with_their_kinds_of_numbers(tmp_path):
    ranges = "{training.epochs: {low: 1, high: 9}, training.learning_rate: {low: 1e-4, high: 1, log: true}}"
    path = tmp_path / "mine.yaml"
    path.write_text(f"base: paper\nsearch: {ranges}\n", encoding="utf-8")
    search = load_recipe("pmf", "", str(path)).search
    assert search["training.epochs"].whole
    assert not search["training.learning_rate"].whole
    assert str(search["training.learning_rate"]) == "0.0001 to 1, log"


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ("training.epochs: {low: 3}", "a range needs low and a larger high"),
        ("training.epochs: {low: 3, high: 3}", "a range needs low and a larger high"),
        ("training.epochs: {low: 0, high: 3, log: true}", "a range with log begins above 0"),
        ("training.epochs: {low: 1, high: 3, choices: [1]}", "low and high, or choices, not both"),
        ("training.epochs: {choices: [1, 1]}", "different values"),
        ("training.epochs: {choices: []}", "different values"),
        ("training.epochs: {low: true, high: 3}", "a number is expected"),
        ("training.epochs: {low: a, high: 3}", "should be a valid"),
        ("training.epochs: {lo: 1, high: 3}", "lo"),
        ("training.epochs: 3", "search"),
    ],
)
def test_what_is_no_range_is_one_error(tmp_path, search, message):
    with pytest.raises(UsageError, match=message):
        recipe_file(tmp_path, search)


def test_a_range_holds_what_a_search_could_try():
    whole, real = Range(low=1, high=8), Range(low=0.5, high=2.0)
    assert [whole.holds(value) for value in (1, 8, 9, 2.5, 2.0, True, None)] == [1, 1, 0, 0, 1, 0, 0]
    assert [real.holds(value) for value in (0.5, 2, 2.1, "1")] == [True, True, False, False]
    assert Range(choices=([1, 2], "a")).holds([1, 2])
    assert not Range(choices=(1, 2)).holds(3)


def test_neither_changes_what_a_run_is(toy):
    plain = load_recipe("pmf", "toy")
    said = plain.model_copy(
        update={"search": {"training.epochs": Range(low=1, high=9)}, "budget": Budget(**BUDGET)}
    )
    fingerprints = {Experiment.prepare(recipe, toy, 0).fingerprint() for recipe in (plain, said)}
    assert len(fingerprints) == 1


def test_a_base_gives_its_space_and_keeps_its_budget_to_itself(tmp_path, monkeypatch):
    base = tmp_path / "base.yaml"
    base.write_text(
        "base: paper\n"
        "search: {training.epochs: {low: 1, high: 9}, training.momentum: {low: 0.1, high: 0.2}}\n"
        f"budget: {BUDGET}\n".replace("'", '"'),
        encoding="utf-8",
    )
    assert load_recipe("pmf", "", str(base)).budget == Budget(**BUDGET)
    own = tmp_path / "own.yaml"
    own.write_text(f"base: {base}\nsearch: {{training.epochs: {{choices: [1, 2]}}}}\n", encoding="utf-8")
    recipe = load_recipe("pmf", "", str(own))
    assert recipe.budget is None
    assert recipe.search == {"training.epochs": Range(choices=(1, 2))}
    assert recipe.changes == {}
    assert np.isfinite(recipe.training.learning_rate)
