"""Records, checkpoints and manifests that were edited or damaged: each command ends with one message."""

import copy
import io
import json
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_names import write
from tfzoo.cli import main
from tfzoo.data.shard_manifest import whole_checksum
from tfzoo.errors import TfzooError
from tfzoo.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from tfzoo.training.record import RunRecord

RUN = Path("runs/baseline-log-paper/seed-0")
ODD = (
    None,
    True,
    -1,
    0,
    10**30,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "..",
    "../../x",
    "a\0b",
    [],
    {},
    [[]],
)
ODD += ({"a": {"b": 1}}, "x" * 5000, "é" * 10, "1", [1, "a", None], {"": ""}, {"test": {"rmse": "x"}}, -0.5)
COMMANDS = (
    ["results", "runs", "--markdown", "r.md", "--csv", "r.csv"],
    ["evaluate", "--run", str(RUN)],
    ["plot", str(RUN)],
    ["train", "--model", "baseline", "--data", "log.csv", "--resume", "--export-dir", "exports"],
    ["reproduce", "--table", "quick", "--model", "baseline", "--output", "runs", "--dry-run"],
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with a log, its shards and a finished run."""
    folder = tmp_path_factory.mktemp("made")
    write(folder / "work" / "log.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / "work")
        assert main(["train", "--model", "baseline", "--data", "log.csv", "--no-export"]) == 0
        assert main(["shard", "log.csv", "--output", "shards", "--shards", "4"]) == 0
    return folder


def places(value, path=()):
    """Return the ways to all values inside a JSON value."""
    found = [path]
    if isinstance(value, dict):
        found += [place for key in value for place in places(value[key], (*path, key))]
    elif isinstance(value, list):
        found += [place for number, one in enumerate(value) for place in places(one, (*path, number))]
    return found


def edited(value, chance):
    """Return a copy with one value replaced, left out, added or moved."""
    changed = copy.deepcopy(value)
    *way, last = chance.choice(places(value)[1:])
    target = changed
    for part in way:
        target = target[part]
    kind = chance.randrange(4)
    if kind == 0:
        del target[last]
    elif kind == 1 and isinstance(target, dict):
        target[chance.choice(["new", "..", "", "loss", "name"])] = chance.choice(ODD)
    else:
        target[last] = copy.deepcopy(chance.choice(ODD))
    return changed


def damaged(content, chance):
    """Return bytes that are cut off, or of which some are others."""
    if chance.random() < 0.4:
        return content[: chance.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(chance.choice([1, 5, 50])):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def outside(folder):
    """Return what is there beside the folder that is worked in."""
    return sorted(path for path in folder.iterdir())


def ends_with_one_message(arguments, capsys):
    """Run a command; anything but an exit status, such as an exception, fails the test."""
    capsys.readouterr()
    status = main(arguments)
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tfzoo: error: ")]
    assert status in (0, 1, 2)
    assert len(errors) == (status != 0), (arguments, errors)
    return status


def try_records(made, capsys, monkeypatch, numbers, commands):
    monkeypatch.chdir(made / "work")
    record = (RUN / "record.json").read_bytes()
    known, statuses = outside(made), []
    try:
        for number in numbers:
            chance = random.Random(number)
            content = json.dumps(edited(json.loads(record), chance)).encode(errors="surrogatepass")
            if number % 10 == 0:
                content = damaged(record, chance)
            for command in commands(number):
                (RUN / "record.json").write_bytes(content)
                statuses.append(ends_with_one_message(command, capsys))
                assert outside(made) == known, number
    finally:
        (RUN / "record.json").write_bytes(record)
    return statuses


def test_some_edited_records(made, capsys, monkeypatch):
    statuses = try_records(made, capsys, monkeypatch, range(60), lambda n: [COMMANDS[n % len(COMMANDS)]])
    assert 0 < statuses.count(0) < len(statuses)


@pytest.mark.slow
def test_more_edited_records(made, capsys, monkeypatch):
    # Four hundred, each under every command, take half an hour.
    every = "TFZOO_EXHAUSTIVE" in os.environ
    chosen = (lambda _: COMMANDS) if every else (lambda number: [COMMANDS[number % len(COMMANDS)]])
    numbers = range(1000, 1400 if every else 1060)
    statuses = try_records(made, capsys, monkeypatch, numbers, chosen)
    assert 0 < statuses.count(0) < len(statuses)
    assert len(statuses) == len(numbers) * (len(COMMANDS) if every else 1)


def try_manifests(made, tmp_path, capsys, monkeypatch, numbers, epochs="1"):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made / "work" / "shards", "shards")
    manifest = Path("shards", "manifest.json")
    content = manifest.read_bytes()
    train = ["train", "--model", "biased-mf", "--data", "shards", "--no-export", "--set", "training.epochs=1"]
    train += ["--set", "training.jit_compile=false", "--overwrite"]
    statuses = []
    for number in numbers:
        chance = random.Random(number)
        changed = edited(json.loads(content), chance)
        if number % 2:
            # Whoever edits by a program has the checksum right.
            changed.pop("manifest_checksum", None)
            changed["manifest_checksum"] = whole_checksum(changed)
        manifest.write_text(json.dumps(changed))
        statuses.append(ends_with_one_message(train, capsys))
        assert {path.name for path in tmp_path.iterdir()} <= {"shards", "runs"}
    return statuses


def test_some_edited_manifests(made, tmp_path, capsys, monkeypatch):
    assert 2 in try_manifests(made, tmp_path, capsys, monkeypatch, range(12))


@pytest.mark.slow
def test_sixty_edited_manifests(made, tmp_path, capsys, monkeypatch):
    assert 2 in try_manifests(made, tmp_path, capsys, monkeypatch, range(100, 160))


@pytest.mark.parametrize(
    "change",
    [
        {"model": ".."},
        {"model": ""},
        {"dataset": "../x"},
        {"metrics": {"test": {"rmse": float("nan")}}},
        {"history": [{"loss": float("inf")}]},
        {"history": [{}]},
        {"timing": {}},
        {"timing": {"train_seconds": -1}},
        {"seed": -1},
        {"seed": 2**32},
        {"recipe": {}},
        {"recipe": {"name": ".."}},
        {"recipe": {"name": "paper", "changes": []}},
        {"paper": {"source": "Table 1"}},
        {"paper": {"source": "Table 1", "metrics": {"rmse": float("nan")}}},
        {"best_epoch": -1},
        {"name": "../x"},
    ],
)
def test_a_record_that_no_run_leaves_is_refused(made, tmp_path, change):
    values = json.loads((made / "work" / RUN / "record.json").read_text(encoding="utf-8"))
    (tmp_path / "record.json").write_text(json.dumps({**values, **change}))
    with pytest.raises(TfzooError, match="is not a run record") as raised:
        RunRecord.load(tmp_path)
    assert len(str(raised.value)) < 1000


def checkpoint():
    state = TrainingState(2, 1, 0.5, 1.0, [{"loss": 1.0}, {"loss": 0.5}])
    return state, {"weights": [np.ones((2, 2), np.float32)], "optimizer": [np.zeros(2, np.float32)]}


@pytest.mark.parametrize(
    "meta",
    [
        [],
        {"fingerprint": "f"},
        {"state": {"epoch": 3}},
        {"state": {"epoch": "x"}},
        {"state": {"best_epoch": 7}},
        {"state": {"history": 3}},
        {"state": {"history": [{"loss": "x"}] * 2}},
        {"sizes": {"weights": 2}},
        {"sizes": {"weights": -1}},
        {"sizes": []},
        {"sizes": {"weights": "1"}},
    ],
)
def test_an_edited_checkpoint_is_one_clear_error(tmp_path, meta):
    path = tmp_path / "checkpoint.npz"
    state, groups = checkpoint()
    save_checkpoint(path, state, groups, "f")
    with np.load(path) as archive:
        arrays = dict(archive)
    known = json.loads(str(arrays["meta"]))
    if isinstance(meta, dict) and "fingerprint" not in meta:
        inner = {"state": {**known["state"], **meta["state"]}} if "state" in meta else {}
        meta = {**known, **meta, **inner}
    arrays["meta"] = np.array(json.dumps(meta))
    if meta != known:
        with path.open("wb") as file:
            np.savez(file, **arrays)
    if isinstance(meta, dict) and meta.get("sizes") == {"weights": -1}:
        # No array is asked for: what is missing is found out when the checkpoint is used.
        assert load_checkpoint(path, "f")[1] == {"weights": []}
        return
    with pytest.raises(TfzooError, match=r"The checkpoint .* cannot be read"):
        load_checkpoint(path, "f")


def test_damaged_checkpoints_are_one_clear_error_or_what_was_saved(tmp_path):
    path = tmp_path / "checkpoint.npz"
    state, groups = checkpoint()
    save_checkpoint(path, state, groups, "f")
    content, refused = path.read_bytes(), 0
    for number in range(200):
        path.write_bytes(damaged(content, random.Random(number)))
        try:
            found, _ = load_checkpoint(path, "f")
        except TfzooError as error:
            refused += "\n" not in str(error)
        else:
            assert isinstance(found, TrainingState)
    assert refused > 150
    with np.load(io.BytesIO(content)) as archive:
        texts = {**archive, "weights/0": np.array(["a", "b"])}
    with path.open("wb") as file:
        np.savez(file, **texts)
    with pytest.raises(TfzooError, match="arrays that are no numbers"):
        load_checkpoint(path, "f")
