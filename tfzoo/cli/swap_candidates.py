"""``tfzoo swap-candidates``: another set of items for an export, without training."""

from __future__ import annotations

import argparse

from tfzoo.cli.common import say
from tfzoo.serving.candidates import read_candidates
from tfzoo.serving.export import latest_version, read_metadata
from tfzoo.serving.swap import swap_candidates


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    version = latest_version(options.model)
    dtype = read_metadata(version).get("ids", {}).get("item", "string")
    candidates = read_candidates(options.items, dtype, options.id_col)
    new = swap_candidates(version, candidates)
    say(f"{len(candidates.ids)} items. SavedModel: {new}")
