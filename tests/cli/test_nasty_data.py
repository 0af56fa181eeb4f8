"""``tfzoo train`` on data as it comes: every row is accounted for, and nothing is written on an error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfzoo.cli import options
from tfzoo.cli.main import main
from tfzoo.data.datasets import delimited, text_files, times

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
    assert run.name.startswith("popularity-2F-2Fevilnnn")
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


def test_what_data_lacks_is_said_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Milliseconds, ratings of 0, two events at one time, and last items that were the first ones too.
    rows = [
        f"{user},{item},{1_600_000_000_000 + 1000 * user + at // 2},0"
        for user in range(12)
        for at, item in enumerate([user % 5, (user + 1) % 5, (user + 2) % 5, (user + 3) % 5, user % 5])
    ]
    path = tmp_path / "a.csv"
    path.write_text("user,item,when,rating\n" + "\n".join(rows))
    assert train(tmp_path, path, "--protocol", "leave-one-out", "--duplicates", "keep") == 0
    out = capsys.readouterr().out
    for note in (
        "times in 'when' are read as milliseconds",
        "48 rows have the same 'when' as another row of their user",
        "12 rows have the user and item of an earlier one and are kept too",
        "36 ratings of the training part are 0 or less",
        "12 test pairs of a user and an item are among those of training too: known items are ranked as well",
        "full ranking with known items",
    ):
        assert note in out
    assert "hr@10 1.0000" in out


def test_options_for_files_are_refused_beside_a_named_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    for option in (["--time-col", "t"], ["--rating-scale", "1", "5"], ["--encoding", "latin-1"]):
        assert main(["train", "--model", "popularity", "--dataset", "ml-100k", *option]) == 2
        assert capsys.readouterr().err == (
            f"tfzoo: error: {option[0]} is for --data; 'ml-100k' is read as it was published.\n"
        )


def test_the_choices_are_those_of_the_reader() -> None:
    assert (options.UTF8, options.QUOTING) == (text_files.UTF8, delimited.QUOTING)
    assert (times.AUTO, *times.UNITS) == (options.AUTO, *options.UNITS)
