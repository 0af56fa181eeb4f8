"""``tfzoo shard``: a file that is larger than memory becomes a folder that training streams from."""

from __future__ import annotations

import argparse

from tfzoo.cli.common import check_writable
from tfzoo.cli.output import answer, mention, say
from tfzoo.data.datasets.delimited import Layout
from tfzoo.data.datasets.names import file_name
from tfzoo.data.shard_writer import Source, write_shards
from tfzoo.errors import check_seed


def run(options: argparse.Namespace) -> None:
    """Run the command; the folder appears whole or not at all."""
    check_seed(options.seed)
    check_writable(options.output.parent, "--output")
    scale = options.rating_scale
    source = Source(
        options.input,
        user_col=options.user_col,
        item_col=options.item_col,
        rating_col=options.rating_col or None,
        time_col=options.time_col,
        layout=Layout(options.sep, not options.no_header, options.encoding, options.quoting),
        time_unit=options.time_unit,
        rating_scale=None if scale is None else (scale[0], scale[1]),
    )
    name = file_name(options.input)
    manifest, notes = write_shards(
        source, options.output, name=name, shards=options.shards, seed=options.seed
    )
    for note in notes:
        mention(note)
    shards = sum("rows" in entry for entry in manifest["files"].values())
    columns = ", ".join(manifest["columns"])
    say(f"{options.output}: {manifest['rows']:,} rows in {shards} shards, columns {columns}")
    answer(folder=options.output, rows=manifest["rows"], shards=shards, columns=manifest["columns"])
