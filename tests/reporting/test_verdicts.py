"""Ours beside printed figures: one rule, and a line for each metric."""

import csv
import io

import pytest

from tests.reporting.test_results import record
from tfzoo.models import model_info
from tfzoo.reporting.results import tables_of
from tfzoo.reporting.summary import summarise
from tfzoo.reporting.verdicts import (
    BETTER,
    NOT_COMPARABLE,
    NOT_REPRODUCED,
    REPRODUCED,
    csv_text,
    row_verdict,
    verdict,
)
from tfzoo.training.settings import Recipe, Reported, SplitSettings
from tfzoo.training.splitting import make_split


@pytest.mark.parametrize(
    ("ours", "printed", "maximize", "expected"),
    [
        (0.9312, 0.931, False, REPRODUCED),
        (0.9404, 0.931, False, NOT_REPRODUCED),
        (0.9403, 0.931, False, REPRODUCED),
        (0.9, 0.931, False, BETTER),
        (0.9, 0.931, True, NOT_REPRODUCED),
        (0.95, 0.931, True, BETTER),
        (0.054, 0.05, True, BETTER),
        (0.0546, 0.0543, True, REPRODUCED),
        (0.95, 0.9, False, NOT_REPRODUCED),
        (0.0504, 0.05, False, REPRODUCED),
        (0.0104, 0.01, False, REPRODUCED),
        (0.3295, 0.3295, True, REPRODUCED),
        (71.2, 71.0, True, REPRODUCED),
    ],
)
def test_the_rule(ours, printed, maximize, expected):
    assert verdict(ours, printed, maximize=maximize) == expected


def test_a_row_has_the_worst_verdict_of_its_printed_figures():
    def summary(ours, **printed):
        paper = {"source": "Table 5", "metrics": printed, "remark": ""}
        return summarise([record(0, ours, paper=paper)])[0]

    assert row_verdict(summary(0.9, rmse=0.9, mae=0.5)) == REPRODUCED  # mae 0.45 is better
    assert row_verdict(summary(0.9, rmse=0.9, mae=0.4)) == NOT_REPRODUCED
    assert row_verdict(summary(0.8, rmse=0.9, mae=0.5)) == BETTER
    assert row_verdict(summarise([record(paper=None)])[0]) == ""


def test_reconstructions_and_other_protocols_have_no_verdict_but_that(monkeypatch):
    def summary(model, ours=0.9):
        paper = {"source": "Table 5", "metrics": {"rmse": 0.9}, "remark": ""}
        return summarise([record(0, ours, model=model, paper=paper)])[0]

    assert model_info("dcf").reconstruction
    assert row_verdict(summary("dcf")) == row_verdict(summary("dcf", 0.5)) == NOT_COMPARABLE
    assert row_verdict(summary("pmf")) == REPRODUCED
    reported = Reported(source="Table 5", metrics={"rmse": 0.9}, comparable=False)
    recipe = Recipe(model="pmf", name="paper", reported=reported)
    monkeypatch.setattr("tfzoo.reporting.summary.load_recipe", lambda *names: recipe)
    assert row_verdict(summary("pmf")) == NOT_COMPARABLE
    assert "not comparable" in csv_text([summary("pmf")])


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
    summaries = summarise([record(0, 0.9), record(1, 1.0), record(0, 0.4, dataset="ml-1m", paper=None)])
    rows = list(csv.DictReader(io.StringIO(csv_text(summaries))))
    assert [(row["dataset"], row["metric"]) for row in rows] == [
        (dataset, metric) for dataset in ("ml-100k", "ml-1m") for metric in ("rmse", "mae", "rmse_unclipped")
    ]
    first, second = rows[:2]
    assert (first["printed"], first["ours"], first["gap"]) == ("0.900000", "0.950000", "0.050000")
    assert first["deviation"] == "0.070711"
    assert (first["verdict"], first["source"]) == (NOT_REPRODUCED, "Table 5")
    assert first["command"].endswith("--model pmf --dataset ml-100k --recipe paper --seeds 2")
    assert (second["printed"], second["gap"], second["verdict"]) == ("", "", "")
    assert rows[3]["verdict"] == ""
