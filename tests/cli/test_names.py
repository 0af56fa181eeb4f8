"""Names of runs and exports: nothing is replaced unasked, and nothing stands under another's name."""

import json

import pytest

from tests.places import seed_of
from tfzoo.cli import main
from tfzoo.training.record import RunRecord


def write(path, shift=0):
    """Write ratings of 12 users for 15 items, other ones for another shift."""
    lines = [
        f"{u},{(u + i + shift) % 15},{i % 5 + 1}" for u in range(12) for i in range(11 + (u + shift) % 2)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["user_id,item_id,rating", *lines]) + "\n", encoding="utf-8")
    return path


def train(data, *options, model="popularity"):
    return main(["train", "--model", model, "--data", str(data), *options])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_changed_settings_leave_the_run_alone_and_are_told_in_tables(here, capsys):
    write(here / "log.csv")
    assert train("log.csv", "--no-export") == 0
    plain = seed_of(here / "runs", "popularity-log-paper")
    before = contents(plain)
    assert train("log.csv", "--no-export", "--min-rating", "2") == 0
    assert train("log.csv", "--no-export", "--precision", "mixed_bfloat16") == 0
    assert contents(plain) == before
    assert len(list((here / "runs").iterdir())) == 3
    capsys.readouterr()
    assert main(["results"]) == 0
    output = capsys.readouterr().out
    assert "filter.min_rating=2.0" in output
    assert 'precision="mixed_bfloat16"' in output
    assert output.count("paper*") >= 2


def test_other_data_of_the_same_name_does_not_replace_a_run(here, capsys):
    one, other = write(here / "a" / "log.csv"), write(here / "b" / "log.csv", 1)
    assert train(one) == 0
    before = contents(here / "runs")
    capsys.readouterr()
    assert train(other) == 1
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert str(one) in line
    assert "--name" in line
    assert "--overwrite" in line
    assert contents(here / "runs") == before
    assert train(other, "--name", "b") == 0
    record = RunRecord.load(here / "runs" / "b" / "seed-0")
    assert (record.name, record.dataset) == ("b", "log")
    metadata = json.loads((here / "saved_models/b/1/assets.extra/tfzoo.json").read_text(encoding="utf-8"))
    assert metadata["model"] == "popularity"
    assert contents(here / "runs" / "popularity-log-paper") == {
        path: content for path, content in before.items() if "popularity-log-paper" in str(path)
    }


def test_an_export_of_other_data_does_not_follow_the_served_one(here, capsys):
    one, other = write(here / "a" / "log.csv"), write(here / "b" / "log.csv", 1)
    assert train(one) == 0
    assert train(one, "--output", "again") == 0
    served = here / "saved_models" / "popularity-log"
    assert sorted(path.name for path in served.iterdir()) == ["1", "2"]
    capsys.readouterr()
    # Before anything is trained.
    assert train(other, "--output", "others") == 1
    message = capsys.readouterr().err
    assert "is an export of other data" in message
    assert "--overwrite" in message
    assert not (here / "others").exists()
    assert train(other, "--output", "others", "--no-export") == 0
    run = ["export", "--run", str(seed_of("others", "popularity-log-paper"))]
    assert main(run) == 1
    assert "is an export of other data" in capsys.readouterr().err
    assert sorted(path.name for path in served.iterdir()) == ["1", "2"]
    assert main([*run, "--name", "log-b"]) == 0
    assert (here / "saved_models" / "log-b" / "1").is_dir()
    assert main([*run, "--overwrite"]) == 0
    assert sorted(path.name for path in served.iterdir()) == ["1", "2", "3"]
    # Another model in a folder of this name is no next version either.
    assert train(one, "--output", "ease", "--name", "log-b", model="ease") == 1
    assert "is an export of the model 'popularity'" in capsys.readouterr().err


def test_a_file_called_as_a_data_set_is_not_taken_for_it(here, capsys):
    write(here / "ml-100k.csv")
    assert train("ml-100k.csv", "--no-export") == 0
    assert RunRecord.load(here / "runs" / "popularity-ml-100k-own-paper" / "seed-0").dataset == "ml-100k-own"


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a\\b", "x" * 90, "a\nb"])
def test_a_name_that_leads_elsewhere_is_refused(here, capsys, name):
    write(here / "log.csv")
    assert train("log.csv", "--name", name) == 2
    assert "error: --name" in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["log.csv"]
