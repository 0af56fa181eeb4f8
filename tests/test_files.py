"""Folders that are replaced, and locks that are not what they seem."""

import os
import subprocess
import sys

import pytest

from tests.patience import PATIENCE
from tfzoo import pretrained
from tfzoo.errors import StorageError
from tfzoo.files import hold_folder, replace_folder, restore_folder

# Ends without a word, as when it is killed, once it has renamed so many times.
KILLED = """
import os, pathlib, sys
from tfzoo.files import replace_folder
rename, left = pathlib.Path.rename, [int(sys.argv[3])]
def counted(self, target):
    if left[0] == 0:
        os._exit(9)
    left[0] -= 1
    return rename(self, target)
pathlib.Path.rename = counted
import shutil
if sys.argv[4] == "keep":
    shutil.rmtree = lambda *_, **__: os._exit(9)
replace_folder(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
"""


def folder_with(path, text):
    path.mkdir(parents=True)
    (path / "model").write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("renames", "kept"), [("0", "old"), ("1", "old"), ("2", "new")])
def test_a_folder_that_is_replaced_is_never_lost(tmp_path, renames, kept):
    new, place = folder_with(tmp_path / "new", "new"), folder_with(tmp_path / "models" / "place", "old")
    arguments = [sys.executable, "-c", KILLED, str(new), str(place), renames, "keep"]
    assert subprocess.run(arguments, timeout=PATIENCE, check=False).returncode == 9
    restore_folder(place)
    assert (place / "model").read_text(encoding="utf-8") == kept
    assert [entry.name for entry in place.parent.iterdir()] == ["place"]
    if kept == "old":
        replace_folder(new, place)
        assert (place / "model").read_text(encoding="utf-8") == "new"
        assert [entry.name for entry in place.parent.iterdir()] == ["place"]


def test_a_folder_that_cannot_be_moved_leaves_the_old_one(tmp_path):
    place = folder_with(tmp_path / "place", "old")
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path / "missing", place)
    assert (place / "model").read_text(encoding="utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["place"]


def test_a_pretrained_model_whose_building_was_killed_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TFZOO_CACHE_DIR", str(tmp_path))
    built = pretrained.built_folder("ease-ml-100k")
    folder_with(built.parent / f".{built.name}.before", "old")
    assert pretrained.pretrained_folder("ease-ml-100k") == built
    assert (built / "model").read_text(encoding="utf-8") == "old"


@pytest.mark.skipif(os.name != "posix", reason="locks of this kind are POSIX'")
@pytest.mark.parametrize("kind", ["link", "dangling", "hard link", "file", "folder", "pipe"])
def test_a_lock_that_is_something_else_is_left_alone(tmp_path, kind):
    theirs, lock = tmp_path / "theirs.txt", tmp_path / "runs" / ".seed-0.lock"
    theirs.write_text("precious", encoding="utf-8")
    lock.parent.mkdir()
    make = {
        "link": lambda: lock.symlink_to(theirs),
        "dangling": lambda: lock.symlink_to(tmp_path / "new.txt"),
        "hard link": lambda: os.link(theirs, lock),
        "file": lambda: lock.write_text("precious", encoding="utf-8"),
        "folder": lock.mkdir,
        "pipe": lambda: os.mkfifo(lock),
    }
    make[kind]()
    before = sorted(path.name for path in tmp_path.rglob("*"))
    message = r"\.seed-0\.lock is in the way"
    with pytest.raises(StorageError, match=message), hold_folder(lock.parent / "seed-0"):
        pass
    assert theirs.read_text(encoding="utf-8") == "precious"
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_lock_that_a_killed_process_has_left_holds_nobody_up(tmp_path):
    lock = tmp_path / ".seed-0.lock"
    for text in ("", "process 123 on somewhere"):
        lock.write_text(text, encoding="utf-8")
        with hold_folder(tmp_path / "seed-0"):
            assert lock.read_text(encoding="utf-8").startswith(f"process {os.getpid()} on ")
        assert not lock.exists()
