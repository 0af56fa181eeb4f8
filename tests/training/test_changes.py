"""What was changed of a recipe, and what becomes of it in names."""

import pytest

from tfzoo.errors import UsageError
from tfzoo.training.changes import describe_changes, run_name, short_hash
from tfzoo.training.recipe import load_recipe


def test_only_what_differs_once_it_is_resolved_is_a_change():
    paper = load_recipe("pmf", "ml-100k")
    assert paper.changes == {}
    batch = paper.training.batch_size
    recipe = load_recipe("pmf", "ml-100k", overrides=[f"training.batch_size={batch}", "filter.min_rating=4"])
    assert recipe.changes == {"filter.min_rating": 4.0}
    assert describe_changes(recipe.changes) == "filter.min_rating=4.0"
    grouped = load_recipe("pmf", "ml-100k", overrides=["training.patience=null", "builder.lookup_l2=0.5"])
    assert grouped.changes == {"builder.lookup_l2": 0.5, "training.patience": None}


def test_a_protocol_is_a_name_and_no_change():
    recipe = load_recipe("ease", "", protocol="leave-one-out")
    assert (recipe.name, recipe.changes) == ("paper-leave-one-out", {})


def test_a_file_that_is_called_as_a_recipe_of_the_package_is_a_change_of_it(tmp_path):
    path = tmp_path / "paper.yaml"
    path.write_text("base: paper\ntraining:\n  epochs: 7\n", encoding="utf-8")
    # A name that builds on itself would go round in circles: the base is the package's.
    recipe = load_recipe("pmf", "", str(path))
    assert (recipe.name, recipe.changes) == ("paper", {"training.epochs": 7})
    own = tmp_path / "mine.yaml"
    own.write_text("base: paper\ntraining:\n  epochs: 7\n", encoding="utf-8")
    assert load_recipe("pmf", "", str(own)).changes == {}
    assert load_recipe("pmf", "", str(own), ["training.epochs=8"]).changes == {"training.epochs": 8}


def test_nobody_says_himself_that_nothing_was_changed(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("base: paper\nchanges: {}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="'changes' is not a setting"):
        load_recipe("pmf", "", str(path))
    with pytest.raises(UsageError, match="'changes' is not a setting"):
        load_recipe("pmf", "", overrides=["changes.x=1"])


def test_the_hash_depends_on_the_changes_alone():
    one, other = {"a.b": 1, "c.d": None}, {"c.d": None, "a.b": 1}
    assert short_hash(one) == short_hash(other) != short_hash({"a.b": 2, "c.d": None})
    assert short_hash({}) == ""
    assert run_name("pmf", "toy", "paper", {}) == "pmf-toy-paper"
    assert run_name("pmf", "toy", "paper", one) == f"pmf-toy-paper-{short_hash(one)}"
