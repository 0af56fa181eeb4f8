"""From one file of interactions to a folder of shards, without ever holding the file in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow  # type: ignore[import-untyped]
from numpy.typing import NDArray
from pyarrow import parquet

from tfzoo.data.datasets.columns import IdColumn, read_ratings
from tfzoo.data.datasets.delimited import Layout
from tfzoo.data.datasets.files import (
    accounted,
    check_scale_and_unit,
    check_sizes,
    header_noted,
    observed_scale,
    repeats_noted,
)
from tfzoo.data.datasets.names import slug
from tfzoo.data.datasets.tables import Names, open_table
from tfzoo.data.datasets.times import AUTO, TimeColumn
from tfzoo.data.repeats import RepeatedPairs
from tfzoo.data.shard_manifest import BUCKETS, FORMAT, MANIFEST, content_checksum, whole_checksum
from tfzoo.data.shards import DTYPES, buckets_of, mixed
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError
from tfzoo.files import file_checksum, temporary_folder, writing

ROWS_AT_ONCE = 1 << 20
ROWS_PER_SHARD = 1_000_000
FEWEST, MOST = 4, 256


@dataclass(frozen=True)
class Source:
    """A file to be sharded; it is taken or refused as `from_file` would with ``duplicates="keep"``.

    Attributes:
        path: the file.
        user_col: column of user ids.
        item_col: column of item ids.
        rating_col: column of ratings; None for none.
        time_col: column of times; None for none.
        layout: how to read a text file.
        time_unit: what numbers in ``time_col`` count, see `from_dataframe`.
        rating_scale: lowest and highest rating allowed; None for those that occur.
        least: how many users and how many items there must be.
    """

    path: Path
    user_col: str = "user_id"
    item_col: str = "item_id"
    rating_col: str | None = "rating"
    time_col: str | None = None
    layout: Layout = field(default_factory=Layout)
    time_unit: str = AUTO
    rating_scale: tuple[float, float] | None = None
    least: int = 2

    @property
    def names(self) -> Names:
        """The columns of the file."""
        return Names(self.user_col, self.item_col, self.rating_col, self.time_col)

    @property
    def named(self) -> dict[str, str]:
        """Column of the shards -> column of the file."""
        names = (self.user_col, self.item_col, self.rating_col, self.time_col)
        return {column: name for column, name in zip(DTYPES, names, strict=True) if name is not None}


@dataclass
class _Columns:
    """What the first pass learns of the columns."""

    users: IdColumn
    items: IdColumn
    times: TimeColumn
    notes: list[str]
    rows: int = 0

    @property
    def ids(self) -> tuple[Vocabulary, Vocabulary]:
        """The vocabularies of users and of items."""
        return self.users.vocabulary, self.items.vocabulary


def write_shards(
    source: Source,
    output: Path,
    *,
    name: str,
    shards: int | None = None,
    seed: int = 0,
    rows_at_once: int = ROWS_AT_ONCE,
) -> tuple[dict[str, Any], list[str]]:
    """Write the rows of a file into a new folder of shards, each into one chosen by seed and row number.

    All rows are kept, several ones of one user for one item too.

    Args:
        source: what to read, twice: for the vocabularies, and for the rows.
        output: folder to make; it appears whole or not at all.
        name: short name, used in folder names.
        shards: how many; None for one a million rows, 4 to 256.
        seed: fixes which row goes where.
        rows_at_once: rows held in memory.

    Returns:
        The manifest, and what became of the rows and columns, a sentence each.

    Raises:
        UsageError: ``output`` exists, or an option has no meaning.
        DataError: the file cannot be used; the message names row and column.
        StorageError: the folder cannot be written.
    """
    if output.exists():
        raise UsageError(f"{output} exists already; give the name of a new folder.")
    check_scale_and_unit(source.names, source.rating_scale, source.time_unit)
    if shards is not None and not 1 <= shards <= MOST:
        raise UsageError(f"--shards must lie between 1 and {MOST}. Received {shards}.")
    columns = _first_pass(source, rows_at_once)
    count = shards or int(np.clip(-(-columns.rows // ROWS_PER_SHARD), FEWEST, MOST))
    with writing(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(output.parent, f".{output.name}.") as scratch:
            folder = scratch / "shards"
            folder.mkdir()
            with RepeatedPairs(scratch / "pairs") as pairs:
                manifest, first = _write(source, folder, columns, count, seed, rows_at_once, pairs)
                repeated = pairs.count()
            manifest = {"format": FORMAT, "name": slug(name), "seed": seed, **manifest}
            manifest["manifest_checksum"] = whole_checksum(manifest)
            (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
            os.rename(folder, output)
    notes = [accounted(str(source.path), columns.rows), *columns.notes]
    if source.rating_col is not None and source.rating_scale is None:
        notes.append(observed_scale(manifest["rating_range"]))
    if source.time_col is not None:
        notes += columns.times.notes()
    if repeated:
        notes.append(repeats_noted(repeated))
    if not source.layout.header:
        notes += header_noted(first)
    return manifest, notes


def _first_pass(source: Source, rows_at_once: int) -> _Columns:
    """Check all rows, collect the raw ids, and find out what the times count."""
    where = str(source.path)
    found = _Columns(IdColumn(where), IdColumn(where), TimeColumn(where, source.time_unit), [])
    for chunk in _chunks(source, rows_at_once, found.notes):
        found.users.read(chunk[source.user_col], found.rows)
        found.items.read(chunk[source.item_col], found.rows)
        _ratings(source, chunk, found.rows)
        if source.time_col is not None:
            found.times.read(chunk[source.time_col], found.rows)
        found.rows += len(chunk)
    found.times.check()
    check_sizes(found.ids, source.names, source.least, where)
    return found


def _write(
    source: Source,
    folder: Path,
    read: _Columns,
    count: int,
    seed: int,
    rows_at_once: int,
    pairs: RepeatedPairs,
) -> tuple[dict[str, Any], list[tuple[Vocabulary, int, int]]]:
    """Encode the rows and distribute them; the second pass.

    Returns:
        The rest of the manifest, and the ids of the first row as `header_noted` takes them.
    """
    named = source.named
    kinds = {"user_id": pyarrow.int32(), "item_id": pyarrow.int32(), "rating": pyarrow.float32()}
    schema = pyarrow.schema([(column, kinds.get(column, pyarrow.int64())) for column in named])
    names = [f"shard-{number:05d}.parquet" for number in range(count)]
    written, buckets = np.zeros(count, np.int64), np.zeros(BUCKETS, np.int64)
    counts = [np.zeros(len(vocabulary) + 1, np.int64) for vocabulary in read.ids]
    lowest, highest, total, start, first = np.inf, -np.inf, 0.0, 0, [0, 0]
    # So that seeds give unrelated assignments, not shifted ones.
    salt = mixed(np.array([seed], np.uint64))
    with ExitStack() as stack:
        files = [stack.enter_context(parquet.ParquetWriter(folder / name, schema)) for name in names]
        for chunk in _chunks(source, rows_at_once, []):
            columns = _encoded(source, chunk, start, read)
            pairs.add(columns["user_id"], columns["item_id"])
            if start == 0:
                first = [int(columns[column][0]) for column in ("user_id", "item_id")]
            for side, column in enumerate(("user_id", "item_id")):
                counts[side] += np.bincount(columns[column], minlength=len(counts[side]))
            buckets += np.bincount(buckets_of(columns["user_id"], columns["item_id"]), minlength=BUCKETS)
            if "rating" in columns:
                lowest = min(lowest, float(columns["rating"].min()))
                highest = max(highest, float(columns["rating"].max()))
                total += float(columns["rating"].sum(dtype=np.float64))
            row = np.arange(start, start + len(chunk), dtype=np.uint64)
            shard = (mixed(row ^ salt) % np.uint64(count)).astype(np.int64)
            order = np.argsort(shard, kind="stable")
            edges = np.searchsorted(shard[order], np.arange(count + 1))
            for number, file in enumerate(files):
                chosen = order[edges[number] : edges[number + 1]]
                if len(chosen):
                    file.write_table(
                        pyarrow.table([columns[column][chosen] for column in named], schema=schema)
                    )
                    written[number] += len(chosen)
            start += len(chunk)
    if start != read.rows or any(rows_of[0] for rows_of in counts):
        raise DataError(f"{source.path} changed while it was read.")
    observed = (lowest, highest) if "rating" in named else None
    for whose, vocabulary, rows_of in zip(("user", "item"), read.ids, counts, strict=True):
        vocabulary.save(folder / f"{whose}s.txt")
        np.save(folder / f"{whose}s.npy", rows_of, allow_pickle=False)
    entries: dict[str, dict[str, Any]] = {
        path.name: {"bytes": path.stat().st_size, "sha256": file_checksum(path)}
        for path in sorted(folder.iterdir())
    }
    for shard_name, count_of in zip(names, written.tolist(), strict=True):
        entries[shard_name]["rows"] = count_of
    sides = [(known, row, int(of[row])) for known, row, of in zip(read.ids, first, counts, strict=True)]
    manifest = {
        "rows": start,
        "columns": list(named),
        "users": read.ids[0].dtype,
        "items": read.ids[1].dtype,
        "ticks_per_second": read.times.ticks_per_second,
        "rating_scale": source.rating_scale or observed,
        "rating_range": observed,
        "rating_sum": total,
        "buckets": buckets.tolist(),
        "files": entries,
        "checksum": content_checksum(entries),
    }
    return manifest, sides


def _encoded(source: Source, chunk: pd.DataFrame, start: int, read: _Columns) -> dict[str, NDArray]:
    """Return the columns of the shards of some rows, the first of which has the number ``start``."""
    columns: dict[str, NDArray] = {}
    for column, ids in (("user_id", read.users), ("item_id", read.items)):
        local, codes = ids.parse(chunk[source.named[column]], start)
        columns[column] = ids.vocabulary.lookup(local.ids)[codes - 1]
    rating = _ratings(source, chunk, start)
    if rating is not None:
        columns["rating"] = rating
    if source.time_col is not None:
        columns["timestamp"] = read.times.ticks(read.times.parse(chunk[source.time_col], start))
    return columns


def _ratings(source: Source, chunk: pd.DataFrame, start: int) -> NDArray[np.float32] | None:
    if source.rating_col is None:
        return None
    return read_ratings(chunk[source.rating_col], str(source.path), source.rating_scale, start)


def _chunks(source: Source, rows_at_once: int, notes: list[str]) -> Iterator[pd.DataFrame]:
    """Read the wanted columns in parts, none of them empty, and then note what is to be said of them."""
    table = open_table(source.path, source.layout, source.names, in_memory=False)
    source.names.check(table.columns, str(source.path), table.hint)
    yield from (part for part in table.parts(source.names.all(), rows_at_once) if len(part))
    notes += table.notes()
