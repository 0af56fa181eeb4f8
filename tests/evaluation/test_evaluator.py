"""The evaluator: clipped, unclipped and rounded predictions, by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tfzoo.data.splits import Split
from tfzoo.errors import DataError
from tfzoo.evaluation import build_evaluator, evaluate_ratings, validate_ratings
from tfzoo.evaluation.next_item import NextItemEvaluator
from tfzoo.evaluation.ranking import RankingEvaluator
from tfzoo.evaluation.rating import RatingEvaluator
from tfzoo.models import create_model, model_info
from tfzoo.tasks import RatingTask, get_task

SCALE = (1.0, 5.0)
RAW = np.array([0.0, 5.6, 2.4, 2.6], np.float32)
TRUTH = np.array([1.0, 5.0, 3.0, 2.0], np.float32)
USERS = np.array([1, 1, 2, 3], np.int32)


@pytest.fixture
def pairs(toy):
    items = np.array([1, 2, 3, 4], np.int32)
    return replace(toy, user_id=USERS, item_id=items, rating=TRUTH, timestamp=None)


def test_every_figure_by_hand(pairs):
    metrics = evaluate_ratings(lambda _: RAW, pairs, SCALE)
    expected = {
        # Clipped: 1, 5, 2.4, 2.6; errors 0, 0, -0.6, 0.6.
        "rmse": math.sqrt(0.72 / 4),
        "mae": 1.2 / 4,
        # Errors -1, 0.6, -0.6, 0.6.
        "rmse_unclipped": math.sqrt((1 + 3 * 0.36) / 4),
        "mae_unclipped": 2.8 / 4,
        # Rounded: 0 -> 1, 6 -> 5, 2, 3; errors 0, 0, -1, 1.
        "rmse_rounded": math.sqrt(2 / 4),
        "mae_rounded": 2 / 4,
        # Users: 0, 0.6 and 0.6.
        "rmse_user_mean": 1.2 / 3,
    }
    assert metrics == pytest.approx(expected, abs=1e-6)
    assert list(metrics)[:2] == ["rmse", "mae"]


def test_validation_has_the_same_headline_figures(pairs):
    full = evaluate_ratings(lambda _: RAW, pairs, SCALE)
    short = validate_ratings(lambda _: RAW, pairs, SCALE)
    assert short == {"rmse": full["rmse"], "mae": full["mae"]}


def test_clipping_never_makes_it_worse(toy):
    raw = np.random.default_rng(0).normal(3, 4, len(toy)).astype(np.float32)
    metrics = evaluate_ratings(lambda _: raw, toy, SCALE)
    assert metrics["rmse"] < metrics["rmse_unclipped"]
    assert metrics["mae"] < metrics["mae_unclipped"]


def test_the_scale_that_is_given_is_the_one_that_clips(pairs):
    metrics = evaluate_ratings(lambda _: RAW, pairs, (2.0, 3.0))
    # Clipped: 2, 3, 2.4, 2.6; errors 1, -2, -0.6, 0.6.
    assert metrics["rmse"] == pytest.approx(math.sqrt(5.72 / 4), abs=1e-6)


def test_what_is_predicted_is_what_was_asked_for(toy):
    asked = []

    def predict(interactions):
        asked.append(interactions)
        return interactions.ratings

    assert evaluate_ratings(predict, toy, SCALE)["rmse"] == 0
    assert len(asked) == 1
    assert asked[0] is toy


def test_predictions_that_are_not_finite_are_refused(pairs):
    wrong = np.array([1, np.nan, 2, 3], np.float32)
    for measure in (evaluate_ratings, validate_ratings):
        with pytest.raises(DataError, match="finite"):
            measure(lambda _: wrong, pairs, SCALE)


def test_an_empty_part_is_refused(toy):
    empty = toy.take(np.arange(0))
    with pytest.raises(DataError, match="at least one"):
        evaluate_ratings(lambda _: np.empty(0, np.float32), empty, SCALE)


def test_a_part_without_ratings_is_refused(pairs):
    with pytest.raises(DataError, match="no ratings"):
        evaluate_ratings(lambda _: RAW, replace(pairs, rating=None), SCALE)


class Known(RatingTask):
    """Predicts a constant."""

    def predictor(self, model, features):
        return lambda pairs: np.full(len(pairs), 4.75, np.float32)


def test_ratings_are_measured_on_every_part_with_the_scale_of_training(toy):
    rows = np.arange(len(toy))
    parts = [toy.take(rows[start::3]) for start in range(3)]
    split = Split(*parts, "by hand", variants={"test of ten": parts[2].take(np.arange(10))})
    measure = build_evaluator(Known(), None, None, split)
    assert isinstance(measure, RatingEvaluator)
    assert measure.parts == ("train", "validation", "test", "test of ten")
    assert measure.protocol == ""
    for name, part in zip(measure.parts, (*parts, split.variants["test of ten"]), strict=True):
        error = 4.75 - part.ratings
        assert measure.evaluate(name)["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), abs=1e-6)
    assert measure.validate() == {key: measure.evaluate("validation")[key] for key in ("rmse", "mae")}
    # Without a scale of the data set, that of the training ratings holds.
    low = replace(parts[0].take(np.flatnonzero(parts[0].ratings <= 3)), rating_scale=None)
    clipped = build_evaluator(Known(), None, None, replace(split, train=low)).evaluate("test")
    assert clipped["rmse"] == pytest.approx(np.sqrt(np.mean((3 - parts[2].ratings) ** 2)), abs=1e-6)
    assert clipped["rmse_unclipped"] == pytest.approx(measure.evaluate("test")["rmse"], abs=1e-6)


def test_rating_metrics_come_from_the_cases(toy):
    split = Split(toy, toy, toy.take(np.arange(50)), "by hand")
    measure = build_evaluator(Known(), None, None, split)
    cases = measure.cases("test")
    assert cases.unit == "ratings"
    assert cases.metrics.keys() == {"rmse", "mae"}
    for metric, (values, figure) in cases.metrics.items():
        assert values.shape == (50,)
        assert figure(values.mean()) == pytest.approx(measure.evaluate("test")[metric])


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("pmf", RatingEvaluator),
        ("bpr-mf", RankingEvaluator),
        ("ease", RankingEvaluator),
        ("gru4rec", NextItemEvaluator),
    ],
)
def test_each_task_has_its_evaluator(toy, model, kind):
    split = Split(toy, toy, toy, "by hand")
    task = get_task(model_info(model).task)()
    built = create_model(model, toy.num_users, toy.num_items)
    assert type(build_evaluator(task, built, task.features(built, split, toy), split)) is kind
