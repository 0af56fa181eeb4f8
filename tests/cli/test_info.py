"""``tfzoo list``, ``tfzoo info`` and ``tfzoo pages`` from the command line."""

from pathlib import Path

import pytest
from rich.console import Console

from tfzoo.cli import main, output
from tfzoo.errors import UsageError
from tfzoo.models import list_models, model_info
from tfzoo.reporting.catalogue import find_models

RESULTS = str(Path(__file__).parents[2] / "results")


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    """Keep what the commands print on one line."""
    monkeypatch.setattr(output, "console", Console(markup=False, width=400))


def names(*arguments, **options):
    return [info.name for info in find_models(*arguments, **options)]


def test_list_prints_what_fits(capsys):
    assert main(["list", "*-knn*", "--task", "reconstruction", "--results", RESULTS]) == 0
    out = capsys.readouterr().out
    assert "Deshpande, Karypis: Item-Based Top-N" in out
    assert "hr@10" in out
    assert "user-knn " in out
    assert "item-knn-rating" not in out


@pytest.mark.parametrize("holds", [None, "notes.txt"])
def test_where_results_are_of_something_else_nothing_is_recorded(capsys, tmp_path, monkeypatch, holds):
    monkeypatch.chdir(tmp_path)
    if holds is not None:
        (tmp_path / "results").mkdir()
        (tmp_path / "results" / holds).write_text("of the reader's own experiment", encoding="utf-8")
    assert main(["list", "delcr"]) == 0
    assert "no record; reconstruction" in capsys.readouterr().out
    assert main(["info", "gru4rec"]) == 0
    assert "No record of gru4rec in results." in capsys.readouterr().out


@pytest.mark.parametrize("command", [["list", "delcr"], ["info", "gru4rec"]])
def test_a_folder_that_is_named_must_hold_records(capsys, tmp_path, command):
    assert main([*command, "--results", str(tmp_path / "reslts")]) == 2
    assert "No run records below" in capsys.readouterr().err


def test_models_are_found_by_family_and_year():
    assert names(family="text") == ["adrs", "deepconn"]
    assert names(year="2017") == [n for n in list_models() if model_info(n).paper.year == 2017]
    early = names(year="..2006")
    assert "user-knn-rating" in early
    assert sorted(early + names(year="2007..")) == [n for n in list_models() if model_info(n).paper.year]
    assert names(year="2015..2016", task="rating") == ["i-autorec", "nnmf", "rmf", "u-autorec", "wide-deep"]
    assert {model_info(name).family for name in list_models()} >= {"towers", "autoencoder", "sequence"}
    assert "other" not in {model_info(name).family for name in list_models()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pattern": "edrx"}, "No model matches 'edrx'. Did you mean 'edrs'?"),
        ({"task": "ratings"}, "No model has the task 'ratings'. Did you mean 'rating'"),
        ({"family": "tower"}, "No model has the family 'tower'. Did you mean 'towers'?"),
        ({"year": "20x7"}, "Received '20x7'."),
        ({"year": ".."}, "Received '..'."),
        ({"year": "2020..2010"}, "did you mean 2010..2020?"),
        ({"task": "rating", "year": "1950"}, "No model fits '*' --task rating --year 1950. Papers"),
    ],
)
def test_what_fits_nothing_is_refused_with_the_nearest_choice(arguments, message):
    with pytest.raises(UsageError) as caught:
        find_models(**arguments)
    assert message in str(caught.value)


def test_info_prints_the_page_in_short(capsys):
    assert main(["info", "edrs-woe", "--results", RESULTS]) == 0
    out = capsys.readouterr().out
    assert "user_row float32 [B, items + 1]" in out
    assert "80·users + 80·items + 16,561; on ml-100k 226,561" in out
    assert "recipe leaking-rows" in out
    assert "random 70/15/15" in out
    assert "Differences from the paper: It does not say whether the matrix holds test ratings" in out


def test_info_of_an_unknown_model_names_the_nearest(capsys):
    assert main(["info", "edsr", "--results", RESULTS]) == 2
    assert "Unknown model 'edsr'. Did you mean 'edrs'" in capsys.readouterr().err


def test_pages_need_a_folder_of_records(capsys, tmp_path):
    assert main(["pages", "--docs", str(tmp_path), "--results", str(tmp_path / "none")]) == 2
    assert "--results" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("records", [True, False])
@pytest.mark.parametrize(
    ("model", "command"),
    [
        ("ease", "tfzoo train --model ease"),
        ("adrs", "tfzoo train --model adrs --dataset amazon-musical-instruments"),
        ("fm", "tfzoo train --model fm --dataset frappe"),
        # The sessions of its records have no public address.
        ("gru4rec", "tfzoo train --model gru4rec"),
    ],
)
def test_the_command_that_info_prints_names_data_that_can_be_had(
    capsys, tmp_path, monkeypatch, model, command, records
):
    monkeypatch.chdir(tmp_path)
    assert main(["info", model, *(["--results", RESULTS] if records else [])]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"Train it: {command}"
