"""Metrics against scikit-learn, and against figures worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np
from sklearn.metrics import mean_absolute_error, mean_squared_error

from tfzoo.errors import DataError
from tfzoo.evaluation import mae, rmse, rmse_user_mean

PAIRS = st.integers(1, 40).flatmap(
    lambda n: st.tuples(*[st_np.arrays(np.float64, n, elements=st.floats(-100, 100)) for _ in range(2)])
)


def test_hand_values():
    truth, predicted = [1, 2, 5, 4], [2, 2, 3, 1]
    # Errors 1, 0, -2, -3.
    assert rmse(truth, predicted) == pytest.approx(math.sqrt(14 / 4), abs=1e-15)
    assert mae(truth, predicted) == 1.5


def test_rmse_user_mean_by_hand():
    truth, predicted = [1, 2, 5, 4, 3], [2, 2, 3, 1, 3]
    users = [7, 9, 7, 9, 4]
    # User 7: errors 1 and -2; user 9: 0 and -3; user 4: 0.
    expected = (math.sqrt(5 / 2) + math.sqrt(9 / 2) + 0) / 3
    assert rmse_user_mean(truth, predicted, users) == pytest.approx(expected, abs=1e-15)


def test_rmse_user_mean_of_one_user_is_the_rmse():
    truth, predicted = [1.0, 2.0, 5.0], [2.0, 2.5, 3.0]
    assert rmse_user_mean(truth, predicted, [3, 3, 3]) == pytest.approx(rmse(truth, predicted), abs=1e-15)


def test_a_perfect_prediction_has_no_error():
    ratings = [1.5, 2.5, 5.0]
    assert rmse(ratings, ratings) == mae(ratings, ratings) == rmse_user_mean(ratings, ratings, [1, 1, 2]) == 0


@given(PAIRS)
def test_agreement_with_scikit_learn(pair):
    truth, predicted = pair
    assert rmse(truth, predicted) == pytest.approx(math.sqrt(mean_squared_error(truth, predicted)), abs=1e-9)
    assert mae(truth, predicted) == pytest.approx(mean_absolute_error(truth, predicted), abs=1e-9)


@given(PAIRS)
def test_rmse_is_never_below_mae(pair):
    # The square of an error below 1e-162 is 0.
    assert rmse(*pair) >= mae(*pair) * (1 - 1e-12) - 1e-150


@given(PAIRS)
def test_order_and_sign_do_not_matter(pair):
    truth, predicted = pair
    assert rmse(truth[::-1], predicted[::-1]) == pytest.approx(rmse(predicted, truth), abs=1e-9)
    assert mae(truth[::-1], predicted[::-1]) == pytest.approx(mae(predicted, truth), abs=1e-9)


def test_sums_are_made_in_double_precision():
    n = 200_000
    truth, predicted = np.zeros(n, np.float32), np.full(n, 0.1, np.float32)
    assert rmse(truth, predicted) == pytest.approx(float(np.float32(0.1)), rel=1e-12)
    assert mae(truth, predicted) == pytest.approx(float(np.float32(0.1)), rel=1e-12)


def test_the_result_is_a_python_float():
    ratings = np.ones(2, np.float32)
    for value in (rmse(ratings, ratings), mae(ratings, ratings), rmse_user_mean(ratings, ratings, [1, 2])):
        assert type(value) is float


@pytest.mark.parametrize(
    "metric", [rmse, mae, lambda t, p: rmse_user_mean(t, p, np.ones(np.size(t), int))], ids=["r", "m", "u"]
)
@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([], [], "at least one"),
        ([1, 2], [1], "as many predictions as ratings"),
        ([1, 2], [[1], [2]], "as many predictions as ratings"),
        ([1, 2], [1, float("nan")], "finite"),
        ([float("nan"), 2], [1, 2], "finite"),
        ([1, 2], [1, float("inf")], "finite"),
    ],
)
def test_unusable_input_is_an_error_and_not_a_number(metric, truth, predicted, message):
    with pytest.raises(DataError, match=message):
        metric(truth, predicted)
