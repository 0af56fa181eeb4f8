"""What a served model answers: functions from raw ids to ratings and ranked lists."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.data.interactions import Interactions
from tfzoo.data.rows import SparseRows
from tfzoo.data.unused import translated
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.serving.cells import Cells
from tfzoo.serving.checks import checked
from tfzoo.serving.id_lookup import IdLookup
from tfzoo.tasks.base import Scorer

BLANK_SCORE = -1e9
USERS_FILE = "users.txt"
ITEMS_FILE = "items.txt"
OTHER_USERS_FILE = "other_users.txt"

Answer = dict[str, tf.Tensor]


class Recommender(tf.Module):
    """The functions behind the signatures.

    In all of them ``k`` is int32 ``[B]``; ``exclude_ids``, ``allow_ids`` and ``history`` are raw
    item ids ``[B, m]``, each with an m of its own. `CatalogueRecommender` and `IndexedRecommender`
    find the items.

    Args:
        scorer: scores by dense ids.
        train: training interactions, for seen items and popularity.
        assets: folder for the vocabulary files.
        exclude_seen: leave out what the user is known to have, and the items of a given history.
        known: what is known beside the training part, of the same users and items or of others.
    """

    reads_history = False

    def __init__(
        self,
        scorer: Scorer,
        train: Interactions,
        assets: Path,
        *,
        exclude_seen: bool,
        known: Sequence[Interactions] = (),
    ) -> None:
        super().__init__()
        self.output_name = scorer.output_name
        self.users = IdLookup(train.users, assets / USERS_FILE, "raw_user_ids")
        self.items = IdLookup(train.items, assets / ITEMS_FILE, "raw_item_ids")
        self.exclude_seen = exclude_seen
        # Without need the columns are not touched: those of a training part on disk would be read.
        parts = [train, *known] if exclude_seen else []
        others = other_users(train, parts)
        self.others = None if others is None else IdLookup(others, assets / OTHER_USERS_FILE, "raw_other_ids")
        self._num_users = train.num_users
        user, item = _known_pairs(train, parts, others)
        shape = (1 + train.num_users + (0 if others is None else len(others)), train.num_items + 1)
        self.seen = SparseRows(user, item, np.ones(len(user), np.float32), shape, free_size=True, name="seen")
        popularity = train.item_counts().astype(np.float32)
        hidden = (popularity == 0) & scorer.hides_untrained
        hidden[0] = True
        self.popularity = item_variable(popularity, "popularity")
        self.hidden = item_variable(hidden, "hidden")

    @checked
    def rate(self, user_id: tf.Tensor, item_id: tf.Tensor) -> Answer:
        """Score pairs of raw ids, each ``[B]``."""
        users, items = self.users.dense(user_id), self.items.dense(item_id)
        return {self.output_name: self._score_pairs(users, items)}

    @checked
    def recommend(self, user_id: tf.Tensor, k: tf.Tensor, exclude_ids: tf.Tensor) -> Answer:
        """Rank all items for raw user ids ``[B]``."""
        users = self.users.dense(user_id)
        return self._best(users, self._barred_for(user_id, exclude_ids), k)

    @checked
    def recommend_among(
        self, user_id: tf.Tensor, k: tf.Tensor, exclude_ids: tf.Tensor, allow_ids: tf.Tensor
    ) -> Answer:
        """Rank the items of ``allow_ids`` for raw user ids ``[B]``."""
        users = self.users.dense(user_id)
        allowed = self._distinct(allow_ids)
        scores = self._score_candidates(users, allowed)
        return self._best_among(scores, allowed, users > 0, self._barred_for(user_id, exclude_ids), k)

    @abstractmethod
    def _score_pairs(self, users: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """Return scores float32 ``[B]`` of dense ids, as `Scorer.score_pairs`."""

    @abstractmethod
    def _score_candidates(self, users: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
        """Return scores float32 ``[B, C]`` of dense ids ``[B]`` and ``[B, C]``."""

    @abstractmethod
    def _best(self, users: tf.Tensor, barred: Cells, k: tf.Tensor) -> Answer:
        """Return the answer of `recommend` for dense user ids."""

    def _best_among(
        self, scores: tf.Tensor, candidates: tf.Tensor, known: tf.Tensor, barred: Cells, k: tf.Tensor
    ) -> Answer:
        """Return the best of some items.

        Args:
            scores: float32 ``[B, C]``.
            candidates: dense ids int32 ``[B, C]``, rising, 0 where there is none.
            known: bool ``[B]``; where it is false, popularity takes the place of the scores.
            barred: what must not be listed.
            k: int32 ``[B]``.
        """
        scores = tf.where(known[:, tf.newaxis], scores, tf.gather(self.popularity, candidates))
        blocked = barred.hold(row_numbers(candidates), candidates) | tf.gather(self.hidden, candidates)
        scores = tf.where(blocked, BLANK_SCORE, scores)
        k = self._capped(k, tf.shape(scores)[1])
        top, at = tf.math.top_k(scores, k=largest(k))
        return self._answer(top, tf.gather(candidates, at, batch_dims=1), known, k)

    def _answer(self, scores: tf.Tensor, items: tf.Tensor, known: tf.Tensor, k: tf.Tensor) -> Answer:
        """Return lists ``[B, K]`` with blanks past each row's own ``k`` and the last eligible item."""
        shown = (tf.range(tf.shape(scores)[1])[tf.newaxis] < k[:, tf.newaxis]) & (scores > BLANK_SCORE)
        return {
            "item_ids": self.items.raw(tf.where(shown, items, 0)),
            "scores": tf.where(shown, scores, BLANK_SCORE),
            "known_user": known,
        }

    def _capped(self, k: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(k, 0, tf.minimum(candidates, tf.size(self.popularity) - 1))

    def _barred_for(self, user_id: tf.Tensor, exclude_ids: tf.Tensor) -> Cells:
        rows = self.users.dense(user_id)
        if self.others is not None:
            others = self.others.dense(user_id)
            rows = tf.where(others > 0, self._num_users + others, rows)
        row, item, _ = self.seen.entries(rows)
        return self._barred(exclude_ids, row, item)

    def _barred(self, exclude_ids: tf.Tensor, row: tf.Tensor, item: tf.Tensor) -> Cells:
        """Return the cells of ``exclude_ids`` and the given ones."""
        excluded = self.items.dense(exclude_ids)
        at = tf.reshape(row_numbers(excluded), [-1])
        items = tf.concat([item, tf.reshape(excluded, [-1])], axis=0)
        return Cells(tf.concat([row, at], axis=0), items, tf.size(self.popularity))

    def _distinct(self, allow_ids: tf.Tensor) -> tf.Tensor:
        """Return dense ids, rising so that ties go to the first in the vocabulary; 0 for repeated ones."""
        dense = tf.sort(self.items.dense(allow_ids), axis=1)
        repeated = tf.concat([tf.zeros_like(dense[:, :1], tf.bool), dense[:, 1:] == dense[:, :-1]], axis=1)
        return tf.where(repeated, 0, dense)


def other_users(train: Interactions, known: Sequence[Interactions]) -> Vocabulary | None:
    """Return those whom the training vocabulary lacks though something is known of them, or None."""
    found = []
    for part in known:
        if part.users is not train.users:
            lacking = (translated(part.users, train.users) == 0) & (part.user_counts() > 0)
            found.append(part.users.ids[lacking[1:]])
    ids = np.unique(np.concatenate(found)) if found else np.empty(0)
    return Vocabulary(ids) if len(ids) else None


def _known_pairs(
    train: Interactions, known: Sequence[Interactions], others: Vocabulary | None
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the pairs of some parts by the ids of the training part; other users stand behind its own."""
    users, items = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    for part in known:
        to_user = translated(part.users, train.users)
        if others is not None and part.users is not train.users:
            to_other = translated(part.users, others)
            to_user = np.where(to_other > 0, train.num_users + to_other, to_user)
        item = translated(part.items, train.items)[part.item_id]
        users.append(to_user[part.user_id][item > 0])
        items.append(item[item > 0])
    return np.concatenate(users), np.concatenate(items)


def item_variable(values: Any, name: str) -> tf.Variable:
    """Return a variable with a row for each item, whose number another set of items may change."""
    return tf.Variable(values, trainable=False, name=name, shape=tf.TensorShape([None, *values.shape[1:]]))


def row_numbers(items: tf.Tensor) -> tf.Tensor:
    """Return, for int32 ``[B, C]``, the number of the row in every cell."""
    return tf.repeat(tf.range(tf.shape(items)[0])[:, tf.newaxis], tf.shape(items)[1], axis=1)


def largest(k: tf.Tensor) -> tf.Tensor:
    """Return the largest of ``k`` int32 ``[B]``, 0 for an empty request."""
    return tf.reduce_max(tf.concat([k, [0]], axis=0))
