"""What the tests over all registered models share: which are tried, small ones, tables."""

import re

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


# One of each kind, by task, inputs and step, for properties that all models share; a test keeps it so. The
# others run with --all-models, and with --changed-since where they changed.
SAMPLE = (
    "adrs",
    "biased-mf",
    "caser",
    "cdae",
    "deepconn",
    "deepfm-click",
    "dmf",
    "ease",
    "edrs",
    "edrs-woe",
    "gru4rec",
    "hstu",
    "item-knn-rating",
    "mult-vae",
    "neumf",
    "recvae",
    "sasrec",
    "svdpp",
)


def kind_of(name):
    """Return what a model of the sample stands for: the task, the inputs without their side, and the step."""
    inputs = frozenset(re.sub("^(user|item)_|_[0-9]+$", "", one) for one in build(name).input)
    return task_of(name), inputs, model_info(name).step


def sampled(cases, sample=SAMPLE):
    """Return test parameters that are models, or begin with one: those beyond the sample run by an option."""
    rows = [(case,) if isinstance(case, str) else case for case in cases]
    return [pytest.param(*row, marks=() if row[0] in sample else pytest.mark.matrix(row[0])) for row in rows]


def quick(cases, few):
    """Return test parameters of which those that are not among a few are slow."""
    return [pytest.param(case, marks=() if case in few else pytest.mark.slow) for case in cases]


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
