"""Next-item evaluation against a slow loop over prefixes."""

import numpy as np
import pytest
import tensorflow as tf

import tfzoo.evaluation.next_item as module
from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Split
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError
from tfzoo.evaluation.next_item import NextItemEvaluator
from tfzoo.models import create_model
from tfzoo.problems.next_item import NextItemSettings
from tfzoo.tasks.next_item import NextItemTask

NUM_ITEMS, TRAINED = 30, 25  # Items 26 to 30 are not in the training part.


def interactions(sessions, first_user=1):
    user = np.repeat(first_user + np.arange(len(sessions)), [len(events) for events in sessions])
    return Interactions(
        Vocabulary(np.arange(200)), Vocabulary(np.arange(NUM_ITEMS)), user, np.concatenate(sessions)
    )


def random_sessions(seed, count, high):
    random = np.random.default_rng(seed)
    return [random.integers(1, high + 1, random.integers(1, 9)) for _ in range(count)]


TRAIN = [np.arange(1, TRAINED + 1), *random_sessions(0, 10, TRAINED)]
VALIDATION = random_sessions(1, 6, TRAINED)
TEST = random_sessions(2, 16, NUM_ITEMS)
SPLIT = Split(
    interactions(TRAIN),
    interactions(VALIDATION, 50),
    interactions(TEST, 100),
    "by hand",
    variants={"short": interactions([[1, 2], [3, 4]], 150)},
)


def evaluator_of(split=SPLIT, cutoffs=(1, 5, 20), seed=0, scale=0.5, **options):
    model = create_model("gru4rec", 1, NUM_ITEMS, **{"units": (6,), "hidden_dropout": 0.3, **options})
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(scale=scale, size=weight.shape) for weight in model.weights])
    task = NextItemTask(NextItemSettings(cutoffs=cutoffs, monitor=f"mrr@{cutoffs[0]}"))
    return NextItemEvaluator(task, model, task.features(model, split, split.train), split), model


def slow_ranks(model, sessions):
    """Rank every event after the first of its session, feeding the whole prefix anew each time."""
    names = [name for name in model.input if name.startswith("state_")]
    ranks = []
    for events in sessions:
        for position in range(1, len(events)):
            state = {name: tf.zeros([1, model.input[name].shape[-1]]) for name in names}
            scores = model.get_layer("item_scores").bias.numpy()
            for event in events[:position]:
                if event <= TRAINED:
                    out = model({"item_id": tf.constant([event], tf.int32), **state})
                    state, scores = {name: out[name] for name in names}, out["scores"].numpy()[0]
            target = events[position]
            if target > TRAINED:
                ranks.append(TRAINED + 1)
            else:
                ranks.append(sum(scores[item] >= scores[target] for item in range(1, TRAINED + 1)))
    return ranks


@pytest.mark.parametrize("slots", [3, 512])
def test_ranks_are_those_of_a_loop_over_prefixes(slots, monkeypatch):
    monkeypatch.setattr(module, "SLOTS", slots)
    evaluator, model = evaluator_of(units=(6, 4))
    assert sorted(evaluator.ranks("test")) == sorted(slow_ranks(model, TEST))


def test_metrics_by_hand():
    evaluator, model = evaluator_of()
    ranks = np.array(slow_ranks(model, TEST), float)
    expected = {}
    for k in (1, 5, 20):
        expected[f"recall@{k}"] = expected[f"hr@{k}"] = np.mean(ranks <= k)
        expected[f"mrr@{k}"] = np.mean([1 / rank if rank <= k else 0 for rank in ranks])
    found = evaluator.evaluate("test")
    assert found == pytest.approx(expected)
    assert list(found)[:3] == ["recall@1", "hr@1", "mrr@1"]
    assert 0.05 < found["recall@5"] < found["recall@20"] < 1


def test_there_is_a_case_for_every_event_but_the_first():
    evaluator, _ = evaluator_of()
    assert len(evaluator.ranks("test")) == sum(len(events) - 1 for events in TEST)


def test_an_item_that_training_lacks_is_a_miss_and_no_competitor():
    split = Split(SPLIT.train, SPLIT.validation, interactions([[1, 28], [2, 3]], 100), "by hand")
    evaluator, model = evaluator_of(split, cutoffs=(1, 100))
    # The unseen items would win every comparison, if they took part in it.
    bias = model.get_layer("item_scores").bias
    bias.assign(np.where(np.arange(NUM_ITEMS + 1) > TRAINED, 1e3, bias.numpy()))
    ranks = sorted(evaluator.ranks("test"))
    assert ranks[0] <= TRAINED
    assert ranks[1] == TRAINED + 1
    assert evaluator.evaluate("test")["recall@1"] <= 0.5


def test_ties_count_against_the_model():
    evaluator, _ = evaluator_of(scale=0.0)
    known = [target for events in VALIDATION for target in events[1:]]
    assert evaluator.ranks("validation").tolist() == [TRAINED] * len(known)
    assert evaluator.evaluate("validation")["recall@20"] == 0


def test_sessions_do_not_influence_each_other(monkeypatch):
    # One slot: a state that is not reset would leak from each session into the next.
    together, _ = evaluator_of()
    monkeypatch.setattr(module, "SLOTS", 1)
    one_by_one, _ = evaluator_of()
    reordered = Split(SPLIT.train, SPLIT.validation, interactions(TEST[::-1], 100), "by hand")
    other_order, _ = evaluator_of(reordered)
    expected = sorted(together.ranks("test"))
    assert sorted(one_by_one.ranks("test")) == expected
    assert sorted(other_order.ranks("test")) == expected


def test_an_evaluator_follows_the_weights():
    evaluator, model = evaluator_of()
    before = evaluator.evaluate("test")
    model.set_weights(evaluator_of(seed=1)[1].get_weights())
    after = evaluator.evaluate("test")
    assert after != before
    assert after == evaluator_of(seed=1)[0].evaluate("test")


def test_parts_are_named():
    evaluator, _ = evaluator_of()
    assert evaluator.parts == ("validation", "test", "short")
    assert evaluator.protocol == "full ranking"
    assert len(evaluator.ranks("short")) == 2


def test_scores_that_are_no_numbers_are_an_error():
    evaluator, model = evaluator_of()
    model.get_layer("gru_0").bias.assign(np.full(18, np.nan))
    with pytest.raises(DataError, match="finite scores"):
        evaluator.evaluate("test")


def test_a_part_without_a_next_event_is_an_error():
    split = Split(SPLIT.train, SPLIT.validation, interactions([[1], [2]], 100), "by hand")
    with pytest.raises(DataError, match="no session of two events"):
        evaluator_of(split)[0].evaluate("test")
