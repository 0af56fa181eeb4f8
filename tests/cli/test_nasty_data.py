"""``tfzoo train`` on data as it comes: every row is accounted for, and nothing is written on an error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfzoo.cli.main import main

ROWS = "".join(f"u{user},{(user * 3 + item) % 7},{item}\n" for user in range(12) for item in range(5))


def train(folder: Path, data: Path, *options: str) -> int:
    places = ["--output", str(folder / "runs"), "--export-dir", str(folder / "models"), "--no-export"]
    command = ["train", "--model", "popularity", "--data", str(data), "--time-col", "when", *places]
    return main([*command, "--user-col", "user", "--item-col", "item", *options])


def test_the_first_lines_account_for_every_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / ("%2F%2Fevil" + "n" * 200 + ".csv")
    path.write_text("user,item,when\n" + ROWS + "u0,0,9\nu1,3,9\n")
    assert train(tmp_path, path, "--duplicates", "last", "--protocol", "leave-one-out") == 0
    lines = capsys.readouterr().out.splitlines()
    assert ": 60 interactions, 12 users, 7 items" in lines[0]
    reason = "(same user and item as another row, duplicates='last')"
    assert lines[1].strip() == f"{path}: 62 rows read, 60 kept, 2 dropped {reason}"
    run = next((tmp_path / "runs").iterdir())
    assert run.name.startswith("popularity-2f-2fevilnnn")
    assert (run / "seed-0" / "record.json").is_file()
    assert {entry.name for entry in tmp_path.iterdir()} == {path.name, "runs"}


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        (
            "a.csv",
            "user,item,when\n" + ROWS + "u0,0\n",
            "row 61 (counted from 1 without the header): 2 fields",
        ),
        (
            "a.csv",
            "user,item,when\n" + ROWS + '"u0,0,1\n',
            "row 61 (counted from 1 without the header): a quote",
        ),
        ("a.jsonl", '{"user": [1], "item": 1, "when": 1}', "column 'user': id [1] of type list"),
        ("a.csv.gz", "user,item,when\n", "Not a gzipped file"),
        ("a.csv", None, "is a pipe or a device"),
    ],
)
def test_one_line_on_the_error_stream_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, content: str | None, problem: str
) -> None:
    path = tmp_path / file
    if content is None:
        os.mkfifo(path)
    else:
        path.write_text(content)
    assert train(tmp_path, path) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(f"tfzoo: error: {path}")
    assert problem in captured.err
    assert [entry.name for entry in tmp_path.iterdir()] == [file]
