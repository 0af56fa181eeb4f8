"""Recipes, names and records that mean harm: one error, and no file outside of the folders given."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tfzoo.data.datasets import from_dataframe, from_file
from tfzoo.errors import TfzooError, UsageError
from tfzoo.runs import run_folder
from tfzoo.training.recipe import load_recipe
from tfzoo.training.record import RunRecord
from tfzoo.training.settings import Recipe, parse
from tfzoo.training.yaml_text import parse_yaml

LAUGHS = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
RECIPES = {
    "bomb": (LAUGHS, r"references such as \*a0 are not taken in line 2"),
    "bomb where a number is expected": (
        "training:\n  epochs: &x [1]\n  patience: *x\n",
        "references .* in line 3",
    ),
    "endless reference": ("builder: &a\n  x: *a\n", r"references such as \*a are not taken in line 2"),
    "merge key": ("training: &t {epochs: 1}\npretraining:\n  <<: *t\n", "is not valid YAML"),
    "object of Python": (
        "builder: !!python/object/apply:os.system ['true']\n",
        "could not determine a const",
    ),
    "module of Python": ("builder: !!python/module:os\n", "could not determine a constructor"),
    "name of Python": ("builder: !!python/name:os.system\n", "could not determine a constructor"),
    "tuple of Python": ("split: !!python/tuple [1]\n", "could not determine a constructor"),
    "own tag": ("split: !evil x\n", "could not determine a constructor"),
    "key twice": ("training:\n  epochs: 1\n  epochs: 2\n", "key 'epochs' stands there twice in line 3"),
    "group twice": ("training: {epochs: 1}\ntask: {}\ntraining: {}\n", "key 'training' stands there twice"),
    "list as a key": ("? [a, b]\n: 1\n", "a key must be a text or a number in line 1"),
    "number as a key": ("1: 2\n", "unknown key|keys should be strings|'1'"),
    "brackets without end": ("[" * 50_000, "is not valid YAML: maximum recursion depth exceeded"),
    "braces without end": ("{a: " * 20_000, "is not valid YAML: maximum recursion depth exceeded"),
    "date": (
        "training: {epochs: 2024-12-05}\n",
        "unable to parse string as an integer",
    ),
    "number of 5,000 digits": (
        f"training: {{epochs: {'9' * 5000}}}\n",
        "is not valid YAML: Exceeds the limit",
    ),
    "NUL": ("training:\0 {}\n", "is not valid YAML: .*special characters are not allowed"),
    "two documents": ("training: {}\n---\ntask: {}\n", "is not valid YAML"),
    "tab": ("training:\n\tepochs: 1\n", "is not valid YAML"),
    "list": ("[]\n- 1", "is not valid YAML"),
    "long text": (f"training: {{optimizer: '{'x' * 100_000}'}}\n", r"training.optimizer.*xxx\.\.\.$"),
    "not finite": ("training: {learning_rate: .inf}\n", "training.learning_rate"),
    "path as protocol": ("protocol: ../../../etc/passwd\n", "Unknown protocol"),
    "path as base": ("base: ../pmf/paper\n", "Unknown recipe"),
    "other model": ("model: ../../evil\nnam: x\n", "unknown key 'nam'"),
}


@pytest.mark.parametrize("name", RECIPES)
def test_hostile_recipes_are_refused(tmp_path: Path, name: str) -> None:
    text, message = RECIPES[name]
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    started = time.process_time()
    with pytest.raises(UsageError, match=f"(?s){message}") as caught:
        load_recipe("pmf", "toy", str(path))
    assert time.process_time() - started < 5
    assert len(str(caught.value)) < 1000 + len(str(path))
    assert "\n" not in str(caught.value)


def test_a_recipe_of_10_mb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("# comment\n" * 1_000_000)
    started = time.process_time()
    with pytest.raises(UsageError, match=r"own\.yaml is larger than 1,048,576 bytes"):
        load_recipe("pmf", "toy", str(path))
    assert time.process_time() - started < 1


def test_recipes_that_are_no_files(tmp_path: Path) -> None:
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    for name in (folder, tmp_path / f"{'a' * 300}.yaml", "a\0b.yaml", "/dev/zero.yaml"):
        with pytest.raises(UsageError, match="Recipe file not found"):
            load_recipe("pmf", "toy", str(name))


@pytest.mark.parametrize("value", ["*x", "!!python/name:os.system", "[" * 50_000, "{a: 1, a: 2}"])
def test_hostile_overrides_are_refused(value: str) -> None:
    with pytest.raises(UsageError, match=r"--set training\.epochs=.*the value is not valid YAML"):
        load_recipe("pmf", "toy", overrides=[f"training.epochs={value}"])


@pytest.mark.parametrize("override", ["name=../evil", "model.name=x", "name.x=../evil", "model=evil"])
def test_overrides_cannot_rename_what_folders_are_named_after(override: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        load_recipe("pmf", "toy", overrides=[override])


def test_a_recipe_cannot_name_the_folder_itself(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("name: ../../evil\n")
    with pytest.raises(UsageError, match=r"'name'.*folders are named after it"):
        load_recipe("pmf", "toy", str(path))


@pytest.mark.parametrize("stem", ["a\\b", "a\nb", "a\x1bb", "n" * 81])
def test_names_of_recipe_files_that_make_no_folder_are_refused(tmp_path: Path, stem: str) -> None:
    path = tmp_path / f"{stem}.yaml"
    path.write_text("training: {epochs: 1}\n")
    with pytest.raises(UsageError, match=r"'name'.*folders are named after it"):
        load_recipe("pmf", "toy", str(path))


FILES = [
    "..csv",
    "...csv",
    "..%2f..%2fevil.csv",
    "a b\tc.csv",
    "-rf.csv",
    "~.csv",
    "$(x).csv",
    "é.csv",
    "n" * 250,
]


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_data_cannot_lead_the_run_elsewhere(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("user,item\na,1\nb,2\n")
    stays_inside(tmp_path, from_file(path, user_col="user", item_col="item", sep=",").name)


@pytest.mark.parametrize(
    "name", ["../../evil", "/etc/passwd", "a\0b", "..", "", "a\\..\\b", "x" * 5000, "C:\\a"]
)
def test_a_name_given_to_data_cannot_lead_the_run_elsewhere(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"user_id": [1, 2], "item_id": [1, 2]})
    stays_inside(tmp_path, from_dataframe(frame, rating_col=None, name=name).name)


def stays_inside(folder: Path, dataset: str) -> None:
    longest = parse(Recipe, {"model": "popularity", "name": "n" * 80}, "a recipe")
    output = folder / "runs"
    place = run_folder(output, longest, dataset, 0)
    assert place.resolve().parents[1] == output.resolve()
    place.mkdir(parents=True)
    assert (output / place.parent.name / "seed-0").is_dir()
    # Locks and temporary files have longer names than the folder.
    (output / f".{place.parent.name}.{'0' * 16}.part").touch()


def test_long_names_of_one_beginning_stay_apart() -> None:
    frame = pd.DataFrame({"user_id": [1, 2], "item_id": [1, 2]})
    names = {from_dataframe(frame, rating_col=None, name="x" * 100 + end).name for end in ("", "1", "2")}
    assert len(names) == 3
    assert {len(name) for name in names} == {64}


def record(**changes: Any) -> dict[str, Any]:
    return {
        **dict.fromkeys(
            ("model", "task", "dataset", "protocol", "fingerprint", "headline", "precision"), "x"
        ),
        **{key: {} for key in ("data", "hardware", "versions")},
        "recipe": {"name": "x"},
        "metrics": {"test": {}},
        "timing": {"train_seconds": 0},
        **dict.fromkeys(("seed", "parameters", "best_epoch"), 0),
        **dict.fromkeys(("paper", "peak_memory_mb", "commit"), None),
        "history": [],
        **changes,
    }


@pytest.mark.parametrize("key", ["model", "dataset"])
@pytest.mark.parametrize("name", ["../../evil", "/etc", "a\\b", "a\0b", "n" * 81, "..", ".", "", " "])
def test_a_record_cannot_lead_an_export_elsewhere(tmp_path: Path, key: str, name: str) -> None:
    RunRecord.model_validate(record())
    (tmp_path / "record.json").write_text(RunRecord.model_construct(**record(**{key: name})).text())
    with pytest.raises(TfzooError, match="is not a run record"):
        RunRecord.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("yes", "yes"),
        ("off", "off"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1e-3", 0.001),
        ("-.5", -0.5),
        ("+7", 7),
        ("True", True),
        ("~", None),
        ("", None),
        ("[1, no, .inf]", [1, "no", float("inf")]),
    ],
)
def test_plain_values_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    found = parse_yaml(text, "here")
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    "override",
    [
        "training.epochs=true",
        "training.epochs=1:30",
        "training.learning_rate=true",
        "training.patience=false",
        "filter.min_rating=yes",
        "builder.embedding_dim=true",
        "builder.lookup_l2=true",
    ],
)
def test_what_is_no_number_is_no_size(override: str) -> None:
    with pytest.raises(UsageError, match=override.partition("=")[0].rpartition(".")[2]):
        load_recipe("pmf", "", overrides=[override])
