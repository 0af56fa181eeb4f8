"""Which settings a search tries, and what may not be one."""

import pytest

from tfzoo.errors import UsageError
from tfzoo.models import list_models
from tfzoo.training.recipe import load_recipe
from tfzoo.training.search import Range
from tfzoo.tuning.space import default_space, space_of, value_of, with_settings


def searching(model, **ranges):
    recipe = load_recipe(model, "")
    found = {path.replace("__", "."): Range(**values) for path, values in ranges.items()}
    return recipe.model_copy(update={"search": found})


def test_a_recipe_says_what_is_tried():
    space = space_of(searching("pmf", builder__embedding_dim={"choices": [4, 8]}))
    assert space == {"builder.embedding_dim": Range(choices=(4, 8))}


def test_a_model_has_ranges_around_its_own_values():
    assert space_of(load_recipe("ease", "")) == {"builder.l2": Range(low=5.0, high=50000.0, log=True)}
    space = space_of(load_recipe("item-knn", ""))
    assert "training.learning_rate" not in space, "nothing is learned in steps"
    space = space_of(load_recipe("biased-mf", "", "tuned"))
    rate = load_recipe("biased-mf", "", "tuned").training.learning_rate
    assert space["training.learning_rate"] == Range(low=rate / 10, high=rate * 10, log=True)
    assert space["builder.embedding_dim"].whole


@pytest.mark.parametrize("model", list_models())
def test_every_default_space_is_one_of_settings_that_the_model_takes(model):
    from tfzoo.models import model_info

    recipe = load_recipe(model, "")
    space = default_space(recipe, model_info(model))
    if not space:
        with pytest.raises(UsageError, match=rf"'{model}'.*(--recipe.*search: |nothing to search for)"):
            space_of(recipe)
        return
    assert space_of(recipe) == space
    assert all(values.holds(value_of(recipe, path)) for path, values in space.items())


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("training__learning_rat", "Did you mean 'learning_rate'"),
        ("builder__embeding_dim", "embedding_dim"),
        ("trainin__epochs", "unknown group 'trainin' in 'trainin.epochs'. Did you mean 'training'"),
        ("epochs", "'epochs' is no path of a setting"),
        ("split__fold", "'split.fold' would change what trials are measured on"),
        ("training__refit", "would change what trials are measured on"),
    ],
)
def test_a_wrong_path_is_named(path, message):
    with pytest.raises(UsageError, match=message):
        space_of(searching("pmf", **{path: {"low": 1, "high": 2}}))


def test_a_value_that_the_setting_does_not_take_is_named():
    with pytest.raises(UsageError, match=r"search, training.epochs: 'training.epochs'.*Received 0"):
        space_of(searching("pmf", training__epochs={"low": 0, "high": 3}))
    with pytest.raises(UsageError, match=r"optimizer.*'adamm'"):
        space_of(searching("pmf", training__optimizer={"choices": ["adam", "adamm"]}))


def test_settings_are_replaced_and_nothing_else():
    recipe = searching("pmf", training__epochs={"low": 1, "high": 3})
    changed = with_settings(recipe, {"training.epochs": 2, "builder.embedding_dim": 5})
    assert (changed.training.epochs, changed.builder["embedding_dim"]) == (2, 5)
    assert changed.search == {}
    kept = {"training": recipe.training, "builder": recipe.builder, "search": recipe.search}
    assert changed.model_copy(update=kept) == recipe


def test_what_to_write_names_a_setting_that_the_model_has():
    with pytest.raises(UsageError, match=r"Write what to try .* such as search: \{builder\.l2_user"):
        space_of(load_recipe("baseline", "ml-100k"))
