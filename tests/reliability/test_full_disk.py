"""A disk that is full or read-only: one clear error, and the last good checkpoint stays usable."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.places import seed_of
from tests.reliability.harness import command, half_versions, leftovers, outcome, visible_versions

pytestmark = pytest.mark.slow

NO_EXPORT = ("--no-export",)
AVERAGED = ("pmf", "training.average=0.9")


def one_error(answer):
    """Return the one line that a failed command ends with."""
    assert answer["status"] in (1, 2), answer["text"]
    assert "Traceback" not in answer["text"]
    (line,) = (line for line in answer["text"].splitlines() if "error" in line)
    assert line.startswith("tfzoo: error: ")
    return line


def test_files_that_cannot_grow(server, ratings, unbroken, tmp_path):
    expected, _ = unbroken(*AVERAGED, more=NO_EXPORT)
    arguments = command(ratings, tmp_path, *AVERAGED, resume=True, more=NO_EXPORT)
    for limit, file, left in ((5_000, "checkpoint.npz", []), (20_000, "model.keras", ["checkpoint.npz"])):
        line = one_error(server.run(arguments, limit=limit))
        folder = seed_of(tmp_path / "runs", "pmf-toy-paper")
        assert f"Cannot write {folder / file}: File too large. " in line
        assert "--resume" in line
        assert [path.name for path in folder.iterdir()] == left
        assert leftovers(tmp_path) == []
    assert server.run(arguments)["status"] == 0
    assert outcome(tmp_path) == expected


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can become someone else")
def test_a_folder_of_someone_else(server, ratings):
    nobody = 65534
    # Not tmp_path, which is below a folder that lets nobody else through.
    with tempfile.TemporaryDirectory() as name:
        theirs = Path(name)
        theirs.chmod(0o755)
        for folder in (theirs, theirs / "below"):
            line = one_error(server.run(command(ratings, folder, "pmf"), user=nobody))
            assert line == (
                f"tfzoo: error: --output {folder / 'runs'} cannot be written: {theirs} is read-only"
            )
            assert [*theirs.iterdir()] == []


@pytest.fixture
def small_disk(tmp_path):
    """Return a function that mounts a disk of a given size, or changes the size of the one there is."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def resize(size):
        options = f"remount,size={size}" if os.path.ismount(disk) else f"size={size}"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], capture_output=True)
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.decode()}")
        return disk

    yield resize
    if os.path.ismount(disk):
        subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can mount a disk")
@pytest.mark.parametrize("pages", [0, 4, 10, 20, 40, 90])
def test_a_full_disk(server, ratings, unbroken, small_disk, pages):
    expected, _ = unbroken(*AVERAGED)
    # The first page is the smallest there is; what is full from the start has no room for a folder.
    disk = small_disk(f"{max(4 * pages, 4)}k")
    if pages == 0:
        (disk / "other").write_bytes(b"x" * 4096)
    line = one_error(server.run(command(ratings, disk, *AVERAGED)))
    assert "No space left on device" in line
    assert leftovers(disk) == []
    assert visible_versions(disk) == []
    small_disk("50m")
    answer = server.run(command(ratings, disk, *AVERAGED, resume=True))
    assert answer["status"] == 0, answer["text"]
    assert outcome(disk) == expected
    assert len(visible_versions(disk)) == 1
    assert half_versions(disk) == leftovers(disk) == []
