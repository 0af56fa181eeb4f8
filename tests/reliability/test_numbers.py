"""Numbers that go wrong: losses and weights that are not finite, ids outside their table, empty sets."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo.runs
from tests.places import seed_of
from tests.reliability.degenerate import DATA, small_recipe
from tests.zoo import table, task_of
from tfzoo.data.interactions import Interactions
from tfzoo.data.negatives import NegativeSampler
from tfzoo.data.pipelines import PADDING, BatchPlan, gather
from tfzoo.data.splits import Split
from tfzoo.errors import DataError, TfzooError, UsageError
from tfzoo.evaluation.comparison import paired_bootstrap
from tfzoo.evaluation.metrics import mae, rmse, rmse_user_mean
from tfzoo.evaluation.ranking_metrics import METRICS, ranking_metrics
from tfzoo.experiment import Experiment
from tfzoo.layers import IdEmbedding
from tfzoo.reporting.summary import load_records
from tfzoo.runs import run
from tfzoo.training.checkpoint import load_checkpoint
from tfzoo.training.trainer import Trainer

# One model for every task and loss.
MODELS = ["biased-mf", "gmf", "bpr-mf", "mult-vae", "gru4rec", "deepconn"]


def prepare(name, folder, *overrides, data="ordinary"):
    chosen = ["training.checkpoint_seconds=0", *overrides]
    if name == "bpr-mf":
        chosen += ["task.loss=bpr", "task.negatives=1"]
    return Experiment.prepare(small_recipe(name, folder, *chosen), DATA[data](), 0)


class Spoiled(Trainer):
    """Loses its weights after a number of epochs, as by one step with an endless gradient."""

    after = 2
    value = np.inf

    def fit(self, validate, **options):
        def on_epoch(state):
            if state.epoch == self.after:
                for weight in self.model.trainable_variables:
                    weight.assign(np.full(weight.shape, self.value, np.float32))

        return super().fit(validate, **{**options, "on_epoch": on_epoch})


# Losses and weights


@pytest.mark.parametrize("name", MODELS)
def test_a_loss_that_is_not_finite_stops_training_and_keeps_the_last_good_checkpoint(
    name, tmp_path, monkeypatch
):
    monkeypatch.setattr(tfzoo.runs, "Trainer", Spoiled)
    # Where more than one block of steps makes an epoch, the first one is named.
    experiment = prepare(name, tmp_path, "training.epochs=5", "training.patience=null")
    with pytest.raises(
        TfzooError,
        match=r"^Training diverged in epoch 3 at steps 1 to [12] of \d+ \(learning rate 0\.001\): the "
        r"training loss is not finite\. Try a smaller training\.learning_rate",
    ):
        run(experiment, tmp_path / "runs")
    folder = seed_of(tmp_path / "runs", f"{name}-table-tiny")
    assert [path.name for path in folder.iterdir()] == ["checkpoint.npz"]
    state, groups = load_checkpoint(folder / "checkpoint.npz", experiment.fingerprint())
    assert (state.epoch, len(state.history)) == (2, 2)
    assert all(np.isfinite(array).all() for arrays in groups.values() for array in arrays)


@pytest.mark.parametrize(
    ("name", "jit_compile"),
    [
        ("biased-mf", True),
        *(
            pytest.param(name, jit_compile, marks=pytest.mark.slow)
            for name in MODELS
            # GRU4Rec's loss, the logarithm of a probability and 1e-24, stays finite whatever the weights.
            if name != "gru4rec"
            for jit_compile in (False, True)
        ),
    ],
)
def test_a_learning_rate_without_measure_is_named(name, jit_compile, tmp_path):
    settings = ["training.optimizer=sgd", "training.learning_rate=1.0e+30", "training.epochs=4"]
    experiment = prepare(name, tmp_path, *settings, f"training.jit_compile={jit_compile}")
    with pytest.raises(TfzooError, match=r"Training diverged in epoch \d.*\(learning rate 1e\+30\).*smaller"):
        run(experiment, tmp_path / "runs")
    written = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert set(written) <= {"tiny.yaml", "checkpoint.npz"}


def test_the_block_of_steps_that_went_wrong_is_found(tmp_path):
    experiment = prepare("biased-mf", tmp_path, "training.batch_size=4", "training.steps_per_call=3")
    ratings = experiment.split.train.ratings.copy()
    ratings[5] = 3e38
    train = replace(experiment.split.train, rating=ratings)
    model = experiment.build()
    features, settings = experiment.features(model), experiment.recipe.training
    order = next(
        iter(experiment.task.train_dataset(features, train, BatchPlan(batch_size=len(train), seed=0)))
    )
    place = int(np.argmax(order[1]["rating"][0].numpy() > 1e30))
    first = place // 4 // 3 * 3 + 1
    steps = -(-len(train) // 4)
    with pytest.raises(
        TfzooError, match=f"epoch 1 at steps {first} to {min(first + 2, steps)} of {steps} .learning rate"
    ):
        Trainer(model, experiment.task, features, train, settings, seed=0).fit(None)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_weights_that_the_last_step_has_spoiled_are_refused(value, tmp_path):
    experiment = prepare("biased-mf", tmp_path)
    model = experiment.build()
    features, settings = experiment.features(model), experiment.recipe.training
    trainer = Trainer(model, experiment.task, features, experiment.split.train, settings, seed=0)

    def validate():
        model.trainable_variables[0].assign(np.full(model.trainable_variables[0].shape, value, np.float32))
        return {"rmse": 1.0, "mae": 1.0}

    with pytest.raises(TfzooError, match=r"diverged in epoch 1 .*weights of the model are not finite"):
        trainer.fit(validate, checkpoint=tmp_path / "checkpoint.npz")
    assert not (tmp_path / "checkpoint.npz").exists()


def test_a_closed_form_that_is_not_finite_is_refused(tmp_path, monkeypatch):
    experiment = prepare("ease", tmp_path)
    monkeypatch.setattr(
        "tfzoo.models.ease.ease_weights", lambda matrix, l2: np.full((matrix.shape[1],) * 2, np.nan)
    )
    with pytest.raises(TfzooError, match=r"closed form of 'ease'.*not finite"):
        run(experiment, tmp_path / "runs")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["tiny.yaml"]


def test_a_figure_that_is_not_finite_is_not_recorded(tmp_path, monkeypatch):
    experiment = prepare("popularity", tmp_path)
    monkeypatch.setattr(
        "tfzoo.evaluation.ranking.ranking_metrics", lambda *_: {"ndcg@3": 0.5, "hr@3": float("nan")}
    )
    with pytest.raises(TfzooError, match=r"hr@3 of the validation part is nan"):
        run(experiment, tmp_path / "runs")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["tiny.yaml"]


# Ids


@pytest.mark.parametrize("column", ["user_id", "item_id"])
@pytest.mark.parametrize("wrong", [-1, 9, -(2**31), 2**31, 2**32 + 1])
def test_an_id_outside_its_table_is_refused_with_its_row(column, wrong):
    known = DATA["ordinary"]()
    ids = getattr(known, column).astype(np.int64)
    ids[7] = wrong
    with pytest.raises(DataError, match=f"'{column}', row 7: id {wrong} lies outside 0..8"):
        replace(known, **{column: ids})


@pytest.mark.parametrize("ids", [[1.0, 2.5], [1.0, np.nan], ["1", "2"]])
def test_ids_that_are_no_whole_numbers_are_refused(ids):
    known = table([1, 2], [1, 2])
    with pytest.raises(DataError, match="'user_id' must hold whole numbers"):
        replace(known, user_id=np.array(ids))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e39])
def test_a_rating_that_is_no_number_is_refused_with_its_row(wrong):
    ratings = np.ones(len(DATA["ordinary"]()))
    ratings[3] = wrong
    with np.errstate(over="ignore"), pytest.raises(DataError, match=r"'rating', row 3: .* not a finite"):
        replace(DATA["ordinary"](), rating=ratings)


@pytest.mark.parametrize("part", ["validation", "test", "fold_in"])
def test_parts_of_another_table_are_refused(part):
    known = DATA["ordinary"]()
    other = DATA["ids nobody has"]()
    parts = {"validation": known, "test": known, "fold_in": known, part: other}
    with pytest.raises(DataError, match=r"different vocabularies \(12 and 8 users, 9 and 8 items\)"):
        Split(known, **parts, protocol="by hand")
    # As many ids, but of other users.
    renamed = replace(known, users=type(known.users)(known.users.ids + 1))
    with pytest.raises(DataError, match="different vocabularies"):
        Split(known, **{**parts, part: renamed}, protocol="by hand")


@pytest.mark.parametrize("name", [*MODELS[:-1], "cdae", "edrs-woe", "ease"])
def test_a_model_of_another_table_is_neither_trained_nor_measured(name, tmp_path):
    small, large = (prepare(name, tmp_path, data=data) for data in ("ordinary", "ids nobody has"))
    model = small.build()
    built_for = rf"'{model.name}' was built for 8 items .* but 'table' has 6"
    with pytest.raises(UsageError, match=built_for):
        large.evaluator(model)
    with pytest.raises(UsageError, match=built_for):
        Trainer(model, large.task, small.features(model), large.split.train, large.recipe.training, seed=0)


@pytest.mark.parametrize("name", MODELS)
def test_all_ids_of_batches_lie_in_their_tables(name, tmp_path):
    """Tables of Keras read their last row for -1; what pads a batch must have become 0 before."""
    experiment = prepare(name, tmp_path)
    model, train = experiment.build(), experiment.split.train
    features = experiment.features(model)
    steps = experiment.task.steps_per_epoch(features, train, 6)
    dataset = experiment.task.train_dataset(features, train, BatchPlan(batch_size=6, seed=0, block=4))
    most = {"user_id": train.num_users, "item_id": train.num_items, "negative_id": train.num_items}
    most |= {"negatives": train.num_items}
    padded = 0
    for inputs, labels, weight in dataset.take(2 * -(-steps // 4)).as_numpy_iterator():
        padded += (weight == 0).sum()
        for key, values in [*inputs.items(), *labels.items()]:
            if key in most:
                assert values.min() >= 0
                assert values.max() <= most[key]
                if key in ("user_id", "item_id") and task_of(name) != "implicit":
                    assert (values[weight == 0] == 0).all()
            if key.endswith("tokens"):
                assert values.min() >= 0
                assert values.max() < experiment.task.vocabulary(train).size
    assert padded > 0


def test_rows_and_users_past_the_end_are_errors_in_a_pipeline():
    column = tf.constant([5, 6, 7])
    np.testing.assert_array_equal(gather(column, tf.constant([PADDING, 2])), [0, 7])
    with pytest.raises(tf.errors.InvalidArgumentError, match="not in"):
        list(tf.data.Dataset.from_tensors(tf.constant([3])).map(lambda rows: gather(column, rows)))
    sampler = NegativeSampler(DATA["ordinary"]())
    users = tf.data.Dataset.from_tensors(tf.constant([9]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="not in"):
        list(users.map(lambda ids: sampler.sample(ids, tf.constant([0, 0]))))


def test_why_ids_are_checked_before_they_reach_a_table():
    """Keras itself reads the last row for -1: were it otherwise, the checks could be fewer."""
    layer = IdEmbedding(4, 2)
    layer.build()
    found = keras.ops.convert_to_numpy(layer(np.array([-1])))[0]
    np.testing.assert_array_equal(found, keras.ops.convert_to_numpy(layer.embeddings)[3])
    with pytest.raises(DataError, match="row 0: id -1"):
        Interactions(DATA["ordinary"]().users, DATA["ordinary"]().items, np.array([-1]), np.array([1]))


# Empty sets


@pytest.mark.parametrize("metric", [rmse, mae, lambda t, p: rmse_user_mean(t, p, np.empty(0, int))])
def test_rating_metrics_of_nothing_are_an_error(metric):
    with pytest.raises(DataError, match="at least one"):
        metric(np.empty(0), np.empty(0))


@pytest.mark.parametrize("metric", METRICS)
def test_ranking_metrics_of_nobody_are_an_error(metric):
    with pytest.raises(DataError, match="at least one user"):
        METRICS[metric](np.zeros((0, 3), bool), np.zeros(0, int), 3)
    with pytest.raises(DataError, match="at least one user"):
        ranking_metrics(np.zeros((0, 3), bool), np.zeros(0, int), [3])


def test_a_comparison_of_nothing_and_a_table_of_no_record_are_errors(tmp_path):
    with pytest.raises(DataError, match="same test cases"):
        paired_bootstrap([], [])
    with pytest.raises(TfzooError, match=r"[Nn]o run record"):
        load_records([tmp_path])


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_an_empty_part_is_an_error(part):
    known = DATA["ordinary"]()
    parts = {"train": known, "validation": known, "test": known, part: known.take(np.arange(0))}
    with pytest.raises(DataError, match=f"The {part} part is empty"):
        Split(**parts, protocol="by hand")
