"""Items named on a command line: commas within ids, several values, files, unknown ids."""

import json
import re

import numpy as np
import pytest

from tfzoo.cli import main
from tfzoo.cli.item_lists import items_of, listed_items, notes_on_unknown
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import TfzooError, UsageError

QUEEN = "The Good, the Bad & the Queen"
SONGS = Vocabulary(np.array(sorted([QUEEN, "The Good", "a", "a,b", "a,b,c", "b", "c", "x,"])))
NUMBERS = Vocabulary(np.array([1, 2, 12, 123456789012345604]))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        (["", ",,", " , "], []),
        (["a"], ["a"]),
        (["a, c"], ["a", "c"]),
        ([QUEEN], [QUEEN]),
        ([f"c,{QUEEN},The Good"], ["c", QUEEN, "The Good"]),
        (["a,b,c"], ["a,b,c"]),
        (["a,b,d"], ["a,b", "d"]),
        (["x,,a"], ["x,", "a"]),
        (["The Good, the Ugly"], ["The Good", "the Ugly"]),
        (["b", QUEEN, "a"], ["b", QUEEN, "a"]),
    ],
)
def test_commas_within_ids(values, expected):
    assert listed_items(values, None, "--exclude", SONGS) == expected


def test_whole_numbers():
    assert listed_items(["1,2", "123456789012345604"], None, "--exclude", NUMBERS) == [
        "1",
        "2",
        "123456789012345604",
    ]
    told = notes_on_unknown(["1", "13", "13", "x"], "--exclude", NUMBERS)
    assert told == [
        "--exclude: there is no item '13', it is ignored.",
        "--exclude: there is no item 'x', it is ignored.",
    ]


def test_a_file_has_an_id_a_line(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_bytes(f"\ufeff{QUEEN}\r\n\r\n a,d \nb".encode())
    assert listed_items(["c"], path, "--exclude", SONGS) == ["c", QUEEN, "a,d", "b"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00a", "folder"])
def test_a_file_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "ids.txt"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"--history-file .*ids.txt cannot be read: "):
        listed_items([], path, "--history", SONGS)


def test_nothing_is_said_of_known_ids_and_no_similar_one_is_sought_among_very_many():
    assert notes_on_unknown([QUEEN, "a"], "--history", SONGS) == []
    assert notes_on_unknown([], "--history", SONGS) == []
    told = "--history: there is no item 'item 1', it is ignored."
    for count, similar in {10: " Did you mean 'item 01'?", 30_000: ""}.items():
        many = Vocabulary(np.array([f"item {number:0{len(str(count))}d}" for number in range(count)]))
        assert notes_on_unknown(["item 1"], "--history", many) == [told + similar]


def test_an_export_without_ids_is_one_clear_error(tmp_path):
    with pytest.raises(TfzooError, match="no export"):
        items_of(tmp_path)


def test_an_export_of_a_model_of_clicks_has_no_lists(tmp_path):
    (tmp_path / "assets.extra").mkdir()
    described = {"model": "deepfm-click", "task": "click", "fields": []}
    (tmp_path / "assets.extra" / "tfzoo.json").write_text(json.dumps(described), encoding="utf-8")
    with pytest.raises(UsageError, match=r"'deepfm-click', a model of clicks: .* has no lists to recommend"):
        items_of(tmp_path)


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """A served model of songs, one of which has a comma in its name."""
    folder = tmp_path_factory.mktemp("songs")
    random = np.random.default_rng(3)
    names = ["a", "b", "c", "d", "e", "f", "g", "The Good", f'"{QUEEN}"']
    lines = [f"u{user},{names[item]}" for user in range(40) for item in random.permutation(9)[:5]]
    (folder / "songs.csv").write_text("\n".join(["user,item", *lines]) + "\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        columns = ["--user-col", "user", "--item-col", "item", "--protocol", "leave-one-out"]
        assert main(["train", "--model", "ease", "--data", "songs.csv", *columns]) == 0
    return folder


def test_recommend_knows_songs_with_commas(songs, monkeypatch, capsys):
    monkeypatch.chdir(songs)
    monkeypatch.setenv("COLUMNS", "200")
    ask = ["recommend", "--model", "ease", "--dataset", "songs", "--k", "9"]

    def answer(*options):
        capsys.readouterr()
        assert main([*ask, *options]) == 0
        text = capsys.readouterr().out
        return text, [item.strip() for item in re.findall(r"│ +\d+ │ (.*?) │", text)]

    text, listed = answer("--history", "a")
    assert sorted(listed) == sorted(["b", "c", "d", "e", "f", "g", "The Good", QUEEN])
    assert "there is no item" not in text
    text, listed = answer("--history", "a", "--exclude", QUEEN)
    assert QUEEN not in listed
    assert "The Good" in listed
    assert "there is no item" not in text
    text, listed = answer("--history", f"a,{QUEEN}", "--history", "b", "--exclude", "c", "--exclude", "Q")
    assert sorted(listed) == sorted(["d", "e", "f", "g", "The Good"])
    assert text.count("there is no item") == 1
    assert "--exclude: there is no item 'Q', it is ignored." in text

    (songs / "ids.txt").write_text(f"{QUEEN}\nb\n", encoding="utf-8")
    assert (
        answer("--history-file", "ids.txt", "--exclude", "c")[1]
        == answer("--history", QUEEN, "--history", "b", "--exclude", "c")[1]
    )
    assert sorted(answer("--history", "a", "--exclude-file", "ids.txt")[1]) == sorted(
        ["c", "d", "e", "f", "g", "The Good"]
    )
    with pytest.raises(SystemExit):
        main([*ask, "--history", "a", "--history-file", "ids.txt"])
    assert "not allowed with" in capsys.readouterr().err
