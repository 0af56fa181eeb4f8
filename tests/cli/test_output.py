"""What commands print: tables without broken words, as much as is asked for, and JSON."""

import argparse
import json
import math
import re
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import Progress

from tests.cli.test_cli import write_toy
from tfzoo.cli import main, output, progress, train
from tfzoo.cli.main import build_parser
from tfzoo.cli.mode import finish_output, start_output
from tfzoo.cli.output import answer, mention, more, print_table, say

update = Progress.update


@pytest.fixture
def terminal(monkeypatch):
    """Return what makes a terminal of a width, which returns its text."""

    def make(width):
        stream = StringIO()
        console = Console(markup=False, width=width, file=stream, force_terminal=True, color_system=None)
        monkeypatch.setattr(output, "console", console)
        start_output(argparse.Namespace())
        return stream

    return make


def begin(**options):
    start_output(argparse.Namespace(**options))


@pytest.fixture(autouse=True)
def _afterwards():
    yield
    begin()


words = st.text(st.sampled_from("abcdefghij"), min_size=1, max_size=18)
texts = st.lists(words, max_size=8).map(" ".join)


@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=4), st.integers(20, 120), st.booleans())
def test_no_word_is_broken(rows, width, head):
    stream = StringIO()
    console = Console(markup=False, width=width, file=stream, force_terminal=True, color_system=None)
    before, output.console = output.console, console
    try:
        print_table(("first", "second", "third"), rows, head=head)
    finally:
        output.console = before
    shown = stream.getvalue()
    found = set(shown.replace("│", " ").replace("┃", " ").replace(";", " ").split())
    assert {word for row in rows for text in row for word in text.split()} <= found
    longest = max((len(word) for row in rows for text in row for word in text.split()), default=0)
    assert max(map(len, shown.splitlines()), default=0) <= max(width, longest + 5)


@pytest.mark.parametrize("command", [["list"], ["models"], ["info", "edrs"], ["info", "gru4rec"]])
def test_the_commands_fit_80_columns(command, terminal, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stream = terminal(80)
    assert main(command) == 0
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any("edrs" in line or "gru4rec" in line for line in lines)


def test_lines_are_wrapped_between_words_on_a_terminal_alone(terminal, capsys):
    stream = terminal(20)
    say("  one two three four five /a/path/that/is/longer/than/the/terminal")
    assert stream.getvalue() == "  one two three four\n  five\n  /a/path/that/is/longer/than/the/terminal\n"
    stream = Console(markup=False, width=20, file=StringIO())
    output.console = stream
    say("one two three four five six")
    assert stream.file.getvalue() == "one two three four five six\n"


def test_a_training_shows_what_it_does_and_how_far_it_is(terminal, tmp_path, monkeypatch, toy):
    write_toy(tmp_path / "ratings.csv", toy)
    monkeypatch.chdir(tmp_path)
    stream = terminal(80)
    for module in (output, progress, train):
        monkeypatch.setattr(module, "console", output.console)
    # Every state is drawn, which is otherwise left to a clock.
    monkeypatch.setattr(Progress, "update", lambda self, *a, **k: (update(self, *a, **k), self.refresh()))
    fast = (
        "training.epochs=3",
        "training.jit_compile=false",
        "training.batch_size=50",
        "training.steps_per_call=2",
    )
    sets = [word for one in fast for word in ("--set", one)]
    assert main(["train", "--model", "pmf", "--data", "ratings.csv", "--no-export", *sets]) == 0
    lines = [line.strip() for line in re.split(r"[\r\n]|\x1b\[[0-9;?]*[a-zA-Z]", stream.getvalue())]
    shown = "\n".join(lines)
    order = [
        "loading TensorFlow and Keras",
        "reading the data",
        "300 interactions",
        "dividing the data",
        "building",
        "compiling",
        "0/3 step 2/5",
        "1/3 step 2/5",
        "2/3 step 4/5",
        "3/3 loss",
        "metric (test)",
    ]
    places = [re.sub(" +", " ", shown).find(text) for text in order]
    assert -1 not in places, dict(zip(order, places, strict=True))
    assert places == sorted(places)
    assert re.search(r"2/3 step 4/5 +loss \d\.\d{4} best rmse \d\.\d{4} +0:0\d:\d\d", shown)
    # Sentences with a path are lines of their own, whatever the length of the path.
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 80


def test_quiet_prints_results_alone(capsys):
    begin(quiet=True)
    say("a result")
    mention("what goes on")
    assert capsys.readouterr() == ("a result\n", "")


def test_json_is_all_of_standard_output(capsys):
    begin(json=True)
    say("a result")
    mention("what goes on")
    print_table(("a",), [("b",)])
    answer(number=np.float32(0.5), none=math.nan, path=Path("a/b"), many=(1, np.int64(2)))
    more("rows", {"a": True})
    finish_output()
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "number": 0.5,
        "none": None,
        "path": "a/b",
        "many": [1, 2],
        "rows": [{"a": True}],
    }
    assert printed.err == "what goes on\n"


def parsers(parser, name=""):
    nested = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not nested:
        yield name, parser
    for action in nested:
        for command, one in action.choices.items():
            yield from parsers(one, f"{name} {command}".strip())


@pytest.mark.parametrize("name", [name for name, _ in parsers(build_parser()) if name != "completion"])
def test_every_command_has_the_options(name):
    parser = dict(parsers(build_parser()))[name]
    assert {"--quiet", "--verbose", "--json"} <= set(parser._option_string_actions)
