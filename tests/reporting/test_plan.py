"""Which runs a table is made of."""

import pytest

from tfzoo.errors import UsageError
from tfzoo.models import list_models
from tfzoo.reporting.plan import Job, list_tables, missing_models, plan
from tfzoo.training.recipe import load_recipe


def test_every_run_of_every_table_has_a_recipe():
    jobs = plan([], [], 1)
    assert len(jobs) > 40
    for job in jobs:
        assert load_recipe(job.model, job.dataset, job.recipe).name == job.recipe


def test_the_quick_table_has_every_model_that_ml_100k_carries():
    jobs = plan(["quick"], [], 1)
    assert {job.dataset for job in jobs} == {"ml-100k"}
    # ADRS and DeepCoNN read reviews, GRU4Rec sessions.
    assert sorted(job.model for job in jobs) == sorted(set(list_models()) - {"adrs", "deepconn", "gru4rec"})


def test_seed_by_seed_and_each_run_once():
    jobs = plan(["edrs-2", "edrs-5"], ["edrs", "dcf"], 2)
    assert [job.seed for job in jobs] == sorted(job.seed for job in jobs)
    assert len(set(jobs)) == len(jobs)
    assert {(job.model, job.dataset, job.recipe) for job in jobs} == {
        ("edrs", "ml-100k", "paper"),
        ("edrs", "ml-1m", "paper"),
        ("edrs", "ml-100k", "tuned"),
        ("edrs", "ml-1m", "tuned"),
        ("dcf", "ml-100k", "paper"),
        ("dcf", "ml-1m", "paper"),
    }
    assert {job.seed for job in jobs} == {0, 1}


def test_a_record_is_found_among_runs_and_among_collected_ones(tmp_path):
    job = Job("pmf", "ml-100k", "paper", 3)
    assert job.record([tmp_path / "runs", tmp_path / "results"]) is None
    collected = tmp_path / "results" / "pmf-ml-100k-paper" / "seed-3.json"
    run = tmp_path / "runs" / "pmf-ml-100k-paper" / "seed-3" / "record.json"
    for path in (collected, run):
        path.parent.mkdir(parents=True)
        path.write_text("{}", encoding="utf-8")
        assert job.record([tmp_path / "runs", tmp_path / "results"]) == path
    assert job.record([tmp_path / "results"]) == collected


def test_rows_that_nothing_is_run_for_say_why():
    rows = missing_models(["edrs-4"])
    assert {row["name"] for row in rows} == {"PMF", "DeepCoNN", "ADRS", "EDRS"}
    assert all(row["why"] and row["metrics"] for row in rows)
    assert missing_models(["ncf"]) == []
    assert set(list_tables()) >= {"quick", "edrs-2", "ncf"}


@pytest.mark.parametrize(
    ("names", "models", "seeds", "error"),
    [
        (["edrs2"], [], 1, r"no table 'edrs2'. Did you mean .*edrs-2"),
        ([], ["edsr"], 1, r"edsr.*edrs"),
        (["ncf"], ["edrs"], 1, r"No run of edrs is part of ncf"),
        ([], [], 0, r"--seeds must be at least 1"),
    ],
)
def test_what_cannot_be_planned_is_said(names, models, seeds, error):
    with pytest.raises(UsageError, match=error):
        plan(names, models, seeds)
