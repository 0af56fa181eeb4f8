"""``tfzoo tune``: from a file to a recipe that ``tfzoo train`` takes, and what it refuses."""

import csv
import json
import signal
import subprocess
import sys

import pytest

from tests.patience import PATIENCE
from tests.places import seed_of
from tests.tutorial_runner import ROOT, environment, read_page
from tfzoo.cli.main import main
from tfzoo.training.record import RunRecord

pytest.importorskip("optuna")

QUICK = ["--set", "training.epochs=2", "--set", "training.jit_compile=false"]


@pytest.fixture(scope="module")
def ratings(toy, tmp_path_factory):
    path = tmp_path_factory.mktemp("rated") / "films.csv"
    users, items = toy.users.decode(toy.user_id).tolist(), toy.items.decode(toy.item_id).tolist()
    lines = [f"{user},{item},{value:g}" for user, item, value in zip(users, items, toy.ratings, strict=True)]
    path.write_text("\n".join(["user_id,item_id,rating", *lines]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def tune(ratings, tmp_path):
    def call(*options, model="ease", data=ratings, output="search"):
        options = ["--trials", "3", *map(str, options)]
        where = ["--data", str(data), "--output", str(tmp_path / output)]
        return main(["tune", "--model", model, *where, *options])

    return call


def table(folder):
    with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_a_search_ends_with_a_recipe_that_train_takes(tune, ratings, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert tune() == 0
    printed = capsys.readouterr().out
    rows = table(tmp_path / "search")
    assert [(row["trial"], row["state"]) for row in rows] == [(str(n), "complete") for n in (1, 2, 3)]
    assert float(rows[0]["builder.l2"]) == 500, "the recipe as it stands is tried first"
    best = max(rows, key=lambda row: float(row["ndcg@10"]))
    command = next(line for line in printed.splitlines() if line.startswith("Train it: "))
    assert main([*command.removeprefix("Train it: tfzoo ").split(), "--no-export"]) == 0
    assert "The settings of 'search' are of a search: 3 trials of builder.l2" in capsys.readouterr().out
    record = RunRecord.load(seed_of("runs", "ease-films-search"))
    assert record.recipe["builder"]["l2"] == float(best["builder.l2"])
    assert record.metrics["validation"]["ndcg@10"] == pytest.approx(float(best["ndcg@10"]))
    assert record.recipe["budget"]["trials"] == 3
    assert record.recipe["budget"]["space"] == {
        "builder.l2": {"low": 5.0, "high": 50000.0, "log": True, "choices": None}
    }


def test_the_same_command_goes_on_and_other_searches_are_refused(tune, ratings, tmp_path, capsys):
    folder = tmp_path / "search"
    assert tune("--trials", 2) == 0
    assert tune("--trials", 4) == 0
    assert f"The search in {folder} goes on after 2 trials." in capsys.readouterr().out
    rows = table(folder)
    assert tune("--trials", 4, output="whole") == 0
    assert table(tmp_path / "whole") == rows
    before = {path: path.read_bytes() for path in folder.iterdir() if path.suffix != ".sqlite3"}
    shorter = tmp_path / "films.csv"
    shorter.write_text("".join(ratings.read_text().splitlines(True)[:-1]), encoding="utf-8")
    space = tmp_path / "paper.yaml"
    space.write_text("base: paper\nsearch: {builder.l2: {choices: [1, 2]}}\n", encoding="utf-8")
    capsys.readouterr()
    for options, told in (
        ({"model": "item-knn"}, "holds a search for settings of ease"),
        ({"data": shorter}, f"holds a search on other data: {ratings}"),
        ({"recipe": space}, "holds a search of another space: builder.l2 5 to 50000, log"),
        ({"seed": 1}, "holds a search with seed 0"),
        ({"set": "builder.l2=7"}, "holds a search that begins with other settings: builder.l2=500.0"),
    ):
        given = {key: value for key, value in options.items() if key in ("model", "data")}
        more = [text for key in options.keys() - given.keys() for text in (f"--{key}", options[key])]
        assert tune(*more, **given) == 1
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1
    assert {path: path.read_bytes() for path in before} == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear", encoding="utf-8")
    assert tune(output="mine") == 1
    assert "exists and holds no search" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trials", "0"], "--trials must be at least 1"),
        (["--jobs", "0"], "--jobs must be at least 1"),
        (["--folds", "3"], "--folds is for models of ratings"),
        (["--seed", "-1"], "--seed must be 0 or more"),
        (["--recipe", "papr"], "Did you mean 'paper'"),
    ],
)
def test_wrong_use_is_one_line_and_leaves_nothing(tune, tmp_path, capsys, options, message):
    assert tune(*options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_anything_to_search_says_what_to_write(tune, tmp_path, capsys):
    assert tune(model="popularity") == 2
    assert "there is nothing to search for: train it as it is" in capsys.readouterr().err
    path = tmp_path / "mine.yaml"
    path.write_text("base: paper\nsearch: {training.epoch: {low: 1, high: 3}}\n", encoding="utf-8")
    assert tune("--recipe", path, model="pmf") == 2
    assert "unknown key 'epoch' in 'training'. Did you mean 'epochs'?" in capsys.readouterr().err


def test_without_optuna_the_extra_is_named(tune, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert tune() == 2
    assert "pip install 'tfzoo[tune]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_folds_of_a_model_of_ratings_and_answers_for_programs(tune, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text("base: paper\nsearch: {builder.embedding_dim: {choices: [2, 4]}}\n", encoding="utf-8")
    options = ["--recipe", path, "--folds", 2, "--trials", 2, "--json"]
    assert tune(*options, *QUICK, model="pmf") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["budget"]["folds"] == 2
    assert [trial["epochs"] for trial in document["trials"]] == [4, 4]
    assert document["recipe"] == str(tmp_path / "search" / "recipe.yaml")


@pytest.mark.slow
def test_processes_share_the_trials(tune, tmp_path, capsys):
    assert tune("--jobs", 2, "--trials", 6) == 0
    rows = table(tmp_path / "search")
    assert [row["trial"] for row in rows] == list("123456")
    assert len({row["builder.l2"] for row in rows}) == 6
    printed = capsys.readouterr().out
    assert all(f"trial {number}: ndcg@10" in printed for number in range(1, 7))


@pytest.mark.slow
def test_a_search_that_was_killed_tries_what_an_unbroken_one_tries(tune, ratings, tmp_path):
    command = [sys.executable, "-m", "tfzoo", "tune", "--model", "ease", "--data", str(ratings)]
    command += ["--output", str(tmp_path / "killed"), "--trials", "6"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("trial 3:"):
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    process.wait(PATIENCE)
    assert tune("--trials", 6, output="killed") == 0
    assert tune("--trials", 6, output="whole") == 0
    assert table(tmp_path / "killed") == table(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.data
def test_the_page_on_searching_does_what_it_says(tmp_path):
    page = ROOT / "docs" / "tune.md"
    command = [sys.executable, "-m", "tests.tutorial_runner", str(page), str(tmp_path)]
    done = subprocess.run(
        command, env=environment(tmp_path), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    blocks = read_page(page.read_text(encoding="utf-8"))
    assert done.stdout.splitlines()[-1] == f"{len(blocks)} blocks were executed."
