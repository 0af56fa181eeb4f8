import json
import math
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import table
from tfzoo.data.click_log import Category, ClickLog
from tfzoo.data.click_splits import click_split, random_click_split
from tfzoo.data.pipelines import BatchPlan
from tfzoo.data.splits import Split
from tfzoo.errors import DataError, UsageError
from tfzoo.evaluation import build_evaluator
from tfzoo.experiment import Experiment
from tfzoo.models import create_model
from tfzoo.problems.clicks import ClickSettings
from tfzoo.runs import run
from tfzoo.tasks import get_task
from tfzoo.tasks.clicks import ClickTask
from tfzoo.training.recipe import load_recipe

COUNT = 120


def log():
    """Clicks depend on whether site and hour suit each other; some prices are missing."""
    random = np.random.default_rng(0)
    site, hour = random.integers(0, 4, COUNT), random.integers(0, 6, COUNT)
    price = np.where(random.random(COUNT) < 0.2, np.nan, 10.0 * hour + 5)
    label = (site % 2 == hour % 2).astype(float)
    columns = {"site": Category.of(np.array(list("wxyz"))[site]), "hour": Category.of(hour + 100)}
    return ClickLog(label, columns, {"price": price}, "toy-clicks")


@pytest.fixture(scope="module")
def split():
    return random_click_split(log(), seed=0, ratios=(0.6, 0.2, 0.2))


def model_for(split, name="deepfm-click", **options):
    encoders = ClickTask()._encoders(split.train)
    sizes = {"field_sizes": tuple(encoders.field_sizes), "dense_size": encoders.dense_size}
    small = {"embedding_dim": 3, "hidden_units": (5,), "dropout": 0.0, "initial_stddev": 0.3}
    keras.utils.set_random_seed(1)
    return create_model(name, 1, 1, **{**sizes, **small, **options})


def features_of(split, model=None, **settings):
    model = model or model_for(split)
    task = ClickTask(ClickSettings(**settings))
    return task, model, task.features(model, split, split.train)


def test_an_epoch_has_every_impression_once_with_its_label(split):
    task, _, features = features_of(split)
    train = split.train
    (elements,) = [list(task.train_dataset(features, train, BatchPlan(16, seed=3, block=5)).take(1))]
    inputs, labels, weight = elements[0]
    assert inputs["fields"].shape == (5, 16, 2)
    assert inputs["dense"].shape == (5, 16, 2)
    assert weight.numpy().sum() == len(train) == 72
    kept = weight.numpy() > 0
    expected = np.column_stack(
        [features.inputs_of(train)[name] for name in ("fields", "dense")] + [train.label]
    )
    found = np.column_stack(
        [inputs["fields"].numpy()[kept], inputs["dense"].numpy()[kept], labels["click"].numpy()[kept]]
    )
    order = [rows[np.lexsort(rows.T)] for rows in (expected, found)]
    np.testing.assert_array_equal(*order)
    assert not inputs["fields"].numpy()[~kept].any()


def test_numbers_are_scaled_and_missing_ones_marked(split):
    _, _, features = features_of(split)
    dense, price = features.inputs_of(split.train)["dense"], split.train.numbers["price"]
    missing = np.isnan(price)
    np.testing.assert_array_equal(dense[:, 1], missing)
    assert not dense[missing, 0].any()
    known = dense[~missing, 0]
    assert (known.mean(), known.std()) == (pytest.approx(0, abs=1e-6), pytest.approx(1, rel=1e-5))
    _, _, features = features_of(split, numbers="log")
    logs = np.log1p(price[~missing])
    expected = (logs - logs.mean()) / logs.std()
    np.testing.assert_allclose(features.inputs_of(split.train)["dense"][~missing, 0], expected, atol=1e-5)


def test_values_that_training_lacks_have_row_0(split):
    rare = Category(split.train.categories["site"].vocabulary, np.ones(len(split.train), np.int32))
    train = replace(split.train, categories={**split.train.categories, "site": rare})
    other = Split(train, split.validation, split.test, "w alone")
    _, _, features = features_of(other, model_for(other))
    site = split.test.categories["site"]
    is_w = site.vocabulary.decode(site.codes) == "w"
    assert features.inputs_of(split.test)["fields"][:, 0].tolist() == is_w.astype(int).tolist()


def test_the_loss_is_the_cross_entropy_of_what_is_no_padding(split):
    task, model, features = features_of(split, model_for(split, table_l2=0.01))
    rows = tf.constant([0, 5, 9, -1])
    inputs = features.train_inputs(rows)
    weight = tf.constant([1.0, 1.0, 1.0, 0.0])
    label = tf.constant([*split.train.label[[0, 5, 9]], 0.0])
    found, state = task.compute_loss(model, inputs, {"click": label}, weight, ())
    probability = model(inputs)["click"].numpy()[:3]
    clicked = split.train.label[[0, 5, 9]] == 1
    tables = [
        weight.numpy() for weight in model.weights if "field_" in weight.path or "number_" in weight.path
    ]
    penalty = 0.01 * sum(float(np.square(values).sum()) for values in tables)
    expected = -np.log(np.where(clicked, probability, 1 - probability)).mean() + penalty
    assert float(found) == pytest.approx(expected, rel=1e-5)
    assert state == ()


def test_metrics_are_those_of_the_logits_of_a_part(split):
    task, model, features = features_of(split)
    evaluator = build_evaluator(task, model, features, split)
    inputs = {name: tf.constant(values) for name, values in features.inputs_of(split.test).items()}
    probability, label = model(inputs)["click"].numpy().astype(np.float64), split.test.label
    metrics = evaluator.evaluate("test")
    losses = -np.log(np.where(label == 1, probability, 1 - probability))
    assert metrics["log_loss"] == pytest.approx(losses.mean(), rel=1e-5)
    rate = split.train.label.mean(dtype=np.float64)
    expected = -np.mean(np.log(np.where(label == 1, rate, 1 - rate)))
    assert metrics["log_loss_constant"] == pytest.approx(expected)
    clicks, others = probability[label == 1], probability[label == 0]
    assert metrics["auc"] == pytest.approx(np.mean(clicks[:, None] > others[None, :]))
    values, figure = evaluator.cases("test").metrics["log_loss"]
    assert float(figure(values.mean())) == metrics["log_loss"]
    assert evaluator.validate().keys() == {"auc", "log_loss"}
    assert (task.maximizes("auc"), task.maximizes("log_loss")) == (True, False)


def test_rows_without_an_impression_get_the_mean_of_their_field(split):
    task, model, _ = features_of(split)
    task.finish(model, split.train)
    table_of_all = model.get_layer("field_embeddings").embeddings.numpy()
    np.testing.assert_allclose(table_of_all[0], table_of_all[1:5].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(table_of_all[5], table_of_all[6:].mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"field_sizes": (5, 6)}, r"built for fields of \[5, 6\] rows, but 'toy-clicks' has \[5, 7\]"),
        ({"dense_size": 1}, "built for 1 columns of 'dense', but 'toy-clicks' has 2"),
    ],
)
def test_models_of_other_data_are_refused(split, options, message):
    with pytest.raises(UsageError, match=message):
        features_of(split, model_for(split, **options))


def test_models_of_interactions_are_refused(split):
    with pytest.raises(UsageError, match="read fields and dense"):
        ClickTask().features(create_model("biased-mf", 3, 3), split, split.train)


def test_click_logs_are_for_models_of_clicks():
    with pytest.raises(UsageError, match="'toy-clicks' is a click log, but models of the task 'rating'"):
        get_task("rating")().table(log())
    ratings = table([1, 2], [1, 1], [5, 2])
    assert ClickTask().table(ratings).label.tolist() == [1, 0]
    assert ClickTask(ClickSettings(positive_from=1)).table(ratings).label.tolist() == [1, 1]


def recipe(tmp_path, *overrides):
    path = tmp_path / "toy.yaml"
    path.write_text(
        "builder: {field_sizes: auto, dense_size: auto, embedding_dim: 3, hidden_units: [6], dropout: 0.0}\n"
        "split: {kind: random, ratios: [0.6, 0.2, 0.2]}\n"
        "training: {epochs: 3, batch_size: 16, learning_rate: 0.03, jit_compile: false, patience: null}\n"
    )
    return load_recipe("deepfm-click", "toy-clicks", str(path), overrides)


def test_a_run_is_recorded_and_resumed(tmp_path):
    experiment = Experiment.prepare(recipe(tmp_path), log(), 0)
    record, folder = run(experiment, tmp_path / "runs")
    assert record.metrics["test"].keys() == {"auc", "log_loss", "log_loss_constant"}
    assert all(math.isfinite(value) for value in record.metrics["test"].values())
    fields = json.loads((folder / "vocabulary" / "fields.json").read_text())
    assert [one["size"] for one in fields["categories"]] == [5, 7]
    again, _ = run(experiment, tmp_path / "runs", resume=True)
    assert again == record
    other = Experiment.prepare(recipe(tmp_path), log().take(np.arange(100)), 0)
    assert other.fingerprint() != experiment.fingerprint()


def test_a_refit_trains_on_validation_too(tmp_path):
    experiment = Experiment.prepare(recipe(tmp_path, "training.refit=true"), log(), 0)
    record, _ = run(experiment, tmp_path / "runs")
    assert "refitted with validation" in record.protocol
    assert len(experiment.refitted().split.train) == 96


def test_parts_of_one_kind_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(DataError, match="AUC compares"):
        Experiment.prepare(recipe(tmp_path), replace(log(), label=np.ones(COUNT)), 0)
    with pytest.raises(DataError, match="min_count"):
        Experiment.prepare(recipe(tmp_path, "task.min_count=100"), log(), 0)
    even = np.flatnonzero(log().label == 1)
    with pytest.raises(DataError, match="test part"):
        ClickTask().check_split(click_split(log(), np.arange(60), np.arange(60, 90), even, "parts"))
