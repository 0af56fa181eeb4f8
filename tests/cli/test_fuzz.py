"""Whatever the command line is given, it ends with one message and no traceback.

The options are those of the parser, so that a new one is tried as well. No text holds a null, which no
system lets through to a command.
"""

import argparse
import contextlib
import io
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.test_cli import write_toy
from tfzoo.cli import main, pages, reproduce
from tfzoo.cli.main import build_parser
from tfzoo.data import download
from tfzoo.errors import DownloadError
from tfzoo.serving.http_server import HttpServer

MODELS = ["popularity", "pmf", "ease", "gru4rec", "deepconn", "", "pmff", "..", "P M F", "é\udcff"]
TEXTS = [
    "",
    " ",
    "-",
    "nan",
    "1",
    "é日😀",
    "\udcff",
    "a" * 300,
    "../..",
    "--",
    "*",
    "[",
    "\\t",
    '"',
    "0x10",
]
# None outside the folder of the test, where anything could be written.
PATHS = [
    "ratings.csv",
    "empty",
    "x",
    ".",
    "/proc/x",
    "missing",
    "ratings.csv/x",
    "x" * 300,
    "é\udcff",
    "",
]
RUN = "done/popularity-ratings-paper/seed-0"
COLUMNS = ["user_id", "item_id", "rating", "timestamp", "", "1", "RATING", "é"]
NUMBERS = [
    "0",
    "1",
    "-1",
    "2",
    str(2**31),
    str(2**32),
    str(2**63),
    str(2**64),
    "1e400",
    "1.5",
    "x",
    "\uff11",
    "1_0",
]
FLOATS = [*NUMBERS, "nan", "inf", "-inf", "1e-320", "0.5"]
SETTINGS = [
    "training.epochs=1",
    "training.epochs=0",
    "training.epochs=x",
    "training.batch_size=true",
    "training.learning_rate=nan",
    "training.learning_rate=1e400",
    "training.optimizer=sgdd",
    "training.average=1",
    "builder.embedding_dim=0",
    "builder.embedding_dim=-1",
    "builder.embedding_dim=[1]",
    "builder.l2=.inf",
    "split.kind=random",
    "split.kind=leave-out",
    "split.ratios=[1,0,0]",
    "split.ratios=[.nan,.5,.5]",
    "task.loss=x",
    "filter.min_rating=99",
    "filter.min_rating=.nan",
    "a.b.c=1",
    "training",
    "=",
    "x=1",
    "training.epochs={",
    "training=1",
    "training.epochs: 2",
]
BY_NAME = {
    "model": MODELS,
    "pattern": [*MODELS, "*", "p*", "[!a]*", "["],
    "set": SETTINGS,
    "overrides": SETTINGS,
    "dataset": ["ml-100k", "ratings", "ml-1M", "", "..", "\udcff"],
    "recipe": ["paper", "tuned", "tunned", "ratings.csv", "missing.yaml", "bad.yaml", "", "x.yml"],
    "protocol": ["leave-one-out", "leave-one", "ncf", "..", ""],
    "task": ["rating", "ratings", ""],
    "family": ["towers", "tower", "\udcff"],
    "year": ["2017", "2010..2020", "..", "99999", "2020..2010", "x", "\uff11\uff12\uff13\uff14"],
    "sep": [",", ";", "\\t", "", '"', "\n", "ab", "\udcff"],
    "encoding": ["utf-8", "latin-1", "utf-9", "", "utf-16", "base64", "idna"],
    "table": ["quick", "quik", "", "edrs-2"],
    "action": ["list", "build", "lst"],
    "name": ["edrs-ml-100k", "nothing", "..", ""],
    "host": ["127.0.0.1", "999.1.1.1", "", "é", "\udcff", "::1", "x" * 300],
    "port": [*NUMBERS, "65536"],
    "user": TEXTS,
    "exclude": [*TEXTS, ",,", "1,2"],
    "history": [*TEXTS, ",,", "1,2"],
    "part": ["test", "validation", "tset", "", "\udcff"],
}


@pytest.fixture(scope="module")
def there(toy, tmp_path_factory):
    """Work in a folder with ratings and a run, where nothing is downloaded, served or begun beside."""
    folder = tmp_path_factory.mktemp("fuzz")

    def refused(*_, **__):
        raise DownloadError("no network here")

    def process(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "ImportError: not here")

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TFZOO_CACHE_DIR", str(folder / "cache"))
        patch.delenv("TFZOO_DATA_DIR", raising=False)
        for name in ("fetch", "fetch_wheel"):
            patch.setattr(download, name, refused)
        patch.setattr(subprocess, "run", process)
        patch.setattr(reproduce, "_train", lambda *_: False)
        patch.setattr(HttpServer, "run", lambda *_, **__: None)
        # The pages of all models take a minute; tests/reporting/test_pages.py writes them.
        patch.setattr(pages, "write_pages", lambda *_: iter([]))
        write_toy(folder / "ratings.csv", toy)
        (folder / "empty").mkdir()
        (folder / "bad.yaml").write_text("training: [", encoding="utf-8")
        fast = ["--set", "training.epochs=1"]
        assert (
            main(["train", "--model", "popularity", "--data", "ratings.csv", *fast, "--output", "done"]) == 0
        )
        yield folder


def values(action):
    """Return texts to give to an option or argument, many of which it does not take."""
    if action.choices is not None:
        return st.sampled_from([*map(str, action.choices), *map(str, action.choices), "none of them", ""])
    if action.dest in BY_NAME:
        return st.sampled_from(BY_NAME[action.dest])
    if action.type is int:
        return st.sampled_from([*"1234567", *NUMBERS])
    if action.type is float:
        return st.sampled_from([*"1234567", *FLOATS])
    if action.type is Path:
        return st.sampled_from(
            [*PATHS, RUN, RUN, RUN, "done", "saved_models", "saved_models/popularity-ratings"]
        )
    return st.sampled_from(COLUMNS if action.dest.endswith("_col") else TEXTS)


@st.composite
def words(draw, parser):
    """Return a command line of a parser: what it requires, and some of what it takes."""
    found = []
    # From nearly all options to nearly none, with which a command gets further.
    rare = draw(st.integers(1, 20))
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            # Most of the options are those of a training.
            name = draw(st.sampled_from([*action.choices, *["train"] * 4 * ("train" in action.choices)]))
            return [*found, name, *draw(words(action.choices[name]))]
        if action.option_strings and not action.required and draw(st.integers(0, rare)):
            continue
        if isinstance(action, (argparse._HelpAction,)) or draw(st.integers(0, 60)) == 60:
            continue
        counts = {None: (1, 1), "?": (0, 1), "*": (0, 2), "+": (1, 2), 0: (0, 0)}
        low, high = counts.get(action.nargs, (action.nargs, action.nargs))
        given_values = draw(st.lists(values(action), min_size=low, max_size=high))
        if not action.option_strings:
            found += given_values
        elif len(given_values) == 1 and draw(st.booleans()):
            # So that a value may begin with a dash.
            found.append(f"{action.option_strings[-1]}={given_values[0]}")
        else:
            found += [action.option_strings[-1], *given_values]
    return found


@st.composite
def command_lines(draw):
    """Return what follows ``tfzoo``."""
    found = draw(words(build_parser()))
    if found[:1] == ["train"]:
        # Otherwise few would get as far as the data, and none would train for a short time only.
        if not any(word.startswith("--data") for word in found):
            found.append("--data=ratings.csv")
        found += draw(st.sampled_from([[], [], ["--model=pmf"], ["--model=pmf", "--recipe=paper"]]))
        found += ["--set", "training.epochs=1", "--set", "training.jit_compile=false", "--no-export"]
    return found


def outcome(arguments):
    """Return exit status, standard output and standard error of a command on a terminal of ASCII."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\n") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(arguments)
        except SystemExit as end:
            status = end.code
    for stream in (out, err):
        stream.flush()
    return status, out.buffer.getvalue().decode(), err.buffer.getvalue().decode()


def check(arguments):
    status, out, err = outcome(arguments)
    assert status in (0, 1, 2), (status, err)
    assert "Traceback" not in out + err
    errors = [line for line in err.splitlines() if ": error: " in line]
    assert len(errors) == (status != 0), err


EVERY = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=25, **EVERY)
@given(command_lines())
def test_a_command_line_ends_with_one_message(there, arguments):
    check(arguments)


@pytest.mark.slow
@settings(max_examples=2000 if "TFZOO_EXHAUSTIVE" in os.environ else 200, **EVERY)
@given(command_lines())
def test_many_command_lines_end_with_one_message(there, arguments):
    check(arguments)
