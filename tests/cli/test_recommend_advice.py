"""What ``recommend`` says where there is no export: the command that makes it, as the user types commands."""

import sys

import pytest

from tfzoo.cli import main


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """The error of asking an export that is not there, in a folder prepared by the test."""
    monkeypatch.chdir(tmp_path)

    def ask(*options, program="tfzoo"):
        monkeypatch.setattr(sys, "argv", [program])
        assert main(["recommend", "--model", "ease", "--user", "1", *options]) == 1
        return capsys.readouterr().err.strip()

    return ask


def test_it_is_trained_and_exported_where_there_is_nothing(refused):
    error = refused("--dataset", "ml-1m")
    assert error.endswith("Train and export it with: tfzoo train --model ease --dataset ml-1m")
    script = refused(program="scripts/recommend.py")
    assert script.endswith("python scripts/train.py --model ease --dataset ml-100k")


def test_a_run_is_exported(refused, tmp_path):
    (tmp_path / "runs" / "ease-ml-100k-paper" / "seed-0").mkdir(parents=True)
    assert "Export its run with: tfzoo export --run runs/ease-ml-100k-paper" in refused()


def test_an_export_of_the_users_own_data_is_named(refused, tmp_path):
    (tmp_path / "saved_models" / "ease-my clicks" / "1").mkdir(parents=True)
    assert "tfzoo recommend --model ease --dataset 'my clicks' ..." in refused()


def test_exports_of_other_models_are_named(refused, tmp_path):
    (tmp_path / "saved_models" / "gmf-ml-100k" / "1").mkdir(parents=True)
    assert "There are exports of gmf-ml-100k. Train and export it" in refused()
