"""What the tests over all registered models share: which are tried, small ones, tables."""

import numpy as np
import pytest

from tfzoo.data.interactions import Interactions
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.models import list_models, model_info
from tfzoo.testing.small import NUM_ITEMS, NUM_USERS, build, call, random_inputs, small, small_options

__all__ = ["NUM_ITEMS", "NUM_USERS", "build", "call", "random_inputs", "small"]

# By name, options for models that are large by default.
SMALL = {name: small_options(name) for name in list_models()}


def task_of(name):
    return model_info(name).task


def examples_of(name):
    """Return what the recipe of a model of histories says that it learns from, as a setting of its task."""
    # Not above: recipes bring TensorFlow, without which models run on other backends.
    from tfzoo.training.recipe import load_recipe

    return {"examples": load_recipe(name, "small").task["examples"]} if task_of(name) == "sequence" else {}


# One of each kind, for tests of properties that all models share; the others run with --runslow.
SAMPLE = (
    "biased-mf",
    "deepconn",
    "deepfm",
    "deepfm-click",
    "dmf",
    "ease",
    "edrs",
    "gru4rec",
    "item-knn-rating",
    "mult-vae",
    "neumf",
    "nnmf",
    "sasrec",
    "svdpp",
)


def sampled(names, sample=SAMPLE):
    """Return test parameters of which those that are not in the sample are slow."""
    return [pytest.param(name, marks=() if name in sample else pytest.mark.slow) for name in names]


def models_of(*tasks):
    """Return the names of the models of the given tasks."""
    return [name for name in list_models() if task_of(name) in tasks]


def table(user_id, item_id, rating=None, *, num_users=None, num_items=None, **columns):
    """Make interactions whose raw ids are the dense ids minus 1."""
    users, items = num_users or int(np.max(user_id)), num_items or int(np.max(item_id))
    return Interactions(
        Vocabulary(np.arange(users)),
        Vocabulary(np.arange(items)),
        np.array(user_id),
        np.array(item_id),
        rating,
        **{"name": "table", **columns},
    )
