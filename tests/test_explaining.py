"""Explanations are what asking again without each part gives, and what closed forms say."""

import numpy as np
import pytest
import tensorflow as tf

from tests.test_updates import PLAIN, QUICK
from tfzoo.errors import DataError, UsageError
from tfzoo.experiment import Experiment
from tfzoo.explaining import deletion_curve, explain, explain_fields, history_of, without_each
from tfzoo.models import model_info
from tfzoo.tasks.pair_features import PairFeatures
from tfzoo.training.recipe import load_recipe


def asked(toy, model, *settings):
    """Return an experiment, its model with weights of chance, and what scores by it."""
    plain = [] if model_info(model).task == "rating" else PLAIN
    small = [f"builder.{key}={value}" for key, value in model_info(model).small.items()]
    small = [one for one in small if "[" not in one and "(" not in one]
    recipe = load_recipe(model, "", overrides=[*QUICK, *plain, *small, *settings])
    experiment = Experiment.prepare(recipe, toy, 0)
    built = experiment.build()
    if model_info(model).solve is None:
        random = np.random.default_rng(1)
        for weight in built.trainable_weights:
            weight.assign(random.normal(scale=0.5, size=weight.shape))
    return experiment, built, experiment.task.scorer(built, experiment.features(built))


def test_parts_of_a_linear_model_are_its_weights_and_add_up(toy):
    experiment, model, scorer = asked(toy, "ease", "builder.l2=3.0")
    found = explain(experiment, scorer, 4, 7)
    kernel = next(weight for weight in model.weights if weight.path.endswith("kernel")).numpy()
    parts = dict(zip(found.item_id.tolist(), found.part.tolist(), strict=True))
    train = experiment.split.train
    assert set(parts) == set(train.item_id[train.user_id == 4].tolist())
    assert parts == pytest.approx({one: kernel[one, 7] for one in parts}, abs=1e-6)
    assert sum(parts.values()) == pytest.approx(found.score, abs=1e-5)
    assert found.part.tolist() == sorted(found.part, reverse=True)


@pytest.mark.parametrize("name", ["sasrec", "mult-vae"])
def test_parts_are_what_shorter_histories_lose(toy, name):
    experiment, _, scorer = asked(toy, name)
    past = history_of(experiment, scorer, 5)
    found = explain(experiment, scorer, 5, 3)
    whole = scorer.score_history(tf.constant([past.tolist()])).numpy()[0, 3]
    assert found.score == pytest.approx(whole, rel=1e-4)
    for place, item in enumerate(past):
        shorter = np.delete(past, place)
        without = scorer.score_history(tf.constant([shorter.tolist()])).numpy()[0, 3]
        (part,) = found.part[found.item_id == item]
        assert part == pytest.approx(whole - without, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("name", ["u-autorec", "edrs-woe"])
def test_parts_of_models_of_rows_are_what_data_without_the_row_would_lose(toy, name):
    experiment, model, scorer = asked(toy, name)
    train = experiment.split.train
    rows = np.flatnonzero(train.user_id == 6)
    item = int(train.item_id[rows[0]])
    found = explain(experiment, scorer, 6, item)
    for row in rows:
        features = PairFeatures.of(model, train.take(np.delete(np.arange(len(train)), row)))
        inputs = features.inputs(tf.constant([6]), tf.constant([item]))
        without = float(model(inputs, training=False)["rating"][0])
        (part,) = found.part[found.item_id == train.item_id[row]]
        assert part == pytest.approx(found.score - without, abs=1e-4)


def test_nearest_past_items_of_factors_are_by_cosine(toy):
    experiment, model, scorer = asked(toy, "pmf")
    found = explain(experiment, scorer, 3, 2)
    table = next(w.numpy() for w in model.weights if "item" in w.path and w.shape[-1] > 1)
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    assert found.kind == "nearest"
    np.testing.assert_allclose(found.part, unit[found.item_id] @ unit[2], atol=1e-5)
    assert 2 not in found.item_id
    pair = {"user_id": tf.constant([3]), "item_id": tf.constant([2])}
    assert found.score == pytest.approx(float(model(pair)["rating"][0]), abs=1e-5)


def test_fields_of_a_logistic_regression_are_its_weights(toy):
    experiment, model, scorer = asked(toy, "lr", "split.kind=random", "split.ratios=[0.7,0.15,0.15]")
    log = experiment.split.test
    click, parts = explain_fields(scorer, log, 0)
    row = scorer.features.inputs_of(log)["fields"][0]
    table = next(weight.numpy() for weight in model.weights if weight.shape[0] > 20)[:, 0]
    starts = np.cumsum([0, *scorer.features.encoders.field_sizes[:-1]])
    expected = [table[start + value] - table[start] for start, value in zip(starts, row, strict=True)]
    assert [parts[name] for name in scorer.features.encoders.categories] == pytest.approx(expected, abs=1e-4)
    assert list(parts.values()) == sorted(parts.values(), reverse=True)
    inputs = {name: values[:1] for name, values in scorer.features.inputs_of(log).items()}
    assert click == pytest.approx(float(model(inputs)["click"][0]), abs=1e-6)
    with pytest.raises(DataError, match="Row 9999 is none of the"):
        explain_fields(scorer, log, 9998)
    with pytest.raises(UsageError, match="explain a row of its test part"):
        explain(experiment, scorer, 1, 1)


def test_nobody_is_not_explained(toy):
    experiment, _, scorer = asked(toy, "ease", "builder.l2=3.0")
    with pytest.raises(UsageError, match="Nothing is known of the user"):
        explain(experiment, scorer, 0, 3)


def test_the_curve_takes_shares_away_in_an_order():
    past = np.array([1, 2, 3, 4])
    worth = np.array([0.0, 8.0, 4.0, 2.0, 1.0])
    score = lambda histories: worth[histories].sum(axis=1)  # noqa: E731
    assert without_each(past, score).part.tolist() == [8, 4, 2, 1]
    curve = deletion_curve(past, np.array([0, 1, 2, 3]), score, np.array([0.0, 0.25, 0.5, 1.0]))
    assert curve.tolist() == [15, 7, 3, 0]
