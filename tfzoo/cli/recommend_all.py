"""``tfzoo recommend --all-users``: the lists of all users of a run's data as one file."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from pyarrow import Table, parquet  # type: ignore[import-untyped]

from tfzoo.all_lists import all_lists, recommender_of, users_of, users_per_block
from tfzoo.cli.common import check_writable, reopen
from tfzoo.cli.item_lists import listed_items, notes_on_unknown
from tfzoo.cli.list_parts import ListParts
from tfzoo.cli.output import answer, mention, say
from tfzoo.cli.paths import run_of
from tfzoo.errors import UsageError
from tfzoo.files import hold_folder, write_atomically
from tfzoo.runs import load_model


def run(options: argparse.Namespace) -> None:
    """Write the file, whole or not at all; the same command goes on where an interrupted one stopped."""
    for name in ("run", "output"):
        if getattr(options, name) is None:
            raise UsageError(f"--all-users needs --{name}: it asks a trained run, and writes a file.")
    write = _writer(options.output)
    if options.output.exists() and not options.overwrite:
        raise UsageError(f"{options.output} exists already; give another --output, or --overwrite.")
    check_writable(options.output.parent, "--output")
    folder = run_of(options.run)
    experiment, record = reopen(folder, options.data)
    model, train = load_model(folder), experiment.split.train
    recommender = recommender_of(experiment, experiment.task.scorer(model, experiment.features(model)))
    exclude = listed_items(options.exclude, options.exclude_file, "--exclude", train.items)
    for note in notes_on_unknown(exclude, "--exclude", train.items):
        say(note)
    users = users_of(experiment)
    mention(f"{record.model} on {record.dataset}: the {options.k} best items of {len(users):,} users")
    titles = train.item_features.get("title")
    started = time.perf_counter()
    about = {
        "fingerprint": record.fingerprint,
        "data": experiment.data_fingerprint,
        "k": options.k,
        "exclude": list(exclude),
        "users": len(users),
    }
    rows = 0

    def counted(tables: Iterator[Table]) -> Iterator[Table]:
        nonlocal rows
        for table in tables:
            rows += len(table)
            yield table

    with hold_folder(options.output):
        parts = ListParts(options.output, about)
        if parts.users:
            mention(f"Going on after {parts.users:,} users, whose lists lie in {parts.folder}.")
        block = users_per_block(train.items)
        left = users[parts.users :]
        tables = all_lists(
            recommender, left, train.items, options.k, exclude=exclude, titles=titles, block=block
        )
        for number, table in enumerate(tables):
            parts.add(table, len(left[number * block : (number + 1) * block]))
        parts.flush()
        write_atomically(options.output, lambda file: write(file, counted(parts.tables())))
        parts.remove()
    seconds = time.perf_counter() - started
    say(f"{options.output}: {rows:,} rows of {len(users):,} users in {seconds:.1f} s")
    answer(output=options.output, users=len(users), rows=rows, seconds=round(seconds, 3))


def _writer(path: Path) -> Callable[[IO[bytes], Iterator[Table]], None]:
    writers: dict[str, Any] = {".parquet": _write_parquet, ".pq": _write_parquet, ".csv": _write_csv}
    if path.suffix not in writers:
        raise UsageError(f"--output must end in {', '.join(writers)}. Received {path}.")
    found: Callable[[IO[bytes], Iterator[Table]], None] = writers[path.suffix]
    return found


def _write_parquet(file: IO[bytes], tables: Iterator[Table]) -> None:
    first = next(tables)
    with parquet.ParquetWriter(file, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)


def _write_csv(file: IO[bytes], tables: Iterator[Table]) -> None:
    for number, table in enumerate(tables):
        table.to_pandas().to_csv(file, index=False, header=number == 0)
