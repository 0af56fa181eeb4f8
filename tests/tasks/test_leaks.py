"""Held-out data moves nothing: neither what a model learns from, nor what it is asked with.

A prediction depends on the weights, which come of the initial ones and of the batches, and on the
inputs that are made for a question. So both are looked at, bit for bit, while the test part is
scrambled; no training is needed to see a leak.
"""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import SMALL, models_of, sampled, task_of
from tfzoo.data.click_log import ClickLog
from tfzoo.data.click_splits import click_split
from tfzoo.data.pipelines import BatchPlan
from tfzoo.data.ranking_splits import leave_out_split
from tfzoo.data.splits import Split, random_split
from tfzoo.experiment import Experiment
from tfzoo.models import list_models, model_info
from tfzoo.tasks import TASKS, get_task
from tfzoo.tasks.sequence_features import SequenceScorer
from tfzoo.training.recipe import load_recipe
from tfzoo.training.splitting import with_everything

WORDS = np.array(["loud", "soft", "cheap", "fine", "broken", "bright"])
COUNTED = ("vocabulary_size", "field_sizes", "dense_size")
PLAN = BatchPlan(batch_size=16, seed=3)


def with_text(data, seed):
    """Return interactions with a review of three words each."""
    drawn = np.random.default_rng(seed).integers(0, len(WORDS), (len(data), 3))
    return replace(data, text=np.array([" ".join(WORDS[row]) for row in drawn], object))


def by_session(data):
    """Divide by users, as sessions are."""
    parts = [(1, 20), (21, 25), (26, 30)]
    rows = [np.flatnonzero((data.user_id >= low) & (data.user_id <= high)) for low, high in parts]
    return Split(*(data.take(one) for one in rows), "by session")


def impressions(data):
    log = ClickLog.of(data, 4)
    return click_split(log, *np.split(np.random.default_rng(1).permutation(len(log)), [200, 250]), "random")


SPLITS = {
    "rating": lambda data: random_split(data, seed=1),
    "review-rating": lambda data: random_split(with_text(data, 5), seed=1),
    "implicit": lambda data: leave_out_split(data, seed=1, leave=1),
    "reconstruction": lambda data: leave_out_split(data, seed=1, leave=1),
    "sequence": lambda data: leave_out_split(data, seed=1, leave=1),
    "next-item": by_session,
    "click": impressions,
}


def scrambled(part):
    """Return a part with other ratings, reviews, items or labels."""
    if isinstance(part, ClickLog):
        return replace(part, label=1 - part.label)
    other = replace(part, item_id=part.item_id % part.num_items + 1)
    if part.rating is not None:
        other = replace(other, rating=6 - part.rating)
    return other if part.text is None else with_text(other, 9)


def whole(split):
    """Return all rows of a split as one table."""
    return with_everything(split, split.test.take(np.arange(0))).train


def experiment_of(name, split, *overrides):
    """Return a model's recipe ``paper`` at tiny size on a split."""
    info = model_info(name)
    # What the training part decides is left to it.
    small = {key: value for key, value in SMALL.get(name, {}).items() if key not in COUNTED}
    settings = [f"builder.{key}={json.dumps(value)}" for key, value in small.items()]
    recipe = load_recipe(name, "toy", overrides=[*settings, *overrides])
    task_class = get_task(info.task)
    task = task_class(task_class.Settings(**recipe.task))
    return Experiment(recipe, {}, whole(split), split, task, seed=2)


def seen(experiment, questions):
    """Return all that predictions come of: start weights, a few batches, and the answers to questions."""
    model, task, split = experiment.build(), experiment.task, experiment.split
    features = experiment.features(model)
    found = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
    if model.trainable_variables:
        batches = task.train_dataset(features, split.train, PLAN).take(3)
        found += [np.asarray(array) for batch in batches for array in tf.nest.flatten(batch)]
    if isinstance(questions, ClickLog) or task.evaluation == "rating":
        return [*found, task.predictor(model, features)(questions)]
    if task.name == "next-item":
        history = tf.constant(questions.item_id[:12].reshape(3, 4), tf.int32)
        return [*found, task.scorer(model, features).score_history(history).numpy()]
    scorer = task.scorer(model, features)
    if task.name == "sequence":
        # What is known at the test; a served model knows everything.
        scorer = SequenceScorer(model, features, "test")
    scorer.refresh()
    return [*found, scorer.score_items(tf.range(1, split.train.num_users + 1)).numpy()]


def moved(name, data, *overrides, control=False):
    """Tell whether anything changes with the test part; with ``control`` the test part is trained on."""
    split = SPLITS[task_of(name)](data)
    questions, found = split.test, []
    for test in (split.test, scrambled(split.test)):
        parts = replace(split, test=test)
        if control:
            parts = replace(parts, train=whole(parts))
        found.append(seen(experiment_of(name, parts, *overrides), questions))
    same = [np.array_equal(one, other) for one, other in zip(*found, strict=True)]
    return not all(same)


@pytest.fixture(autouse=True)
def eagerly():
    """Compile nothing: every model answers once."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")


@pytest.mark.parametrize("name", sampled(list_models()))
def test_nothing_moves_with_the_test_part(name, toy):
    assert not moved(name, toy)


@pytest.mark.parametrize(
    "name", ["biased-mf", "item-knn-rating", "deepconn", "gmf", "ease", "sasrec", "gru4rec", "lr"]
)
def test_a_model_that_trains_on_the_test_part_is_caught(name, toy):
    assert moved(name, toy, control=True)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("edrs-woe", ["task.rows_from=all"]),
        ("deepconn", ["task.documents_from=all", "task.drop_target_review=false"]),
    ],
)
def test_the_leaks_that_recipes_measure_are_caught(name, settings, toy):
    assert moved(name, toy, *settings)


def test_every_task_is_looked_at():
    assert SPLITS.keys() == TASKS.keys()
    controls = {"biased-mf", "item-knn-rating", "deepconn", "gmf", "ease", "sasrec", "gru4rec", "lr"}
    assert {task_of(name) for name in controls} == TASKS.keys()
    assert sum(len(models_of(task)) for task in SPLITS) == len(list_models())
