"""Killed at any moment (SIGKILL) and resumed, a run ends as if nothing had happened."""

import os
import random
import signal
import time

import pytest

from tests.reliability.harness import command, half_versions, leftovers, on_disk, outcome, visible_versions

NO_EXPORT = ("--no-export",)
# One of each way to train: plain steps with averaged weights, dropout, carried state, pretraining in two
# stages, corrupted inputs, a closed form.
WAYS = {
    "pmf": ("training.average=0.9",),
    "edrs": (),
    "gru4rec": ("training.batch_size=4", "builder.units=[6]"),
    "neumf": (),
    "cdae": (),
    "ease": (),
}


def finish(server, ratings, folder, expected, *arguments, **options):
    """Resume to the end; what is left must be what an unbroken run leaves."""
    answer = server.run(command(ratings, folder, *arguments, resume=True, **options))
    assert answer["status"] == 0, answer["text"]
    assert outcome(folder) == expected
    assert leftovers(folder) == []
    assert half_versions(folder) == []
    (run,) = folder.glob("runs/*/seed-0")
    assert sorted(path.name for path in run.iterdir()) == ["model.keras", "record.json", "vocabulary"]


@pytest.mark.slow
def test_killed_several_times_at_writes(server, ratings, unbroken, tmp_path):
    arguments = ("pmf", *WAYS["pmf"])
    expected, answer = unbroken(*arguments, more=NO_EXPORT)
    for moment in (0.2, 0.45, 0.6):
        kill_at = round(moment * answer["events"])
        killed = server.run(
            command(ratings, tmp_path, *arguments, resume=True, more=NO_EXPORT),
            below=str(tmp_path),
            kill_at=kill_at,
        )
        assert killed["status"] == -signal.SIGKILL, killed["text"]
        assert killed["events"] == kill_at
    assert leftovers(tmp_path) != []
    finish(server, ratings, tmp_path, expected, *arguments, more=NO_EXPORT)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["pmf", "ease"])
def test_killed_at_every_write(server, ratings, unbroken, tmp_path, model):
    arguments = (model, *WAYS[model], "training.epochs=2")
    expected, _ = unbroken(*arguments, more=NO_EXPORT)
    folder, copies = tmp_path / "run", tmp_path / "copies"
    folder.mkdir()
    answer = server.run(
        command(ratings, folder, *arguments, more=NO_EXPORT), below=str(folder), copies=str(copies)
    )
    assert answer["events"] == len([*copies.iterdir()]) > 20
    # What is the same on the disk is resumed once.
    different = {on_disk(copy): copy for copy in copies.iterdir()}
    assert len(different) > 5
    for copy in different.values():
        finish(server, ratings, copy, expected, *arguments, more=NO_EXPORT)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["edrs", "gru4rec", "neumf", "cdae"])
def test_killed_at_random_moments(server, ratings, unbroken, tmp_path, model):
    arguments = (model, *WAYS[model])
    expected, answer = unbroken(*arguments)
    moments = random.Random(f"kill {model}")
    kills = 0
    for _ in range(3):
        number = server.start(command(ratings, tmp_path, *arguments, resume=True))
        time.sleep(moments.uniform(0.1, 0.9) * answer["seconds"])
        os.kill(number, signal.SIGKILL)
        # One that had ended before counts for nothing.
        kills += server.wait(number)["status"] == -signal.SIGKILL
        assert half_versions(tmp_path) == []
    assert kills
    finish(server, ratings, tmp_path, expected, *arguments)


@pytest.fixture
def trained(server, ratings, tmp_path):
    """Return a folder with a run that is not exported, and the command that exports it."""
    assert server.run(command(ratings, tmp_path, "pmf", more=NO_EXPORT))["status"] == 0
    (run,) = tmp_path.glob("runs/*/seed-0")
    return tmp_path, ["export", "--run", str(run), "--export-dir", str(tmp_path / "exports")]


@pytest.mark.slow
def test_an_export_killed_at_writes_is_not_to_be_seen(server, trained):
    folder, export = trained
    whole = server.run(export, below=str(folder))
    assert whole["status"] == 0, whole["text"]
    assert len(visible_versions(folder)) == 1
    kills = 0
    for kill_at in range(3, whole["events"] + 1, 3):
        before = visible_versions(folder)
        killed = server.run(export, below=str(folder), kill_at=kill_at)
        assert half_versions(folder) == []
        # Killed after the publication, in writing the server's settings, it is one more.
        assert {*visible_versions(folder)} >= {*before}
        if killed["status"] == 0:
            # The first export has more to write: the settings of a server that are made once.
            assert killed["events"] < kill_at
            break
        assert killed["status"] == -signal.SIGKILL, killed["text"]
        kills += 1
    assert kills > 5
    _exported_once_more(server, export, folder)


@pytest.mark.slow
def test_an_export_killed_at_random_moments_is_not_to_be_seen(server, trained):
    folder, export = trained
    whole = server.run(export)
    moments = random.Random("kill export")
    for _ in range(8):
        number = server.start(export)
        time.sleep(moments.uniform(0.2, 1) * whole["seconds"])
        os.kill(number, signal.SIGKILL)
        server.wait(number)
        assert half_versions(folder) == []
    _exported_once_more(server, export, folder)


def _exported_once_more(server, export, folder):
    before = visible_versions(folder)
    answer = server.run(export)
    assert answer["status"] == 0, answer["text"]
    assert len(visible_versions(folder)) == len(before) + 1
    assert half_versions(folder) == leftovers(folder) == []
    assert "pmf-toy" in (folder / "exports" / "models.config").read_text()
