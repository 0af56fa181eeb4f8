"""The paired bootstrap against closed forms and SciPy."""

import numpy as np
import pytest
from scipy import stats

from tfzoo.errors import DataError
from tfzoo.evaluation.cases import root
from tfzoo.evaluation.comparison import paired_bootstrap


@pytest.fixture(scope="module")
def pair():
    random = np.random.default_rng(0)
    common = random.normal(size=400)
    return common + random.normal(0.1, 0.3, 400), common + random.normal(0, 0.3, 400)


def test_the_interval_is_that_of_scipy(pair):
    first, second = pair
    found = paired_bootstrap(first, second, resamples=4000)
    expected = stats.bootstrap(
        (first - second,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.004)
    assert found.first - found.second == pytest.approx(np.mean(first - second))


def test_the_p_value_is_near_the_paired_t_test(pair):
    first, second = pair[0] - 0.07, pair[1]
    assert 0.01 < stats.ttest_rel(first, second).pvalue < 0.6
    found = paired_bootstrap(first, second, resamples=8000)
    assert found.p_value == pytest.approx(stats.ttest_rel(first, second).pvalue, abs=0.03)


def test_pairing_narrows_the_interval(pair):
    first, second = pair
    paired = paired_bootstrap(first, second)
    mixed = paired_bootstrap(first, np.random.default_rng(2).permutation(second))
    assert paired.high - paired.low < 0.5 * (mixed.high - mixed.low)


def test_a_model_does_not_differ_from_itself(pair):
    found = paired_bootstrap(pair[0], pair[0])
    assert (found.low, found.high, found.p_value) == (0, 0, 1)


def test_the_figure_is_made_of_the_means():
    found = paired_bootstrap([4.0, 4.0, 4.0], [1.0, 1.0, 1.0], figure=root)
    assert (found.first, found.second, found.low, found.high) == (2, 1, 1, 1)
    assert found.p_value == pytest.approx(2 / 2001)
    assert found.cases == 3


def test_the_seed_fixes_the_resamples_and_blocks_do_not_matter(pair, monkeypatch):
    assert paired_bootstrap(*pair) == paired_bootstrap(*pair)
    assert paired_bootstrap(*pair) != paired_bootstrap(*pair, seed=1)
    whole = paired_bootstrap(*pair)
    monkeypatch.setattr("tfzoo.evaluation.comparison.CASES_PER_CALL", 4000)
    assert paired_bootstrap(*pair) == whole


@pytest.mark.parametrize(
    ("first", "second"), [([], []), ([1.0], [1.0, 2.0]), ([np.nan], [1.0]), ([[1.0]], [[1.0]])]
)
def test_cases_that_do_not_pair_are_refused(first, second):
    with pytest.raises(DataError):
        paired_bootstrap(first, second)
