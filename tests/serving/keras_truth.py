"""Small exports of models, and what Keras gives for them from inputs that are made here."""

import keras
import numpy as np
import tensorflow as tf

from tests.zoo import build, call, task_of
from tfzoo.data.splits import Split
from tfzoo.models import list_models
from tfzoo.serving.export import export_saved_model
from tfzoo.tasks import get_task

BLANK_SCORE = -1e9
# An item of the toy data set that the exports' training part lacks.
UNTRAINED = "film-05"
# Models of clicks rank nothing; their exports are tested in a file of their own.
RANKING_MODELS = [name for name in list_models() if task_of(name) != "click"]
# Models whose scores are inner products, exported with an index too.
INDEXED = ("gmf", "biased-mf")
HISTORY_TASKS = ("reconstruction", "next-item", "sequence")
# Models that are also exported with other ids, and the types of their user and item ids.
ID_TYPES = {"ease": ("string", "int64"), "biased-mf": ("int64", "int64"), "gru4rec": ("string", "string")}
OPTIONS = {
    # ReLU would make many scores equal.
    **{name: {"last_activation": None} for name in ("delcr", "delcr-woe", "dcf")},
    **{name: {"user_units": (5, 12), "item_units": (5, 12)} for name in ("dmf", "dmf-rating")},
    "edrs": {"last_activation": None, "rating_activation": None},
    "edrs-woe": {"rating_activation": None},
}


def small_model(name, train):
    """Build a small model with random weights for the data set."""
    return build(name, 3, 0.4, train.num_users, train.num_items, **OPTIONS.get(name, {}))


def export(name, model, train, folder, **options):
    task, features = features_of(name, model, train)
    scorer = task.scorer(model, features)
    return export_saved_model(model, scorer, train, folder, metadata={"model": name}, **options)


def features_of(name, model, train):
    task = get_task(task_of(name))()
    return task, task.features(model, Split(train, train, train, ""), train)


def by_rows(model, train, users, items):
    """Score dense ids; rows of the interaction matrix are made here, with NumPy."""
    values = 1.0 if "scores" in model.output else train.ratings
    matrix = np.zeros((train.num_users + 1, train.num_items + 1), np.float32)
    matrix[train.user_id, train.item_id] = values
    users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
    inputs = {"user_id": users, "item_id": items, "user_row": matrix[users], "item_row": matrix.T[items]}
    return call(model, {key: tf.constant(inputs[key]) for key in model.input})


def after_events(model, events):
    """Return the scores of all items after events, one by one, from a state of 0."""
    states = {key: np.zeros((1, *tensor.shape[1:]), np.float32) for key, tensor in model.input.items()}
    states.pop("item_id")
    for event in events or [0]:
        outputs = call(model, {"item_id": np.array([event], np.int32), **states})
        states = {key: outputs[key] for key in states}
    return outputs["scores"][0]


def after_history(model, train, user, events=None):
    """Return the scores of all items after a user's last events, or after others without times."""
    length, seconds = model.input["history"].shape[1], float(np.median(gaps_of_all(train)))
    gaps = [seconds] * len(events or ())
    if events is None:
        events, gaps = known_events(train, user), [*gaps_after(train, user), seconds]
    kept = events[-length:]
    padding = [0] * (length - len(kept))
    inputs = {
        "history": np.array([padding + kept], np.int32),
        "history_gaps": np.array([padding + gaps[len(gaps) - len(kept) :]], np.float32),
        "user_id": np.array([user], np.int32),
    }
    return call(model, {key: inputs[key] for key in model.input})["scores"][0]


def known_events(train, user):
    """Return the items of a user in the order of time."""
    rows = np.flatnonzero(train.user_id == user)
    return train.item_id[rows[np.argsort(train.timestamp[rows], kind="stable")]].tolist()


def gaps_after(train, user):
    """Return the seconds between the events of a user."""
    return np.diff(np.sort(train.timestamp[train.user_id == user]) / train.ticks_per_second).tolist()


def gaps_of_all(train):
    """Return the seconds between the events of every user, but for events at one time."""
    gaps = np.concatenate([gaps_after(train, user) for user in np.unique(train.user_id)])
    return gaps[gaps > 0]


def catalogue(name, model, train, user):
    """Return the scores by which the items are ranked for a dense user id."""
    task, items = task_of(name), np.arange(train.num_items + 1)
    if task == "next-item":
        return after_events(model, known_events(train, user))
    if task == "sequence":
        return after_history(model, train, user)
    if task == "reconstruction":
        return by_rows(model, train, [user], [0])["scores"][0]
    if task == "review-rating":
        documents = features_of(name, model, train)[1]
        users = documents.side("user", tf.constant(np.full_like(items, user), tf.int32))
        return call(model, {**users, **documents.side("item", tf.constant(items, tf.int32))})["rating"]
    if task == "implicit":
        return unsquashed(model, train, np.full_like(items, user), items)
    return by_rows(model, train, np.full_like(items, user), items)["rating"]


def unsquashed(model, train, users, items):
    """Return the logits of probabilities, scores else."""
    if any(layer.name == "probability" for layer in model.layers):
        model = keras.Model(model.input, {"score": model.get_layer("probability").input})
    return by_rows(model, train, users, items)["score"]


def history_scores(name, model, train, items):
    """Return the scores for dense ids of a history."""
    known = [item for item in items if train.item_counts()[item]]
    if task_of(name) == "next-item":
        return after_events(model, known)
    if task_of(name) == "sequence":
        return after_history(model, train, 0, known)
    row = np.zeros((1, train.num_items + 1), np.float32)
    row[0, items] = 1
    inputs = {"user_row": tf.constant(row), "user_id": tf.constant([0])}
    return call(model, {key: inputs[key] for key in model.input})["scores"][0]


def best(scores, train, k, blocked, *, hide=True):
    """Return the dense ids of the best ``k`` items by sorting, ties in favour of the lower id."""
    hidden = set(np.flatnonzero(train.item_counts() == 0).tolist()) if hide else {0}
    eligible = [item for item in range(1, len(scores)) if item not in hidden | set(blocked)]
    return sorted(eligible, key=lambda item: (-scores[item], item))[:k]
