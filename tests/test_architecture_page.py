"""The page on the architecture shows the code as it is, and the hooks before a commit run what CI runs."""

import re
import runpy
from pathlib import Path

import yaml

from tests.test_architecture import FLOORS, read_package

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
WRITE = runpy.run_path(str(ROOT / "scripts" / "write_architecture.py"))


def test_the_page_and_the_drawing_are_what_the_command_writes():
    text = PAGE.read_text(encoding="utf-8")
    assert text == WRITE["page"](text)
    drawn = (ROOT / "docs" / "assets" / "architecture.svg").read_text(encoding="utf-8")
    assert drawn == WRITE["drawing"]()


def test_every_room_is_drawn_above_what_it_imports():
    edges = WRITE["imports"]()
    rows = WRITE["floors"](edges)
    floor = {room: number for number, row in enumerate(rows) for room in row}
    assert floor.keys() == {
        module.split(".")[1]
        for module in read_package()
        if module not in ("tfzoo", "tfzoo.__main__", "tfzoo.recipes")
    } | ({"recipes"} & floor.keys())
    assert all(floor[room] > floor[target] for room, targets in edges.items() for target in targets)
    assert floor["data"] < floor["tasks"] < floor["experiment"] < floor["cli"]


def test_floors_of_a_small_house():
    edges = {"roof": {"wall"}, "wall": {"ground"}, "ground": set(), "shed": {"ground"}}
    assert WRITE["floors"](edges) == [["ground"], ["shed", "wall"], ["roof"]]


def test_the_table_of_rooms_names_rooms():
    table = PAGE.read_text(encoding="utf-8").partition("| room |")[2].partition("\n## ")[0]
    named = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in row.split(", ")}
    assert {name.strip("`") for name in named} <= set().union(*FLOORS)
    assert len(named) > 12


def test_what_contributing_names_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"(?:tests|tfzoo|scripts|docs|\.ci)/[\w/.-]*\w", text)
    known = [path for path in paths if not re.search("NAME|MODEL", path)]
    assert len(known) > 8
    assert [path for path in known if not (ROOT / path).exists()] == []


def test_hooks_before_a_commit_run_what_ci_runs():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0][
        "hooks"
    ]
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = {hook["id"]: hook["entry"].replace(" --force-exclude", "") for hook in hooks}
    assert commands.keys() == {"ruff-check", "ruff-format", "mypy", "bandit"}
    assert [command for command in commands.values() if f"\n{command}" not in run] == []
