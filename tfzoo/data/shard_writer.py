"""From one file of interactions to a folder of shards, without ever holding the file in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow  # type: ignore[import-untyped]
from numpy.typing import NDArray
from pyarrow import parquet

from tfzoo.data.datasets.columns import read_ids, read_ratings, read_times
from tfzoo.data.datasets.delimited import SEPARATORS, check_is_file, ending_of
from tfzoo.data.datasets.files import check_rating_scale
from tfzoo.data.datasets.parquet import PARQUET, parquet_shape, reading_parquet
from tfzoo.data.shards import (
    BUCKETS,
    DTYPES,
    FORMAT,
    MANIFEST,
    buckets_of,
    content_checksum,
    mixed,
)
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError, nearest
from tfzoo.files import file_checksum, temporary_folder, writing

ROWS_AT_ONCE = 1 << 20
ROWS_PER_SHARD = 1_000_000
FEWEST, MOST = 4, 256


@dataclass(frozen=True)
class Source:
    """A file to be sharded and the names of its columns; raises errors as `from_file` does."""

    path: Path
    user_col: str = "user_id"
    item_col: str = "item_id"
    rating_col: str | None = "rating"
    time_col: str | None = None
    sep: str | None = None
    rating_scale: tuple[float, float] | None = None

    @property
    def named(self) -> dict[str, str]:
        """Column of the shards -> column of the file."""
        names = (self.user_col, self.item_col, self.rating_col, self.time_col)
        return {column: name for column, name in zip(DTYPES, names, strict=True) if name is not None}


def write_shards(
    source: Source,
    output: Path,
    *,
    name: str,
    shards: int | None = None,
    seed: int = 0,
    rows_at_once: int = ROWS_AT_ONCE,
) -> dict[str, Any]:
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
        The manifest.

    Raises:
        UsageError: ``output`` exists, or an option has no meaning.
        DataError: the file cannot be used; the message names row and column.
        StorageError: the folder cannot be written.
    """
    if output.exists():
        raise UsageError(f"{output} exists already; give the name of a new folder.")
    check_rating_scale(source.rating_scale)
    if shards is not None and not 1 <= shards <= MOST:
        raise UsageError(f"--shards must lie between 1 and {MOST}. Received {shards}.")
    vocabularies, rows = _vocabularies(source, rows_at_once)
    count = shards or int(np.clip(-(-rows // ROWS_PER_SHARD), FEWEST, MOST))
    with writing(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(output.parent, f".{output.name}.") as scratch:
            folder = scratch / "shards"
            folder.mkdir()
            manifest = _write(source, folder, vocabularies, count, seed, rows_at_once)
            manifest = {"format": FORMAT, "name": name, "seed": seed, **manifest}
            (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
            os.rename(folder, output)
    return manifest


def _vocabularies(source: Source, rows_at_once: int) -> tuple[tuple[Vocabulary, Vocabulary], int]:
    """Collect all raw ids; the first pass."""
    found: list[Vocabulary | None] = [None, None]
    rows = 0
    for chunk, where in _chunks(source, rows_at_once):
        for side, column in enumerate((source.user_col, source.item_col)):
            found[side] = _merged(found[side], read_ids(chunk[column], where)[0])
        rows += len(chunk)
    users, items = found
    if users is None or items is None:
        raise DataError(f"{source.path} has no data rows.")
    return (users, items), rows


def _merged(known: Vocabulary | None, new: Vocabulary) -> Vocabulary:
    if known is None:
        return new
    if known.dtype == new.dtype:
        return Vocabulary(np.union1d(known.ids, new.ids))
    # Texts that all spelled numbers so far: they are texts like the others after all.
    return Vocabulary(np.union1d(known.ids.astype(str), new.ids.astype(str)))


def _write(
    source: Source,
    folder: Path,
    vocabularies: tuple[Vocabulary, Vocabulary],
    count: int,
    seed: int,
    rows_at_once: int,
) -> dict[str, Any]:
    """Encode the rows and distribute them; the second pass. Returns the rest of the manifest."""
    named = source.named
    kinds = {"user_id": pyarrow.int32(), "item_id": pyarrow.int32(), "rating": pyarrow.float32()}
    schema = pyarrow.schema([(column, kinds.get(column, pyarrow.int64())) for column in named])
    names = [f"shard-{number:05d}.parquet" for number in range(count)]
    written, buckets = np.zeros(count, np.int64), np.zeros(BUCKETS, np.int64)
    counts = [np.zeros(len(vocabulary) + 1, np.int64) for vocabulary in vocabularies]
    lowest, highest, total, start = np.inf, -np.inf, 0.0, 0
    # So that seeds give unrelated assignments, not shifted ones.
    salt = mixed(np.array([seed], np.uint64))
    with ExitStack() as stack:
        files = [stack.enter_context(parquet.ParquetWriter(folder / name, schema)) for name in names]
        for chunk, where in _chunks(source, rows_at_once):
            columns = _encoded(source, chunk, where, vocabularies)
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
    scale = source.rating_scale or ((lowest, highest) if "rating" in named else None)
    for whose, vocabulary, rows_of in zip(("user", "item"), vocabularies, counts, strict=True):
        vocabulary.save(folder / f"{whose}s.txt")
        np.save(folder / f"{whose}s.npy", rows_of, allow_pickle=False)
    entries: dict[str, dict[str, Any]] = {
        path.name: {"bytes": path.stat().st_size, "sha256": file_checksum(path)}
        for path in sorted(folder.iterdir())
    }
    for shard_name, count_of in zip(names, written.tolist(), strict=True):
        entries[shard_name]["rows"] = count_of
    return {
        "rows": start,
        "columns": list(named),
        "users": vocabularies[0].dtype,
        "items": vocabularies[1].dtype,
        "rating_scale": scale,
        "rating_sum": total,
        "buckets": buckets.tolist(),
        "files": entries,
        "checksum": content_checksum(entries),
    }


def _encoded(
    source: Source, chunk: pd.DataFrame, where: str, vocabularies: tuple[Vocabulary, Vocabulary]
) -> dict[str, NDArray]:
    columns: dict[str, NDArray] = {}
    for side, column in enumerate(("user_id", "item_id")):
        local, codes = read_ids(chunk[source.named[column]], where)
        columns[column] = vocabularies[side].lookup(local.ids)[codes - 1]
    if source.rating_col is not None:
        columns["rating"] = read_ratings(chunk[source.rating_col], where, source.rating_scale)
    if source.time_col is not None:
        columns["timestamp"] = read_times(chunk[source.time_col], where)
    return columns


def _chunks(source: Source, rows_at_once: int) -> Iterator[tuple[pd.DataFrame, str]]:
    """Read the wanted columns in parts, each with what messages call it."""
    check_is_file(source.path)
    ending = ending_of(source.path)
    if ending in PARQUET and source.sep is None:
        parts = _parquet_parts(source, rows_at_once)
    elif source.sep is not None or ending in SEPARATORS:
        parts = _text_parts(source, (source.sep or SEPARATORS[ending]).replace("\\t", "\t"), rows_at_once)
    else:
        known = ", ".join((*SEPARATORS, *PARQUET))
        raise DataError(f"{source.path}: unknown kind of file '{ending}'. Known: {known}; else give --sep.")
    start = 0
    for part in parts:
        if part.empty:
            continue
        yield part, f"{source.path}" + (f", in the part after row {start:,}" if start else "")
        start += len(part)


def _parquet_parts(source: Source, rows_at_once: int) -> Iterator[pd.DataFrame]:
    _check_names(source, parquet_shape(source.path)[0])
    with reading_parquet(source.path):
        file = parquet.ParquetFile(source.path)
    with file:
        batches = file.iter_batches(rows_at_once, columns=list(source.named.values()))
        while True:
            with reading_parquet(source.path):
                batch = next(batches, None)
                part = None if batch is None else batch.to_pandas()
            if part is None:
                return
            yield part


def _text_parts(source: Source, sep: str, rows_at_once: int) -> Iterator[pd.DataFrame]:
    if len(sep) != 1:
        raise UsageError(f"--sep must be one character, since the file is read in parts. Received {sep!r}.")
    options: dict[str, Any] = {"sep": sep, "dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}
    try:
        with pd.read_csv(source.path, chunksize=rows_at_once, **options) as parts:
            for part in parts:
                _check_names(source, [str(column) for column in part.columns])
                # A row that is too long makes the first column an index. One that is too short is filled with
                # empty texts, which no id, rating or time is.
                wanted = part[list(source.named.values())]
                if not isinstance(part.index, pd.RangeIndex):
                    raise ValueError("a row has more or fewer fields than the header")
                yield wanted.reset_index(drop=True)
    except UsageError:
        raise
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{source.path} cannot be read as text separated by {sep!r}: {error}.") from error


def _check_names(source: Source, present: list[str]) -> None:
    wanted = list(source.named.values())
    if len(set(wanted)) < len(wanted):
        raise UsageError(f"Each column can play one part only. Received {', '.join(map(repr, wanted))}.")
    for column in wanted:
        if column not in present:
            raise DataError(f"{source.path} has no column '{column}'. {nearest(column, present)}")
