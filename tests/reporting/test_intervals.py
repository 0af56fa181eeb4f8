"""Differences between ranked rows, from kept test cases; all by hand."""

import json

import numpy as np
import pytest

from tests.reporting.test_results import record
from tfzoo.errors import DataError, UsageError
from tfzoo.evaluation.cases import Cases, mean_itself, root
from tfzoo.reporting.intervals import (
    Intervals,
    interval_lines,
    keep_cases,
    kept_cases,
    measure,
    read_intervals,
    write_intervals,
)
from tfzoo.reporting.ranking import comparisons
from tfzoo.reporting.results import markdown
from tfzoo.reporting.summary import summarise

USERS = np.repeat(np.arange(8), 3)
ERRORS = {"pmf": 1.0, "svdpp": 0.5, "edrs": 0.75, "rmf": 2.0}


def of(model, seed, error):
    """Return a record, and test cases that give its figures: all errors of a seed are equal."""
    size = error * (1 + seed)
    recipe = {"model": model, "name": "own", "task": {}, "training": {"epochs": 2}}
    run = record(seed, model=model, recipe=recipe, paper=None, metrics={"test": {"rmse": size, "mae": size}})
    errors = np.full(len(USERS), size)
    metrics = {"rmse": (errors**2, root), "mae": (errors, mean_itself)}
    return run, Cases("ratings", np.stack([USERS, np.arange(len(USERS)) + seed], 1), USERS, metrics)


@pytest.fixture
def compared(tmp_path):
    """Return four ranked models with two seeds each, and a folder with the cases of all but the last."""
    runs = [of(model, seed, error) for model, error in ERRORS.items() for seed in (0, 1)]
    for run, cases in runs:
        if run.model != "rmf":
            keep_cases(run, cases, tmp_path)
    (comparison,) = comparisons(summarise([run for run, _ in runs]), "rmse")
    return comparison, tmp_path


def test_every_row_is_compared_with_the_best_one(compared):
    found = measure(*compared)
    assert (found.reference, found.unit, found.clusters, found.seeds) == ("svdpp own", "ratings", 8, (0, 1))
    assert [row.row for row in found.rows] == ["edrs own", "pmf own"]
    # Mean over errors of 0.75 and 1.5, and 0.5 and 1; the same for all users.
    assert [(row.difference, row.low, row.high) for row in found.rows] == [(0.375,) * 3, (0.75,) * 3]
    # No resample has another sign: 2 / 10,001, twice and once.
    assert [row.p_value for row in found.rows] == [0.0002, 0.0002]
    assert [row.corrected for row in found.rows] == [0.0004, 0.0004]


def test_the_page_shows_them_below_their_table(compared):
    comparison, folder = compared
    write_intervals([measure(*compared)], folder)
    records = [run for row in comparison.summaries for run in row.records]
    page = markdown(summarise(records), read_intervals([folder, folder / "nowhere"]))
    assert "| edrs own | +0.3750 | +0.3750 to +0.3750 | 0.0004 |" in page
    assert "resamples of the 8 users, p corrected for the 2 comparisons by Holm's rule" in page
    assert "No test cases are kept of `rmf own`." in page
    assert "Differences from" not in markdown(summarise(records))


def test_those_of_other_records_are_not_shown(compared):
    comparison, _ = compared
    found = measure(*compared)
    assert interval_lines(comparison, [found])
    others = [of(model, seed, error + 0.01) for model, error in ERRORS.items() for seed in (0, 1)]
    (moved,) = comparisons(summarise([run for run, _ in others]), "rmse")
    assert found.are_of(moved)  # All by as much: the differences are the same.
    others[2] = of("svdpp", 0, 0.5)
    (changed,) = comparisons(summarise([run for run, _ in others]), "rmse")
    assert interval_lines(changed, [found]) == []
    for change in ({"metric": "mae"}, {"seeds": (0,)}, {"trained_on": "all"}, {"reference": "gmf own"}):
        assert interval_lines(comparison, [found.model_copy(update=change)]) == []


def test_cases_that_are_changed_or_missing_do_not_count(compared):
    comparison, folder = compared
    run = comparison.summaries[0].first
    assert kept_cases(run, folder).figure("rmse") == run.metrics["test"]["rmse"]
    path = folder / "svdpp-ml-100k-own" / "seed-0.cases.npz"
    _, cases = of("svdpp", 0, 0.9)
    cases.save(path)
    assert kept_cases(run, folder) is None
    assert measure(comparison, folder).reference == "edrs own"
    (folder / "edrs-ml-100k-own" / "seed-1.cases.npz").unlink()
    assert measure(comparison, folder) is None
    assert set(json.loads((path.parent / "cases.json").read_text())) == {"seed-0", "seed-1"}


def test_cases_of_another_run_are_refused(tmp_path):
    run, _ = of("pmf", 0, 1.0)
    with pytest.raises(UsageError, match=r"the cases give rmse 0\.900000, the record says 1\.000000"):
        keep_cases(run, of("pmf", 0, 0.9)[1], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "intervals.json").write_text('[{"rows": []}]')
    with pytest.raises(DataError, match="holds no intervals"):
        read_intervals([tmp_path])
    assert Intervals.model_fields.keys() >= {"reference", "rows"}
