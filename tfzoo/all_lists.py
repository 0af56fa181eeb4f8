"""The lists of all users of the data, block by block, equal to the answers to single questions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import UsageError
from tfzoo.experiment import Experiment
from tfzoo.serving.interface import BLANK_SCORE, Id, as_array
from tfzoo.serving.metadata import TensorInfo
from tfzoo.serving.recommender import other_users
from tfzoo.serving.recommenders import CatalogueRecommender
from tfzoo.serving.signatures import served_functions

# Scores that are held at once, and bounds of the users that they are of.
SCORES_PER_BLOCK = 1 << 20
FEWEST, MOST = 16, 4096


def recommender_of(experiment: Experiment, scorer: Any) -> CatalogueRecommender:
    """Return what answers as an export of a trained model does, in this process.

    Args:
        experiment: refitted, see `Experiment.refitted`.
        scorer: of the trained model, from its task.

    Raises:
        UsageError: it is a model of clicks.
    """
    if experiment.task.needs.clicks:
        raise UsageError(f"'{experiment.recipe.model}' is a model of clicks, which recommends no lists.")
    known = experiment.known_beside_training()
    with tempfile.TemporaryDirectory(prefix="tfzoo-") as assets:
        return CatalogueRecommender(
            scorer, experiment.split.train, Path(assets), exclude_seen=True, known=known
        )


def users_of(experiment: Experiment) -> NDArray:
    """Return the raw ids of all users of the data, those that are held out with a history last."""
    train = experiment.split.train
    others = other_users(train, [train, *experiment.known_beside_training()])
    ids: NDArray = train.users.ids
    return ids if others is None else np.concatenate([ids, others.ids])


def users_per_block(items: Vocabulary) -> int:
    """Return how many users' scores of all items are held at once."""
    return int(np.clip(SCORES_PER_BLOCK // (len(items) + 1), FEWEST, MOST))


def all_lists(
    recommender: CatalogueRecommender,
    users: NDArray,
    items: Vocabulary,
    k: int,
    *,
    exclude: Sequence[Id] = (),
    titles: NDArray | None = None,
    block: int | None = None,
) -> Iterator[pa.Table]:
    """Go through users, and give what each would be answered.

    Args:
        recommender: from `recommender_of`.
        users: raw ids ``[n]``.
        items: the vocabulary of the training part.
        k: items a user.
        exclude: raw item ids that are never listed; unknown ones are ignored.
        titles: of items by dense id, ``[len(items) + 1]``; None for none.
        block: users at once; None to go by the number of items.

    Yields:
        Tables with the columns ``user_id``, ``item_id``, ``rank`` (from 1), ``score``, ``known_user`` and,
        where there are titles, ``title``; a row a listed item, in the order of the users.

    Raises:
        UsageError: ``k`` is below 1.
    """
    if k < 1:
        raise UsageError(f"k must be at least 1. Received {k}.")
    block = block or users_per_block(items)
    ask: Any = served_functions(recommender)["recommend"]
    info = TensorInfo(recommender.items.dtype.name, (-1, -1))
    k = min(k, len(items))
    barred = as_array("exclude_ids", [list(exclude)], info)
    for first in range(0, len(users), block):
        asked = users[first : first + block]
        rows = len(asked)
        lists = tf.constant(np.repeat(barred, rows, axis=0), recommender.items.dtype)
        answer = ask(tf.constant(asked, recommender.users.dtype), tf.fill([rows], tf.constant(k)), lists)
        scores = answer["scores"].numpy()
        row, place = np.nonzero(scores > BLANK_SCORE)
        found = answer["item_ids"].numpy()[row, place]
        columns = {
            "user_id": pa.array(asked[row]),
            "item_id": _raw(found),
            "rank": pa.array(place + 1),
            "score": pa.array(scores[row, place]),
            "known_user": pa.array(answer["known_user"].numpy()[row]),
        }
        if titles is not None:
            raw = columns["item_id"].to_numpy(zero_copy_only=False)
            columns["title"] = pa.array(np.asarray(titles, str)[items.lookup(raw)])
        yield pa.table(columns)


def _raw(found: NDArray) -> pa.Array:
    """Return raw ids as TensorFlow gives them as whole numbers or texts."""
    return pa.array(found, pa.binary()).cast(pa.string()) if found.dtype == object else pa.array(found)
