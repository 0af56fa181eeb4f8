"""Every registered model, exported and asked in a fresh process: scores and lists are those of Keras."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import build, call, models_of, task_of
from tfzoo.data.splits import Split
from tfzoo.models import list_models
from tfzoo.serving.client import LocalClient
from tfzoo.serving.export import export_saved_model
from tfzoo.tasks import get_task

BLANK_SCORE = -1e9
# Ids of the toy data set: users 100, 107, ...; items film-00, film-01, ... An item that is not trained:
UNTRAINED = "film-05"
USERS, ITEMS = [107, 12345, 303, 100], ["film-19", "film-00", "no such film", "film-03"]
HISTORIES = [["film-07", "no such film", UNTRAINED, "film-03"], ["", "", "no such film", ""]]
EXCLUDED = [["film-01"], ["film-02"]]
HISTORY_TASKS = ("reconstruction", "next-item")
OPTIONS = {
    # ReLU would make many scores equal.
    **{name: {"last_activation": None} for name in ("delcr", "delcr-woe", "dcf")},
    "edrs": {"last_activation": None, "rating_activation": None},
    "edrs-woe": {"rating_activation": None},
}

FRESH_PROCESS = """
import json, sys
import tensorflow as tf

question = json.loads(next(sys.stdin))
options = {"k": tf.constant([4, 2]), "exclude_ids": tf.constant(question["excluded"])}
found = {}
for line in sys.stdin:
    name, folder = json.loads(line)
    loaded = tf.saved_model.load(folder)
    pairs = loaded.signatures["serving_default"](
        user_id=tf.constant(question["users"], tf.int64), item_id=tf.constant(question["items"])
    )
    recommend = loaded.signatures["recommend"]
    answers = {"recommend": recommend(user_id=tf.constant([100, 999], tf.int64), **options)}
    if "recommend_from_history" in loaded.signatures:
        ask = loaded.signatures["recommend_from_history"]
        answers["recommend_from_history"] = ask(history=tf.constant(question["histories"]), **options)
    found[name] = {
        "signatures": {
            key: {
                "inputs": {k: [s.dtype.name, s.shape.as_list()] for k, s in inputs[1].items()},
                "outputs": {k: [s.dtype.name, s.shape.as_list()] for k, s in outputs.items()},
            }
            for key, signature in loaded.signatures.items()
            for inputs, outputs in [(signature.structured_input_signature, signature.structured_outputs)]
        },
        "pairs": {key: value.numpy().tolist() for key, value in pairs.items()},
        **{
            key: {
                "item_ids": [[item.decode() for item in row] for row in answer["item_ids"].numpy().tolist()],
                "scores": answer["scores"].numpy().tolist(),
                "known_user": answer["known_user"].numpy().tolist(),
            }
            for key, answer in answers.items()
        },
    }
assert "tfzoo" not in sys.modules
json.dump(found, sys.stdout, allow_nan=False)
"""


@pytest.fixture(scope="module")
def train(toy):
    part = toy.take(np.flatnonzero((np.arange(len(toy)) < 200) & (toy.item_id != 6)))
    assert toy.items.lookup(UNTRAINED) == 6
    assert (np.delete(part.item_counts()[1:], 5) > 0).all()
    words = np.array(["a", "dull", "film", "with", "a", "good", "end", "and", "loud", "noise"], object)
    chosen = zip(part.user_id % 10, part.item_id % 10, part.user_id * part.item_id % 10, strict=True)
    text = np.array([" ".join(words[list(three)]) for three in chosen], object)
    return replace(part, text=text)


def features_of(name, model, train):
    task = get_task(task_of(name))()
    return task, task.features(model, Split(train, train, train, ""), train)


@pytest.fixture(scope="module")
def every_model(train, tmp_path_factory):
    """Export every model; a fresh process loads and asks one while the next is exported."""
    folder = tmp_path_factory.mktemp("every")
    question = {"users": USERS, "items": ITEMS, "histories": HISTORIES, "excluded": EXCLUDED}
    models, folders = {}, {}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        (folder / "stderr").open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", FRESH_PROCESS], stderr=errors, cwd=folder, **pipes
        ) as process,
    ):
        try:
            print(json.dumps(question), file=process.stdin, flush=True)
            for name in list_models():
                models[name] = build(name, 3, 0.4, train.num_users, train.num_items, **OPTIONS.get(name, {}))
                folders[name] = export(name, models[name], train, folder / name)
                print(json.dumps([name, str(folders[name])]), file=process.stdin, flush=True)
            output, _ = process.communicate(timeout=300)
        except BrokenPipeError:
            pass  # The process has ended too early; its errors are shown below.
        finally:
            process.kill()
    assert process.returncode == 0, (folder / "stderr").read_text(encoding="utf-8")[-3000:]
    return models, json.loads(output), folders


def export(name, model, train, folder):
    task, features = features_of(name, model, train)
    scorer = task.scorer(model, features)
    return export_saved_model(model, scorer, train, folder, metadata={"model": name})


# What Keras gives, from inputs that are made here.


def by_rows(model, train, users, items):
    """Score dense ids; rows of the interaction matrix are made here, with NumPy."""
    values = {"rating": train.ratings, "scores": 1.0}[next(iter(model.output))]
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


def known_events(train, user):
    """Return the items of a user in the order of time."""
    rows = np.flatnonzero(train.user_id == user)
    return train.item_id[rows[np.argsort(train.timestamp[rows], kind="stable")]].tolist()


def catalogue(name, model, train, user):
    """Return the scores by which the items are ranked for a dense user id."""
    task, items = task_of(name), np.arange(train.num_items + 1)
    if task == "next-item":
        return after_events(model, known_events(train, user))
    if task == "reconstruction":
        return by_rows(model, train, [user], [0])["scores"][0]
    if task == "review-rating":
        documents = features_of(name, model, train)[1]
        users = documents.side("user", tf.constant(np.full_like(items, user), tf.int32))
        return call(model, {**users, **documents.side("item", tf.constant(items, tf.int32))})["rating"]
    if task == "implicit":
        return unsquashed(model, np.full_like(items, user), items)
    return by_rows(model, train, np.full_like(items, user), items)["rating"]


def unsquashed(model, users, items):
    """Return the logits of probabilities, scores else."""
    score = call(model, {"user_id": tf.constant(users), "item_id": tf.constant(items)})["score"]
    if not any(layer.name == "probability" for layer in model.layers):
        return score
    return np.log(score.astype(np.float64)) - np.log1p(-score.astype(np.float64))


def history_scores(name, model, train, items):
    """Return the scores for dense ids of a history."""
    if task_of(name) == "next-item":
        return after_events(model, [item for item in items if train.item_counts()[item]])
    row = np.zeros((1, train.num_items + 1), np.float32)
    row[0, items] = 1
    inputs = {"user_row": tf.constant(row), "user_id": tf.constant([0])}
    return call(model, {key: inputs[key] for key in model.input})["scores"][0]


def best(scores, train, k, blocked, *, hide=True):
    """Return the dense ids of the best ``k`` items by sorting, ties in favour of the lower id."""
    hidden = set(np.flatnonzero(train.item_counts() == 0).tolist()) if hide else {0}
    eligible = [item for item in range(1, len(scores)) if item not in hidden | set(blocked)]
    return sorted(eligible, key=lambda item: (-scores[item], item))[:k]


def assert_list(answer, row, train, expected, scores):
    assert answer["item_ids"][row][: len(expected)] == train.items.decode(expected).tolist()
    np.testing.assert_allclose(answer["scores"][row][: len(expected)], scores[expected], rtol=1e-4, atol=1e-4)
    assert set(answer["item_ids"][row][len(expected) :]) <= {""}
    assert set(answer["scores"][row][len(expected) :]) <= {BLANK_SCORE}


@pytest.mark.parametrize("name", list_models())
def test_signatures(every_model, name):
    lists = {
        "inputs": {"k": ["int32", [None]], "exclude_ids": ["string", [None, None]]},
        "outputs": {
            "item_ids": ["string", [None, None]],
            "scores": ["float32", [None, None]],
            "known_user": ["bool", [None]],
        },
    }
    output = "rating" if "rating" in task_of(name) else "score"
    expected = {
        "serving_default": {
            "inputs": {"user_id": ["int64", [None]], "item_id": ["string", [None]]},
            "outputs": {output: ["float32", [None]]},
        },
        "recommend": {**lists, "inputs": {**lists["inputs"], "user_id": ["int64", [None]]}},
    }
    if task_of(name) in HISTORY_TASKS:
        history = {"history": ["string", [None, None]]}
        expected["recommend_from_history"] = {**lists, "inputs": {**lists["inputs"], **history}}
    assert every_model[1][name]["signatures"] == expected


@pytest.mark.parametrize("name", list_models())
def test_pairs_have_the_output_of_keras(every_model, train, name):
    model, found = every_model[0][name], every_model[1][name]["pairs"]
    users, items = train.users.lookup(USERS), train.items.lookup(ITEMS)
    assert users[1] == items[2] == 0
    if task_of(name) == "implicit":
        expected = call(model, {"user_id": tf.constant(users), "item_id": tf.constant(items)})["score"]
    else:
        expected = [
            catalogue(name, model, train, user)[item] for user, item in zip(users, items, strict=True)
        ]
    (scores,) = found.values()
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
    assert np.ptp(scores) > 1e-3


@pytest.mark.parametrize("name", list_models())
def test_a_known_user_gets_the_list_of_keras_and_an_unknown_one_popular_items(every_model, train, name):
    model, answer = every_model[0][name], every_model[1][name]["recommend"]
    hide = task_of(name) not in ("rating", "review-rating")
    seen = train.item_id[train.user_id == 1].tolist()
    scores = catalogue(name, model, train, 1)
    assert_list(answer, 0, train, best(scores, train, 4, [*seen, 2], hide=hide), scores)
    counts = train.item_counts()
    assert_list(answer, 1, train, best(counts, train, 2, [3], hide=hide), counts)
    assert answer["known_user"] == [True, False]


@pytest.mark.parametrize("name", models_of(*HISTORY_TASKS))
def test_a_history_gets_the_list_of_keras(every_model, train, name):
    model, answer = every_model[0][name], every_model[1][name]["recommend_from_history"]
    history = [item for item in train.items.lookup(HISTORIES[0]).tolist() if item]
    assert history == [8, 6, 4]
    scores = history_scores(name, model, train, history)
    assert_list(answer, 0, train, best(scores, train, 4, [*history, 2]), scores)
    counts = train.item_counts()
    assert_list(answer, 1, train, best(counts, train, 2, [3]), counts)
    assert answer["known_user"] == [True, False]


def test_an_item_that_training_lacks_is_recommended_by_rating_models_alone(every_model, train):
    for name in ("biased-mf", "gmf", "mult-dae"):
        client = LocalClient(every_model[2][name])
        listed = client.recommend(100, k=100).item_ids
        assert (UNTRAINED in listed) == (name == "biased-mf"), name
        seen = train.items.decode(train.item_id[train.user_id == 1]).tolist()
        assert set(listed) == set(train.items.ids.tolist()) - {*seen, *({UNTRAINED} - set(listed))}
