"""``tfzoo swap-candidates``: another set of items for an export, without training."""

from __future__ import annotations

import argparse

import numpy as np

from tfzoo.cli.common import reopen
from tfzoo.cli.output import answer, mention, say
from tfzoo.cli.paths import export_of, run_of
from tfzoo.data.datasets.files import from_file
from tfzoo.data.interactions import Interactions
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError, UsageError
from tfzoo.runs import load_model
from tfzoo.serving.candidates import read_candidates, with_vectors
from tfzoo.serving.export import read_metadata
from tfzoo.serving.swap import swap_candidates


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    if (options.ratings is None) != (options.run is None):
        raise UsageError("--ratings and --run belong together: the run's item tower reads the ratings.")
    version = export_of(options.model)
    dtype = read_metadata(version).get("ids", {}).get("item", "string")
    candidates = read_candidates(options.items, dtype, options.id_col)
    if options.ratings is not None:
        options.run = run_of(options.run)
        experiment, _ = reopen(options.run, options.data)
        described = _ratings_of_known_users(options, experiment.split.train.users)
        vectors = experiment.task.item_vectors(load_model(options.run), described)
        candidates = with_vectors(candidates, described.items.ids, vectors)
    new = swap_candidates(version, candidates)
    say(f"{len(candidates.ids)} items. SavedModel: {new}")
    answer(items=len(candidates.ids), exported=new)


def _ratings_of_known_users(options: argparse.Namespace, users: Vocabulary) -> Interactions:
    """Read ratings of new items, of which those by users of the training data count."""
    read = from_file(
        options.ratings,
        user_col=options.user_col,
        item_col=options.item_col,
        rating_col=options.rating_col,
        least=1,
    )
    user = np.concatenate([[0], users.lookup(read.users.ids)])[read.user_id]
    if not (user > 0).any():
        raise DataError(f"{options.ratings}: no user is in the training data of {options.run}.")
    if (user == 0).any():
        mention(f"{(user == 0).sum()} ratings by users that training does not know are left out.")
    kept = user > 0
    return Interactions(users, read.items, user[kept], read.item_id[kept], read.ratings[kept], name=read.name)
