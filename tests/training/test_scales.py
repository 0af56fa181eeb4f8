"""Scales of ratings: thresholds follow them, and models that cannot reach below 0 are refused there."""

from dataclasses import replace

import numpy as np
import pytest

from tests.zoo import models_of, small, table
from tfzoo.errors import DataError, UsageError
from tfzoo.experiment import Experiment
from tfzoo.models import model_info
from tfzoo.training.recipe import load_recipe
from tfzoo.training.scales import follow_scale, refuse_negative
from tfzoo.training.settings import canonical

PROTOCOL = "strong-generalization"


def on_scale(toy, low, high):
    """The same tastes on another scale."""
    rating = low + (toy.ratings - 1) / 4 * (high - low)
    return replace(toy, rating=rating, rating_scale=(low, high))


def least(model, data, *overrides, protocol=None):
    recipe, notes = follow_scale(load_recipe(model, "x", overrides=overrides, protocol=protocol), data)
    assert recipe.filter.min_rating_of is None
    return recipe.filter.min_rating, notes


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ((1, 5), 4),
        ((0.5, 5), 4),
        ((2, 5), 4),
        ((-10, 10), 5),
        ((0, 100), 75),
        ((1, 10), 7.75),
        ((0, 1), 0.75),
    ],
)
def test_the_threshold_of_a_recipe_and_of_a_protocol_follows_the_scale(toy, scale, expected):
    data = on_scale(toy, *scale)
    for found, notes in (least("cdae", data), least("ease", data, protocol=PROTOCOL)):
        assert found == expected
        assert len(notes) == (expected != 4)
        assert not notes or f"these are {expected:g} and above" in notes[0]


def test_ratings_that_are_all_equal_are_all_kept(toy):
    data = replace(toy, rating=np.ones(len(toy)), rating_scale=(1.0, 1.0))
    assert least("cdae", data)[0] == 1.0


def test_a_threshold_that_is_given_and_data_without_ratings_are_left_alone(toy, tmp_path):
    data = on_scale(toy, 0, 100)
    assert least("cdae", data, "filter.min_rating=4") == (4, [])
    assert least("ease", data, "filter.min_rating=60", protocol=PROTOCOL) == (60, [])
    own = tmp_path / "own.yaml"
    own.write_text("base: paper\nfilter: {min_rating: 30}\n", encoding="utf-8")
    recipe = load_recipe("cdae", "x", str(own))
    assert follow_scale(recipe, data) == (recipe, [])
    assert least("cdae", replace(toy, rating=None, rating_scale=None)) == (4, [])


def test_an_experiment_keeps_the_same_share_on_every_scale(toy):
    recipe = load_recipe("cdae", "x")
    stars = Experiment.prepare(recipe, toy, 0)
    assert stars.recipe.filter.min_rating == 4
    hundred = Experiment.prepare(recipe, on_scale(toy, 0, 100), 0)
    assert hundred.recipe.filter.min_rating == 75
    assert len(hundred.split.train) == len(stars.split.train)
    assert any("75 and above" in note for note in hundred.interactions.notes)
    # What is recorded is the threshold itself, which is not moved a second time.
    again = Experiment.prepare(hundred.recipe, on_scale(toy, 0, 100), 0)
    assert again.fingerprint() == hundred.fingerprint()


def test_where_nothing_is_left_the_error_says_where_the_threshold_comes_from(toy):
    counts = replace(toy, rating=np.r_[979.0, np.ones(len(toy) - 1)], rating_scale=(1.0, 979.0))
    with pytest.raises(DataError) as error:
        Experiment.prepare(load_recipe("mult-vae", "x"), counts, 0)
    assert "rating of at least 734.5" in str(error.value)
    assert "Give another --min-rating. The recipe keeps ratings of at least 4 on a scale" in str(error.value)
    assert "on that of 1 to 979 these are 734.5 and above" in str(error.value)


def test_what_a_threshold_is_of_does_not_count_in_fingerprints():
    recipe = load_recipe("cdae", "x")
    assert recipe.filter.min_rating_of == (1.0, 5.0)
    assert "min_rating_of" not in canonical(recipe)["filter"]
    with pytest.raises(UsageError, match="a lower and a higher rating"):
        load_recipe("cdae", "x", overrides=["filter.min_rating_of=[5,1]"])


BOUNDED = {
    "dcf": ("last_activation", None),
    "delcr": ("last_activation", None),
    "delcr-woe": ("last_activation", None),
    "edrs": ("rating_activation", None),
    "edrs-woe": ("rating_activation", None),
    "rmf": ("non_negative", False),
}


def test_all_models_that_are_bounded_say_so():
    found = {name: model_info(name).non_negative_by for name in models_of("rating", "review-rating")}
    assert {name: option for name, option in found.items() if option} == {
        name: option for name, (option, _) in BOUNDED.items()
    }


def predictions(name, **options):
    """Predict with random weights of both signs, of which bounded models are told by their outputs."""
    model, found = small(name, **options), []
    for seed in range(8):
        random = np.random.default_rng(seed)
        for weight in model.trainable_variables:
            value = random.normal(scale=0.7, size=weight.shape)
            weight.assign(weight.constraint(value) if getattr(weight, "constraint", None) else value)
        inputs = {}
        for tensor in model.inputs:
            shape = (40, *tensor.shape[1:])
            whole = tensor.dtype.startswith("int")
            inputs[tensor.name] = random.integers(1, 5, shape) if whole else random.normal(size=shape)
        found.append(np.asarray(model(inputs)["rating"]))
    return np.concatenate(found)


@pytest.mark.parametrize("name", BOUNDED)
def test_the_option_makes_negative_predictions_possible(name):
    option, value = BOUNDED[name]
    assert predictions(name).min() >= 0
    assert predictions(name, **{option: value}).min() < 0


@pytest.mark.parametrize("name", BOUNDED)
def test_ratings_below_zero_are_refused_with_the_option_that_helps(toy, name):
    option, value = BOUNDED[name]
    text = "false" if value is False else "null"
    data = on_scale(toy, -10, 10)
    with pytest.raises(UsageError, match=rf"--set builder\.{option}={text}"):
        Experiment.prepare(load_recipe(name, "x"), data, 0)
    recipe = load_recipe(name, "x", overrides=[f"builder.{option}={text}"])
    assert Experiment.prepare(recipe, data, 0).recipe.builder[option] == value
    assert Experiment.prepare(load_recipe(name, "x"), toy, 0)
    assert Experiment.prepare(load_recipe("biased-mf", "x"), data, 0)
    assert refuse_negative(recipe, model_info(name), -1.0, "x") is None


def test_dmf_for_ratings_reaches_the_ends_of_a_scale_below_zero():
    wide = small("dmf-rating", rating_scale=(-10.0, 10.0)).get_layer("head")
    plain = small("dmf-rating", rating_scale=(1.0, 5.0)).get_layer("head")
    same, other = (
        np.array([[1.0, 0, 0, 0]] * 2, np.float32),
        np.array([[1.0, 0, 0, 0], [0, 1, 0, 0]], np.float32),
    )
    pairs = {"user_vector": same, "item_vector": other}
    np.testing.assert_allclose(wide(pairs), [10, -10], atol=1e-4)
    np.testing.assert_allclose(plain(pairs), [5, 0], atol=1e-4)


def test_a_model_learns_ratings_below_zero_better_than_the_mean(tmp_path):
    from tfzoo.runs import run

    user, item = map(np.ravel, np.meshgrid(np.arange(1, 31), np.arange(1, 21), indexing="ij"))
    rating = np.where((user + item) % 2, 6.0, -6.0).astype(np.float32)
    data = table(user, item, rating, rating_scale=(-10.0, 10.0))
    overrides = ["training.epochs=40", "training.batch_size=64", "training.learning_rate=0.01"]
    overrides += ["training.jit_compile=false", "builder.rating_activation=null"]
    record, _ = run(Experiment.prepare(load_recipe("edrs", "x", overrides=overrides), data, 0), tmp_path)
    assert record.metrics["test"]["rmse"] < 3 < 6
