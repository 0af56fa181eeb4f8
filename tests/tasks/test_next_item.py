"""The next-item task: batches, negatives, losses, states and scores."""

import itertools

import numpy as np
import pydantic
import pytest
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.pipelines import BatchPlan
from tfzoo.data.sessions import SessionLayout, Sessions
from tfzoo.data.splits import Split
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError
from tfzoo.layers import session_losses
from tfzoo.models import create_model
from tfzoo.problems.next_item import NextItemSettings
from tfzoo.tasks.next_item import NextItemTask
from tfzoo.tasks.next_item_scorer import encoder, state_names
from tfzoo.training.settings import TrainingSettings
from tfzoo.training.trainer import Trainer

NUM_ITEMS = 12  # Items 11 and 12 are not in the training part.
TRAIN = [[1, 2, 3, 4], [5, 6], [2, 2, 7], [8, 9, 10, 1, 5], [3, 4], [6]]


def interactions(sessions, first_user=1, num_users=10, num_items=NUM_ITEMS):
    user = [first_user + number for number, events in enumerate(sessions) for _ in events]
    item = list(itertools.chain(*sessions))
    users, items = Vocabulary(np.arange(num_users)), Vocabulary(np.arange(num_items))
    return Interactions(users, items, np.array(user), np.array(item))


def split_of(train):
    held_out = [([[1, 2]], 7), ([[3, 11, 4]], 8)]
    return Split(train, *(interactions(*part, train.num_users) for part in held_out), "by hand")


def build(seed=0, units=(4,), **options):
    model = create_model("gru4rec", 10, NUM_ITEMS, units=units, **options)
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(scale=0.6, size=weight.shape) for weight in model.weights])
    return model


def prepare(model=None, train=None, **settings):
    task = NextItemTask(NextItemSettings(**{"n_sample": 6, **settings}))
    train = interactions(TRAIN) if train is None else train
    return task, task.features(model, split_of(train), train), train


def blocks(task, features, train, count, **options):
    dataset = task.train_dataset(features, train, BatchPlan(**{"batch_size": 2, "seed": 0, **options}))
    return list(dataset.take(count).as_numpy_iterator())


# Batches


def test_batches_are_the_layout_with_padding_at_the_end_of_an_epoch():
    task, features, train = prepare()
    layout = SessionLayout.of(Sessions.of(train), 2)
    assert task.steps_per_epoch(features, train, 2) == layout.steps == 7
    assert task.num_examples(features, train) == layout.events == 11
    elements = blocks(task, features, train, 2, block=4)
    current, reset = (np.concatenate([e[0][key] for e in elements]) for key in ("item_id", "reset"))
    target, weight = (
        np.concatenate(part) for part in zip(*((e[1]["item_id"], e[2]) for e in elements), strict=True)
    )
    np.testing.assert_array_equal(current[:7], layout.current)
    np.testing.assert_array_equal(reset[:7], layout.reset)
    np.testing.assert_array_equal(target[:7], layout.target)
    np.testing.assert_array_equal(weight[:7], layout.active)
    assert not weight[7:].any()
    inputs, _, _ = elements[0]
    assert {key: (value.dtype, value.shape) for key, value in inputs.items()} == {
        "item_id": (np.int32, (4, 2)),
        "reset": (np.float32, (4, 2)),
        "negatives": (np.int32, (4, 6)),
    }


def test_epochs_have_the_same_sessions_in_the_same_order():
    task, features, train = prepare()
    first, second = blocks(task, features, train, 2, block=7)
    for key in ("item_id", "reset"):
        np.testing.assert_array_equal(first[0][key], second[0][key])
    np.testing.assert_array_equal(first[1]["item_id"], second[1]["item_id"])
    assert not np.array_equal(first[0]["negatives"], second[0]["negatives"])


def test_negatives_depend_on_seed_epoch_and_step_alone():
    task, features, train = prepare(n_sample=50)

    def draw(count, **options):
        return np.concatenate([e[0]["negatives"] for e in blocks(task, features, train, count, **options)])

    epochs = draw(14).reshape(2, 7, 50)
    np.testing.assert_array_equal(draw(2, block=7).reshape(2, 7, 50), epochs)
    np.testing.assert_array_equal(draw(1, block=4), epochs[0, :4])
    np.testing.assert_array_equal(draw(1, first_epoch=1, block=7), epochs[1])
    assert not np.array_equal(draw(7, seed=1), epochs[0])
    assert len(np.unique(epochs.reshape(14, 50), axis=0)) == 14


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_negatives_are_drawn_by_support_to_the_power_of_alpha(alpha):
    task, features, train = prepare(n_sample=2048, sample_alpha=alpha)
    drawn = np.concatenate([e[0]["negatives"] for e in blocks(task, features, train, 30)])
    support = train.item_counts().astype(float)
    expected = np.where(support > 0, support**alpha, 0) / (support[support > 0] ** alpha).sum()
    counts = np.bincount(drawn.ravel(), minlength=NUM_ITEMS + 1)
    np.testing.assert_allclose(counts / drawn.size, expected, atol=0.006)
    assert counts[[0, 11, 12]].sum() == 0


def test_without_extra_samples_only_steps_with_two_slots_remain():
    task, features, train = prepare(n_sample=0)
    layout = SessionLayout.of(Sessions.of(train), 2)
    alone = (layout.active.sum(axis=1) < 2).sum()
    assert alone == 3
    assert task.steps_per_epoch(features, train, 2) == layout.steps - alone
    (element,) = blocks(task, features, train, 1)
    assert set(element[0]) == {"item_id", "reset"}


def test_a_lone_session_cannot_train_without_extra_samples():
    task, features, train = prepare(n_sample=0, train=interactions([[1, 2, 3]]))
    with pytest.raises(DataError, match="gives no step"):
        task.steps_per_epoch(features, train, 2)


def test_data_without_a_next_event_is_refused():
    with pytest.raises(DataError, match="no session of two events"):
        NextItemTask().check(interactions([[1], [2]]))
    NextItemTask().check(interactions([[1], [2, 3]]))


def test_the_proposal_is_support_in_the_batch_and_its_power_beyond():
    task, features, train = prepare(logq=1.0, sample_alpha=0.5)
    (element,) = blocks(task, features, train, 1, block=7)
    inputs, labels, weight = element
    support = train.item_counts()
    used = weight > 0
    in_batch = support[labels["item_id"]][used]
    np.testing.assert_allclose(inputs["log_proposal"][:, :2][used], np.log(in_batch), rtol=1e-6)
    np.testing.assert_allclose(
        inputs["log_proposal"][:, 2:], 0.5 * np.log(support[inputs["negatives"]]), rtol=1e-6
    )


# Loss and states


def run_steps(task, model, element, state, **replaced):
    """Run the steps of a block, and return the losses and the states after each of them."""
    inputs, labels, weight = element
    losses, states = [], []
    for step in range(len(weight)):
        loss, state = task.compute_loss(
            model,
            {**{key: tf.constant(value[step]) for key, value in inputs.items()}, **replaced},
            {key: tf.constant(value[step]) for key, value in labels.items()},
            tf.constant(weight[step]),
            state,
        )
        losses.append(float(loss))
        states.append([part.numpy() for part in state])
    return losses, states


def by_hand(model, element, settings, support):
    """Return the losses of the steps with all scores computed and columns picked in NumPy."""
    inputs, labels, weight = element
    batch = weight.shape[1]
    hidden = np.zeros((batch, model.input["state_0"].shape[-1]), np.float32)
    losses = []
    for step in range(len(weight)):
        for slot in range(batch):
            if inputs["reset"][step, slot]:
                hidden[slot] = 0
        out = model({"item_id": tf.constant(inputs["item_id"][step]), "state_0": tf.constant(hidden)})
        hidden = out["state_0"].numpy()
        columns = np.concatenate([labels["item_id"][step], inputs["negatives"][step]])
        scores = out["scores"].numpy()[:, columns].astype(np.float64)
        power = np.where(np.arange(len(columns)) < batch, 1.0, settings.sample_alpha)
        scores -= settings.logq * power * np.log(np.maximum(support[columns], 1))
        used = np.concatenate([weight[step] > 0, np.ones(len(columns) - batch, bool)])
        total = 0.0
        for slot in np.flatnonzero(weight[step]):
            total += -scores[slot, slot] + np.log(np.exp(scores[slot, used]).sum())
        losses.append(total / batch)
    return losses


@pytest.mark.parametrize("logq", [0.0, 0.8])
def test_losses_of_an_epoch_by_hand(logq):
    model = build()
    task, features, train = prepare(model, logq=logq)
    (element,) = blocks(task, features, train, 1, batch_size=3, block=5)
    found, _ = run_steps(task, model, element, task.initial_state(model, 3))
    assert (element[2] == 0).any()
    np.testing.assert_allclose(found, by_hand(model, element, task.settings, train.item_counts()), rtol=1e-4)


@pytest.mark.parametrize("loss", ["cross-entropy", "bpr", "top1", "top1-max", "bpr-max"])
def test_each_loss_is_the_one_that_is_named(loss):
    model = build()
    task, features, train = prepare(model, loss=loss)
    (element,) = blocks(task, features, train, 1)
    (found,), _ = run_steps(task, model, element, task.initial_state(model, 2))
    inputs, labels, weight = element
    out = model({"item_id": tf.constant(inputs["item_id"][0]), "state_0": tf.zeros([2, 4])})
    columns = np.concatenate([labels["item_id"][0], inputs["negatives"][0]])
    function = getattr(session_losses, loss.replace("-", "_"))
    expected = function(tf.gather(out["scores"], columns, axis=1), tf.constant(weight[0]))
    np.testing.assert_allclose(found, np.sum(expected) / 2, rtol=1e-5)


def test_bpreg_reaches_the_loss():
    model = build()

    def loss(bpreg):
        task, features, train = prepare(model, loss="bpr-max", bpreg=bpreg)
        (element,) = blocks(task, features, train, 1)
        return run_steps(task, model, element, task.initial_state(model, 2))[0][0]

    assert loss(2.0) - loss(0.0) == pytest.approx(2 * (loss(1.0) - loss(0.0)), rel=1e-4)
    assert loss(1.0) > loss(0.0) + 1e-3


def test_only_slots_whose_session_ended_start_from_zero():
    model = build(units=(4, 3))
    task, features, train = prepare(model)
    (element,) = blocks(task, features, train, 1, block=7)
    _, states = run_steps(task, model, element, task.initial_state(model, 2))
    step = encoder(model)
    for number, (current, reset) in enumerate(zip(element[0]["item_id"], element[0]["reset"], strict=True)):
        for slot in range(2):
            for carried in (False, True):
                zero = [np.zeros(4, np.float32), np.zeros(3, np.float32)]
                before = [part[slot] for part in states[number - 1]] if carried and number else zero
                given = {f"state_{n}": tf.constant(part[None]) for n, part in enumerate(before)}
                after = step({"item_id": tf.constant(current[slot : slot + 1]), **given})
                same = np.allclose(after["state_1"][0], states[number][1][slot], atol=1e-6)
                if number and current[slot]:
                    assert same == (carried != bool(reset[slot])), (number, slot)


def test_idle_slots_keep_a_state_of_zero():
    model = build()
    task, features, train = prepare(model, train=interactions([[1, 2, 3]]))
    (element,) = blocks(task, features, train, 1, block=2)
    _, states = run_steps(task, model, element, task.initial_state(model, 2))
    assert states[1][0][0].any()
    assert not states[1][0][1].any()


def test_gradients_touch_the_sampled_rows_alone():
    model = build()
    task, features, train = prepare(model)
    (element,) = blocks(task, features, train, 1)
    inputs, labels, weight = element
    with tf.GradientTape() as tape:
        loss, _ = task.compute_loss(
            model,
            {key: tf.constant(value[0]) for key, value in inputs.items()},
            {key: tf.constant(value[0]) for key, value in labels.items()},
            tf.constant(weight[0]),
            task.initial_state(model, 2),
        )
    gradient = tape.gradient(loss, model.get_layer("item_scores").table.value)
    used = {*inputs["item_id"][0], *labels["item_id"][0], *inputs["negatives"][0]}
    assert isinstance(gradient, tf.IndexedSlices)
    assert set(gradient.indices.numpy()) == used


def test_dropout_acts_in_training():
    model = build(hidden_dropout=0.5, embedding_dropout=0.5)
    task, features, train = prepare(model)
    (element,) = blocks(task, features, train, 1)
    state = task.initial_state(model, 2)
    assert len({run_steps(task, model, element, state)[0][0] for _ in range(4)}) > 1


def test_training_learns_which_item_follows_which():
    cycle = [[(start + step) % 10 + 1 for step in range(6)] for start in range(10)] * 2
    train = interactions(cycle, num_users=30)
    model = create_model("gru4rec", 30, NUM_ITEMS, units=(16,))
    task, features, _ = prepare(model, train=train, n_sample=8, logq=1.0)
    settings = TrainingSettings(
        optimizer="gru4rec-adagrad", learning_rate=0.3, momentum=0.1, batch_size=4, epochs=8
    )
    state = Trainer(model, task, features, train, settings, seed=0).fit(None)
    # Extra samples that are the target by chance keep the loss well above 0.
    assert state.history[-1]["loss"] < 0.6 * state.history[0]["loss"]
    scores = task.scorer(model, features).score_history(tf.constant([[2, 3, 4], [9, 10, 0]]))
    assert tf.argmax(scores, axis=1).numpy().tolist() == [5, 1]


# Scorer


def scorer_of(model, **settings):
    task, features, _ = prepare(model, **settings)
    return task.scorer(model, features)


def step_through(model, events):
    state = {name: tf.zeros([1, model.input[name].shape[-1]]) for name in state_names(model)}
    scores = None
    for event in events:
        out = model({"item_id": tf.constant([event]), **state}, training=False)
        state, scores = {name: out[name] for name in state}, out["scores"]
    return scores.numpy()[0]


def test_histories_are_scored_event_by_event_from_a_state_of_zero():
    model = build(units=(4, 3), hidden_dropout=0.5)
    histories = [[1, 2, 3], [4, 0, 0], [5, 5, 0]]
    found = scorer_of(model).score_history(tf.constant(histories)).numpy()
    assert found.shape == (3, NUM_ITEMS + 1)
    for row, history in enumerate(histories):
        expected = step_through(model, [event for event in history if event])
        np.testing.assert_allclose(found[row], expected, rtol=1e-5, atol=1e-6)


def test_states_do_not_leak_from_one_call_to_the_next():
    scorer = scorer_of(build())
    history = tf.constant([[1, 2, 3]])
    first = scorer.score_history(history).numpy()
    scorer.score_history(tf.constant([[7, 8, 9]]))
    np.testing.assert_array_equal(scorer.score_history(history).numpy(), first)


def test_gaps_and_items_that_training_lacks_are_passed_over():
    scorer = scorer_of(build())
    expected = scorer.score_history(tf.constant([[1, 2]])).numpy()
    for history in ([0, 1, 0, 2, 0], [1, 11, 2], [12, 1, 2, 11]):
        np.testing.assert_array_equal(scorer.score_history(tf.constant([history])).numpy(), expected)


def test_an_empty_history_is_scored_from_the_state_of_zero():
    model = build()
    scorer = scorer_of(model)
    bias = model.get_layer("item_scores").bias.numpy()
    for history in (tf.zeros([2, 0], tf.int32), tf.zeros([2, 3], tf.int32)):
        np.testing.assert_allclose(scorer.score_history(history), np.stack([bias, bias]), rtol=1e-6)


def test_users_are_scored_by_their_training_session():
    scorer = scorer_of(build())
    found = scorer.score_items(tf.constant([4, 6, 0, 9])).numpy()
    expected = scorer.score_history(tf.constant([[8, 9, 10, 1, 5], [6, 0, 0, 0, 0], [0] * 5, [0] * 5]))
    np.testing.assert_array_equal(found, expected)
    pairs = scorer.score_pairs(tf.constant([4, 6]), tf.constant([2, 3])).numpy()
    np.testing.assert_array_equal(pairs, [found[0, 2], found[1, 3]])
    some = scorer.score_candidates(tf.constant([4, 6]), tf.constant([[2, 2], [1, 3]])).numpy()
    np.testing.assert_array_equal(some, [[found[0, 2], found[0, 2]], [found[1, 1], found[1, 3]]])


def test_long_sessions_are_scored_by_their_last_fifty_events():
    long = [1 + step % 7 for step in range(60)]
    scorer = scorer_of(build(), train=interactions([long, [8, 9, 10]]))
    expected = scorer.score_history(tf.constant([long[-50:]]))
    np.testing.assert_array_equal(scorer.score_items(tf.constant([1])), expected)


def test_of_a_long_history_the_last_fifty_trained_items_count():
    long = [1 + step % 7 for step in range(60)]
    scorer = scorer_of(build(), train=interactions([long, [8, 9, 10]]))
    expected = scorer.score_history(tf.constant([long[-50:], [3, 2, 1] + [0] * 47])).numpy()
    # Blanks and an item that is not trained do not take the place of an event.
    padded = [[*long, 0, 11, 0], [3, 0, 11, 2, 1] + [0] * 58]
    np.testing.assert_allclose(scorer.score_history(tf.constant(padded)), expected, rtol=1e-6)
    assert np.abs(scorer.score_history(tf.constant([long[:50]])) - expected[:1]).max() > 1e-4


def test_the_logq_correction_and_the_loss_leave_served_scores_alone():
    history = tf.constant([[1, 2]])
    plain = scorer_of(build()).score_history(history).numpy()
    np.testing.assert_array_equal(scorer_of(build(), logq=1.0).score_history(history), plain)


def test_the_scorer_lives_in_a_saved_model(tmp_path):
    scorer = scorer_of(build(units=(4, 3)))
    any_ids, any_rows = tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, None], tf.int32)
    module = tf.Module()
    module.scorer = scorer
    module.users = tf.function(scorer.score_items, input_signature=[any_ids])
    module.histories = tf.function(scorer.score_history, input_signature=[any_rows])
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for history in ([[1, 2, 3]], [[4, 0], [5, 6], [0, 0]], [[], []]):
        rows = tf.constant(history, tf.int32)
        np.testing.assert_allclose(loaded.histories(rows), scorer.score_history(rows), rtol=1e-5, atol=1e-6)
    users = tf.constant([1, 4, 0])
    np.testing.assert_allclose(loaded.users(users), scorer.score_items(users), rtol=1e-5, atol=1e-6)


# Settings


def test_settings_have_the_defaults_of_the_authors_code():
    settings = NextItemSettings()
    assert (settings.loss, settings.n_sample, settings.sample_alpha) == ("cross-entropy", 2048, 0.5)
    assert (settings.logq, settings.bpreg) == (0.0, 1.0)
    task = NextItemTask(NextItemSettings(cutoffs=(20, 5), monitor="recall@5"))
    assert (task.monitor, task.maximize) == ("recall@5", True)
    assert task.headline == ("recall@20", "mrr@20", "recall@5", "mrr@5")
    assert (task.name, task.evaluation) == ("next-item", "next-item")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "bpr-max", "logq": 1.0}, "logq corrects cross-entropy only"),
        ({"cutoffs": (10,)}, "monitor must be one of recall@10, hr@10, mrr@10"),
        ({"loss": "hinge"}, "cross-entropy"),
        ({"n_sample": -1}, "greater than or equal to 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        NextItemSettings(**settings)
