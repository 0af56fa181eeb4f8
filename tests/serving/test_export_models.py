"""Models, exported and asked in a fresh process: scores and lists are those of Keras."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.patience import PATIENCE
from tests.serving.keras_truth import (
    BLANK_SCORE,
    HISTORY_TASKS,
    RANKING_MODELS,
    UNTRAINED,
    best,
    by_rows,
    catalogue,
    history_scores,
)
from tests.zoo import models_of, sampled, task_of
from tfzoo.serving.client import LocalClient

# They take more than a minute to export; test_export.py exports some of them by default.
pytestmark = pytest.mark.slow

# Ids of the toy data set: users 100, 107, ...; items film-00, film-01, ...
USERS, ITEMS = [107, 12345, 303, 100], ["film-19", "film-00", "no such film", "film-03"]
HISTORIES = [["film-07", "no such film", UNTRAINED, "film-03"], ["", "", "no such film", ""]]
EXCLUDED = [["film-01"], ["film-02"]]

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
def asked_models(exported_models, tmp_path_factory):
    """Have a fresh process load and ask every exported model."""
    folder = tmp_path_factory.mktemp("fresh")
    models, folders = exported_models
    question = {"users": USERS, "items": ITEMS, "histories": HISTORIES, "excluded": EXCLUDED}
    lines = [question, *([name, str(version)] for name, version in folders.items())]
    done = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS],
        input="".join(json.dumps(line) + "\n" for line in lines),
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return models, json.loads(done.stdout), folders


def assert_list(answer, row, train, expected, scores):
    assert answer["item_ids"][row][: len(expected)] == train.items.decode(expected).tolist()
    np.testing.assert_allclose(answer["scores"][row][: len(expected)], scores[expected], rtol=1e-4, atol=1e-4)
    assert set(answer["item_ids"][row][len(expected) :]) <= {""}
    assert set(answer["scores"][row][len(expected) :]) <= {BLANK_SCORE}


@pytest.mark.parametrize("name", sampled(RANKING_MODELS))
def test_signatures(asked_models, name):
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
    }
    who = {"recommend{}": {"user_id": ["int64", [None]]}}
    if task_of(name) in HISTORY_TASKS:
        who["recommend{}_from_history"] = {"history": ["string", [None, None]]}
    allowed = {"": {}, "_among": {"allow_ids": ["string", [None, None]]}}
    for signature, asked in who.items():
        for suffix, more in allowed.items():
            inputs = {**lists["inputs"], **asked, **more}
            expected[signature.format(suffix)] = {**lists, "inputs": inputs}
    assert asked_models[1][name]["signatures"] == expected


@pytest.mark.parametrize("name", sampled(RANKING_MODELS))
def test_pairs_have_the_output_of_keras(asked_models, train, name):
    model, found = asked_models[0][name], asked_models[1][name]["pairs"]
    users, items = train.users.lookup(USERS), train.items.lookup(ITEMS)
    assert users[1] == items[2] == 0
    if task_of(name) == "implicit":
        expected = by_rows(model, train, users, items)["score"]
    else:
        expected = [
            catalogue(name, model, train, user)[item] for user, item in zip(users, items, strict=True)
        ]
    (scores,) = found.values()
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
    assert np.ptp(scores) > 1e-3


@pytest.mark.parametrize("name", sampled(RANKING_MODELS))
def test_a_known_user_gets_the_list_of_keras_and_an_unknown_one_popular_items(asked_models, train, name):
    model, answer = asked_models[0][name], asked_models[1][name]["recommend"]
    hide = task_of(name) not in ("rating", "review-rating")
    seen = train.item_id[train.user_id == 1].tolist()
    scores = catalogue(name, model, train, 1)
    assert_list(answer, 0, train, best(scores, train, 4, [*seen, 2], hide=hide), scores)
    counts = train.item_counts()
    assert_list(answer, 1, train, best(counts, train, 2, [3], hide=hide), counts)
    assert answer["known_user"] == [True, False]


@pytest.mark.parametrize("name", sampled(models_of(*HISTORY_TASKS)))
def test_a_history_gets_the_list_of_keras(asked_models, train, name):
    model, answer = asked_models[0][name], asked_models[1][name]["recommend_from_history"]
    history = [item for item in train.items.lookup(HISTORIES[0]).tolist() if item]
    assert history == [8, 6, 4]
    scores = history_scores(name, model, train, history)
    assert_list(answer, 0, train, best(scores, train, 4, [*history, 2]), scores)
    counts = train.item_counts()
    assert_list(answer, 1, train, best(counts, train, 2, [3]), counts)
    assert answer["known_user"] == [True, False]


def test_an_item_that_training_lacks_is_recommended_by_rating_models_alone(asked_models, train):
    for name in ("biased-mf", "gmf", "mult-vae"):
        client = LocalClient(asked_models[2][name])
        listed = client.recommend(100, k=100).item_ids
        assert (UNTRAINED in listed) == (name == "biased-mf"), name
        seen = train.items.decode(train.item_id[train.user_id == 1]).tolist()
        assert set(listed) == set(train.items.ids.tolist()) - {*seen, *({UNTRAINED} - set(listed))}
