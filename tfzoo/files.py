"""Files that are whole or absent, and folders that one process holds, whenever a process may be killed.

A lock of the system's own (`flock`) marks what a living process is using: it ends with the process,
however that ends, so that what the dead left behind is told from what the living are writing. Where
the system has no such locks, nothing is held and nothing of another process is removed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from tfzoo.errors import StorageError, TfzooError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# The last part of the name of everything temporary.
TOKEN = r"[0-9a-f]{16}\.part"
# How the text of a lock begins.
OWNER = "process "


@contextlib.contextmanager
def writing(what: Path) -> Iterator[None]:
    """Raise `StorageError` with the name of the file or folder where the block raises `OSError`."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"Cannot write {what}: {error.strerror or error}.") from error


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file under a temporary name in the same folder, then rename it.

    What killed processes have left of earlier attempts is removed.

    Args:
        path: final name.
        write: called with the open binary file.

    Raises:
        StorageError: the file cannot be written; the old one is as it was.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, f".{path.name}.")
        temporary, held = _create_held(path.parent, f".{path.name}.", _create_file)
        try:
            with temporary.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            _release(held)


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, see `write_atomically`."""
    write_atomically(path, lambda file: file.write(text.encode()))


@contextlib.contextmanager
def temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Give an empty folder that is removed after the block.

    What killed processes have left in ``parent`` under the same prefix is removed first.

    Args:
        parent: folder to make it in.
        prefix: first part of its name.

    Raises:
        OSError: the folder cannot be made.
    """
    remove_leftovers(parent, prefix)
    folder, held = _create_held(parent, prefix, Path.mkdir)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _release(held)


def remove_leftovers(parent: Path, prefix: str) -> None:
    """Remove the temporary files and folders of a prefix that no living process holds.

    Args:
        parent: folder to look in.
        prefix: first part of their names.
    """
    ours = re.compile(re.escape(prefix) + TOKEN)
    for path in [entry for entry in parent.iterdir() if ours.fullmatch(entry.name)]:
        # Held by the living, gone meanwhile, or not ours to remove.
        with contextlib.suppress(OSError):
            held = _hold(path)
            if held is None:
                continue
            try:
                _remove(path)
            finally:
                _release(held)


def replace_folder(new: Path, folder: Path) -> None:
    """Move a finished folder to where another one may be; whoever is killed meanwhile loses neither.

    Between two renames the old folder is beside its place, from where `restore_folder` brings it back.

    Args:
        new: the finished folder, on the same file system.
        folder: its place.

    Raises:
        OSError: it cannot be moved; the old one is in its place.
    """
    before = _before(folder)
    while True:
        restore_folder(folder)
        if folder.exists():
            folder.rename(before)
        try:
            new.rename(folder)
        except OSError as error:
            # Somebody has brought the old one back in between.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                restore_folder(folder)
                raise
        else:
            break
    shutil.rmtree(before, ignore_errors=True)


def restore_folder(folder: Path) -> None:
    """Bring back a folder that a killed process was replacing, or remove it once it was replaced."""
    before = _before(folder)
    if not before.is_dir():
        return
    if folder.exists():
        shutil.rmtree(before, ignore_errors=True)
    else:
        # Another process may do the same.
        with contextlib.suppress(FileNotFoundError):
            before.rename(folder)


def _before(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.before"


@contextlib.contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder, which need not exist, during the block.

    The lock is the file ``.<name>.lock`` beside the folder; it is removed after the block, and so
    are folders above it that were made for it and are empty. One that a killed process has left
    holds nobody up.

    Args:
        folder: the folder to hold.

    Raises:
        TfzooError: another process, which the message names, holds it.
        StorageError: the lock cannot be written.
    """
    if fcntl is None:
        yield
        return
    lock = folder.parent / f".{folder.name}.lock"
    new = [path for path in lock.parents if not path.exists()]
    with writing(lock):
        handle = _open_lock(lock, folder)
    try:
        yield
    finally:
        # While it is still held: who opened it meanwhile finds it gone, and makes a new one.
        lock.unlink(missing_ok=True)
        os.close(handle)
        with contextlib.suppress(OSError):
            for path in new:
                path.rmdir()


def _open_lock(lock: Path, folder: Path) -> int:
    while True:
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Not through a link, which may lead to anybody's file.
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        except FileNotFoundError:
            # Another process has removed the folder that it had made.
            continue
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise _not_ours(lock) from None
            raise
        try:
            _check_ours(handle, lock)
            if _flock(handle) and not _is_at(handle, lock):
                os.close(handle)
                continue
            owner = f"{OWNER}{os.getpid()} on {platform.node()}"
            # On a full disk the lock holds without its text, and what cannot be written is told then.
            with contextlib.suppress(OSError):
                os.ftruncate(handle, 0)
                os.write(handle, owner.encode())
        except BlockingIOError:
            owner = os.read(handle, 300).decode(errors="replace") or "another process"
            os.close(handle)
            raise TfzooError(
                f"{folder} is in use: {owner} is training there. Wait until it has ended, or choose another "
                "--output."
            ) from None
        except BaseException:
            os.close(handle)
            raise
        return handle


def _check_ours(handle: int, lock: Path) -> None:
    """Raise `StorageError` for what is no lock: it would be emptied, and removed."""
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise _not_ours(lock)
    if (content := os.pread(handle, 300, 0)) and not content.startswith(OWNER.encode()):
        raise _not_ours(lock)


def _not_ours(lock: Path) -> StorageError:
    return StorageError(
        f"{lock} is in the way: a file of that name keeps other processes out, and this is none that tfzoo "
        "has made. Rename or remove it, or choose another --output."
    )


def _create_file(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))


def _create_held(parent: Path, prefix: str, create: Callable[[Path], Any]) -> tuple[Path, int | None]:
    """Create something and hold it, once more where it was taken for a leftover in between."""
    while True:
        # Not the tempfile module's names and modes: leftovers must be known for ours without doubt, and
        # what is renamed must be open to other users.
        path = parent / f"{prefix}{secrets.token_hex(8)}.part"
        try:
            create(path)
            try:
                return path, _hold(path)
            except (BlockingIOError, FileNotFoundError):
                continue
        except BaseException:
            # A signal in between: nobody else knows its name yet.
            _remove(path)
            raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _hold(path: Path) -> int | None:
    """Hold a file or folder until `_release`; None where the system cannot.

    Raises:
        BlockingIOError: another one holds it.
        FileNotFoundError: it is gone.
    """
    if fcntl is None:
        return None
    handle = os.open(path, os.O_RDONLY)
    try:
        locked = _flock(handle)
        if locked and not _is_at(handle, path):
            raise FileNotFoundError(path)
    except BaseException:
        os.close(handle)
        raise
    if not locked:
        os.close(handle)
        return None
    return handle


def _release(held: int | None) -> None:
    if held is not None:
        os.close(held)


def _flock(handle: int) -> bool:
    """Lock an open file for as long as it is open; False where the system or the disk cannot."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        # Some network disks have no locks, or none for folders.
        return False
    return True


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
