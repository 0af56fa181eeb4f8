"""Several processes at once in one folder: one is told, or all succeed; the living are left alone."""

import contextlib
import functools
import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import zipfile

import pytest

from tests.reliability.harness import ROOT, command, half_versions, leftovers, outcome, visible_versions
from tfzoo.errors import StorageError, TfzooError
from tfzoo.files import hold_folder, remove_leftovers, temporary_folder, write_atomically
from tfzoo.serving.deployment import models_config, write_deployment
from tfzoo.serving.export import publish

HOLD = "from tfzoo.files import hold_folder as enter; more = ()"
FILL = "from tfzoo.files import temporary_folder as enter; more = ('.export-',)"
REPORT = """
import sys
from pathlib import Path
with enter(Path(sys.argv[1]), *more) as folder:
    if folder:
        (folder / "half").write_text("half")
    print("ready", flush=True)
    sys.stdin.read()
"""
DOWNLOAD = """
import sys
from pathlib import Path
from tfzoo.data import download
print("ready", flush=True)
sys.stdin.read()
cache = Path(sys.argv[1])
archive = download.fetch(sys.argv[2], cache / "archive.zip", checksum=sys.argv[3])
download.extract_zip(archive, cache / "set")
"""


def start(code, *arguments):
    """Start a process that runs code, and wait until it is ready; it goes on when its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "no_proxy": "127.0.0.1"},
    )
    assert process.stdout.readline() == "ready\n"
    return process


@contextlib.contextmanager
def elsewhere(enter, folder):
    """Enter a folder in another process, which is killed at the end of the block."""
    process = start(enter + REPORT, folder)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_held_folder_is_refused_until_its_process_is_dead(tmp_path):
    folder = tmp_path / "runs" / "seed-0"
    with (
        elsewhere(HOLD, folder) as process,
        pytest.raises(TfzooError, match=rf"seed-0 is in use: process {process.pid} on "),
        hold_folder(folder),
    ):
        pass
    # Killed, it has left its lock.
    assert [path.name for path in folder.parent.iterdir()] == [".seed-0.lock"]
    with hold_folder(folder):
        text = (folder.parent / ".seed-0.lock").read_text(encoding="utf-8")
        assert text.startswith(f"process {os.getpid()} on ")
        with pytest.raises(TfzooError, match="in use"), hold_folder(folder):
            pass
    assert list(folder.parent.iterdir()) == []


def test_folders_made_for_a_lock_do_not_stay(tmp_path):
    with hold_folder(tmp_path / "a" / "b" / "c"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []


def test_many_threads_hold_a_folder_one_at_a_time(tmp_path):
    inside, seen = [], []

    def enter():
        for _ in range(50):
            with contextlib.suppress(TfzooError), hold_folder(tmp_path / "x" / "seed-0"):
                inside.append(1)
                seen.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen
    assert set(seen) == {1}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_are_not(tmp_path):
    with elsewhere(FILL, tmp_path):
        (alive,) = tmp_path.iterdir()
        with temporary_folder(tmp_path, ".export-") as other:
            assert {*tmp_path.iterdir()} == {alive, other}
        assert (alive / "half").read_text(encoding="utf-8") == "half"
    assert [*tmp_path.iterdir()] == [alive]
    with temporary_folder(tmp_path, ".export-") as other:
        assert [*tmp_path.iterdir()] == [other]
    assert [*tmp_path.iterdir()] == []


def test_a_write_removes_its_own_leftovers_and_no_files_of_others(tmp_path):
    others = {".env.local", ".env.part", ".env.0123456789abcdef.part.txt", "env.0123456789abcdef.part"}
    others |= {".envy.0123456789abcdef.part", ".env.0123456789ABCDEF.part"}
    for name in (*others, ".env.0123456789abcdef.part"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    write_atomically(tmp_path / "env", lambda file: file.write(b"new"))
    assert {path.name for path in tmp_path.iterdir()} == {*others, "env"}
    (tmp_path / ".b.0123456789abcdef.part").mkdir()
    remove_leftovers(tmp_path, ".b.")
    assert {path.name for path in tmp_path.iterdir()} == {*others, "env"}


def test_a_file_is_open_to_those_whom_the_mask_lets_in(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", lambda file: file.write(b"x"))
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_many_threads_write_one_file(tmp_path):
    path, texts = tmp_path / "file", [bytes([65 + n]) * 10_000 for n in range(4)]
    errors = []

    def write(text):
        for _ in range(25):
            try:
                write_atomically(path, lambda file: file.write(text))
                assert path.read_bytes() in texts
            except (StorageError, AssertionError) as error:
                errors.append(error)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [*tmp_path.iterdir()] == [path]


def test_many_threads_publish_each_a_version_of_its_own(tmp_path):
    for n in range(40):
        (tmp_path / "prepared" / str(n)).mkdir(parents=True)
        (tmp_path / "prepared" / str(n) / "text").write_text(str(n), encoding="utf-8")
    folder = tmp_path / "model"
    folder.mkdir()
    prepared = sorted((tmp_path / "prepared").iterdir())
    threads = [
        threading.Thread(target=lambda mine: [publish(path, folder) for path in mine], args=(prepared[n::4],))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {path.name for path in folder.iterdir()} == {str(n) for n in range(1, 41)}
    texts = {(path / "text").read_text(encoding="utf-8") for path in folder.iterdir()}
    assert texts == {str(n) for n in range(40)}


def test_a_model_published_while_the_list_is_written_is_in_it(tmp_path, monkeypatch):
    def add(name):
        version = tmp_path / name / "1"
        version.mkdir(parents=True)
        (version / "saved_model.pb").touch()

    add("first")
    real = models_config

    def listed(folder):
        text = real(folder)
        if not (tmp_path / "second").exists():
            add("second")
        return text

    monkeypatch.setattr("tfzoo.serving.deployment.models_config", listed)
    write_deployment(tmp_path)
    assert (tmp_path / "models.config").read_text(encoding="utf-8") == real(tmp_path)
    assert "second" in real(tmp_path)


def test_two_downloads_of_one_data_set_both_succeed(tmp_path, monkeypatch):
    source, cache = tmp_path / "source", tmp_path / "cache"
    source.mkdir()
    content = os.urandom(3_000_000)
    with zipfile.ZipFile(source / "set.zip", "w") as archive:
        archive.writestr("ratings.dat", content)
    checksum = f"md5:{hashlib.md5((source / 'set.zip').read_bytes()).hexdigest()}"
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=source)
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{httpd.server_port}/set.zip"
        processes = [start(DOWNLOAD, cache, url, checksum) for _ in range(3)]
        for process in processes:
            process.stdin.close()
        for process in processes:
            process.wait()
            process.stdout.close()
        httpd.shutdown()
        thread.join()
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert (cache / "set" / "ratings.dat").read_bytes() == content
    assert sorted(path.name for path in cache.iterdir()) == ["archive.zip", "set"]


@pytest.mark.slow
def test_a_second_training_in_a_folder_is_told_who_is_there(server, ratings, unbroken, tmp_path):
    more = ("--no-export",)
    expected, answer = unbroken("pmf", "training.average=0.9", more=more)
    arguments = command(ratings, tmp_path, "pmf", "training.average=0.9", more=more)
    first = server.start(arguments, below=str(tmp_path), stop_at=answer["events"] // 2)
    server.stopped(first)
    for resume in ([], ["--resume"]):
        second = server.run([*arguments, *resume])
        assert second["status"] == 1
        assert f"seed-0 is in use: process {first} on " in second["text"]
        assert second["text"].count("error:") == 1
        assert "interrupted run" not in second["text"].lower(), "the run that goes on is not interrupted"
        assert "Traceback" not in second["text"]
    os.kill(first, signal.SIGCONT)
    assert server.wait(first)["status"] == 0
    assert outcome(tmp_path) == expected
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_exports_at_once_are_both_whole_and_the_living_keep_their_files(server, ratings, tmp_path):
    assert server.run(command(ratings, tmp_path, "pmf", more=("--no-export",)))["status"] == 0
    (run,) = tmp_path.glob("runs/*/seed-0")
    export = ["export", "--run", str(run), "--export-dir", str(tmp_path / "exports")]
    # The first stops while it has a hidden folder; the second is to leave that alone.
    first = server.start(export, below=str(tmp_path / "exports" / "pmf-toy" / ".export-"), stop_at=3)
    server.stopped(first)
    assert server.run(export)["status"] == 0
    assert len(leftovers(tmp_path)) == 1
    os.kill(first, signal.SIGCONT)
    running = [first, server.start(export), server.start(export)]
    answers = [server.wait(number) for number in running]
    assert [answer["status"] for answer in answers] == [0, 0, 0], answers
    assert [path.name for path in visible_versions(tmp_path)] == ["1", "2", "3", "4"]
    assert half_versions(tmp_path) == leftovers(tmp_path) == []
