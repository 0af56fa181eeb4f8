"""The paired bootstrap against closed forms and SciPy; Holm's correction by hand."""

import numpy as np
import pytest
from scipy import stats

from tfzoo.errors import DataError
from tfzoo.evaluation.cases import Cases, mean_itself, root
from tfzoo.evaluation.comparison import compare_cases, holm, paired_bootstrap


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
    monkeypatch.setattr("tfzoo.evaluation.comparison.DRAWS_PER_CALL", 4000)
    blocks = paired_bootstrap(*pair)
    assert (blocks.low, blocks.high) == pytest.approx((whole.low, whole.high), abs=1e-12)
    assert blocks.p_value == whole.p_value


@pytest.mark.parametrize(
    ("first", "second"), [([], []), ([1.0], [1.0, 2.0]), ([np.nan], [1.0]), ([[1.0]], [[1.0]])]
)
def test_cases_that_do_not_pair_are_refused(first, second):
    with pytest.raises(DataError):
        paired_bootstrap(first, second)


def test_two_users_by_hand():
    # Users a, a, b; of a resample's two users none, one or both are b, with 1/4, 1/2 and 1/4.
    first, second, users = [1.0, 3.0, 10.0], [0.0, 0.0, 0.0], [7, 7, 2]
    found = paired_bootstrap(first, second, clusters=users, resamples=4000)
    # All of a: mean of 1 and 3. All of b: 10. Each once: the mean of all three, 14 / 3.
    assert (found.low, found.high) == pytest.approx((2, 10))
    assert (found.first, found.cases, found.clusters) == (pytest.approx(14 / 3), 3, 2)
    assert found.p_value == pytest.approx(2 / 4001)


def test_one_case_a_user_is_the_ordinary_bootstrap(pair):
    users = np.random.default_rng(3).permutation(len(pair[0]))
    clustered = paired_bootstrap(*pair, clusters=np.sort(users))
    ordinary = paired_bootstrap(*pair)
    assert clustered == ordinary
    shuffled = paired_bootstrap(*pair, clusters=users)
    assert (shuffled.low, shuffled.high) == pytest.approx((ordinary.low, ordinary.high), abs=0.004)


def test_copies_of_a_case_say_no_more_than_the_case(pair):
    copies = [np.repeat(side, 25) for side in pair]
    once = paired_bootstrap(*pair)
    clustered = paired_bootstrap(*copies, clusters=np.repeat(np.arange(len(pair[0])), 25))
    assert (clustered.low, clustered.high) == pytest.approx((once.low, once.high), abs=1e-12)
    careless = paired_bootstrap(*copies, resamples=200)
    assert careless.high - careless.low < 0.3 * (once.high - once.low)


def test_the_figure_is_the_mean_of_those_of_the_runs():
    # Of user 1 alone, in two runs of unequal size: roots of 4 and of 16, and not of their mean.
    found = paired_bootstrap(
        [4.0, 16.0, 16.0], [1.0, 1.0, 1.0], clusters=[1, 1, 1], runs=[0, 1, 1], figure=root
    )
    assert (found.first, found.second) == (3, 1)
    assert (found.low, found.high, found.clusters) == (2, 2, 1)


def test_p_values_are_uniform_where_nothing_differs():
    random = np.random.default_rng(4)
    users = np.repeat(np.arange(60), 5)
    found = []
    for _ in range(200):
        of_user = random.normal(size=60)[users]
        first, second = of_user + random.normal(size=300), random.normal(size=300)
        found.append(paired_bootstrap(first, second, clusters=users, resamples=200).p_value)
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert np.mean(np.array(found) < 0.1) < 0.17


def test_holm_by_hand():
    # Sorted .01, .02, .03, .04 times 4, 3, 2, 1 is .04, .06, .06, .04; none is below the one before.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.2]) == pytest.approx([0.2])
    assert holm([]).shape == (0,)


def cases(values, users, figure=mean_itself):
    return Cases("ratings", np.array(users), np.array(users), {"metric": (np.array(values), figure)})


def test_runs_are_paired_in_their_order():
    first = [cases([1.0, 2.0], [4, 5]), cases([3.0], [5])]
    second = [cases([0.0, 0.0], [4, 5]), cases([0.0], [5])]
    found = compare_cases(first, second, "metric")
    assert found == paired_bootstrap([1.0, 2.0, 3.0], [0.0] * 3, clusters=[4, 5, 5], runs=[0, 0, 1])
    assert found.first == pytest.approx((1.5 + 3) / 2)
    with pytest.raises(DataError, match="same cases"):
        compare_cases(first, second[::-1], "metric")
    with pytest.raises(DataError, match="as many runs of both"):
        compare_cases(first, second[:1], "metric")
