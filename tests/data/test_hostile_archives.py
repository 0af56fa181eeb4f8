"""Archives and servers that mean harm or are broken: one error, and nothing is left behind."""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import random
import re
import stat
import struct
import tarfile
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.patience import PATIENCE
from tfzoo.data import download
from tfzoo.data.datasets import registry
from tfzoo.errors import DownloadError

Members = list[tuple[zipfile.ZipInfo | str, bytes]]


def zipped(members: Members) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def of_kind(name: str, kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o777) << 16
    return info


def declared(size: int, content: bytes = b"0" * 100_000) -> bytes:
    """Return an archive whose one member claims to unpack to ``size`` bytes."""
    archive = zipped([("a", content)])
    real = struct.pack("<L", len(content))
    assert archive.count(real) == 2
    return archive.replace(real, struct.pack("<L", size))


def overlapping(copies: int) -> bytes:
    """Return an archive whose directory names the same packed bytes many times over."""
    whole = bytearray(zipped([("a0000", b"0" * 50_000)]))
    at = whole.index(b"PK\1\2")
    end = whole.index(b"PK\5\6")
    entry, tail = bytes(whole[at:end]), bytearray(whole[end:])
    entries = b"".join(entry.replace(b"a0000", b"a%04d" % number) for number in range(copies))
    struct.pack_into("<HHLL", tail, 8, copies, copies, len(entries), at)
    return bytes(whole[:at]) + entries + bytes(tail)


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def tar_link(kind: bytes) -> bytes:
    info = tarfile.TarInfo("link")
    info.type, info.linkname = kind, "/etc/passwd"
    return tar((info, b""))


FINE = ("fine.csv", b"user,item\n")
WHOLE = zipped([FINE, ("more.csv", bytes(range(256)) * 20)])
UNSAFE = "leads out of the folder"
TWICE = "is in it twice"
NO_ZIP = "is not a usable zip file"
HOSTILE: dict[str, tuple[bytes, str]] = {
    "parent": (zipped([FINE, ("../evil", b"x")]), UNSAFE),
    "parent inside": (zipped([FINE, ("a/b/../../../evil", b"x")]), UNSAFE),
    "parent that comes back": (zipped([FINE, ("../target/evil", b"x")]), UNSAFE),
    "parent with backslashes": (zipped([FINE, ("..\\evil", b"x")]), UNSAFE),
    "absolute": (zipped([FINE, ("/tmp/evil", b"x")]), UNSAFE),
    "network share": (zipped([FINE, ("\\\\host\\evil", b"x")]), UNSAFE),
    "drive": (zipped([FINE, ("C:\\evil", b"x")]), UNSAFE),
    "symbolic link": (zipped([FINE, (of_kind("link", stat.S_IFLNK), b"/etc/passwd")]), "link or a device"),
    "character device": (zipped([FINE, (of_kind("zero", stat.S_IFCHR), b"")]), "link or a device"),
    "block device": (zipped([FINE, (of_kind("disk", stat.S_IFBLK), b"")]), "link or a device"),
    "pipe": (zipped([FINE, (of_kind("pipe", stat.S_IFIFO), b"")]), "link or a device"),
    "socket": (zipped([FINE, (of_kind("socket", stat.S_IFSOCK), b"")]), "link or a device"),
    "bomb": (zipped([("zeros", b"0" * 3_000_000)]), "it would unpack to 3,000,000 bytes"),
    "bomb that declares 2 GB": (declared(2**31), "it would unpack to 2,147,483,648 bytes"),
    "bomb that declares less": (declared(10), NO_ZIP),
    "bomb of one member many times": (overlapping(500), "it would unpack to 25,000,000 bytes"),
    "too many members": (zipped([(f"{number}", b"") for number in range(2_001)]), "it has 2,001 files"),
    "names that differ by case": (zipped([("Ratings.csv", b"a"), ("ratings.CSV", b"b")]), TWICE),
    "names that differ by slash": (zipped([("a/b", b"a"), ("a\\b", b"b")]), TWICE),
    "file and folder of one name": (zipped([("a", b"x"), ("a/b", b"x")]), "cannot be unpacked"),
    "name of 300 letters": (zipped([FINE, ("n" * 300, b"x")]), "cannot be unpacked: File name too long"),
    "truncated": (WHOLE[:-30], NO_ZIP),
    "half": (WHOLE[: len(WHOLE) // 2], NO_ZIP),
    "without its head": (WHOLE[40:], "a.zip"),
    "empty": (b"", NO_ZIP),
    "wrong sum": (WHOLE.replace(struct.pack("<L", zlib.crc32(FINE[1])), b"\1\2\3\4"), NO_ZIP),
    "web page": (b"<html>Please log in</html>", NO_ZIP),
    "tar": (tar((tarfile.TarInfo("a"), b"x")), NO_ZIP),
    "tar with a parent": (tar((tarfile.TarInfo("../evil"), b"x")), NO_ZIP),
    "tar with a symbolic link": (tar_link(tarfile.SYMTYPE), NO_ZIP),
    "tar with a hard link": (tar_link(tarfile.LNKTYPE), NO_ZIP),
    "tar with a device": (tar_link(tarfile.CHRTYPE), NO_ZIP),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_refused(tmp_path: Path, name: str) -> None:
    content, message = HOSTILE[name]
    inside = tmp_path / "inside"
    inside.mkdir()
    archive = inside / "a.zip"
    archive.write_bytes(content)
    with pytest.raises(DownloadError, match=re.escape(message)) as caught:
        download.extract_zip(archive, inside / "target", max_members=2_000)
    assert str(caught.value).startswith("a.zip")
    assert "\n" not in str(caught.value)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == [
        "inside",
        "inside/a.zip",
    ]


def test_an_archive_that_is_fine_is_unpacked(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(WHOLE)
    target = download.extract_zip(archive, tmp_path / "target")
    assert (target / FINE[0]).read_bytes() == FINE[1]


def test_archives_with_bytes_turned_over(tmp_path: Path) -> None:
    chance = random.Random(5)
    refused = 0
    for number in range(200):
        damaged = bytearray(WHOLE)
        for _ in range(2):
            damaged[chance.randrange(len(damaged))] ^= chance.randrange(1, 256)
        archive, target = tmp_path / "a.zip", tmp_path / f"target-{number}"
        archive.write_bytes(damaged)
        with suppress(DownloadError):
            download.extract_zip(archive, target)
            continue
        refused += 1
        assert not target.exists()
    assert refused > 50
    assert {path.name.split("-")[0] for path in tmp_path.iterdir()} <= {"a.zip", "target"}


def test_contents_are_checked_where_the_packing_may_change(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(WHOLE)
    good = f"sha256:{hashlib.sha256(FINE[1]).hexdigest()}"
    for contents, message in (
        ({FINE[0]: "sha256:00"}, "a.zip, fine.csv: wrong sha256 checksum"),
        ({FINE[0]: good, "absent": good}, "cannot be unpacked: No such file"),
    ):
        with pytest.raises(DownloadError, match=message):
            download.extract_zip(archive, tmp_path / "target", contents=contents)
        assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    assert download.extract_zip(archive, tmp_path / "target", contents={FINE[0]: good}).is_dir()


CONTENT = b"user,item\n" * 100
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
REDIRECTS = {
    "/to-file": "file:///etc/passwd",
    "/to-ftp": "ftp://127.0.0.1/file",
    "/to-data": "data:text/plain,hello",
    "/to-itself": "/to-itself",
    "/to-nonsense": "http://[::1/file",
    "/to-good": "/good",
}


class Server(BaseHTTPRequestHandler):
    """Goes wrong in the way that the path says."""

    stopped: threading.Event

    def do_GET(self) -> None:
        if self.path in REDIRECTS:
            self.send_response(302)
            self.send_header("Location", REDIRECTS[self.path])
            self.end_headers()
            return
        length = {"/short": 10 * len(CONTENT), "/odd-length": "many", "/huge": 1 << 60, "/negative": -5}
        self.send_response(200)
        if not self.path.startswith("/endless") and self.path != "/trickle":
            self.send_header("Content-Length", str(length.get(self.path, len(CONTENT))))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(CONTENT)
            while self.path == "/endless" and not self.stopped.is_set():
                self.wfile.write(b"0" * 65_536)
            while self.path == "/trickle" and not self.stopped.is_set():
                self.wfile.write(b"0")
                time.sleep(0.02)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(download, "FIRST_PAUSE_SECONDS", 0.01)
    # A clock that goes on with every look at it: no machine is too busy for it.
    clock = SimpleNamespace(monotonic=functools.partial(next, itertools.count(0, 0.05)), sleep=time.sleep)
    monkeypatch.setattr(download, "time", clock)
    monkeypatch.setattr(download, "FIRST_WHILE_SECONDS", 0.2)
    monkeypatch.setattr(download, "LEAST_BYTES_PER_SECOND", 100_000)
    monkeypatch.setattr(download, "MAX_DOWNLOAD_BYTES", 1_000_000)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Server.stopped = threading.Event()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    Server.stopped.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/short", "only 1,000 of 10,000 bytes came"),
        ("/odd-length", "invalid literal"),
        ("/negative", "only .* of -5 bytes came"),
        ("/huge", "refused, it is larger than 1,000,000 bytes"),
        ("/endless", "refused, it is larger than 1,000,000 bytes"),
        ("/trickle", r"given up, 1,\d\d\d bytes in 0 s"),
        ("/to-file", "Redirection to url 'file:///etc/passwd' is not allowed"),
        ("/to-ftp", "refused, it leads to ftp://127.0.0.1/file"),
        ("/to-data", "Redirection to url 'data:text/plain,hello' is not allowed"),
        ("/to-itself", "redirect error that would lead to an infinite loop"),
        ("/to-nonsense", "Invalid IPv6 URL"),
    ],
)
def test_servers_that_go_wrong(server: str, tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(DownloadError, match=f"(?s){message}") as caught:
        download.fetch(server + path, tmp_path / "a", checksum=SHA256, timeout=PATIENCE)
    assert str(caught.value).startswith(server)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["/good", "/to-good"])
def test_a_good_server_and_a_wrong_checksum(server: str, tmp_path: Path, path: str) -> None:
    with pytest.raises(DownloadError, match=r"wrong sha256 checksum .*; discarded"):
        download.fetch(server + path, tmp_path / "a", checksum=f"sha256:{'0' * 64}")
    assert list(tmp_path.iterdir()) == []
    assert download.fetch(server + path, tmp_path / "a", checksum=SHA256).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/a", "data:,a", "/etc/passwd", "javascript:1"]
)
def test_addresses_that_are_not_of_the_web(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="Only http and https"):
        download.fetch(url, tmp_path / "a", checksum=None)
    assert list(tmp_path.iterdir()) == []


# Their publisher has no checksum of them; the counts of rows, users and items guard them alone.
WITHOUT = {"amazon-musical-instruments", "amazon-instant-video", "amazon-gift-cards"}
MD5_ALONE = {"ml-10m", "ml-32m"}


def pins() -> dict[str, list[str]]:
    """Return data set -> the checksums of all that can be downloaded for it."""
    found = {}
    for name in registry.registered():
        dataset = registry.find(name)
        checksums = list(dataset.contents.values()) or [dataset.checksum or "none"]
        found[name] = checksums if dataset.url else []
        for split in dataset.splits.values():
            found[name] += [checksum for _, checksum in split.urls.values()]
    return found


@pytest.mark.parametrize("name", sorted(set(registry.registered()) - WITHOUT - MD5_ALONE))
def test_downloads_are_pinned_by_sha256(name: str) -> None:
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", checksum) for checksum in pins()[name])


@pytest.mark.parametrize("name", sorted(MD5_ALONE))
def test_downloads_of_which_the_publisher_has_an_md5_alone_are_pinned_by_it(name: str) -> None:
    assert [re.sub("[0-9a-f]{32}$", "", checksum) for checksum in pins()[name]] == ["md5:"]


@pytest.mark.parametrize("name", sorted(WITHOUT))
def test_downloads_without_any_checksum_are_refused_by_their_counts(name: str) -> None:
    assert pins()[name] == ["none"]
    assert set(registry.find(name).facts) == {"interactions", "users", "items"}


def test_every_data_set_is_pinned_one_way_or_another() -> None:
    assert set(registry.registered()) >= WITHOUT | MD5_ALONE
    # What is pinned by its contents is pinned in all the files that are read of it.
    for name in registry.registered():
        dataset = registry.find(name)
        if dataset.contents:
            assert {dataset.required, *(file for s in dataset.splits.values() for file in s.files)} <= set(
                dataset.contents
            )


@pytest.mark.data
def test_the_contents_on_this_machine_are_those_pinned() -> None:
    checked = 0
    for name in registry.registered():
        dataset = registry.find(name)
        for _, folder in registry.local_folders(dataset, None):
            for file, checksum in dataset.contents.items():
                if (folder / file).is_file():
                    download.check_file(folder / file, checksum, str(folder / file))
                    checked += 1
    assert checked
