"""Downloads that are complete or not there: checksums, time-outs, retries and safe unpacking."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import re
import shutil
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tfzoo.errors import DownloadError
from tfzoo.files import temporary_folder

MAX_UNPACKED_BYTES = 4 << 30
MAX_RATIO = 200
CHUNK_BYTES = 1 << 20
FIRST_PAUSE_SECONDS = 0.5

_log = logging.getLogger(__name__)


def cache_dir() -> Path:
    """Return the folder that holds downloads: ``$TFZOO_CACHE_DIR``, else ``~/.cache/tfzoo``."""
    chosen = os.environ.get("TFZOO_CACHE_DIR")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "tfzoo"


def fetch(
    url: str, destination: Path, *, checksum: str | None, timeout: float = 20, retries: int = 3
) -> Path:
    """Download one file; under its final name it is complete and checked, or absent.

    Args:
        url: http or https address.
        destination: name of the file to write; its folder is made.
        checksum: ``"md5:..."`` or ``"sha256:..."``, or None to check the length only.
        timeout: seconds to wait for the connection and for each piece.
        retries: how often to try in all when the network fails.

    Returns:
        ``destination``.

    Raises:
        DownloadError: the file could not be had, or is not the expected one.
    """
    if not url.startswith(("http://", "https://")):
        raise DownloadError(f"Only http and https addresses can be downloaded. Received {url}.")
    destination.parent.mkdir(parents=True, exist_ok=True)
    _log.info("downloading %s", url)
    with temporary_folder(destination.parent, f".{destination.name}-") as folder:
        part = folder / "part"
        for attempt in range(1, retries + 1):
            try:
                _stream(url, part, timeout)
                break
            except (OSError, http.client.HTTPException) as error:
                if attempt == retries or not _worth_retrying(error):
                    tries = "1 try" if attempt == 1 else f"{attempt} tries"
                    raise DownloadError(f"{url}: {_reason(error)} ({tries}).") from error
                time.sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
        if checksum is not None:
            check_file(part, checksum, url)
        os.replace(part, destination)
    return destination


def check_file(path: Path, checksum: str, source: str) -> None:
    """Raise `DownloadError` unless the file has the checksum ``"md5:..."`` or ``"sha256:..."``."""
    algorithm, _, expected = checksum.partition(":")
    # MD5 guards against damage only; it is what GroupLens publishes.
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != expected:
        raise DownloadError(
            f"{source}: wrong {algorithm} checksum {digest.hexdigest()}, expected {expected}; discarded."
        )


@contextmanager
def new_folder(destination: Path) -> Iterator[Path]:
    """Give an empty folder to fill; after the block, and only without error, it is ``destination``.

    Where ``destination`` has come to exist meanwhile (two processes load the same data set), the
    one that is there stays.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(destination.parent, f".{destination.name}-") as folder:
        # A folder within, since a temporary folder itself is closed to other users.
        content = folder / "content"
        content.mkdir()
        yield content
        try:
            content.rename(destination)
        except OSError:
            if not destination.is_dir():
                raise


def extract_zip(
    archive: Path,
    destination: Path,
    *,
    folder: str | None = None,
    max_bytes: int = MAX_UNPACKED_BYTES,
    max_ratio: float = MAX_RATIO,
) -> Path:
    """Unpack an archive into a folder that is complete or absent.

    Args:
        archive: the zip file.
        destination: folder to make.
        folder: the folder inside the archive whose content is wanted; None for everything.
        max_bytes: refuse archives that unpack to more.
        max_ratio: refuse archives that unpack to more than this many times their size.

    Returns:
        ``destination``.

    Raises:
        DownloadError: the archive is damaged, unsafe or has no such folder.
    """
    try:
        with zipfile.ZipFile(archive) as opened, new_folder(destination) as content:
            _refuse_unsafe(archive, opened.infolist(), max_bytes, max_ratio)
            unpacked = content.parent / "unpacked"
            opened.extractall(unpacked)
            wanted = unpacked / folder if folder else unpacked
            if not wanted.is_dir():
                raise DownloadError(f"{archive.name} has no folder '{folder}'.")
            for path in wanted.iterdir():
                path.rename(content / path.name)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise DownloadError(f"{archive.name} is not a usable zip file: {error}.") from error
    return destination


def fetch_wheel(requirement: str, *, sha256: str, folder: Path, timeout: float = 120) -> Path:
    """Download one wheel, without what it depends on, from the package index pip is set up for.

    Args:
        requirement: name and version, such as ``"recbole==1.2.1"``.
        sha256: checksum of the wheel.
        folder: where to put it; it is made.
        timeout: seconds to wait for pip.

    Returns:
        Path of the wheel.

    Raises:
        DownloadError: pip failed, or the wheel is not the expected one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
    with temporary_folder(folder, ".wheel-") as temporary:
        command = [sys.executable, "-m", "pip", "download", "--retries", "1", "--timeout", "15"]
        try:
            subprocess.run(
                [*command, *options, "--dest", str(temporary), requirement],
                check=True,
                capture_output=True,
                text=True,
                timeout=timeout,
            )
        except subprocess.CalledProcessError as error:
            lines = (error.stderr or "").strip().splitlines() or [f"exit status {error.returncode}"]
            raise DownloadError(f"pip download {requirement}: {lines[-1]}") from error
        except subprocess.TimeoutExpired as error:
            raise DownloadError(f"pip download {requirement}: no answer in {timeout:g} s") from error
        wheels = list(temporary.glob("*.whl"))
        if len(wheels) != 1:
            raise DownloadError(f"pip download {requirement}: expected one wheel, found {len(wheels)}")
        check_file(wheels[0], f"sha256:{sha256}", requirement)
        destination = folder / wheels[0].name
        os.replace(wheels[0], destination)
    return destination


def _stream(url: str, path: Path, timeout: float) -> None:
    with urllib.request.urlopen(url, timeout=timeout) as response, path.open("wb") as file:
        shutil.copyfileobj(response, file, CHUNK_BYTES)
        length = response.headers.get("Content-Length")
    # A connection that closes early ends the stream without an error.
    if length is not None and path.stat().st_size != int(length):
        raise ConnectionError(f"only {path.stat().st_size:,} of {int(length):,} bytes came")


def _worth_retrying(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in (408, 429) or error.code >= 500
    if isinstance(error, urllib.error.URLError):
        # A host that swallows packets swallows the next ones too; do not make the user wait again.
        return not isinstance(error.reason, TimeoutError)
    return isinstance(error, (ConnectionError, TimeoutError, http.client.HTTPException))


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__


def _refuse_unsafe(archive: Path, members: list[zipfile.ZipInfo], max_bytes: int, max_ratio: float) -> None:
    for member in members:
        name = member.filename.replace("\\", "/")
        if name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in PurePosixPath(name).parts:
            raise DownloadError(f"{archive.name}: refused, '{member.filename}' leads out of the folder.")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DownloadError(f"{archive.name}: refused, '{member.filename}' is a link or a device.")
    # zipfile never writes more than the declared size of a member, so the declared sum is a bound.
    total = sum(member.file_size for member in members)
    if total > max_bytes or total > max_ratio * max(archive.stat().st_size, 1):
        raise DownloadError(
            f"{archive.name}: refused, it would unpack to {total:,} bytes from {archive.stat().st_size:,}."
        )
