"""README, and the pages that its commands go on in: every command is executed, or says here why not."""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfzoo.cli import main
from tfzoo.cli.main import build_parser

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/protocols.md", "docs/data-sets.md")
TEXT = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
LONGEST = 200
# By their first words.
NOT_EXECUTED = {
    "pip install": "every check installs the package so, into a fresh environment",
    "pytest": "this is it",
    "mkdocs build": "every check builds the site so",
    "cd saved_models": "the next command needs Docker",
    "docker compose": "needs Docker",
    "tfzoo serve": "runs until it is stopped; tests/cli/test_serve.py and the tutorials execute it",
}
COMMAND = re.compile(
    r"^ {4}((?:python scripts/|tfzoo |pip |pytest|cd |docker )(?:[^\\\n]|\\\n)*)", re.MULTILINE
)


def commands():
    """Return the commands of the pages' blocks, each as a list of words."""
    lines = [block.replace("\\\n", " ") for block in COMMAND.findall(TEXT)]
    parts = [part.strip() for line in lines for part in line.partition("  #")[0].split("&&")]
    return [shlex.split(part) for part in parts]


def reason_to_leave_out(command):
    return next((why for start, why in NOT_EXECUTED.items() if " ".join(command).startswith(start)), None)


def arguments(command):
    """Return what the `tfzoo` command is given."""
    if command[0] == "tfzoo":
        return command[1:]
    assert command[0] == "python"
    return [Path(command[1]).stem.replace("_", "-"), *command[2:]]


EXECUTED = [command for command in commands() if reason_to_leave_out(command) is None]


def test_readme_is_read_in_a_few_minutes():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_the_commands_are_found_and_parsed():
    assert len(EXECUTED) >= 11
    assert {arguments(command)[0] for command in EXECUTED} == {
        "train",
        "recommend",
        "evaluate",
        "export",
        "shard",
    }
    for command in EXECUTED:
        build_parser().parse_args(arguments(command))


def write_logs(folder):
    """Write the files of a reader's own: ratings, and clicks in sessions of several days."""
    random = np.random.default_rng(0)
    cells = random.choice(60 * 40, 1200, replace=False)
    columns = {"user": cells // 40, "movie": cells % 40, "stars": random.integers(1, 6, 1200)}
    ratings = pd.DataFrame({**columns, "when": np.arange(1200)})
    ratings.to_csv(folder / "ratings.csv", index=False)
    session = np.repeat(np.arange(300), 5)
    seconds = session * 3600 + np.tile(np.arange(5), 300)
    clicks = pd.DataFrame({"user": session % 50, "session": session, "when": seconds})
    clicks["page"] = (session * 7 + np.tile(np.arange(5), 300)) % 30
    first = clicks.drop_duplicates(["user", "page"])
    first.to_csv(folder / "clicks.csv", index=False)


@pytest.mark.slow
@pytest.mark.data
def test_every_command_runs_in_the_order_of_the_pages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_logs(tmp_path)
    for command in EXECUTED:
        given = arguments(command)
        # One epoch each, but for the run that the next commands use: what they print is checked elsewhere.
        long = "ease" in given or given == ["train", "--model", "edrs"]
        short = [] if long or given[0] != "train" else ["--set", "training.epochs=1"]
        assert main([*given, *short]) == 0, command
    assert (tmp_path / "saved_models" / "edrs-ml-100k" / "2" / "saved_model.pb").is_file()
