"""What a command that writes the lists of all users has done so far, so that an interrupted one goes on."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import parquet

from tfzoo.files import write_atomically, write_text

ABOUT = "about.json"
# Fewer rows wait for others, since each part is a file.
ROWS_PER_PART = 100_000


class ListParts:
    """Parts of a table in a hidden folder beside the file that they will be, ``.<name>.parts``.

    Args:
        output: the file to be.
        about: what the parts depend on; those of something else are removed.

    Attributes:
        users: how many users the parts are of, from the first on.
    """

    def __init__(self, output: Path, about: Mapping[str, Any]) -> None:
        self.folder = output.parent / f".{output.name}.parts"
        self._about = json.dumps(about, sort_keys=True)
        self._waiting: list[pa.Table] = []
        self._waiting_users = 0
        if not self._is_ours():
            self.remove()
        self.users = self._begun()

    def _is_ours(self) -> bool:
        with contextlib.suppress(OSError):
            return (self.folder / ABOUT).read_text(encoding="utf-8") == self._about
        return False

    def _begun(self) -> int:
        found = [int(path.stem.partition("-")[2]) for path in self._paths()]
        return max(found, default=0)

    def _paths(self) -> list[Path]:
        # Numbers of one width, so that names are in the order of users.
        return sorted(self.folder.glob("[0-9]*.parquet"))

    def add(self, table: pa.Table, users: int) -> None:
        """Take in the lists of the next users; a part is written once there are enough."""
        self._waiting.append(table)
        self._waiting_users += users
        if sum(map(len, self._waiting)) >= ROWS_PER_PART:
            self.flush()

    def flush(self) -> None:
        """Write what waits; raises `StorageError` where that fails."""
        if not self._waiting:
            return
        if not (self.folder / ABOUT).is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self.folder / ABOUT, self._about)
        table, last = pa.concat_tables(self._waiting), self.users + self._waiting_users
        path = self.folder / f"{self.users:012d}-{last:012d}.parquet"
        write_atomically(path, lambda file: parquet.write_table(table, file))
        self.users, self._waiting, self._waiting_users = last, [], 0

    def tables(self) -> Iterator[pa.Table]:
        """Go through the written parts in the order of users."""
        for path in self._paths():
            yield parquet.read_table(path)

    def remove(self) -> None:
        """Remove all parts."""
        if self.folder.is_dir():
            shutil.rmtree(self.folder)
