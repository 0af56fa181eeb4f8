"""From committed records to intervals: closed forms are solved again, trained models are looked for."""

import json
import shutil
from pathlib import Path

import pytest

from tfzoo.cli import main
from tfzoo.reporting.intervals import read_intervals
from tfzoo.reporting.results import markdown
from tfzoo.reporting.summary import load_records, summarise


@pytest.fixture(scope="module")
def collected(toy, tmp_path_factory):
    """Return a folder with the collected records of closed forms on toy data, without their runs."""
    folder = tmp_path_factory.mktemp("collected")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("tfzoo.cli.common.load_dataset", lambda name: toy)
        patch.setattr("tfzoo.reporting.summary.refuse_uncommitted", lambda records: None)
        for model in ("ease", "popularity"):
            options = ["--seeds", "2", "--no-export", "--set", "split.kind=random"]
            assert main(["train", "--model", model, "--dataset", "ml-100k", *options]) == 0
        assert main(["results", "runs", "--collect", "results"]) == 0
    shutil.rmtree(folder / "runs")
    return folder


@pytest.fixture
def here(collected, toy, tmp_path, monkeypatch):
    """Go to a folder with these records."""
    shutil.copytree(collected / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tfzoo.cli.common.load_dataset", lambda name: toy)


@pytest.mark.slow
def test_cases_of_closed_forms_are_rebuilt_and_compared(here, capsys):
    assert main(["significance"]) == 0
    assert "4 runs: test cases rebuilt. 0 runs: no model" in capsys.readouterr().out
    (found,) = read_intervals([Path("results")])
    assert found.unit == "users"
    assert len(found.rows) == 1
    records = load_records([Path("results")])
    assert "Differences from" in markdown(summarise(records), [found])
    checksums = {path: path.read_bytes() for path in Path("results").rglob("cases.json")}
    # All are there: nothing is computed again. Without them they are rebuilt to the last digit.
    assert main(["significance"]) == 0
    assert "0 runs: test cases rebuilt" in capsys.readouterr().out
    for path in Path("results").rglob("*.cases.npz"):
        path.unlink()
    assert main(["significance", "--dataset", "toy"]) == 0
    assert {path: path.read_bytes() for path in Path("results").rglob("cases.json")} == checksums
    assert read_intervals([Path("results")]) == [found]


@pytest.mark.slow
def test_a_record_that_the_data_does_not_give_is_refused(here, capsys):
    (path,) = Path("results").glob("ease-*/seed-1.json")
    record = json.loads(path.read_text())
    record["metrics"]["test"]["ndcg@10"] += 0.01
    path.write_text(json.dumps(record))
    assert main(["significance"]) == 2
    assert "They are of another run" in capsys.readouterr().err
