"""``tfzoo shard``: a file that is larger than memory becomes a folder that training streams from."""

from __future__ import annotations

import argparse

from tfzoo.cli.common import check_writable, say
from tfzoo.data.shard_writer import Source, write_shards
from tfzoo.errors import UsageError


def run(options: argparse.Namespace) -> None:
    """Run the command; the folder appears whole or not at all."""
    if options.seed < 0:
        raise UsageError(f"--seed must be 0 or more. Received {options.seed}.")
    check_writable(options.output.parent, "--output")
    scale = options.rating_scale
    source = Source(
        options.input,
        user_col=options.user_col,
        item_col=options.item_col,
        rating_col=options.rating_col or None,
        time_col=options.time_col,
        sep=options.sep,
        rating_scale=None if scale is None else (scale[0], scale[1]),
    )
    name = options.input.name.split(".")[0]
    manifest = write_shards(source, options.output, name=name, shards=options.shards, seed=options.seed)
    shards = sum("rows" in entry for entry in manifest["files"].values())
    columns = ", ".join(manifest["columns"])
    say(f"{options.output}: {manifest['rows']:,} rows in {shards} shards, columns {columns}")
