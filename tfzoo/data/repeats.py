"""How many rows repeat the user and item of another one, among more rows than memory holds."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.shards import mixed

PARTS = 64


class RepeatedPairs:
    """Counts rows whose pair stands in another row too.

    Pairs lie in files by a hash, 8 bytes each, so that all rows of one pair are in one file and a file at a
    time is counted in memory.

    Args:
        folder: to be made, for the files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._paths = [folder / f"{number}.bin" for number in range(PARTS)]
        self._stack = ExitStack()
        self._files = [self._stack.enter_context(path.open("wb")) for path in self._paths]

    def __enter__(self) -> RepeatedPairs:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def add(self, user_id: NDArray, item_id: NDArray) -> None:
        """Note the pairs of some rows, dense ids ``[n]``."""
        cells = user_id.astype(np.uint64) << np.uint64(32) | item_id.astype(np.uint64)
        part = (mixed(cells) % np.uint64(PARTS)).astype(np.int64)
        order = np.argsort(part, kind="stable")
        edges = np.searchsorted(part[order], np.arange(PARTS + 1))
        for number, file in enumerate(self._files):
            file.write(cells[order[edges[number] : edges[number + 1]]].tobytes())

    def count(self) -> int:
        """Return how many rows have the user and item of an earlier one; nothing is added afterwards."""
        self._stack.close()
        total = 0
        for path in self._paths:
            cells = np.fromfile(path, np.uint64)
            cells.sort()
            total += int(np.count_nonzero(cells[1:] == cells[:-1]))
        return total
