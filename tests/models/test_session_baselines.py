"""Popularity and co-occurrence in sessions, against the few lines that define them."""

from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import NUM_ITEMS, build, call, table
from tfzoo.data.splits import Split
from tfzoo.errors import UsageError
from tfzoo.evaluation import build_evaluator
from tfzoo.layers import SessionNeighbours
from tfzoo.models import create_model, model_info
from tfzoo.tasks import get_task

ITEMS = 8
SESSIONS = [[1, 2, 3], [2, 3, 3, 4], [1, 2], [5, 1, 2, 6], [4, 3], [6, 7], [2, 6]]
TEST = [[1, 3, 1, 1], [4, 2, 3], [7, 1]]


def events(sessions):
    users = np.repeat(np.arange(1, len(sessions) + 1), [len(session) for session in sessions])
    items = np.concatenate(sessions)
    sizes = {"num_users": len(SESSIONS), "num_items": ITEMS}
    return table(users, items, timestamp=np.arange(len(items)), **sizes)


def solved(name, **options):
    model = create_model(name, len(SESSIONS), ITEMS, **options)
    model_info(name).solve(model, get_task("next-item")().matrix(events(SESSIONS)))
    return model


def scores_after(model, session):
    state = {"state_0": tf.zeros([1, ITEMS + 1])}
    for item in session:
        outputs = model({"item_id": tf.constant([item]), **state})
        state = {"state_0": outputs["state_0"]}
    return outputs["scores"][0].numpy()


POPULARITY = Counter(item for session in SESSIONS for item in set(session))


def test_session_popularity_counts_the_session_and_then_all():
    model = solved("session-popularity")
    assert not model.trainable_variables
    for session in TEST:
        for length in range(1, len(session) + 1):
            scores = scores_after(model, session[:length])
            seen = Counter(session[:length])
            expected = [
                seen[item] + POPULARITY[item] / (max(POPULARITY.values()) + 1) for item in range(1, 9)
            ]
            assert scores[1:] == pytest.approx(expected)
    assert scores_after(model, [1, 0])[1:] == pytest.approx(scores_after(model, [1])[1:])


@pytest.mark.parametrize("similarity", ["count", "cosine"])
@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_cooccurrence_adds_up_what_the_events_have_in_common(similarity, decay):
    together = np.zeros((ITEMS + 1, ITEMS + 1))
    for session in SESSIONS:
        for one in set(session):
            for other in set(session) - {one}:
                together[one, other] += 1
    counts = np.array([POPULARITY[item] for item in range(ITEMS + 1)])
    tiebreak = counts / (counts.max() + 1)
    if similarity == "cosine":
        together /= np.sqrt(np.maximum(np.outer(counts, counts), 1))
        tiebreak = tiebreak * 1e-6
    model = solved("session-cooccurrence", similarity=similarity, decay=decay)
    for session in TEST:
        expected = sum(together[item] * decay**back for back, item in enumerate(reversed(session)))
        assert scores_after(model, session) == pytest.approx(expected + tiebreak, abs=1e-6)
    assert scores_after(model, [3, 0]) == pytest.approx(scores_after(model, [3]))


@pytest.mark.parametrize("name", ["session-popularity", "session-cooccurrence"])
def test_figures_are_those_of_ranking_by_hand(name):
    model, test = solved(name), events(TEST)
    split = Split(events(SESSIONS), test, test, "by hand")
    task = get_task("next-item")(get_task("next-item").Settings(cutoffs=(2,), monitor="mrr@2"))
    evaluator = build_evaluator(task, model, task.features(model, split, split.train), split)
    ranks = []
    for session in TEST:
        for length in range(1, len(session)):
            # Item 8 is in no training session.
            scores = scores_after(model, session[:length])[1:ITEMS]
            ranks.append(int((scores >= scores[session[length] - 1]).sum()))
    metrics = evaluator.evaluate("test")
    assert metrics["recall@2"] == pytest.approx(np.mean(np.array(ranks) <= 2))
    assert metrics["mrr@2"] == pytest.approx(np.mean([1 / rank if rank <= 2 else 0 for rank in ranks]))
    assert len(set(ranks)) > 1


def test_the_layer_of_scores_scores_chosen_items():
    model = build("session-cooccurrence")
    state = np.random.default_rng(1).normal(size=(3, NUM_ITEMS + 1)).astype(np.float32)
    layer = model.get_layer("item_scores")
    whole = keras.ops.convert_to_numpy(layer(state))
    assert keras.ops.convert_to_numpy(layer.of(state, np.array([2, 5, 2]))) == pytest.approx(
        whole[:, [2, 5, 2]]
    )
    after = call(model, {"item_id": tf.constant([0, 0, 0]), "state_0": tf.constant(state)})
    assert after["state_0"] == pytest.approx(state)


def test_what_cannot_be_built_is_refused():
    with pytest.raises(UsageError, match=r"`similarity` must be one of .*'dice'"):
        create_model("session-cooccurrence", 3, 4, similarity="dice")
    with pytest.raises(UsageError, match=r"`decay` must lie in 0\.\.1.*1\.5"):
        create_model("session-cooccurrence", 3, 4, decay=1.5)
    with pytest.raises(UsageError, match=r"At most 40,000 items"):
        SessionNeighbours().build((None,), (None, 50_001))
    with pytest.raises(UsageError, match="The model has 4 items"):
        model_info("session-popularity").solve(
            create_model("session-popularity", 3, 4), get_task("next-item")().matrix(events(SESSIONS))
        )


def test_the_number_of_parameters():
    models = {name: create_model(name, 3, 9) for name in ("session-popularity", "session-cooccurrence")}
    counts = {name: (model.count_params(), len(model.trainable_weights)) for name, model in models.items()}
    # A number for each item and the unknown one; beside it, what goes together with what.
    assert counts == {"session-popularity": (10, 0), "session-cooccurrence": (10 + 10 * 10, 0)}
