"""Interactions in a folder of Parquet shards, for data larger than memory; `shard_writer` makes them.

Only the vocabularies and one count a user and item are held in memory. Rows are read in blocks of
bounded size, in an order that is a function of seed and epoch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet  # type: ignore[import-untyped]

from tfzoo.data.interactions import Interactions
from tfzoo.data.shard_manifest import BUCKETS, MANIFEST, read_manifest
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError
from tfzoo.files import file_checksum

BLOCK_ROWS = 1 << 19
INTERLEAVED = 8
PARTS = ("train", "validation", "test")
DTYPES = {"user_id": np.int32, "item_id": np.int32, "rating": np.float32, "timestamp": np.int64}

Columns = dict[str, NDArray]


@dataclass(frozen=True, eq=False)
class ShardedInteractions:
    """Interactions that stay on disk.

    Every row belongs to one of `BUCKETS` buckets by a hash of its user and item, so that all rows of
    one pair are in one part: the first buckets are the test part, the next ones validation.

    Attributes:
        folder: where the shards are.
        users: vocabulary of raw user ids.
        items: vocabulary of raw item ids.
        shards: names of the files, with the number of rows of each.
        columns: names of the columns, among those of `DTYPES`.
        buckets: number of rows of each bucket, int64 ``[BUCKETS]``.
        counts: ``user`` and ``item`` -> number of rows of each dense id, int64 ``[n + 1]``.
        rating_sum: sum of all ratings.
        rating_scale: lowest and highest rating possible; None without ratings.
        rating_range: lowest and highest rating that occurs; None without ratings.
        ticks_per_second: see `Interactions`.
        checksum: of the whole content.
        name: short name, used in folder names.
    """

    folder: Path
    users: Vocabulary
    items: Vocabulary
    shards: Mapping[str, int]
    columns: tuple[str, ...]
    buckets: NDArray[np.int64]
    counts: Mapping[str, NDArray[np.int64]]
    rating_sum: float
    rating_scale: tuple[float, float] | None
    rating_range: tuple[float, float] | None
    ticks_per_second: int
    checksum: str
    name: str

    def __len__(self) -> int:
        return int(self.buckets.sum())

    def bounds(self, part: str, held_out: tuple[int, int]) -> tuple[int, int]:
        """Return the first bucket of a part and the one after its last.

        Args:
            part: one of `PARTS`.
            held_out: buckets, that is percent of the rows, of the validation and the test part.

        Raises:
            UsageError: no such part, or nothing is left to train on.
        """
        validation, test = held_out
        if part not in PARTS or min(held_out) < 0 or validation + test >= BUCKETS:
            raise UsageError(
                f"A part is one of {', '.join(PARTS)}, and validation and test are percents that leave some. "
                f"Received {part!r}, {validation} and {test}."
            )
        edges = {"test": (0, test), "validation": (test, test + validation)}
        return edges.get(part, (test + validation, BUCKETS))

    def count(self, part: str = "train", held_out: tuple[int, int] = (0, 0)) -> int:
        """Return the number of rows of a part, see `bounds`."""
        first, last = self.bounds(part, held_out)
        return int(self.buckets[first:last].sum())

    def blocks(
        self,
        part: str = "train",
        *,
        seed: int | None,
        epoch: int = 0,
        held_out: tuple[int, int] = (0, 0),
        block_rows: int = BLOCK_ROWS,
    ) -> Iterator[Columns]:
        """Go once through the rows of a part, in blocks of at most ``block_rows``.

        Shards are read in an order drawn anew in each epoch, `INTERLEAVED` at a time, and the rows of a
        block are shuffled.

        Args:
            part: one of `PARTS`.
            seed: with the epoch, fixes the order; None for the order of the files.
            epoch: number of the epoch, counted from 0.
            held_out: see `bounds`.
            block_rows: rows held at once.

        Returns:
            Column -> values; a block may be smaller, never empty.

        Raises:
            DataError: a shard is missing or damaged, or holds other rows than the manifest says.
        """
        first, last = self.bounds(part, held_out)
        expected, found = self.count(part, held_out), 0
        random = None if seed is None else np.random.default_rng([seed, epoch])
        names = list(self.shards)
        order = range(len(names)) if random is None else random.permutation(len(names))
        waiting = deque(names[shard] for shard in order)
        rows_at_once = max(1, block_rows // INTERLEAVED)
        reading: deque[Iterator[Columns]] = deque()
        held: list[Columns] = []
        rows = 0
        while reading or waiting:
            while waiting and len(reading) < (1 if random is None else INTERLEAVED):
                reading.append(self._read(waiting.popleft(), rows_at_once))
            columns = next(reading[0], None)
            if columns is None:
                reading.popleft()
                continue
            reading.rotate(-1)
            bucket = buckets_of(columns["user_id"], columns["item_id"])
            kept = (bucket >= first) & (bucket < last)
            count = int(kept.sum())
            found += count
            if found > expected:
                break
            if rows + count > block_rows:
                yield _shuffled(held, random)
                held, rows = [], 0
            if count:
                held.append({name: values[kept] for name, values in columns.items()})
                rows += count
        if found != expected:
            raise DataError(
                f"{self.folder}: the shards do not hold the rows of the {part} part that {MANIFEST} says."
            )
        if rows:
            yield _shuffled(held, random)

    def load(self, part: str, held_out: tuple[int, int]) -> Interactions:
        """Read a part into memory, in the order of the files; raises `DataError` where it is empty."""
        blocks = list(self.blocks(part, seed=None, held_out=held_out))
        if not blocks:
            raise DataError(f"The {part} part of {self.folder} is empty; hold out a larger share.")
        columns: Columns = {name: np.concatenate([block[name] for block in blocks]) for name in self.columns}
        return Interactions(
            self.users,
            self.items,
            columns["user_id"],
            columns["item_id"],
            columns.get("rating"),
            columns.get("timestamp"),
            rating_scale=self.rating_scale,
            name=self.name,
            ticks_per_second=self.ticks_per_second,
        )

    def _read(self, name: str, rows: int) -> Iterator[Columns]:
        with _reading(self.folder / name), parquet.ParquetFile(self.folder / name) as file:
            for batch in file.iter_batches(rows, columns=list(self.columns)):
                columns = {column: batch.column(column).to_numpy() for column in self.columns}
                for column, values in columns.items():
                    if values.dtype != DTYPES[column]:
                        raise DataError(f"column '{column}' is {values.dtype}, not {DTYPES[column].__name__}")
                if self.rating_range is not None:
                    low, high = self.rating_range
                    if not ((columns["rating"] >= low) & (columns["rating"] <= high)).all():
                        raise DataError(f"a rating lies outside {low:g} to {high:g}")
                for column, known in (("user_id", self.users), ("item_id", self.items)):
                    if columns[column].min() < 1 or columns[column].max() > len(known):
                        raise DataError(f"an id of column '{column}' lies outside 1..{len(known)}")
                yield columns


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raise `DataError` with the name of the file where the block raises any other error."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} is missing, damaged or no shard: {reason[:300]}.") from error


def open_shards(folder: str | Path, *, verify: bool = True) -> ShardedInteractions:
    """Open what `tfzoo shard` has written.

    Args:
        folder: the folder.
        verify: read all files once and compare their checksums.

    Raises:
        DataError: there is no manifest, it is of another version or damaged, or a file is missing or is
            not the one that the manifest describes.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(
            f"{folder} is no folder of shards: it has no {MANIFEST}. Make one with 'tfzoo shard'."
        )
    manifest = read_manifest(path)
    for name, entry in manifest.files.items():
        with _reading(folder / name):
            # A device, even one of size 0, may never end.
            if not (folder / name).is_file():
                raise DataError("no such file")
            size = (folder / name).stat().st_size
            if size != entry.bytes:
                raise DataError(f"{size:,} bytes, expected {entry.bytes:,}")
            if verify and file_checksum(folder / name) != entry.sha256:
                raise DataError("its checksum is not that of the manifest")
    users, items = (
        _load_vocabulary(folder / f"{side}.txt", dtype)
        for side, dtype in (("users", manifest.users), ("items", manifest.items))
    )
    counts = {
        side: _load_counts(folder / f"{side}s.npy", len(vocabulary), manifest.rows)
        for side, vocabulary in (("user", users), ("item", items))
    }
    return ShardedInteractions(
        folder,
        users,
        items,
        manifest.shards,
        manifest.columns,
        np.array(manifest.buckets, np.int64),
        counts,
        manifest.rating_sum,
        manifest.rating_scale,
        manifest.rating_range,
        manifest.ticks_per_second,
        manifest.checksum,
        manifest.name,
    )


def _load_vocabulary(path: Path, dtype: str) -> Vocabulary:
    with _reading(path):
        return Vocabulary.load(path, dtype)


def _load_counts(path: Path, ids: int, rows: int) -> NDArray[np.int64]:
    with _reading(path):
        counts: NDArray[np.int64] = np.load(path, allow_pickle=False)
        if counts.dtype != np.int64 or counts.shape != (ids + 1,) or counts.min() < 0 or counts.sum() != rows:
            raise DataError("its counts are not those of the ids")
        return counts


def buckets_of(user_id: NDArray, item_id: NDArray) -> NDArray[np.int64]:
    """Return the bucket of each pair, ``0..BUCKETS - 1``: a hash of both ids."""
    cells = user_id.astype(np.uint64) << np.uint64(32) | item_id.astype(np.uint64)
    return (mixed(cells) % np.uint64(BUCKETS)).astype(np.int64)


def mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the numbers with their bits mixed (splitmix64), so that any remainder is as good as random."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def _shuffled(parts: list[Columns], random: np.random.Generator | None) -> Columns:
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if random is None:
        return joined
    order = random.permutation(len(joined["user_id"]))
    return {name: values[order] for name, values in joined.items()}
