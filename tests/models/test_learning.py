"""Registered models learn a tiny data set with their task, trainer and evaluator."""

import keras
import numpy as np
import pytest

from tests.zoo import examples_of, models_of, sampled, small, table, task_of
from tfzoo.data.click_log import ClickLog
from tfzoo.data.click_splits import click_split
from tfzoo.data.splits import Split
from tfzoo.evaluation import build_evaluator
from tfzoo.models import model_info
from tfzoo.tasks import TASKS, get_task
from tfzoo.training.settings import TrainingSettings
from tfzoo.training.trainer import Trainer

NO_PENALTY = {"dense_l2": 0.0}
OPTIONS = {
    "edrs": {**NO_PENALTY, "rating_activation": None, "mean_rating": 3.0},
    "edrs-woe": {**NO_PENALTY, "rating_activation": None, "mean_rating": 3.0},
    "delcr": {**NO_PENALTY, "last_activation": None, "mean_rating": 3.0},
    "delcr-woe": {**NO_PENALTY, "last_activation": None, "mean_rating": 3.0},
    "dcf": {**NO_PENALTY, "last_activation": None, "mean_rating": 3.0},
    "pmf": {"lookup_l2": 0.0, "mean_rating": 3.0},
    "biased-mf": {"lookup_l2": 0.0, "mean_rating": 3.0},
    "svdpp": {"lookup_l2": 0.0, "mean_rating": 3.0},
    "rmf": {"lookup_l2": 0.0},
    "dlfcf": {"lookup_l2": 0.0, "mean_rating": 3.0},
    "deepfm": {"mean_rating": 3.0, "dropout": 0.0},
    "wide-deep": {"mean_rating": 3.0},
    "nnmf": {"lookup_l2": 0.0, "mean_rating": 3.0},
    "adrs": {"mean_rating": 3.0, "dropout": 0.0, "initial_range": 0.5},
    "deepconn": {"mean_rating": 3.0, "dropout": 0.0, "initial_range": 0.5, "latent_activation": None},
    "gmf": {"initial_stddev": 0.1},
    "bmf": {"embedding_l2": 0.0},
    "bpr-mf": {"embedding_l2": 0.0},
    "cdae": {"l2": 0.0},
    "dmf-rating": {"initial_stddev": 0.3, "user_units": (16, 12), "item_units": (16, 12)},
    "i-autorec": {"l2": 0.0, "hidden_units": 24, "mean_rating": 3.5},
    "u-autorec": {"l2": 0.0, "hidden_units": 24, "mean_rating": 3.5},
    "ease": {"l2": 1.0},
    "fmlp-rec": {"initial_stddev": 0.1},
    "caser": {"horizontal_filters": 8},
    "narm": {"embedding_dropout": 0.0},
    "hstu": {"temperature": 0.05},
    # Hidden events are found in whole windows: in one of two events everyone's first one, too, is asked for.
    "bert4rec": {"history_length": 2, "initial_stddev": 0.2, "attention_dropout": 0.0},
}
# What models of a task are given of it, where they have such options.
OF_TASK = {
    "click": {
        "field_sizes": (9, 7),
        "dense_size": 0,
        "initial_stddev": 0.1,
        "hidden_units": (16,),
        "dropout": 0.0,
    },
    "sequence": {"embedding_dim": 16, "dropout": 0.0},
}
TASK = {
    "rating": {"mask_target": False},
    "review-rating": {"drop_target_review": False},
    "implicit": {"cutoffs": (3,), "monitor": "ndcg@3"},
    "reconstruction": {"cutoffs": (3,), "monitor": "ndcg@3"},
    "next-item": {"cutoffs": (1,), "monitor": "recall@1", "n_sample": 4},
    "sequence": {"cutoffs": (1,), "monitor": "recall@1", "measure": "events"},
    "click": {},
}
TRAINING = {
    "rating": {"learning_rate": 0.003, "batch_size": 12, "epochs": 300},
    "review-rating": {"learning_rate": 0.03, "batch_size": 24, "epochs": 60},
    "implicit": {"learning_rate": 0.02, "batch_size": 64, "epochs": 20},
    "reconstruction": {"learning_rate": 0.02, "batch_size": 6, "epochs": 40},
    "next-item": {"learning_rate": 0.03, "batch_size": 6, "epochs": 30},
    "sequence": {"learning_rate": 0.03, "batch_size": 6, "epochs": 30},
    "click": {"learning_rate": 0.03, "batch_size": 12, "epochs": 40},
}
# By name, what else a model needs of the task and of training.
OWN_TASK = {"bert4rec": {"stride": 1}}
OWN_TRAINING = {"bert4rec": {"learning_rate": 0.01}}
# Popular items are the same for everyone, and here all are equally popular; so are the biases of items.
WITHOUT_TASTE = {"popularity", "baseline", "lr"}
RANKING = [name for name in models_of("implicit", "reconstruction") if name not in WITHOUT_TASTE]
RATING = [name for name in models_of("rating", "review-rating") if name not in WITHOUT_TASTE]
CLICK = [name for name in models_of("click") if name not in WITHOUT_TASTE]


def determined():
    """All ratings of 8 users for 6 items: two tastes, two kinds of items, and generous users."""
    user, item = np.divmod(np.arange(48), 6)
    rating = 3 + np.where(user % 2 == item % 2, 1.0, -1.0) + (user >= 4)
    words = (
        np.where(user % 2, "sweet", "salty"),
        np.where(item % 2, "cake", "crisps"),
        np.where(user >= 4, "wonderful", "fair"),
    )
    text = np.array([" ".join(review) for review in zip(*words, strict=True)], object)
    ratings = table(user + 1, item + 1, rating, rating_scale=(1, 5), text=text)
    return Split(ratings, ratings, ratings, "all in every part")


def clicked():
    """The same as impressions, of which those with a rating of 4 or more are clicked."""
    log = ClickLog.of(determined().train, 4)
    return click_split(log, *[np.arange(len(log))] * 3, "all in every part")


def blocks():
    """24 users in three groups, each with its own 8 items; every user has yet to find one of them."""
    user, item = np.divmod(np.arange(24 * 24), 24)
    mine = user // 8 == item // 8
    hidden = user % 8 == item % 8
    parts = [table(user[rows] + 1, item[rows] + 1) for rows in (mine & ~hidden, mine & hidden)]
    # Who validates on what is known has nothing to rank; each half tests one half of the users.
    half = parts[1].user_id % 2 == 0
    return Split(parts[0], *(parts[1].take(np.flatnonzero(rows)) for rows in (half, ~half)), "blocks")


def cycle():
    """12 sessions that go round the same 7 items, from different starts."""
    session, event = np.divmod(np.arange(12 * 6), 6)
    events = table(session + 1, (session + event) % 7 + 1, timestamp=np.arange(12 * 6))
    return Split(events, events, events, "all in every part")


DATA = {
    "rating": determined,
    "review-rating": determined,
    "implicit": blocks,
    "reconstruction": blocks,
    "next-item": cycle,
    "sequence": cycle,
    "click": clicked,
}


def learn(name):
    """Return the metrics of the test part before and after training."""
    split, task_name = DATA[task_of(name)](), task_of(name)
    task_class, everything = get_task(task_name), split.train
    examples = examples_of(name)
    asked = {**TASK[task_name], **examples, **OWN_TASK.get(name, {})}
    task = task_class(task_class.Settings(**asked))
    keras.utils.set_random_seed(0)
    of_task = OF_TASK.get(task_name, {})
    options = {key: value for key, value in of_task.items() if key in model_info(name).options}
    options |= OPTIONS.get(name, {})
    model = small(name, everything.num_users, everything.num_items, **options)
    features = task.features(model, split, everything)
    evaluator = build_evaluator(task, model, features, split)
    before = evaluator.evaluate("test")
    solve = model_info(name).solve
    if solve is not None:
        solve(model, task.matrix(split.train))
    if model.trainable_variables:
        # Validation after every epoch would take longer than the steps.
        own = {**TRAINING[task_name], "patience": None, "jit_compile": False, "validate_every": 10}
        own |= OWN_TRAINING.get(name, {})
        settings = TrainingSettings(**own)
        state = Trainer(model, task, features, split.train, settings, seed=0).fit(evaluator.validate)
        assert state.history[-1]["loss"] < state.history[0]["loss"]
        task.finish(model, split.train)
    return before, evaluator.evaluate("test")


@pytest.mark.parametrize("name", sampled(RATING))
def test_training_fits_ratings(name):
    before, after = learn(name)
    assert before["rmse"] > 0.8
    assert after["rmse_unclipped"] < 0.2


@pytest.mark.parametrize("name", sampled(RANKING))
def test_training_finds_the_items_of_a_group(name):
    before, after = learn(name)
    # A random list has 0.13.
    assert before["ndcg@3"] < 0.6
    assert after["ndcg@3"] > 0.9


# What is counted in sessions does not know which of two items is first.
@pytest.mark.parametrize(
    "name", sampled(name for name in models_of("next-item", "sequence") if not name.startswith("session-"))
)
def test_training_finds_the_next_item(name):
    before, after = learn(name)
    assert before["recall@1"] < 0.6
    assert after["recall@1"] > 0.95


@pytest.mark.parametrize("name", sampled(CLICK))
def test_training_tells_clicks(name):
    before, after = learn(name)
    assert before["log_loss"] > 0.5
    assert after["log_loss"] < 0.1
    assert after["auc"] == 1


def test_every_task_is_learned_here():
    assert DATA.keys() == TRAINING.keys() == TASK.keys() == TASKS.keys()
