"""Floors under the models on MovieLens-100K: a change that makes one worse or too good fails here."""

import pytest

from tfzoo.data.datasets import load_dataset
from tfzoo.experiment import Experiment
from tfzoo.runs import run
from tfzoo.training.recipe import load_recipe

pytestmark = [pytest.mark.slow, pytest.mark.data]


@pytest.mark.parametrize(
    ("model", "recipe", "low", "high"),
    [
        # Below the first figure suspect a leak: random splits give no better than about 0.90.
        ("edrs", "paper", 0.930, 0.955),
        ("edrs", "tuned", 0.900, 0.9255),
        ("delcr", "tuned", 0.900, 0.926),
        ("biased-mf", "paper", 0.930, 0.950),
        ("biased-mf", "tuned", 0.900, 0.920),
        ("pmf", "paper", 0.930, 0.980),
    ],
)
def test_test_rmse_on_movielens_100k(model, recipe, low, high, tmp_path):
    experiment = Experiment.prepare(load_recipe(model, "ml-100k", recipe), load_dataset("ml-100k"), 0)
    record, _ = run(experiment, tmp_path)
    assert low <= record.metrics["test"]["rmse"] <= high
