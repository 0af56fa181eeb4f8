"""What a request to the embedded server may cost."""

import numpy as np
import pytest

from tfzoo.errors import UsageError
from tfzoo.serving.limits import Limits
from tfzoo.serving.rest_format import PredictRequest

LIMITS = Limits(max_rows=1000, max_elements=5000, max_outputs=100)


def request(rows, k, allow=None):
    inputs = {
        "user_id": np.zeros(rows, np.int64),
        "k": np.full(rows, k, np.int32),
        "exclude_ids": np.zeros((rows, 0), np.int64),
    }
    if allow is not None:
        inputs["allow_ids"] = np.zeros((rows, allow), np.int64)
    return PredictRequest("recommend", inputs, row=True, recommends=True)


@pytest.mark.parametrize(
    ("rows", "k", "num_items", "allow", "listed"),
    [
        (1, 100, 1000, None, None),
        (1, 101, 1000, None, 101),
        # The graph caps k by the items, and by the ids that are allowed.
        (1, 10**9, 100, None, None),
        (10, 10**9, 10, None, None),
        (10, 10**9, 11, None, 110),
        (20, 10**9, 1000, 5, None),
        (20, 10**9, 4, 6, None),
        (20, 10**9, 1000, 6, 120),
        (1000, 0, 1000, None, None),
        (1000, -(2**31), 1000, None, None),
        (1000, 1, 1000, None, 1000),
        # A model of which that is not known.
        (1, 100, None, None, None),
        (1, 10**9, None, None, 10**9),
    ],
)
def test_rows_times_the_largest_k(rows, k, num_items, allow, listed):
    if listed is None:
        LIMITS.check_request(request(rows, k, allow), num_items)
    else:
        with pytest.raises(UsageError, match=f"may list 100 items. {rows} rows of .* are {listed}: ask for"):
            LIMITS.check_request(request(rows, k, allow), num_items)


def test_the_largest_k_of_all_rows_counts():
    asked = request(3, 1)
    asked.inputs["k"][1] = 40
    with pytest.raises(UsageError, match="3 rows of 40 are 120"):
        LIMITS.check_request(asked, 1000)


def test_a_batch_without_rows():
    LIMITS.check_request(request(0, 5), 1000)


def test_rows_and_elements():
    with pytest.raises(UsageError, match=r"may have 1000 rows. Received 1001"):
        LIMITS.check_request(request(1001, 0), 10)
    with pytest.raises(UsageError, match=r"5000 elements. Received 12000, most of them in 'allow_ids'"):
        LIMITS.check_request(request(1000, 0, allow=10), 10)


def test_an_input_named_k_of_another_model_means_nothing():
    other = PredictRequest("serving_default", {"k": np.full(10, 10**9, np.int32)}, row=True, recommends=False)
    LIMITS.check_request(other, None)


def test_answers():
    LIMITS.check_answer({"scores": np.zeros((10, 10)), "ids": np.zeros(100)})
    with pytest.raises(UsageError, match="Output 'scores' has 101 values; an answer may have 100"):
        LIMITS.check_answer({"ids": np.zeros(100), "scores": np.zeros((1, 101))})
