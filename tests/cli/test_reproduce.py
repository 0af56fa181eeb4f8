"""Training what tables lack, and the tables that are written then."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tfzoo.cli import reproduce
from tfzoo.cli.main import main
from tfzoo.reporting.plan import list_tables, plan

RESULTS = Path(__file__).parents[2] / "results"


def test_the_help_names_every_table(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        main(["reproduce", "--help"])
    (line,) = re.findall(r"--table NAME +(.+); may be repeated", capsys.readouterr().out)
    assert [name.partition(" ")[0] for name in line.split(", ")] == list(list_tables())


@pytest.fixture(autouse=True)
def committed(monkeypatch):
    """Let a checkout with changes train, too; that it may not has tests of its own."""
    for place in ("tfzoo.cli.reproduce.refuse_changed_code", "tfzoo.cli.reproduce.refuse_uncommitted"):
        monkeypatch.setattr(place, lambda *records: None)
    monkeypatch.setattr("tfzoo.reporting.summary.refuse_uncommitted", lambda records: None)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder; runs are taken from the committed records, and mlp's fails."""
    trained = []

    def train(output, job):
        trained.append(job)
        source = RESULTS / job.name / f"seed-{job.seed}.json"
        if job.model == "mlp":
            return False
        target = output / job.name / f"seed-{job.seed}" / "record.json"
        target.parent.mkdir(parents=True)
        shutil.copy(source, target)
        return True

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reproduce, "_train", train)
    return trained


def test_what_is_missing_is_trained_and_the_tables_are_written(here, capsys):
    shutil.copytree(RESULTS / "popularity-ml-1m-paper", Path("results/popularity-ml-1m-paper"))
    assert main(["reproduce", "--table", "ncf", "--model", "popularity", "--model", "item-knn"]) == 0
    assert "2 runs; 1 have a record, 1 are to be trained" in capsys.readouterr().out
    assert [job.model for job in here] == ["item-knn"]
    for name in ("results.md", "results.csv"):
        text = Path("docs", name).read_text(encoding="utf-8")
        assert "item-knn" in text
        assert "popularity" in text
    assert main(["reproduce", "--table", "ncf", "--model", "item-knn"]) == 0
    assert len(here) == 1
    shutil.rmtree("runs")
    assert main(["reproduce", "--table", "ncf", "--model", "item-knn", "--fresh"]) == 0
    assert len(here) == 2


def test_one_run_that_fails_does_not_stop_the_others(here, capsys):
    assert main(["reproduce", "--table", "ncf", "--jobs", "2"]) == 1
    assert "1 of 9 runs failed: mlp-ml-1m-paper seed 0. See runs/*.log" in capsys.readouterr().err
    assert len(here) == 9
    assert not Path("results/mlp-ml-1m-paper").exists()
    assert len(list(Path("results").rglob("seed-*.json"))) == 8


def test_a_dry_run_writes_nothing(here, tmp_path, capsys):
    assert main(["reproduce", "--all", "--seeds", "2", "--dry-run"]) == 0
    assert f"{len(plan([], [], 2))} are to be trained" in capsys.readouterr().out
    assert (here, list(tmp_path.iterdir())) == ([], [])


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ([], "--table, --preset, --model or --all"),
        (["--all", "--jobs", "0"], "--jobs must be at least 1"),
        (["--table", "nfc"], "There is no table 'nfc'"),
    ],
)
def test_wrong_use_is_said(here, capsys, options, error):
    assert main(["reproduce", *options]) == 2
    assert error in capsys.readouterr().err
    assert here == []


@pytest.mark.data
def test_a_run_is_trained_in_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "--table", "quick", "--model", "popularity"]) == 0
    record = json.loads(Path("results/popularity-ml-100k-paper/seed-0.json").read_text(encoding="utf-8"))
    committed = json.loads((RESULTS / "popularity-ml-100k-paper/seed-0.json").read_text(encoding="utf-8"))
    for part, metrics in committed["metrics"].items():
        # Metrics that are newer than the record are no part of it.
        assert {name: record["metrics"][part][name] for name in metrics} == metrics
    assert not list(Path("runs").glob("*.log"))


def test_a_training_ends_with_the_process_that_has_started_it(tmp_path):
    log = (tmp_path / "log").open("w")
    waits = "import time; from tfzoo.cli import reproduce; reproduce.main = lambda: time.sleep(600) or 0; "
    child = subprocess.Popen(
        [sys.executable, "-c", f"{waits} print('ready', flush=True); reproduce.train_while_wanted()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        assert child.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(timeout=0.5)
        # As the system does for a process that is killed.
        child.stdin.close()
        assert child.wait(timeout=PATIENCE) == -signal.SIGTERM
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        log.close()
