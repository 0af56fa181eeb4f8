"""``tfzoo recommend --all-users``: one file with the lists that single questions are answered with."""

import json

import pandas as pd
import pyarrow as pa
import pytest

from tests.places import seed_of
from tfzoo.cli import recommend_all
from tfzoo.cli.list_parts import ListParts
from tfzoo.cli.main import main
from tfzoo.serving.client import LocalClient


@pytest.fixture(scope="module")
def there(toy, tmp_path_factory):
    """A folder with a run and its export, and who is in the data."""
    folder = tmp_path_factory.mktemp("there")
    users, items = toy.users.decode(toy.user_id).tolist(), toy.items.decode(toy.item_id).tolist()
    lines = [f"{user},{item}" for user, item in zip(users, items, strict=True)]
    (folder / "films.csv").write_text("\n".join(["user_id,item_id", *lines]) + "\n", encoding="utf-8")
    where = ["--output", str(folder / "runs"), "--export-dir", str(folder / "saved_models")]
    assert main(["train", "--model", "ease", "--data", str(folder / "films.csv"), *where]) == 0
    return folder, sorted(set(users))


@pytest.fixture
def write(there, tmp_path):
    def call(*options, name="recs.parquet", run=None):
        run = run or seed_of(there[0] / "runs", "ease-films-paper")
        where = ["--run", str(run), "--output", str(tmp_path / name)]
        return main(["recommend", "--all-users", *where, *map(str, options)])

    return call


@pytest.mark.parametrize("name", ["recs.parquet", "recs.csv"])
def test_the_file_has_what_the_export_answers(there, write, tmp_path, capsys, name):
    folder, users = there
    assert write("--k", 3, "--exclude", "film-03,film-99", name=name, run=folder / "runs") == 1
    assert write("--k", 3, "--exclude", "film-03,film-99", name=name) == 0
    printed = capsys.readouterr().out
    assert "--exclude: there is no item 'film-99', it is ignored." in printed
    found = (pd.read_csv if name.endswith("csv") else pd.read_parquet)(tmp_path / name)
    assert list(found.columns) == ["user_id", "item_id", "rank", "score", "known_user"]
    assert f"{tmp_path / name}: {len(found)} rows of {len(users)} users in" in printed
    client = LocalClient(folder / "saved_models" / "ease-films" / "1")
    assert found.user_id.drop_duplicates().tolist() == users
    for user, rows in found.groupby("user_id"):
        answer = client.recommend(user, 3, ["film-03"])
        assert rows.item_id.tolist() == answer.item_ids
        assert rows.score.tolist() == pytest.approx(answer.scores, rel=1e-5)
        assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(there, write, tmp_path, capsys):
    (tmp_path / "recs.parquet").write_bytes(b"mine")
    assert write() == 2
    assert "exists already; give another --output, or --overwrite" in capsys.readouterr().err
    assert (tmp_path / "recs.parquet").read_bytes() == b"mine"
    assert write("--overwrite", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    found = pd.read_parquet(tmp_path / "recs.parquet")
    assert (document["rows"], document["users"]) == (len(found), len(there[1]))


def test_a_break_leaves_no_file(write, tmp_path, monkeypatch):
    def breaks(*arguments, **options):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("tfzoo.cli.recommend_all.all_lists", breaks)
    assert write() == 130
    assert list(tmp_path.iterdir()) == []


def test_the_same_command_goes_on_where_a_break_stopped_it(there, write, tmp_path, monkeypatch, capsys):
    lists, asked = recommend_all.all_lists, []

    def counting(recommender, users, *arguments, block, **options):
        for number, table in enumerate(lists(recommender, users, *arguments, block=block, **options)):
            if len(asked) == 3:
                raise KeyboardInterrupt
            asked.append(number)
            yield table

    monkeypatch.setattr("tfzoo.cli.recommend_all.all_lists", counting)
    monkeypatch.setattr("tfzoo.cli.recommend_all.users_per_block", lambda items: 4)
    monkeypatch.setattr("tfzoo.cli.list_parts.ROWS_PER_PART", 1)
    assert write("--k", 3, name="parts.csv") == 130
    assert [entry.name for entry in tmp_path.iterdir()] == [".parts.csv.parts"]
    monkeypatch.setattr("tfzoo.cli.recommend_all.all_lists", lists)
    capsys.readouterr()
    assert write("--k", 3, name="whole.csv") == 0
    assert "Going on" not in capsys.readouterr().out
    assert write("--k", 3, name="parts.csv") == 0
    assert "Going on after 12 users" in capsys.readouterr().out
    assert (tmp_path / "parts.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["parts.csv", "whole.csv"]


def test_parts_of_other_lists_are_not_gone_on_with(tmp_path):
    table = pa.table({"user_id": [1, 1, 2]})
    parts = ListParts(tmp_path / "a.csv", {"k": 3})
    parts.add(table, 2)
    parts.flush()
    again = ListParts(tmp_path / "a.csv", {"k": 3})
    assert again.users == 2
    assert [one.num_rows for one in again.tables()] == [3]
    assert ListParts(tmp_path / "a.csv", {"k": 4}).users == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--all-users", "--output", "a.parquet"], "--all-users needs --run"),
        (["--all-users", "--run", "a"], "--all-users needs --output"),
        (["--all-users", "--run", "a", "--output", "a.txt"], "--output must end in .parquet, .pq, .csv."),
        (["--all-users", "--run", "a", "--output", "a.csv", "--k", "0"], "--k must be at least 1"),
        (["--user", "1", "--output", "a.csv"], "--output goes with --all-users"),
    ],
)
def test_wrong_use_is_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["recommend", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
