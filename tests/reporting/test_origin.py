"""Tables are made of runs of committed code."""

import argparse
import subprocess
from pathlib import Path

import pytest

from tests.reporting.test_results import record
from tfzoo.cli import reproduce
from tfzoo.errors import UsageError
from tfzoo.reporting.origin import OF_OLD, refuse_changed_code, refuse_uncommitted
from tfzoo.reporting.summary import collect, load_records
from tfzoo.training.record import commit_of_code

RESULTS = Path(__file__).parents[2] / "results"


def test_a_record_of_uncommitted_code_is_refused(tmp_path):
    clean, installed = record(0, commit="0123456789ab"), record(1, commit=None)
    dirty = record(2, commit="0123456789ab-dirty")
    refuse_uncommitted([clean, installed])
    with pytest.raises(UsageError, match=r"train again: pmf-ml-100k-paper/seed-2 \(0123456789ab-dirty\)\."):
        refuse_uncommitted([clean, installed, dirty])
    refuse_uncommitted([dirty], {"pmf-ml-100k-paper/seed-2": "known"})
    collect(clean, tmp_path / "results")
    with pytest.raises(UsageError, match="committed code"):
        collect(dirty, tmp_path / "results")
    assert not list((tmp_path / "results").rglob("seed-2.json"))
    # Nor does the command that writes the tables take one that lies there all the same.
    dirty.save(tmp_path / "results")
    with pytest.raises(UsageError, match="committed code"):
        reproduce._write_tables(tmp_path / "results", tmp_path / "docs")
    assert not (tmp_path / "docs").exists()


def test_changed_code_is_refused_before_it_trains(monkeypatch):
    for commit in (None, "0123456789ab"):
        monkeypatch.setattr("tfzoo.reporting.origin.commit_of_code", lambda found=commit: found)
        refuse_changed_code()
    monkeypatch.setattr("tfzoo.reporting.origin.commit_of_code", lambda: "0123456789ab-dirty")
    with pytest.raises(UsageError, match="changes since 0123456789ab; tables"):
        refuse_changed_code()
    with pytest.raises(UsageError, match="changes since 0123456789ab; tables"):
        reproduce.run(reproduce_options())


def reproduce_options():
    """Return the options of a table of which nothing is trained yet."""
    nowhere = Path("nowhere")
    wanted = {"table": ["recbole"], "preset": None, "model": [], "all": False, "seeds": 1, "jobs": 1}
    places = {"output": nowhere, "results": nowhere, "docs": nowhere}
    return argparse.Namespace(**wanted, **places, fresh=True, dry_run=False)


def test_the_commit_is_marked_where_the_package_has_changes_and_nowhere_else(tmp_path, monkeypatch):
    def git(*words):
        names = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(tmp_path), *names, *words], check=True, capture_output=True)

    code = tmp_path / "pkg" / "training" / "record.py"
    code.parent.mkdir(parents=True)
    monkeypatch.setattr("tfzoo.training.record.__file__", str(code))
    code.write_text("1")
    (tmp_path / "page.md").write_text("1")
    git("init")
    assert commit_of_code() is None
    git("add", ".")
    git("commit", "-m", "all")
    clean = commit_of_code()
    assert len(clean) == 12
    (tmp_path / "page.md").write_text("2")
    assert commit_of_code() == clean
    code.write_text("2")
    assert commit_of_code() == f"{clean}-dirty"


def test_the_committed_records_are_of_committed_code_but_for_those_that_are_named():
    found = [one for one in load_records([RESULTS]) if one.uncommitted]
    assert {f"{one.run_name}/seed-{one.seed}" for one in found} == set(OF_OLD)
    assert all(OF_OLD.values())
