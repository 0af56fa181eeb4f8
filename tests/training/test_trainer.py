"""The training loop against NumPy, and interrupted against unbroken."""

import gc
import math
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfzoo.data.pipelines import BatchPlan, shuffled_blocks
from tfzoo.data.splits import Split
from tfzoo.errors import DataError, TfzooError
from tfzoo.evaluation import validate_ratings
from tfzoo.models import create_model
from tfzoo.tasks import ImplicitSettings, ImplicitTask, RatingTask
from tfzoo.tasks.pair_features import SIDES, PairFeatures
from tfzoo.training.checkpoint import load_checkpoint
from tfzoo.training.optimizers import GRU4RecAdagrad, build_optimizer
from tfzoo.training.phases import PhaseRunner
from tfzoo.training.settings import WITH_MOMENTUM, TrainingSettings
from tfzoo.training.trainer import Trainer

MEAN = 3.0
L2 = 0.3
PMF = {"embedding_dim": 3, "lookup_l2": L2, "mean_rating": MEAN}
EDRS = {"embedding_dim": 3, "tower_units": (4,), "head_units": (4,), "dropout": 0.3, "mean_rating": MEAN}


class InterruptionError(Exception):
    """Stands for a process that dies."""


def make_trainer(interactions, name="pmf", *, options=PMF, seed=0, weight_seed=0, **settings):
    keras.utils.set_random_seed(weight_seed)
    model = create_model(name, interactions.num_users, interactions.num_items, **options)
    task = RatingTask()
    defaults = {"optimizer": "sgd", "learning_rate": 0.5, "batch_size": 64, "epochs": 1, "patience": None}
    chosen = TrainingSettings(**{**defaults, "jit_compile": False, "checkpoint_seconds": 0, **settings})
    trainer = Trainer(model, task, PairFeatures.of(model, interactions), interactions, chosen, seed=seed)
    return trainer


def weights_of(trainer):
    return [keras.ops.convert_to_numpy(weight).copy() for weight in trainer.model.trainable_variables]


def tables_of(trainer):
    layers = (trainer.model.get_layer(f"{side}_tower").get_layer(f"{side}_embedding") for side in SIDES)
    return [keras.ops.convert_to_numpy(layer.embeddings).copy() for layer in layers]


def constant():
    return {"rmse": 1.0, "mae": 1.0}


def measured(trainer):
    predict = trainer.task.predictor(trainer.model, trainer.features)
    return lambda: validate_ratings(predict, trainer.train, (1.0, 5.0))


def sequence(values, seen=None, trainer=None, look=weights_of):
    """Return a stand-in for validation that gives ``values`` in turn and keeps the weights it saw."""
    remaining = iter(values)

    def validate():
        if seen is not None:
            seen.append(look(trainer))
        value = next(remaining)
        return {"rmse": value, "mae": value}

    return validate


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def pmf_gradient_step(tables, user, item, rating, rate):
    """One step on mean((r - MEAN - u.v)^2) + L2 mean(|u|^2) + L2 mean(|v|^2), in double precision."""
    users, items = tables
    size = len(user)
    error = MEAN + np.sum(users[user] * items[item], axis=1) - rating
    loss = np.mean(error**2) + L2 * (np.sum(users[user] ** 2) + np.sum(items[item] ** 2)) / size
    user_gradient, item_gradient = np.zeros_like(users), np.zeros_like(items)
    for row in range(size):
        u, i = user[row], item[row]
        user_gradient[u] += 2 * error[row] * items[i] / size + 2 * L2 * users[u] / size
        item_gradient[i] += 2 * error[row] * users[u] / size + 2 * L2 * items[i] / size
    return [users - rate * user_gradient, items - rate * item_gradient], loss


def batches_of(interactions, batch_size, seed, epochs):
    """Return the row numbers of each batch, without padding."""
    steps = math.ceil(len(interactions) / batch_size)
    blocks = shuffled_blocks(len(interactions), BatchPlan(batch_size, seed)).take(steps * epochs)
    return [block[0][block[0] >= 0] for block in blocks.as_numpy_iterator()]


def numpy_training(tables, interactions, batches, rate):
    """Return the tables after each batch, and the loss of each batch."""
    tables = [table.astype(np.float64) for table in tables]
    history, losses = [], []
    for rows in batches:
        part = interactions.take(rows)
        tables, loss = pmf_gradient_step(tables, part.user_id, part.item_id, part.ratings, rate)
        history.append(tables)
        losses.append(loss)
    return history, losses


def test_one_full_batch_step_is_the_gradient_step_by_hand(toy):
    trainer = make_trainer(toy, batch_size=len(toy))
    start = tables_of(trainer)
    (expected,), (loss,) = numpy_training(start, toy, [np.arange(len(toy))], 0.5)
    state = trainer.fit(constant)
    for table, before, after in zip(tables_of(trainer), start, expected, strict=True):
        np.testing.assert_allclose(table, after, rtol=1e-5, atol=1e-6)
        assert np.abs(after - before).max() > 1e-3
        np.testing.assert_array_equal(table[0], before[0])
    assert state.history[0]["loss"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("steps_per_call", [1, 3])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_padding_changes_nothing(toy, steps_per_call, jit_compile):
    # 300 = 4 * 64 + 44, and 5 steps do not fill two blocks of 3.
    trainer = make_trainer(toy, epochs=2, seed=5, steps_per_call=steps_per_call, jit_compile=jit_compile)
    batches = batches_of(toy, 64, seed=5, epochs=2)
    assert [len(rows) for rows in batches] == [64, 64, 64, 64, 44] * 2
    history, losses = numpy_training(tables_of(trainer), toy, batches, 0.5)
    state = trainer.fit(constant)
    # Validation never improves after the first epoch, so the best weights are those of epoch 1.
    for table, expected in zip(tables_of(trainer), history[4], strict=True):
        np.testing.assert_allclose(table, expected, rtol=1e-4, atol=1e-5)
    assert [row["loss"] for row in state.history] == pytest.approx(
        [np.mean(losses[:5]), np.mean(losses[5:])], rel=1e-4
    )
    assert int(trainer.model.optimizer.iterations) == 10


def test_how_many_steps_a_call_runs_changes_nothing(toy):
    found = []
    for steps_per_call in (1, 4, None):
        trainer = make_trainer(
            toy, "edrs", options=EDRS, optimizer="adam", epochs=2, steps_per_call=steps_per_call
        )
        trainer.fit(sequence([2.0, 1.0]))
        found.append(weights_of(trainer))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


def test_the_steps_of_an_epoch_are_told(toy):
    trainer = make_trainer(toy, batch_size=100, steps_per_call=2, jit_compile=False, epochs=2)
    told = []
    trainer.fit(None, on_steps=lambda done, steps: told.append((done, steps)))
    assert told == [(0, 3), (2, 3), (3, 3)] * 2


def test_batches_larger_than_the_data_work(toy):
    trainer = make_trainer(toy, batch_size=1000)
    (expected,), _ = numpy_training(tables_of(trainer), toy, [np.arange(len(toy))], 0.5)
    trainer.fit(constant)
    for table, after in zip(tables_of(trainer), expected, strict=True):
        np.testing.assert_allclose(table, after, rtol=1e-5, atol=1e-6)


def test_same_seed_same_weights_other_seed_other_weights(toy):
    found = []
    for seed in (0, 0, 1):
        trainer = make_trainer(
            toy, "edrs", options=EDRS, optimizer="adam", learning_rate=0.01, epochs=2, seed=seed
        )
        state = trainer.fit(measured(trainer))
        found.append((weights_of(trainer), state.history))
    assert_same(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    assert any(not np.array_equal(one, two) for one, two in zip(found[0][0], found[2][0], strict=True))


@pytest.mark.parametrize("name", ["dcf"])
def test_models_that_read_rows_repeat_bitwise_too(toy, name):
    found = []
    for _ in range(2):
        options = {"tower_units": (6, 4), "input_dropout": 0.2}
        trainer = make_trainer(toy, name, options=options, optimizer="adam", learning_rate=0.01, epochs=2)
        trainer.fit(measured(trainer))
        found.append(weights_of(trainer))
    assert_same(*found)


@pytest.mark.parametrize(
    ("settings", "stop_after"),
    [
        pytest.param({}, 1, marks=pytest.mark.slow),
        ({"average": 0.9, "schedule": "cosine"}, 3),
        pytest.param(
            {"name": "pmf", "jit_compile": True, "restore_best": False, "steps_per_call": 2},
            2,
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
def test_an_interrupted_training_ends_as_the_unbroken_one(toy, tmp_path, settings, stop_after):
    name = settings.get("name", "edrs")
    settings = {key: value for key, value in settings.items() if key != "name"}
    settings |= {"options": EDRS if name == "edrs" else PMF, "optimizer": "adam", "epochs": 4}

    def start(weight_seed):
        return make_trainer(toy, name, weight_seed=weight_seed, learning_rate=0.01, **settings)

    unbroken = start(0)
    expected = unbroken.fit(measured(unbroken))

    def interrupt(state):
        if state.epoch == stop_after:
            raise InterruptionError

    checkpoint = tmp_path / "checkpoint.npz"
    broken = start(0)
    with pytest.raises(InterruptionError):
        broken.fit(measured(broken), checkpoint=checkpoint, on_epoch=interrupt)
    # Other initial weights and another state of dropout: all must come from the checkpoint.
    resumed = start(99)
    epochs = []
    state = resumed.fit(
        measured(resumed), checkpoint=checkpoint, resume=True, on_epoch=lambda s: epochs.append(s.epoch)
    )
    assert epochs == list(range(stop_after + 1, 5))
    assert state.history == expected.history
    assert (state.best_epoch, state.best_value) == (expected.best_epoch, expected.best_value)
    assert_same(weights_of(resumed), weights_of(unbroken))


def test_epochs_after_the_last_checkpoint_are_repeated(toy, tmp_path):
    # Checkpoints an hour apart: only the first epoch's and the last one's are written.
    checkpoint = tmp_path / "checkpoint.npz"
    settings = {"epochs": 4, "checkpoint_seconds": 3600, "learning_rate": 0.1}
    unbroken = make_trainer(toy, **settings)
    expected = unbroken.fit(measured(unbroken))

    def interrupt(state):
        if state.epoch == 3:
            raise InterruptionError

    broken = make_trainer(toy, **settings)
    with pytest.raises(InterruptionError):
        broken.fit(measured(broken), checkpoint=checkpoint, on_epoch=interrupt)
    resumed, epochs = make_trainer(toy, weight_seed=9, **settings), []
    state = resumed.fit(
        measured(resumed), checkpoint=checkpoint, resume=True, on_epoch=lambda s: epochs.append(s.epoch)
    )
    assert epochs == [2, 3, 4]
    assert state.history == expected.history
    assert_same(weights_of(resumed), weights_of(unbroken))


def test_interrupted_while_patience_runs_out(toy, tmp_path):
    checkpoint = tmp_path / "checkpoint.npz"

    def interrupt(state):
        if state.epoch == 3:
            raise InterruptionError

    seen = []
    broken = make_trainer(toy, epochs=9, patience=3)
    with pytest.raises(InterruptionError):
        broken.fit(sequence([0.9, 0.8, 0.85], seen, broken), checkpoint=checkpoint, on_epoch=interrupt)
    resumed = make_trainer(toy, epochs=9, patience=3, weight_seed=9)
    state = resumed.fit(sequence([0.86, 0.87, 0.1]), checkpoint=checkpoint, resume=True)
    assert (state.epoch, state.best_epoch, state.best_value) == (5, 2, 0.8)
    assert_same(weights_of(resumed), seen[1])


def test_a_finished_training_is_not_trained_on(toy, tmp_path):
    checkpoint = tmp_path / "checkpoint.npz"
    finished = make_trainer(toy, epochs=2)
    finished.fit(constant, checkpoint=checkpoint)
    resumed = make_trainer(toy, epochs=2, weight_seed=9)
    state = resumed.fit(sequence([]), checkpoint=checkpoint, resume=True)
    assert state.epoch == 2
    assert_same(weights_of(resumed), weights_of(finished))


def test_without_resume_a_checkpoint_is_not_read(toy, tmp_path):
    checkpoint = tmp_path / "checkpoint.npz"
    first = make_trainer(toy, epochs=2)
    first.fit(constant, checkpoint=checkpoint)
    second = make_trainer(toy, epochs=2)
    assert second.fit(sequence([3.0, 2.0]), checkpoint=checkpoint).epoch == 2


def test_resume_without_a_checkpoint_starts_at_the_beginning(toy, tmp_path):
    trainer = make_trainer(toy, epochs=2)
    state = trainer.fit(constant, checkpoint=tmp_path / "checkpoint.npz", resume=True)
    assert len(state.history) == 2


def test_a_checkpoint_of_another_run_is_refused(toy, tmp_path):
    checkpoint = tmp_path / "checkpoint.npz"
    make_trainer(toy).fit(constant, checkpoint=checkpoint, fingerprint="one")
    with pytest.raises(TfzooError, match="other settings"):
        make_trainer(toy).fit(constant, checkpoint=checkpoint, resume=True, fingerprint="two")


def test_early_stopping_ends_in_time_with_the_best_weights(toy):
    seen = []
    trainer = make_trainer(toy, epochs=9, patience=2)
    # A figure that is as good as the best one is not better.
    values = [1.0, 0.9, 0.95, 0.8, 0.8, 0.85, 0.1]
    state = trainer.fit(sequence(values, seen, trainer))
    assert (state.epoch, state.best_epoch, state.best_value) == (6, 4, 0.8)
    assert [row["val_rmse"] for row in state.history] == values[:6]
    assert_same(weights_of(trainer), seen[3])
    assert not np.array_equal(seen[3][0], seen[5][0])


@pytest.mark.parametrize("average", [0.0, 0.5])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_rows_written_in_place_do_not_reach_the_copy_of_the_best_weights(toy, tmp_path, jit_compile, average):
    seen, checkpoint = [], tmp_path / "checkpoint.npz"
    trainer = make_trainer(toy, epochs=3, optimizer="lazy-adam", jit_compile=jit_compile, average=average)
    trainer.fit(sequence([0.9, 0.8, 1.0], seen, trainer), checkpoint=checkpoint)
    assert_same(weights_of(trainer), seen[1])
    assert not np.array_equal(seen[1][0], seen[2][0])
    _, groups = load_checkpoint(checkpoint, "")
    assert_same(groups["best"], [keras.ops.convert_to_numpy(v) for v in trainer.model.variables])


@pytest.mark.parametrize(
    ("settings", "checkpointed", "copies"),
    [
        # One copy is of the weights that training starts from.
        ({}, False, 1 + 3),
        ({"restore_best": False}, False, 1 + 1),
        ({}, True, 1 + 6),
        ({"restore_best": False}, True, 1 + 6),
        # The averaged weights are copied when they are better, the others for each checkpoint.
        ({"average": 0.5}, True, 1 + 3 + 6),
    ],
    ids=str,
)
def test_weights_are_copied_no_more_than_they_are_needed(
    toy, tmp_path, monkeypatch, settings, checkpointed, copies
):
    trainer, made = make_trainer(toy, epochs=6, **settings), []
    copy = trainer._snapshot
    monkeypatch.setattr(trainer, "_snapshot", lambda: made.append(1) or copy())
    checkpoint = tmp_path / "checkpoint.npz" if checkpointed else None
    trainer.fit(sequence([1.0, 0.9, 0.95, 0.8, 0.8, 0.85]), checkpoint=checkpoint)
    assert len(made) == copies


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_spoiled_weights_never_count_as_the_best(toy, tmp_path, average):
    checkpoint, seen = tmp_path / "checkpoint.npz", []
    trainer = make_trainer(toy, epochs=3, average=average)
    validate = sequence([0.9, 0.8, 0.7], seen, trainer)

    def spoil():
        # The figure is better, the weights that go with it are not finite.
        if len(seen) == 1:
            weight = trainer.model.trainable_variables[1]
            values = weight.numpy()
            values[-1, -1] = np.nan
            weight.assign(values)
        return validate()

    with pytest.raises(TfzooError, match=r"diverged in epoch 2 .*weights of the model are not finite"):
        trainer.fit(spoil, checkpoint=checkpoint)
    state, groups = load_checkpoint(checkpoint, "")
    assert (state.epoch, state.best_epoch, state.best_value) == (1, 1, 0.9)
    kept = [array for array in groups["best"] if array.dtype == np.float32]
    assert_same(kept[: len(seen[0])], seen[0])


def test_without_patience_training_goes_on_to_the_last_epoch(toy):
    trainer = make_trainer(toy, epochs=4, patience=None)
    state = trainer.fit(sequence([1.0, 2.0, 3.0, 4.0]))
    assert (state.epoch, state.best_epoch) == (4, 1)


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_restore_best_off_ends_with_the_last_weights(toy, average):
    seen = []
    trainer = make_trainer(toy, epochs=3, restore_best=False, average=average)
    state = trainer.fit(sequence([0.8, 0.9, 1.0], seen, trainer))
    assert (state.epoch, state.best_epoch) == (3, 1)
    assert_same(weights_of(trainer), seen[2])
    assert not np.array_equal(seen[0][0], seen[2][0])


def test_the_running_average_by_hand(toy):
    seen = []
    momentum = 0.3
    trainer = make_trainer(toy, epochs=2, seed=5, average=momentum)
    start = tables_of(trainer)
    history, _ = numpy_training(start, toy, batches_of(toy, 64, seed=5, epochs=2), 0.5)
    average, averages = [table.astype(np.float64) for table in start], []
    for step, tables in enumerate(history, start=1):
        keep = min(momentum, step / (step + 10))
        average = [keep * old + (1 - keep) * new for old, new in zip(average, tables, strict=True)]
        averages.append(average)
    trainer.fit(sequence([2.0, 1.0], seen, trainer, tables_of))
    # Validation sees the averages of steps 5 and 10, training goes on from the weights themselves.
    for got, step in ((seen[0], 5), (seen[1], 10), (tables_of(trainer), 10)):
        for table, expected in zip(got, averages[step - 1], strict=True):
            np.testing.assert_allclose(table, expected, rtol=1e-4, atol=1e-5)
    gap = np.abs(averages[9][0] - history[9][0]).max()
    assert gap > 1e-3


def test_without_validation_training_goes_on_to_the_last_epoch_and_keeps_its_weights(toy):
    blind = make_trainer(toy, epochs=3, patience=1)
    state = blind.fit(None)
    assert (state.epoch, state.best_epoch) == (3, 0)
    assert [set(row) for row in state.history] == [{"loss"}] * 3
    seen = []
    watched = make_trainer(toy, epochs=3, restore_best=False)
    watched.fit(sequence([0.8, 0.9, 1.0], seen, watched))
    assert_same(weights_of(blind), weights_of(watched))
    assert_same(weights_of(blind), seen[2])


def test_fewer_epochs_are_the_first_ones_of_the_same_schedule(toy):
    settings = {"epochs": 4, "schedule": "cosine", "learning_rate": 0.4}
    seen = []
    whole = make_trainer(toy, **settings)
    whole.fit(sequence([4.0, 3.0, 2.0, 1.0], seen, whole))
    part = make_trainer(toy, **settings)
    assert part.fit(None, epochs=2).epoch == 2
    assert_same(weights_of(part), seen[1])
    assert not np.array_equal(seen[1][0], seen[3][0])


def test_validation_every_other_epoch_and_after_the_last(toy):
    seen = []
    trainer = make_trainer(toy, epochs=5, validate_every=2)
    state = trainer.fit(sequence([0.9, 0.8, 0.85], seen, trainer))
    assert ["val_rmse" in row for row in state.history] == [False, True, False, True, True]
    assert (state.best_epoch, state.best_value) == (4, 0.8)
    assert_same(weights_of(trainer), seen[1])


def test_patience_counts_epochs_not_validations(toy):
    state = make_trainer(toy, epochs=9, validate_every=2, patience=3).fit(sequence([0.8, 0.9, 0.9, 0.1]))
    # Three epochs after the best, the second, have passed at the end of the fifth.
    assert (state.epoch, state.best_epoch) == (5, 2)


def test_ranked_lists_are_better_the_higher_the_figure(toy):
    keras.utils.set_random_seed(0)
    model, task = create_model("bpr-mf", 30, 20, embedding_dim=3), ImplicitTask(ImplicitSettings(loss="bpr"))
    features = task.features(model, Split(toy, toy, toy, ""), toy)
    settings = TrainingSettings(epochs=6, batch_size=64, patience=2, jit_compile=False)
    trainer, seen = Trainer(model, task, features, toy, settings, seed=0), []
    values = iter([0.2, 0.4, 0.4, 0.3, 0.9])

    def validate():
        seen.append(weights_of(trainer))
        return {"ndcg@10": next(values)}

    state = trainer.fit(validate)
    assert (state.epoch, state.best_epoch, state.best_value) == (4, 2, 0.4)
    assert_same(weights_of(trainer), seen[1])


class Counting(RatingTask):
    """Its loss is the number of steps since the epoch began."""

    def initial_state(self, model, batch_size):
        return (tf.zeros([]), tf.ones([batch_size]))

    def compute_loss(self, model, inputs, labels, weight, state):
        nothing = 0.0 * tf.reduce_sum(model(inputs, training=True)["rating"])
        return state[0] + nothing, (state[0] + 1.0, state[1])


@pytest.mark.parametrize("steps_per_call", [1, 2, 5])
def test_a_state_goes_from_step_to_step_and_starts_anew_with_every_epoch(toy, steps_per_call):
    settings = TrainingSettings(epochs=2, batch_size=64, steps_per_call=steps_per_call, jit_compile=False)
    model = create_model("pmf", 30, 20)
    state = Trainer(model, Counting(), PairFeatures.of(model, toy), toy, settings, seed=0).fit(None)
    assert [row["loss"] for row in state.history] == [pytest.approx((0 + 1 + 2 + 3 + 4) / 5)] * 2


def test_xla_is_left_out_where_it_cannot_be_used_or_does_not_help(toy):
    trainer = make_trainer(toy, jit_compile=None)
    assert trainer.uses_xla()
    trainer.features.supports_jit = False
    assert not trainer.uses_xla()
    assert make_trainer(toy, jit_compile=True).uses_xla()
    if not tf.config.get_visible_devices("GPU"):
        assert not make_trainer(toy, "dcf", options={"tower_units": (6, 4)}, jit_compile=None).uses_xla()


def test_a_compiled_update_of_the_weights_is_the_plain_one(toy, monkeypatch):
    compiled = []

    def function(python, **options):
        compiled.append((python.__name__, options.get("jit_compile")))
        return whole(python, **options)

    whole, found = tf.function, []
    monkeypatch.setattr(tf, "function", function)
    for least in (1, 10**9):
        monkeypatch.setattr("tfzoo.training.gradient_step.WEIGHTS_COMPILED_FROM", least)
        options = {"tower_units": (6, 4), "input_dropout": 0.2}
        settings = {"optimizer": "adam", "learning_rate": 0.01, "average": 0.9, "epochs": 2}
        trainer = make_trainer(toy, "dcf", options=options, jit_compile=None, **settings)
        trainer.features.supports_jit = False
        trainer.fit(measured(trainer))
        found.append(weights_of(trainer))
    assert compiled.count(("_update", True)) == 1
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_validation_that_finds_no_numbers_names_the_learning_rate(toy):
    def validate():
        raise DataError("Metrics need finite scores.")

    with pytest.raises(TfzooError, match=r"diverged in epoch 1 .*finite scores.*training.learning_rate"):
        make_trainer(toy, epochs=3).fit(validate)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_loss_that_is_not_finite_names_the_learning_rate(toy, tmp_path, jit_compile):
    trainer = make_trainer(toy, epochs=5, learning_rate=1e12, jit_compile=jit_compile)
    checkpoint = tmp_path / "checkpoint.npz"
    with pytest.raises(
        TfzooError, match=r"diverged in epoch \d .*1e\+12.*not finite.*training.learning_rate"
    ):
        trainer.fit(constant, checkpoint=checkpoint)


def test_training_learns(toy):
    trainer = make_trainer(
        toy, optimizer="adam", learning_rate=0.05, epochs=15, options={**PMF, "lookup_l2": 0}
    )
    before = measured(trainer)()
    state = trainer.fit(measured(trainer))
    assert state.best_value < 0.6 * before["rmse"]
    assert measured(trainer)()["rmse"] == pytest.approx(state.best_value, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adam", keras.optimizers.Adam),
        ("adamw", keras.optimizers.AdamW),
        ("sgd", keras.optimizers.SGD),
        ("adagrad", keras.optimizers.Adagrad),
        ("rmsprop", keras.optimizers.RMSprop),
        ("nadam", keras.optimizers.Nadam),
        ("gru4rec-adagrad", GRU4RecAdagrad),
    ],
)
def test_optimizers(name, kind):
    optimizer = build_optimizer(TrainingSettings(optimizer=name, learning_rate=0.02), steps=3)
    assert type(optimizer) is kind
    assert float(optimizer.learning_rate) == pytest.approx(0.02)
    decayed = build_optimizer(TrainingSettings(optimizer=name, weight_decay=0.5), steps=3)
    assert decayed.weight_decay == 0.5
    if name in WITH_MOMENTUM:
        pushed = build_optimizer(TrainingSettings(optimizer=name, momentum=0.25), steps=3)
        assert pushed.momentum == 0.25


def test_cosine_schedule_by_hand():
    settings = TrainingSettings(learning_rate=0.2, schedule="cosine", epochs=4)
    schedule = build_optimizer(settings, steps=5)._learning_rate
    for step in (0, 5, 10, 20):
        expected = 0.2 * 0.5 * (1 + math.cos(math.pi * step / 20))
        assert float(schedule(step)) == pytest.approx(expected, abs=1e-7)


def test_cosine_training_by_hand(toy):
    trainer = make_trainer(toy, epochs=2, batch_size=len(toy), schedule="cosine", learning_rate=0.4)
    tables = [table.astype(np.float64) for table in tables_of(trainer)]
    for rate in (0.4, 0.2):
        tables, _ = pmf_gradient_step(tables, toy.user_id, toy.item_id, toy.ratings, rate)
    trainer.fit(sequence([2.0, 1.0]))
    for table, expected in zip(tables_of(trainer), tables, strict=True):
        np.testing.assert_allclose(table, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_first_step_of_adam_moves_a_repeated_row_by_the_learning_rate(toy, jit_compile):
    settings = {"optimizer": "adam", "learning_rate": 0.01, "jit_compile": jit_compile}
    trainer = make_trainer(toy, batch_size=len(toy), **settings)
    before = tables_of(trainer)
    trainer.fit(None)
    for old, new, ids in zip(before, tables_of(trainer), ids_of(toy), strict=True):
        assert len(np.unique(ids)) < len(ids)
        # Adam divides the gradient of a row, however many ratings it is of, by its own size.
        # Nearly all: a few gradients are as small as what Adam adds to their size.
        moved = np.abs(new - old)[np.unique(ids)]
        assert np.isclose(moved, 0.01, rtol=0.01).mean() > 0.9


def ids_of(interactions):
    return interactions.user_id, interactions.item_id


def test_the_end_does_not_wait_for_the_tuning_of_pipelines(toy):
    assert make_trainer(toy).source.dataset(BatchPlan(8, 0)).options().autotune.enabled is False


def test_a_batch_is_no_larger_than_the_data(toy):
    sizes = (len(toy), 10 * len(toy))
    whole, larger = (make_trainer(toy, batch_size=size, epochs=3) for size in sizes)
    for trainer in (whole, larger):
        assert trainer.fit(None).epoch == 3
    for one, other in zip(weights_of(whole), weights_of(larger), strict=True):
        np.testing.assert_array_equal(one, other)
    shapes = {
        tuple(spec.shape)
        for spec in larger.source.dataset(BatchPlan(larger.source.batch_size, 0)).element_spec[0].values()
    }
    assert shapes == {(1, len(toy))}


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adam", "average": 0.9},
        {"optimizer": "lazy-adam"},
        {"optimizer": "adamw", "weight_decay": 0.1},
        {"optimizer": "sgd", "jit_compile": True},
    ],
)
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_trainings_do_not_pile_up_in_memory(toy, monkeypatch, precision, settings):
    keras.config.set_dtype_policy(precision)
    compile_block, compiled = PhaseRunner.compile_block, []

    def watched(self, dataset):
        block = compile_block(self, dataset)
        # Its captures hold the weights and what the optimizer keeps of them.
        compiled.append(weakref.ref(block.graph))
        return block

    monkeypatch.setattr(PhaseRunner, "compile_block", watched)
    # Something may still look at the last one; what matters is that they do not pile up.
    for _ in range(2):
        make_trainer(toy, **settings).fit(None)
    keras.backend.clear_session()
    gc.collect()
    assert compiled[0]() is None
