"""A model's own training step: phases, several optimizers, state, checkpoints."""

import keras
import numpy as np
import pytest
from keras import ops
from pydantic import ValidationError
from scipy import sparse

from tests.zoo import small
from tfzoo.errors import TfzooError, UsageError
from tfzoo.models.step import Phase, Step, StepSettings
from tfzoo.tasks import RatingTask
from tfzoo.tasks.pair_features import PairFeatures
from tfzoo.training.settings import TrainingSettings
from tfzoo.training.strategies import open_distribution
from tfzoo.training.trainer import Trainer


class TwoSides(Step):
    """Users' vectors twice with Adam, then items' with plain steps, pulled towards their last values."""

    class Settings(StepSettings):
        pull: float = 0.5

    phases = (Phase("users", passes=2), Phase("items"))
    logs = {"users": ("loss",), "items": ("items_loss", "distance")}  # noqa: RUF012

    def __init__(self, tools, settings):
        super().__init__(tools, settings)
        self.user, self.item = (
            [v for v in tools.model.trainable_variables if side in v.path] for side in ("user", "item")
        )
        self.frozen = keras.Variable(ops.zeros(self.item[0].shape), trainable=False, name="frozen")
        tools.optimizer("user", self.user)
        tools.optimizer("item", self.item, optimizer="sgd", learning_rate=0.05, momentum=0.5)

    def state(self):
        return {"frozen": [self.frozen]}

    def on_epoch_start(self, epoch):
        if epoch:
            self.frozen.assign(self.item[0])

    def step(self, phase, batch):
        if phase == "users":
            return {"loss": self.tools.minimize("user", lambda: self.tools.task_loss(batch))}
        noise = 0.01 * ops.cast(batch.number % 7, "float32")

        def loss():
            pulled = ops.mean(ops.square(self.item[0] - self.frozen))
            return self.tools.task_loss(batch) + (self.settings.pull + noise) * pulled

        value = self.tools.minimize("item", loss)
        return {"items_loss": value, "distance": ops.mean(ops.abs(self.item[0] - self.frozen))}


def trainer_of(toy, step=TwoSides, *, weight_seed=0, values=(), distribution=None, **settings):
    keras.utils.set_random_seed(weight_seed)
    model = small("pmf", toy.num_users, toy.num_items, embedding_dim=3)
    chosen = {"epochs": 4, "batch_size": 40, "learning_rate": 0.02, "patience": None, **settings}
    chosen = {"checkpoint_seconds": 0, "jit_compile": False, "restore_best": False, **chosen}
    return Trainer(
        model,
        RatingTask(),
        PairFeatures.of(model, toy),
        toy,
        TrainingSettings(**chosen),
        seed=3,
        distribution=distribution,
        step=lambda tools: step(tools, step.Settings(**dict(values))),
    )


def weights(trainer):
    return [ops.convert_to_numpy(v).copy() for v in trainer.model.variables]


class Interruption(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize(
    "settings",
    [{}, {"jit_compile": True, "average": 0.9}],
    ids=["plain", "xla and averages"],
)
def test_resuming_ends_with_the_weights_and_logs_of_an_unbroken_training(toy, tmp_path, settings):
    unbroken = trainer_of(toy, **settings)
    expected = unbroken.fit(None)
    assert set(expected.history[0]) == {"loss", "items_loss", "distance"}
    assert expected.history[-1]["loss"] < expected.history[0]["loss"]

    def interrupt(state):
        if state.epoch == 2:
            raise Interruption

    file = tmp_path / "checkpoint.npz"
    with pytest.raises(Interruption):
        trainer_of(toy, **settings).fit(None, checkpoint=file, on_epoch=interrupt)
    resumed = trainer_of(toy, weight_seed=9, **settings)
    found = resumed.fit(None, checkpoint=file, resume=True)
    assert found.history == expected.history
    for one, other in zip(weights(resumed), weights(unbroken), strict=True):
        np.testing.assert_array_equal(one, other)


def test_mixed_float16_scales_the_loss_and_resumes(toy, tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    unbroken, file = trainer_of(toy), tmp_path / "checkpoint.npz"
    expected = unbroken.fit(None)
    trainer_of(toy).fit(None, epochs=2, checkpoint=file)
    assert trainer_of(toy).fit(None, checkpoint=file, resume=True).history == expected.history


def test_each_phase_changes_what_its_optimizer_has_alone(toy):
    class UsersAlone(TwoSides):
        phases = (Phase("users"),)
        logs = {"users": ("loss",)}  # noqa: RUF012

    trainer = trainer_of(toy, UsersAlone, epochs=1)
    before = {v.path: ops.convert_to_numpy(v).copy() for v in trainer.model.trainable_variables}
    trainer.fit(None)
    for variable in trainer.model.trainable_variables:
        changed = not np.array_equal(before[variable.path], ops.convert_to_numpy(variable))
        assert changed == ("user" in variable.path), variable.path


def test_a_variable_that_no_checkpoint_would_hold_is_refused_by_name(toy):
    class Forgetful(TwoSides):
        def state(self):
            return {}

    with pytest.raises(UsageError, match=r"phase 'items' uses variables .* frozen.*state\(\)"):
        trainer_of(toy, Forgetful).fit(None)


def test_a_checkpoint_of_other_optimizers_is_refused(toy, tmp_path):
    class Renamed(TwoSides):
        def state(self):
            return {"copy": [self.frozen]}

    file = tmp_path / "checkpoint.npz"
    trainer_of(toy).fit(None, epochs=1, checkpoint=file)
    with pytest.raises(TfzooError, match="does not fit this training \\(its step:copy, step:frozen\\)"):
        trainer_of(toy, Renamed).fit(None, checkpoint=file, resume=True)


class Sweeps(Step):
    """Phases over ids and without batches: sums of what was seen, kept in the state."""

    phases = (
        Phase("items", batches="items", batch_size=7),
        Phase("everything", batches="all-items", compiled=False, batch_size=6),
        Phase("first", batches="users", epochs=1),
        Phase("solve", batches=None),
    )
    logs = {"items": ("items",), "everything": ("all",), "first": ("first",), "solve": ("solved",)}  # noqa: RUF012

    def __init__(self, tools, settings):
        super().__init__(tools, settings)
        self.seen = keras.Variable(np.zeros(60, "float32"), trainable=False, name="seen")
        self.numbers = keras.Variable(np.zeros(60, "float32"), trainable=False, name="numbers")
        matrix = sparse.csr_matrix(np.arange(2 * (tools.train.num_items + 1)).reshape(-1, 2))
        self.rows = tools.rows(matrix.astype(np.float32))

    def state(self):
        return {"seen": [self.seen, self.numbers]}

    def step(self, phase, batch):
        if batch is None:
            self.numbers.assign(self.numbers + 1000.0 * ops.one_hot(59, 60))
            return {"solved": float(ops.convert_to_numpy(self.seen).sum())}
        ids = batch.inputs["user_id" if phase == "first" else "item_id"]
        if phase == "items":
            one_hot = ops.one_hot(ids, 60) * batch.weight[:, None]
            self.seen.assign(self.seen + ops.sum(one_hot, axis=0))
            self.numbers.assign(self.numbers + ops.one_hot(batch.number, 60))
            found = self.rows(ids)
            expected = ops.stack([2 * ids, 2 * ids + 1], axis=1)
            return {"items": ops.max(ops.abs(found - ops.cast(expected, "float32")))}
        return {("all" if phase == "everything" else "first"): ops.sum(batch.weight)}


def test_phases_over_ids_see_each_once_a_pass_and_number_their_steps(toy):
    trainer = trainer_of(toy, Sweeps, epochs=2)
    state = trainer.fit(None)
    step = trainer._step._step
    items = len(np.unique(toy.item_id))
    seen = ops.convert_to_numpy(step.seen)
    np.testing.assert_array_equal(seen, 2.0 * np.isin(np.arange(60), np.unique(toy.item_id)))
    steps = -(-items // 7)
    numbers = ops.convert_to_numpy(step.numbers)
    np.testing.assert_array_equal(numbers[: 2 * steps], 1.0)
    assert numbers[2 * steps : 59].sum() == 0
    assert numbers[59] == 2000
    assert [row["solved"] for row in state.history] == [items, 2 * items]
    assert state.history[0]["items"] == 0
    assert state.history[0]["all"] == pytest.approx(toy.num_items / -(-toy.num_items // 6))
    assert ["first" in row for row in state.history] == [True, False]


def test_logs_that_were_not_declared_are_refused(toy):
    class Silent(TwoSides):
        def step(self, phase, batch):
            return {}

    with pytest.raises(TfzooError, match=r"returned the logs none in the phase 'users'.*declares loss"):
        trainer_of(toy, Silent).fit(None)

    class Twice(TwoSides):
        logs = {"users": ("loss",), "items": ("loss",)}  # noqa: RUF012

    with pytest.raises(ValueError, match="distinct names"):
        trainer_of(toy, Twice)


def test_settings_are_checked_and_a_loss_that_is_not_finite_stops(toy):
    with pytest.raises(ValidationError):
        trainer_of(toy, values={"pul": 1})
    with pytest.raises(TfzooError, match=r"diverged in epoch 1 at steps 1 to \d+ of 8 \(learning rate"):
        trainer_of(toy, values={"pull": float(np.finfo("float32").max)}, learning_rate=1e30).fit(None)


def test_several_devices_are_refused_with_the_reason(toy):
    class Adversarial(TwoSides):
        refuses = "two networks change in turn"

    with pytest.raises(UsageError, match="--strategy cannot train 'pmf': two networks change in turn"):
        trainer_of(toy, Adversarial, distribution=open_distribution("mirrored"))
