"""Downloads that are complete or not there: checksums, time-outs, retries and safe unpacking."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import re
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tfzoo.errors import DownloadError
from tfzoo.files import temporary_folder

MAX_DOWNLOAD_BYTES = 4 << 30
MAX_UNPACKED_BYTES = 4 << 30
MAX_RATIO = 200
MAX_MEMBERS = 100_000
# A server that sends less on average, once the first while has passed, never ends.
LEAST_BYTES_PER_SECOND = 1000
FIRST_WHILE_SECONDS = 60.0
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
            except (OSError, ValueError, http.client.HTTPException) as error:
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
    contents: Mapping[str, str] | None = None,
    max_bytes: int = MAX_UNPACKED_BYTES,
    max_ratio: float = MAX_RATIO,
    max_members: int = MAX_MEMBERS,
) -> Path:
    """Unpack an archive into a folder that is complete or absent.

    Args:
        archive: the zip file.
        destination: folder to make.
        folder: the folder inside the archive whose content is wanted; None for everything.
        contents: file in that folder -> its checksum, for archives whose packing may change.
        max_bytes: refuse archives that unpack to more.
        max_ratio: refuse archives that unpack to more than this many times their size.
        max_members: refuse archives of more files and folders.

    Returns:
        ``destination``.

    Raises:
        DownloadError: the archive is damaged, unsafe or has no such folder.
    """
    try:
        with zipfile.ZipFile(archive) as opened, new_folder(destination) as content:
            _refuse_unsafe(archive, opened.infolist(), max_bytes, max_ratio, max_members)
            unpacked = content.parent / "unpacked"
            opened.extractall(unpacked)
            wanted = unpacked / folder if folder else unpacked
            if not wanted.is_dir():
                raise DownloadError(f"{archive.name} has no folder '{folder}'.")
            for name, checksum in (contents or {}).items():
                check_file(wanted / name, checksum, f"{archive.name}, {name}")
            for path in wanted.iterdir():
                path.rename(content / path.name)
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(f"{archive.name} cannot be unpacked: {error.strerror or error}.") from error
    except Exception as error:
        # The formats inside have errors of their own; whichever it is, the archive is damaged.
        reason = str(error) or type(error).__name__
        raise DownloadError(f"{archive.name} is not a usable zip file: {reason}.") from error
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


class _HttpAlone(urllib.request.HTTPRedirectHandler):
    """Follows to http and https alone; Python's own also follows to ftp."""

    def redirect_request(  # type: ignore[no-untyped-def]
        self, req, fp, code, msg, headers, newurl
    ) -> urllib.request.Request | None:
        if not newurl.lower().startswith(("http://", "https://")):
            raise DownloadError(f"{req.full_url}: refused, it leads to {newurl}.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _stream(url: str, path: Path, timeout: float) -> None:
    size, started = 0, time.monotonic()
    opener = urllib.request.build_opener(_HttpAlone)
    with opener.open(url, timeout=timeout) as response, path.open("wb") as file:
        length = response.headers.get("Content-Length")
        expected = None if length is None else int(length)
        _refuse_large(url, expected or 0)
        # As it comes, not in full pieces: a trickle would go unseen until a piece is full.
        while chunk := response.read1(CHUNK_BYTES):
            file.write(chunk)
            size += len(chunk)
            _refuse_large(url, size)
            seconds = time.monotonic() - started
            if seconds > FIRST_WHILE_SECONDS and size < seconds * LEAST_BYTES_PER_SECOND:
                raise DownloadError(f"{url}: given up, {size:,} bytes in {seconds:.0f} s.")
    # A connection that closes early ends the stream without an error.
    if expected is not None and size != expected:
        raise ConnectionError(f"only {size:,} of {expected:,} bytes came")


def _refuse_large(url: str, size: int) -> None:
    if size > MAX_DOWNLOAD_BYTES:
        raise DownloadError(f"{url}: refused, it is larger than {MAX_DOWNLOAD_BYTES:,} bytes.")


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


def _refuse_unsafe(
    archive: Path, members: list[zipfile.ZipInfo], max_bytes: int, max_ratio: float, max_members: int
) -> None:
    if len(members) > max_members:
        raise DownloadError(f"{archive.name}: refused, it has {len(members):,} files and folders.")
    names: set[str] = set()
    for member in members:
        name = member.filename.replace("\\", "/")
        if name.casefold() in names:
            raise DownloadError(f"{archive.name}: refused, '{member.filename}' is in it twice.")
        names.add(name.casefold())
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
