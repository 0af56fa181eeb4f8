"""Ours beside printed figures: one rule, and a line for each metric."""

import csv
import io
from pathlib import Path

import pytest

from tests.reporting.test_results import PAPER, record
from tfzoo.errors import UsageError
from tfzoo.models import model_info
from tfzoo.reporting.results import tables_of
from tfzoo.reporting.summary import load_records, summarise
from tfzoo.reporting.verdicts import (
    ABOVE,
    BETTER,
    DEFAULTS,
    NOT_COMPARABLE,
    NOT_REPRODUCED,
    REPRODUCED,
    csv_text,
    lines,
    row_verdict,
    verdict,
)
from tfzoo.training.settings import Recipe, Reported, SplitSettings, parse
from tfzoo.training.splitting import make_split

RESULTS = Path(__file__).parents[2] / "results"


@pytest.mark.parametrize(
    ("ours", "printed", "error", "maximize", "expected"),
    [
        # Two standard errors are 0.002; 0.3 % of 0.931 is 0.0028.
        (0.9329, 0.931, 0.001, False, REPRODUCED),
        (0.9331, 0.931, 0.001, False, NOT_REPRODUCED),
        (0.9291, 0.931, 0.001, False, REPRODUCED),
        (0.9289, 0.931, 0.001, False, ABOVE),
        (0.9281, 0.931, 0.001, False, BETTER),
        # However wide the error is, 0.3 % is the end of it.
        (0.9337, 0.931, 0.1, False, REPRODUCED),
        (0.9340, 0.931, 0.1, False, NOT_REPRODUCED),
        (0.9280, 0.931, 0.1, False, ABOVE),
        # One seed has no error: only rounding reproduces, and nothing is better beyond chance.
        (0.9314, 0.931, None, False, REPRODUCED),
        (0.9316, 0.931, None, False, NOT_REPRODUCED),
        (0.5, 0.931, None, False, ABOVE),
        # 1 % where more is better.
        (0.500, 0.504, 0.003, True, REPRODUCED),
        (0.498, 0.504, 0.003, True, NOT_REPRODUCED),
        (0.510, 0.504, 0.002, True, BETTER),
        (0.508, 0.504, 0.001, True, ABOVE),
        # What no seed changes rounds to the figure, or does not.
        (0.32951, 0.3295, 0.0, True, REPRODUCED),
        (0.32961, 0.3295, 0.0, True, ABOVE),
        (0.0104, 0.01, None, False, NOT_REPRODUCED),
        (71.2, 71.0, 0.2, True, REPRODUCED),
    ],
)
def test_the_rule(ours, printed, error, maximize, expected):
    assert verdict(ours, printed, error, maximize=maximize) == expected


def summary_of(ours, *, seeds=1, model="pmf", recipe="own", **paper):
    """Return a summary beside figures of the same settings; from seed to seed ours grow by 0.002."""
    printed = {"source": "Table 5", "metrics": {"rmse": 0.9}, "settings": "same", **paper}
    settings = {"model": model, "name": recipe, "task": {}, "training": {"epochs": 2}}
    runs = [
        record(seed, ours + 0.002 * (seed - (seeds - 1) / 2), model=model, recipe=settings, paper=printed)
        for seed in range(seeds)
    ]
    return summarise(runs)[0]


def test_the_standard_error_is_that_of_the_mean():
    # Deviation of 0.899, 0.901: 0.002 / sqrt(2); over sqrt(2) seeds that is 0.001.
    assert summary_of(0.9, seeds=2).standard_error("rmse") == pytest.approx(0.001)
    assert summary_of(0.9).standard_error("rmse") is None
    assert row_verdict(summary_of(0.9018, seeds=2)) == REPRODUCED
    assert row_verdict(summary_of(0.9022, seeds=2)) == NOT_REPRODUCED
    assert row_verdict(summary_of(0.8970, seeds=2)) == BETTER


def test_a_row_has_the_worst_verdict_of_its_printed_figures():
    def found(ours, **metrics):
        return row_verdict(summary_of(ours, metrics=metrics))

    assert found(0.9, rmse=0.9, mae=0.5) == REPRODUCED  # mae 0.45 is better
    assert found(0.9, rmse=0.9, mae=0.4) == NOT_REPRODUCED
    assert found(0.8, rmse=0.9, mae=0.5) == ABOVE
    assert row_verdict(summarise([record(paper=None)])[0]) == ""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, REPRODUCED),
        ({"comparable": False}, NOT_COMPARABLE),
        ({"settings": "other"}, NOT_COMPARABLE),
        ({"settings": "defaults"}, DEFAULTS),
        # Without a word, a recipe named paper is the paper's, and no other is.
        ({"settings": None}, NOT_COMPARABLE),
        ({"settings": None, "model": "edrs", "recipe": "paper"}, REPRODUCED),
        ({"model": "dcf"}, NOT_COMPARABLE),
    ],
)
def test_only_the_papers_settings_split_and_data_have_a_verdict(changes, expected):
    assert model_info("dcf").reconstruction
    summary = summary_of(0.9, **changes)
    assert row_verdict(summary) == expected
    reasons = {line.reason for line in lines(summary) if line.printed is not None}
    assert all(reason.startswith(summary.incomparable) for reason in reasons)
    assert bool(summary.incomparable) == (expected == NOT_COMPARABLE)


def test_what_the_package_says_today_of_a_printed_figure_counts(monkeypatch):
    def found(reported):
        recipe = Recipe(model="pmf", name="own", reported=reported)
        monkeypatch.setattr("tfzoo.reporting.summary.load_recipe", lambda *names: recipe)
        return summary_of(0.9)

    same = {"source": "Table 6", "metrics": {"rmse": 0.9}, "settings": "same"}
    summary = found(Reported(**same, known="from memory"))
    assert (row_verdict(summary), summary.source) == (REPRODUCED, "Table 6 (from memory)")
    assert "Table 6 (from memory)" in csv_text([summary])
    assert row_verdict(found(Reported(**same, comparable=False))) == NOT_COMPARABLE
    assert found(Reported(**{**same, "metrics": {"rmse": 0.8}})).source == "Table 5"
    # It was no reference: nothing is printed beside ours any more.
    assert (row_verdict(found(None)), found(None).source) == ("", "")


def test_a_reference_of_another_model_is_refused():
    figures = {"source": "a notebook", "metrics": {"ndcg@100": 0.43}}
    assert Recipe(model="ease", name="own", reported={**figures, "model": "ease"})
    with pytest.raises(UsageError, match=r"figures of ease, or nothing; those of 'mult-vae' are no"):
        parse(Recipe, {"model": "ease", "name": "own", "reported": {**figures, "model": "mult-vae"}}, "x")


def test_dmf_on_the_files_of_the_ncf_paper_is_not_compared_with_a_study_of_another_split():
    summaries = summarise(load_records(sorted(RESULTS.glob("dmf-ml-1m-*"))))
    assert {summary.recipe for summary in summaries} == {"paper", "bce", "tuned"}
    for summary in summaries:
        assert row_verdict(summary) == NOT_COMPARABLE
        assert "another split" in summary.incomparable
        assert "popularity has hr@10 0.4418 and EASE 0.6693" in summary.remark


def test_folds_that_the_seed_chooses_are_one_table(toy):
    def summary(fold, seeds):
        split = SplitSettings(kind="k-fold", folds=3, fold=fold)
        runs = [record(seed, protocol=make_split(toy, split, seed).protocol) for seed in range(seeds)]
        settings = {**runs[0].recipe, "split": split.model_dump(mode="json")}
        return summarise([run.model_copy(update={"recipe": settings}) for run in runs])[0]

    assert summary(None, 3).protocol == "3-fold cross-validation, 10 % of the rest for validation"
    assert summary(1, 1).protocol.endswith(", fold 1")
    # One table, however many rows validate.
    assert {key[1] for key in tables_of([summary(None, 3)])} == {"3-fold cross-validation"}


def test_the_table_has_every_metric_with_its_gap_and_command():
    own = {"recipe": {"model": "pmf", "name": "own", "task": {}}, "paper": {**PAPER, "settings": "same"}}
    runs = [record(0, 0.9, **own), record(1, 1.0, **own)]
    summaries = summarise([*runs, record(0, 0.4, dataset="ml-1m", paper=None)])
    rows = list(csv.DictReader(io.StringIO(csv_text(summaries))))
    assert [(row["dataset"], row["metric"]) for row in rows] == [
        (dataset, metric) for dataset in ("ml-100k", "ml-1m") for metric in ("rmse", "mae", "rmse_unclipped")
    ]
    first, second = rows[:2]
    assert (first["printed"], first["ours"], first["gap"]) == ("0.900000", "0.950000", "0.050000")
    assert first["deviation"] == "0.070711"
    assert (first["verdict"], first["source"]) == (NOT_REPRODUCED, "Table 5")
    assert first["command"].endswith("--model pmf --dataset ml-100k --recipe own --seeds 2")
    assert (second["printed"], second["gap"], second["verdict"]) == ("", "", "")
    assert rows[3]["verdict"] == ""
