"""``tfzoo update``: a new run and the next version of the export; the earlier run stays as it is."""

import json

import pandas as pd
import pytest

from tests.places import seed_of
from tfzoo.cli.main import main
from tfzoo.serving.client import LocalClient
from tfzoo.training.record import RunRecord

COLUMNS = ["--user-col", "viewer", "--item-col", "film"]


@pytest.fixture
def here(toy, tmp_path, monkeypatch):
    """Files of what was known first, of a later day, and of another one after that."""
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(
        {
            "viewer": toy.users.decode(toy.user_id),
            "film": toy.items.decode(toy.item_id),
            "rating": toy.ratings,
        }
    )
    day = (toy.user_id % 8 == 3) + 2 * (toy.item_id % 10 == 4)
    for number, name in enumerate(("past", "monday", "tuesday")):
        frame[day.clip(max=2) == number].to_csv(f"{name}.csv", index=False)
    assert main(["train", "--model", "ease", "--data", "past.csv", *COLUMNS, "--name", "films"]) == 0
    return tmp_path


def test_updates_follow_each_other_and_all_commands_take_them(here, capsys):
    first = seed_of("runs", "films")
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(["update", "runs/films", "--data", "monday.csv", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (run,) = told["records"]
    assert told["exported"] == "saved_models/films/2"
    record = RunRecord.load(here / run)
    assert record.continues["run"] == "films/seed-0"
    assert record.continues["new_users"] == 4
    assert record.continues["kept"] == "nothing: solved anew"
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == before
    monday = pd.read_csv("monday.csv").viewer.iloc[0]
    assert not LocalClient(here / "saved_models/films/1").recommend(int(monday), 3).known_user
    assert LocalClient(here / "saved_models/films/2").recommend(int(monday), 3).known_user

    assert main(["evaluate", "--run", run]) == 0
    assert f"{record.metrics['test']['ndcg@10']:.4f}" in capsys.readouterr().out
    assert main(["update", run, "--data", "tuesday.csv"]) == 0
    second = capsys.readouterr().out
    assert "2 new items" in second
    # They stand behind ids that sort after them.
    assert main(["recommend", "--model", "saved_models/films", "--user", str(monday), "--k", "3"]) == 0
    assert main(["update", "runs/films", "--data", "monday.csv"]) == 1
    assert "saved_models/films/3 is an export of other data" in capsys.readouterr().err


def test_nothing_new_is_one_message_and_no_run(here, capsys):
    (here / "empty.csv").write_text("viewer,film,rating\n", encoding="utf-8")
    runs = sorted(path.name for path in (here / "runs").iterdir())
    capsys.readouterr()
    for data, told in (("empty.csv", "empty.csv"), ("past.csv", "no interaction that the run does not know")):
        assert main(["update", "runs/films", "--data", data]) == 2
        error = capsys.readouterr().err
        assert told in error
        assert error.count("tfzoo: error") == 1
    assert sorted(path.name for path in (here / "runs").iterdir()) == runs
