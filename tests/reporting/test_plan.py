"""Which runs a table is made of."""

import pytest

from tfzoo.errors import UsageError
from tfzoo.models import list_models, model_info
from tfzoo.reporting.plan import Job, list_tables, missing_models, not_run, plan
from tfzoo.tasks import get_task
from tfzoo.training.recipe import declared_tables, load_recipe


def test_every_run_of_every_table_has_a_recipe():
    jobs = plan([], [], 1)
    assert len(jobs) > 40
    for job in jobs:
        assert load_recipe(job.model, job.dataset, job.recipe).name == job.recipe


def test_the_quick_table_has_every_model_that_ml_100k_carries():
    jobs = plan(["quick"], [], 1)
    assert {job.dataset for job in jobs} == {"ml-100k"}
    # ADRS and DeepCoNN read reviews, GRU4Rec sessions, models of clicks impressions.
    others = {name for name in list_models() if get_task(model_info(name).task).needs.clicks}
    others |= {"adrs", "deepconn", "gru4rec"}
    assert sorted(job.model for job in jobs) == sorted(set(list_models()) - others)


def test_a_recipe_names_the_tables_it_is_part_of():
    assert ("quick", "ml-100k", "tuned") in declared_tables("sasrec")
    assert {table for model in list_models() for table, _, _ in declared_tables(model)} <= set(list_tables())
    assert "tables" not in load_recipe("sasrec", "ml-100k", "tuned").model_dump()


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


def test_printed_figures_without_a_record_are_found():
    everything = {(row.model, row.dataset, row.recipe): row for row in not_run(())}
    row = everything["neumf", "ml-1m", "pretrained"]
    assert (row.metrics, row.why) == ({"hr@10": 0.684, "ndcg@10": 0.403}, "no run is recorded")
    assert row.source == load_recipe("neumf", "ml-1m", "pretrained").reported.source
    # A row of a paper that a recipe has, too, is named once, with its reason.
    assert everything["adrs", "amazon-instant-video", "paper"].why == "data not at hand"
    assert ("ADRS", "amazon-instant-video", "") not in everything
    assert everything["DeepCoNN", "amazon-instant-video", ""].source.startswith("Tegene et al., Table 4")
    # What a recipe inherits stands with the recipe that it builds on.
    assert ("edrs", "ml-1m", "patient") not in everything
    recorded = {("neumf", "ml-1m", "pretrained")}
    assert len(not_run(recorded)) == len(everything) - 1
    assert row not in not_run(recorded)


@pytest.mark.parametrize(
    ("names", "models", "seeds", "error"),
    [
        (["edrs2"], [], 1, r"no table 'edrs2'. Did you mean .*edrs-2"),
        ([], ["edsr"], 1, r"edsr.*edrs"),
        (["ncf"], ["edrs"], 1, r"No run of edrs is part of ncf"),
        ([], [], 0, r"--seeds must be at least 1"),
        ([], [], 10**9, r"--seeds must be at least 1 and at most 1000\. Received 1000000000"),
    ],
)
def test_what_cannot_be_planned_is_said(names, models, seeds, error):
    with pytest.raises(UsageError, match=error):
        plan(names, models, seeds)
