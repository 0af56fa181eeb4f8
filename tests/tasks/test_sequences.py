"""The sequence task: batches, losses and scores against loops over users."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from tests.zoo import table
from tfzoo.data.pipelines import BatchPlan
from tfzoo.data.ranking_splits import leave_out_split
from tfzoo.data.splits import Split
from tfzoo.errors import DataError, UsageError
from tfzoo.evaluation import build_evaluator
from tfzoo.layers import ItemTable
from tfzoo.layers.item_table import MASK
from tfzoo.models import create_model
from tfzoo.problems.sequences import SequenceSettings
from tfzoo.tasks.sequence_features import SequenceFeatures
from tfzoo.tasks.sequences import SequenceTask
from tfzoo.training.settings import TrainingSettings
from tfzoo.training.splitting import with_everything, with_validation
from tfzoo.training.trainer import Trainer

ITEMS, LENGTH = 12, 5


def data(users=9, seed=0, longest=9):
    """Return users with distinct items each, and their items in order."""
    random = np.random.default_rng(seed)
    counts = random.integers(3, longest, users)
    items = [random.permutation(ITEMS)[:n] + 1 for n in counts]
    user = np.repeat(np.arange(1, users + 1), counts)
    time = np.concatenate([10 + 7 * np.arange(n) for n in counts])
    made = table(user, np.concatenate(items), np.ones(len(user)), timestamp=time, num_items=ITEMS)
    return made, [one.tolist() for one in items]


TRAIN, SEQUENCES = data()
WHOLE = Split(TRAIN, TRAIN, TRAIN, "whole")


def model_of(**options):
    keras.utils.set_random_seed(0)
    options = {"history_length": LENGTH, "embedding_dim": 4, "dropout": 0.0, **options}
    return create_model("sasrec", TRAIN.num_users, ITEMS, **options)


def epoch(task, *, batch_size=4, block=1, first_epoch=0, seed=3):
    model = model_of()
    features = task.features(model, WHOLE, TRAIN)
    steps = task.steps_per_epoch(features, TRAIN, batch_size)
    dataset = task.train_dataset(features, TRAIN, BatchPlan(batch_size, seed, first_epoch, block))
    elements = list(dataset.take(-(-steps // block)).as_numpy_iterator())

    def joined(part):
        names = elements[0][part]
        return {
            k: np.concatenate([e[part][k].reshape(-1, *e[part][k].shape[2:]) for e in elements])
            for k in names
        }

    return joined(0), joined(1), np.concatenate([e[2].reshape(-1) for e in elements])


def aligned(items):
    items = list(items)[-LENGTH:]
    return [0] * (LENGTH - len(items)) + items


def test_each_window_has_a_target_after_each_of_its_events():
    inputs, labels, weight = epoch(SequenceTask())
    found = {
        (tuple(h), tuple(t[:, 0]))
        for h, t, w in zip(inputs["history"], labels["target"], weight, strict=True)
        if w
    }
    assert found == {(tuple(aligned(s[:-1])), tuple(aligned(s[1:]))) for s in SEQUENCES}
    np.testing.assert_array_equal(weight, (labels["target"] > 0).sum((1, 2)))


def test_gaps_are_the_seconds_to_the_next_event_and_the_usual_ones_where_that_is_not_known():
    times = [[0, 10, 40, 100], [5, 25]]
    user = np.repeat([1, 2], [4, 2])
    train = table(user, [1, 2, 3, 4, 5, 6], np.ones(6), timestamp=np.concatenate(times))
    split = Split(train, train, train, "whole")
    model = create_model("lstm", 2, 6, history_length=5, embedding_dim=4, units=3, read_gaps=True)
    task = SequenceTask()
    features = task.features(model, split, train)
    # The median of 10, 30, 60 and 20.
    assert features.usual_gap == 25
    inputs, _, _ = next(iter(task.train_dataset(features, train, BatchPlan(2, 0))))
    found = {tuple(row) for row in inputs["history_gaps"].numpy()[0].tolist()}
    assert found == {(0, 0, 10, 30, 60), (0, 0, 0, 0, 20)}
    known = features.of_users(tf.constant([1, 2]), features.tables("validation"))["history_gaps"]
    np.testing.assert_array_equal(known, [[0, 10, 30, 60, 25], [0, 0, 0, 20, 25]])
    given = features.of_histories(tf.constant([[0, 3, 1]], tf.int32))["history_gaps"]
    np.testing.assert_array_equal(given, [[0, 0, 0, 25, 25]])


def test_prefixes_give_one_target_each():
    task = SequenceTask(SequenceSettings(examples="prefixes"))
    inputs, labels, weight = epoch(task)
    found = sorted(
        (tuple(h), int(t[0, 0]))
        for h, t, w in zip(inputs["history"], labels["target"], weight, strict=True)
        if w
    )
    assert found == sorted((tuple(aligned(s[:i])), s[i]) for s in SEQUENCES for i in range(1, len(s)))


@pytest.mark.parametrize("block", [1, 2])
def test_masks_hide_what_is_to_be_predicted(block):
    task = SequenceTask(SequenceSettings(examples="cloze", mask=0.3, last_alone=0.2))
    inputs, labels, weight = epoch(task, block=block)
    history, target = inputs["history"][weight > 0], labels["target"][weight > 0][..., 0]
    assert ((history == MASK) == (target > 0)).all()
    assert (target > 0).any(axis=1).all()
    restored = {tuple(row) for row in np.where(history == MASK, target, history)}
    assert restored == {tuple(aligned(s)) for s in SEQUENCES}
    again = epoch(task, block=3 - block)[0]["history"]
    assert {tuple(row) for row in again if row.any()} == {tuple(row) for row in history}


def test_masks_are_drawn_at_the_rate_that_is_asked_for():
    task = SequenceTask(SequenceSettings(examples="cloze", mask=0.25))
    counts = [epoch(task, first_epoch=e) for e in range(40)]
    masked = sum((labels["target"] > 0).sum() for _, labels, _ in counts)
    known = sum((inputs["history"] != 0).sum() for inputs, _, _ in counts)
    # At least one event of each window is masked, which short windows feel.
    sizes = np.array([min(len(s), LENGTH) for s in SEQUENCES])
    expected = (sizes * 0.25 + 0.75**sizes).sum() / sizes.sum()
    assert masked / known == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("shared", ["target", "sequence", "batch"])
def test_negatives_depend_on_the_step_and_not_on_the_block(shared):
    task = SequenceTask(SequenceSettings(loss="bce", negatives=3, shared=shared))
    model = model_of()
    features = task.features(model, WHOLE, TRAIN)

    def drawn(block, first_epoch=0):
        dataset = task.train_dataset(features, TRAIN, BatchPlan(3, 0, first_epoch, block))
        parts = [e[0]["negative"] for e in dataset.take(6 // block).as_numpy_iterator()]
        return np.concatenate(parts)

    shape = {"target": (3, LENGTH, 3), "sequence": (3, 3), "batch": (3,)}[shared]
    one, three = drawn(1), drawn(3)
    assert one.shape == (6, *shape)
    np.testing.assert_array_equal(one, three)
    assert ((one >= 1) & (one <= ITEMS)).all()
    np.testing.assert_array_equal(drawn(1, first_epoch=1)[:3], one[3:])
    assert len(np.unique(one.reshape(6, -1)[:, 0])) > 1


def test_no_known_item_is_drawn_for_a_target():
    task = SequenceTask(SequenceSettings(loss="bce", negatives=4))
    model = model_of()
    features = task.features(model, WHOLE, TRAIN)
    for inputs, labels, weight in task.train_dataset(features, TRAIN, BatchPlan(4, 0)).take(9):
        for history, negative, w in zip(inputs["history"][0], inputs["negative"][0], weight[0], strict=True):
            if w > 0:
                own = next(s for s in SEQUENCES if aligned(s[:-1]) == history.numpy().tolist())
                assert not set(own) & set(negative.numpy().ravel().tolist())
        assert labels["target"].shape == (1, 4, LENGTH, 1)


def test_softmax_and_sampled_losses_by_loops():
    model = model_of()
    history = np.array([aligned(s[:-1]) for s in SEQUENCES[:3]], "int32")
    target = np.array([aligned(s[1:]) for s in SEQUENCES[:3]], "int32")
    outputs = model({"history": history}, training=False)
    table_of_items = model.get_layer("items").table.numpy()
    scores = outputs["states"].numpy() @ table_of_items.T
    weight = (target > 0).sum(1).astype("float32")
    labels = {"target": target[..., None]}
    expected = [
        np.log(np.exp(scores[b, p, 1:]).sum()) - scores[b, p, target[b, p]]
        for b, p in zip(*np.nonzero(target), strict=True)
    ]
    task = SequenceTask()
    loss, _ = task.compute_loss(model, {"history": history}, labels, weight, ())
    assert float(loss) == pytest.approx(np.mean(expected), rel=1e-5)

    negative = np.array([[1, 2], [3, 4], [5, 6]], "int32")
    task = SequenceTask(SequenceSettings(loss="bce", negatives=2, shared="sequence"))
    loss, _ = task.compute_loss(model, {"history": history, "negative": negative}, labels, weight, ())
    expected = [
        np.logaddexp(0, -scores[b, p, target[b, p]])
        + sum(np.logaddexp(0, scores[b, p, n]) for n in negative[b] if n != target[b, p])
        for b, p in zip(*np.nonzero(target), strict=True)
    ]
    assert float(loss) == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize("shared", ["target", "sequence"])
def test_several_targets_of_a_window_by_loops(shared):
    settings = {"examples": "windows", "targets": 2, "loss": "bce", "negatives": 3, "shared": shared}
    task = SequenceTask(SequenceSettings(**settings))
    model = model_of()
    features = task.features(model, WHOLE, TRAIN)
    inputs, labels, weight = next(iter(task.train_dataset(features, TRAIN, BatchPlan(8, 0))))
    inputs, target = {name: value[0] for name, value in inputs.items()}, labels["target"][0].numpy()
    negative = inputs["negative"].numpy().reshape(8, -1)
    assert negative.shape == (8, 6 if shared == "target" else 3)
    state = model({"history": inputs["history"]}, training=False)["states"].numpy()[:, -1]
    scores = state @ model.get_layer("items").table.numpy().T
    expected = []
    for b in range(8):
        for t, item in enumerate(target[b, 0]):
            own = negative[b, 3 * t : 3 * t + 3] if shared == "target" else negative[b]
            against = sum(np.logaddexp(0, scores[b, n]) for n in own if n != item)
            expected += [np.logaddexp(0, -scores[b, item]) + against] if item else []
    loss, _ = task.compute_loss(model, inputs, {"target": target}, weight[0], ())
    assert float(loss) == pytest.approx(np.mean(expected), rel=1e-5)
    # Nobody shares: the targets of a window have negatives of their own.
    if shared == "target":
        assert (negative[:, :3] != negative[:, 3:]).any()


def test_logq_of_equal_draws_changes_no_ranking_and_the_sampled_loss_nears_the_full_one():
    model = model_of()
    history = np.array([aligned(s[:-1]) for s in SEQUENCES[:3]], "int32")
    target = np.array([aligned(s[1:]) for s in SEQUENCES[:3]], "int32")[..., None]
    weight = (target > 0).sum((1, 2)).astype("float32")
    negative = np.arange(1, ITEMS + 1, dtype="int32")
    inputs = {"history": history, "negative": negative}
    task = SequenceTask(SequenceSettings(loss="sampled-softmax", negatives=ITEMS, shared="batch"))
    sampled, _ = task.compute_loss(model, inputs, {"target": target}, weight, ())
    full, _ = SequenceTask().compute_loss(model, {"history": history}, {"target": target}, weight, ())
    assert float(sampled) == pytest.approx(float(full), rel=1e-5)


def test_lists_are_measured_from_what_was_known_before():
    split = leave_out_split(data(users=20, seed=4, longest=11)[0], seed=0)
    model = create_model("sasrec", 20, ITEMS, history_length=LENGTH, embedding_dim=4)
    task = SequenceTask(SequenceSettings(cutoffs=(3,), monitor="ndcg@3"))
    features = task.features(model, split, split.train)
    evaluator = build_evaluator(task, model, features, split)
    for part, known in (("validation", [split.train]), ("test", [split.train, split.validation])):
        ranks = []
        for user, item in zip(getattr(split, part).user_id, getattr(split, part).item_id, strict=True):
            rows = [(p.timestamp[r], p.item_id[r]) for p in known for r in np.flatnonzero(p.user_id == user)]
            items = [i for _, i in sorted(rows)]
            scores = model({"history": np.array([aligned(items)], "int32")}, training=False)[
                "scores"
            ].numpy()[0]
            others = [j for j in range(1, ITEMS + 1) if j not in items and (split.train.item_id == j).any()]
            ranks.append(sum(scores[j] >= scores[item] for j in others) if item in others else 10**6)
        expected = np.mean([1 / np.log2(r + 1) if r <= 3 else 0 for r in ranks])
        assert evaluator.evaluate(part)["ndcg@3"] == pytest.approx(expected, rel=1e-5)


def test_no_event_stands_twice_in_a_history_after_training_on_all_of_it():
    whole = data(users=20, seed=4, longest=11)[0]
    split = leave_out_split(whole, seed=0)
    inputs = model_of().inputs
    expected = SequenceFeatures(inputs, split)
    for moment, trained in (
        ("test", with_validation(split)),
        ("serve", with_validation(split)),
        ("serve", with_everything(split, whole)),
    ):
        found = SequenceFeatures(inputs, trained).tables(moment).history
        np.testing.assert_array_equal(found, expected.tables(moment).history)


def test_events_of_sessions_are_measured_one_by_one():
    model = model_of()
    task = SequenceTask(SequenceSettings(cutoffs=(3,), monitor="mrr@3", measure="events"))
    evaluator = build_evaluator(task, model, task.features(model, WHOLE, TRAIN), WHOLE)
    ranks = []
    trained = sorted({i for s in SEQUENCES for i in s})
    for items in SEQUENCES:
        for at in range(1, len(items)):
            history = {"history": np.array([aligned(items[:at])], "int32")}
            scores = model(history, training=False)["scores"].numpy()[0]
            ranks.append(sum(scores[j] >= scores[items[at]] for j in trained))
    found = evaluator.evaluate("test")
    assert found["mrr@3"] == pytest.approx(np.mean([1 / r if r <= 3 else 0 for r in ranks]), rel=1e-5)
    assert found["recall@3"] == pytest.approx(np.mean([r <= 3 for r in ranks]), rel=1e-5)
    assert len(evaluator.cases("test").keys) == len(ranks)


def test_histories_pass_over_unknown_items_and_keep_the_last_ones():
    train, _ = data()
    lacking = table([1, 1, 2], [1, 2, 3], np.ones(3), num_users=2, num_items=ITEMS)
    model = create_model("sasrec", 2, ITEMS, history_length=3, embedding_dim=4)
    task = SequenceTask()
    scorer = task.scorer(model, task.features(model, Split(lacking, lacking, lacking, ""), lacking))
    given = tf.constant([[1, 0, 9, 2, 3, 0], [0, 0, 0, 0, 0, 0], [1, 2, 3, 2, 1, 2]], tf.int32)
    expected = model({"history": np.array([[1, 2, 3], [0, 0, 0], [2, 1, 2]], "int32")}, training=False)
    np.testing.assert_allclose(scorer.score_history(given), expected["scores"], rtol=1e-5, atol=1e-6)
    assert train.num_items == ITEMS


def test_training_learns_what_follows_what():
    user = np.repeat(np.arange(1, 41), 8)
    start = np.random.default_rng(0).integers(0, ITEMS, 40)
    item = (np.repeat(start, 8) + np.tile(np.arange(8), 40)) % ITEMS + 1
    train = table(user, item, np.ones(len(user)), timestamp=np.arange(len(user)))
    for settings in (
        {},
        {"loss": "bce", "negatives": 4, "shared": "sequence"},
        {"examples": "prefixes", "loss": "sampled-softmax", "negatives": 8, "shared": "batch"},
    ):
        task = SequenceTask(SequenceSettings(measure="events", monitor="recall@1", cutoffs=(1,), **settings))
        keras.utils.set_random_seed(0)
        model = create_model("sasrec", 40, ITEMS, history_length=4, embedding_dim=16, dropout=0.0)
        split = Split(train, train, train, "")
        features = task.features(model, split, train)
        chosen = TrainingSettings(epochs=40, batch_size=16, learning_rate=0.01, patience=None)
        Trainer(model, task, features, train, chosen, seed=0).fit(None)
        assert build_evaluator(task, model, features, split).evaluate("test")["recall@1"] > 0.9, settings


def test_what_cannot_be_learned_is_refused():
    with pytest.raises(DataError, match="no user with two events"):
        SequenceTask().check(table([1, 2], [1, 2], np.ones(2)))
    with pytest.raises(ValidationError, match="targets above 1"):
        SequenceSettings(targets=2)
    history = keras.Input((3,), dtype="int32", name="history")
    other = keras.Input((), dtype="int32", name="weather")
    with pytest.raises(UsageError, match="weather"):
        SequenceTask().features(keras.Model([history, other], history), WHOLE, TRAIN)


def a_model(name="other", *, ahead=False, mask_row=False, last_alone=False):
    """A model of sums of item vectors, up to each event or of all."""
    history = keras.Input((LENGTH,), dtype="int32", name="history")
    items = ItemTable(ITEMS, 3, mask_row=mask_row)
    vectors = items(history, look_up=True)
    states = keras.ops.cumsum(vectors, axis=1)
    states = states[:, -1:] + keras.ops.zeros_like(vectors) if ahead else states
    states = states[:, -1:] if last_alone else states
    outputs = {"scores": items(states[:, -1]), "states": states}
    return keras.Model({"history": history}, outputs, name=name)


def prepared(model, examples):
    SequenceTask(SequenceSettings(examples=examples)).prepare(model, WHOLE, TRAIN)


def test_no_model_is_trained_on_targets_that_it_reads():
    for examples in ("positions", "prefixes", "windows"):
        prepared(model_of(), examples)
        prepared(a_model(), examples)
    prepared(a_model(ahead=True, mask_row=True), "cloze")
    for options, examples, message in (
        ({"ahead": True}, "positions", "change with later events.*Use examples: prefixes or windows"),
        ({"ahead": True, "mask_row": True}, "positions", "asked for a hidden event.*Use examples: cloze"),
        ({"ahead": True, "mask_row": True}, "prefixes", "examples: prefixes never show it"),
        ({}, "cloze", "no row for hidden events.*Use examples: positions or prefixes"),
        ({"last_alone": True}, "positions", r"1 state\(s\) a history of 5.*prefixes or windows"),
    ):
        with pytest.raises(UsageError, match=message):
            prepared(a_model(**options), examples)
