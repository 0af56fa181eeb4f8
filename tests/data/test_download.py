"""Downloads are complete and checked, or absent."""

from __future__ import annotations

import hashlib
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tfzoo.data import download
from tfzoo.errors import DownloadError

CONTENT = b"user,item\n" * 1000
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Handler(BaseHTTPRequestHandler):
    """Serves `CONTENT`; the path says how it goes wrong."""

    requests: list[str]
    silence: threading.Event

    def do_GET(self) -> None:
        self.requests.append(self.path)
        first = self.requests.count(self.path) == 1
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/busy" or (self.path == "/busy-once" and first):
            self.send_error(503)
            return
        if self.path == "/silent":
            self.silence.wait(PATIENCE)
            return
        self.send_response(200)
        if self.path != "/no-length":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        short = self.path == "/short" or (self.path == "/short-once" and first)
        self.wfile.write(CONTENT[:100] if short else CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(download, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Handler.requests, Handler.silence = [], threading.Event()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    Handler.silence.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.mark.parametrize("checksum", [MD5, SHA256, None])
def test_fetch_writes_the_file_and_nothing_else(server: str, tmp_path: Path, checksum: str | None) -> None:
    file = tmp_path / "folder" / "data.csv"
    assert download.fetch(f"{server}/file", file, checksum=checksum) == file
    assert file.read_bytes() == CONTENT
    assert list(file.parent.iterdir()) == [file]


def test_fetch_without_a_declared_length(server: str, tmp_path: Path) -> None:
    assert download.fetch(f"{server}/no-length", tmp_path / "a", checksum=MD5).read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["/busy-once", "/short-once"])
def test_fetch_tries_again(server: str, tmp_path: Path, path: str) -> None:
    download.fetch(f"{server}{path}", tmp_path / "a", checksum=MD5)
    assert Handler.requests == [path, path]


@pytest.mark.parametrize(
    ("path", "requests", "reason"),
    [
        ("/missing", 1, "HTTP 404"),
        ("/busy", 3, "HTTP 503"),
        ("/short", 3, "only 100 of 10,000 bytes"),
        ("/silent", 3, "timed out"),
    ],
)
def test_fetch_gives_up_cleanly(server: str, tmp_path: Path, path: str, requests: int, reason: str) -> None:
    timeout = 0.2 if path == "/silent" else PATIENCE
    with pytest.raises(DownloadError, match=reason):
        download.fetch(f"{server}{path}", tmp_path / "a", checksum=None, timeout=timeout)
    assert len(Handler.requests) == requests
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_wrong_checksum_leaves_what_was_there(server: str, tmp_path: Path, algorithm: str) -> None:
    file = tmp_path / "a"
    file.write_text("older")
    with pytest.raises(DownloadError, match=f"wrong {algorithm} checksum"):
        download.fetch(f"{server}/file", file, checksum=f"{algorithm}:00")
    assert file.read_text() == "older"
    assert list(tmp_path.iterdir()) == [file]
    assert len(Handler.requests) == 1


def test_fetch_refused_connection_and_other_schemes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(DownloadError, match="3 tries"):
        download.fetch("http://127.0.0.1:9/file", tmp_path / "a", checksum=None)
    with pytest.raises(DownloadError, match="Only http"):
        download.fetch("file:///etc/hostname", tmp_path / "a", checksum=None)


def make_zip(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/"), text)
    return path


def test_extract_takes_the_named_folder(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", inner__u="x", inner__deep__v="y", other="z")
    target = tmp_path / "target"
    assert download.extract_zip(archive, target, folder="inner") == target
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*")) == ["deep", "deep/v", "u"]
    assert (target / "deep" / "v").read_text() == "y"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "target"]
    everything = download.extract_zip(archive, tmp_path / "all")
    assert (everything / "inner" / "u").read_text() == "x"


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "C:/evil", "..\\evil", "\\evil"])
def test_extract_refuses_paths_that_lead_out(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "inside" / "a.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("fine", "x")
        opened.writestr(name, "x")
    with pytest.raises(DownloadError, match="leads out of the folder"):
        download.extract_zip(archive, archive.parent / "target")
    assert [path.name for path in tmp_path.rglob("*")] == ["inside", "a.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_extract_refuses_links_and_devices(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(info, "/etc/passwd")
    with pytest.raises(DownloadError, match="link or a device"):
        download.extract_zip(tmp_path / "a.zip", tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_extract_refuses_bombs(tmp_path: Path) -> None:
    bomb = make_zip(tmp_path / "bomb.zip", zeros="0" * 1_000_000)
    with pytest.raises(DownloadError, match=r"would unpack to 1,000,000 bytes"):
        download.extract_zip(bomb, tmp_path / "target")
    with pytest.raises(DownloadError, match="would unpack"):
        download.extract_zip(bomb, tmp_path / "target", max_ratio=1e9, max_bytes=999_999)
    assert [path.name for path in tmp_path.iterdir()] == ["bomb.zip"]


def test_extract_refuses_damaged_archives(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", inner__u="some text " * 20)
    whole = archive.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole.replace(whole[40:45], b"\0\0\0\0\0")):
        archive.write_bytes(damaged)
        with pytest.raises(DownloadError, match="not a usable zip"):
            download.extract_zip(archive, tmp_path / "target")
    archive.write_bytes(whole)
    with pytest.raises(DownloadError, match="no folder 'absent'"):
        download.extract_zip(archive, tmp_path / "target", folder="absent")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_new_folder_keeps_the_one_that_came_first(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with download.new_folder(target) as mine:
        (mine / "file").write_text("mine")
        target.mkdir()
        (target / "file").write_text("theirs")
    assert (target / "file").read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(KeyError), download.new_folder(tmp_path / "other"):
        raise KeyError
    assert list(tmp_path.iterdir()) == [target]


def fake_pip(monkeypatch: pytest.MonkeyPatch, content: bytes) -> list[list[str]]:
    commands = []

    def run(command: list[str], **options: object) -> None:
        assert "shell" not in options
        commands.append(command)
        folder = Path(command[command.index("--dest") + 1])
        (folder / "thing-1-py3-none-any.whl").write_bytes(content)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_fetch_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = fake_pip(monkeypatch, CONTENT)
    wheel = download.fetch_wheel("thing==1", sha256=SHA256.removeprefix("sha256:"), folder=tmp_path)
    assert wheel.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [wheel]
    assert commands[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "thing==1"} <= set(commands[0])


def test_fetch_wheel_refuses_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, b"something else")
    with pytest.raises(DownloadError, match="thing==1: wrong sha256"):
        download.fetch_wheel("thing==1", sha256=SHA256.removeprefix("sha256:"), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            subprocess.CalledProcessError(1, "pip", stderr="noise\nNo module named pip\n"),
            "No module named pip",
        ),
        (subprocess.CalledProcessError(3, "pip", stderr=""), "exit status 3"),
        (subprocess.TimeoutExpired("pip", 7), "no answer in 7 s"),
    ],
)
def test_fetch_wheel_says_why_pip_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def run(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(DownloadError, match=reason):
        download.fetch_wheel("thing==1", sha256="00", folder=tmp_path, timeout=7)
    assert list(tmp_path.iterdir()) == []


def test_cache_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TFZOO_CACHE_DIR", str(tmp_path))
    assert download.cache_dir() == tmp_path
    monkeypatch.delenv("TFZOO_CACHE_DIR")
    assert download.cache_dir() == Path.home() / ".cache" / "tfzoo"
