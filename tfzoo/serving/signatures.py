"""What a served model answers: functions from raw ids to ratings and ranked lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.rows import SparseRows
from tfzoo.data.vocabulary import INTEGER, Vocabulary
from tfzoo.tasks.base import Scorer

BLANK_SCORE = -1e9
POLICY = {
    "unknown_user": "serving_default scores the average user; recommend and recommend_among rank by "
    "popularity (training interactions) and return that count as the score",
    "unknown_item": "serving_default scores the average item; unknown ids among exclude_ids and allow_ids "
    "are ignored",
    "blank": "rows past their own k, or past the last eligible item, hold the blank id and the blank score; "
    "the blank id is ignored in exclude_ids, allow_ids and history, so that rows can be padded with it",
    "history": "recommend_from_history leaves out the items of the history, ignores unknown ids, and ranks "
    "by popularity where no id is known",
    "allow_ids": "recommend_among ranks the items of allow_ids alone; without any, the list is blank",
    "k": "k is capped at the number of items, and of allow_ids; k below 1 gives a blank row",
    "ties": "the item that comes first in the vocabulary wins",
}


class IdLookup(tf.Module):
    """Raw ids to dense ids and back, inside a graph.

    The vocabulary lies in an asset file, so that it does not count against the size limit of
    the graph.

    Args:
        vocabulary: the ids.
        path: where to write the asset file; it is read again when the module is used.
    """

    def __init__(self, vocabulary: Vocabulary, path: Path) -> None:
        super().__init__()
        vocabulary.save(path)
        self.dtype = tf.int64 if vocabulary.dtype == INTEGER else tf.string
        key = tf.lookup.TextFileIndex.WHOLE_LINE if self.dtype == tf.string else 0
        initializer = tf.lookup.TextFileInitializer(
            str(path), self.dtype, key, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER, delimiter="\t"
        )
        self._table = tf.lookup.StaticHashTable(initializer, default_value=-1)
        self.blank = _blank(vocabulary)
        raw = [self.blank, *vocabulary.ids.tolist()]
        self._raw = tf.Variable(raw, dtype=self.dtype, trainable=False, name="raw_ids")

    def dense(self, raw: tf.Tensor) -> tf.Tensor:
        """Return dense ids, int32; 0 where the raw id is unknown."""
        return tf.cast(self._table.lookup(raw) + 1, tf.int32)

    def raw(self, dense: tf.Tensor) -> tf.Tensor:
        """Return raw ids; the blank id for 0."""
        return tf.gather(self._raw, dense)


class Recommender(tf.Module):
    """The functions behind the signatures.

    In all of them ``k`` is int32 ``[B]``; ``exclude_ids``, ``allow_ids`` and ``history`` are raw
    item ids ``[B, m]``, each with an m of its own.

    Args:
        scorer: scores pairs and whole catalogues by dense ids.
        train: training interactions, for seen items and popularity.
        assets: folder for the vocabulary files.
        exclude_seen: leave out what the user has rated in training.
        fold_in: known history of users whom training never sees, left out likewise.
    """

    def __init__(
        self,
        scorer: Scorer,
        train: Interactions,
        assets: Path,
        *,
        exclude_seen: bool,
        fold_in: Interactions | None = None,
    ) -> None:
        super().__init__()
        self.scorer = scorer
        self.users = IdLookup(train.users, assets / "users.txt")
        self.items = IdLookup(train.items, assets / "items.txt")
        shape = (train.num_users + 1, train.num_items + 1)
        known = [train] if fold_in is None else [train, fold_in]
        kept = slice(None if exclude_seen else 0)
        user = np.concatenate([part.user_id for part in known])[kept]
        item = np.concatenate([part.item_id for part in known])[kept]
        self.seen = SparseRows(user, item, np.ones(len(user), np.float32), shape)
        popularity = train.item_counts().astype(np.float32)
        self.popularity = tf.Variable(popularity, trainable=False, name="popularity")
        hidden = (popularity == 0) & scorer.hides_untrained
        hidden[0] = True
        self.hidden = tf.Variable(hidden, trainable=False, name="hidden")

    def rate(self, user_id: tf.Tensor, item_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """Score pairs of raw ids, each ``[B]``."""
        with _same_rows(user_id=user_id, item_id=item_id):
            users, items = self.users.dense(user_id), self.items.dense(item_id)
        return {self.scorer.output_name: self.scorer.score_pairs(users, items)}

    def recommend(self, user_id: tf.Tensor, k: tf.Tensor, exclude_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """Rank all items for raw user ids ``[B]``."""
        with _same_rows(user_id=user_id, k=k, exclude_ids=exclude_ids):
            users = self.users.dense(user_id)
        blocked = self._blocked_for(users, exclude_ids)
        known = users > 0
        return self._answer(self.scorer.score_items(users), known, blocked, k)

    def recommend_among(
        self, user_id: tf.Tensor, k: tf.Tensor, exclude_ids: tf.Tensor, allow_ids: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Rank the items of ``allow_ids`` for raw user ids ``[B]``."""
        with _same_rows(user_id=user_id, k=k, exclude_ids=exclude_ids, allow_ids=allow_ids):
            users = self.users.dense(user_id)
        blocked = self._blocked_for(users, exclude_ids)
        allowed = self._distinct(allow_ids)
        return self._answer(self.scorer.score_candidates(users, allowed), users > 0, blocked, k, allowed)

    def recommend_from_history(
        self, history: tf.Tensor, k: tf.Tensor, exclude_ids: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Rank all items after the raw item ids of ``history``, oldest first."""
        with _same_rows(history=history, k=k, exclude_ids=exclude_ids):
            events = self._known_first(history)
        blocked = self._blocked_after(events, exclude_ids)
        known = tf.reduce_any(events > 0, axis=1)
        return self._answer(self.scorer.score_history(events), known, blocked, k)

    def recommend_among_from_history(
        self, history: tf.Tensor, k: tf.Tensor, exclude_ids: tf.Tensor, allow_ids: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Rank the items of ``allow_ids`` after the raw item ids of ``history``, oldest first."""
        with _same_rows(history=history, k=k, exclude_ids=exclude_ids, allow_ids=allow_ids):
            events = self._known_first(history)
        blocked = self._blocked_after(events, exclude_ids)
        known = tf.reduce_any(events > 0, axis=1)
        allowed = self._distinct(allow_ids)
        scores = tf.gather(self.scorer.score_history(events), allowed, batch_dims=1)
        return self._answer(scores, known, blocked, k, allowed)

    def _answer(
        self,
        scores: tf.Tensor,
        known: tf.Tensor,
        blocked: tf.Tensor,
        k: tf.Tensor,
        candidates: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """Return the ``k`` best of each row.

        Args:
            scores: float32 ``[B, num_items + 1]``, or ``[B, C]`` of the candidates.
            known: bool ``[B]``; where it is false, popularity takes the place of the scores.
            blocked: bool ``[B, num_items + 1]``, items not to be listed.
            k: int32 ``[B]``.
            candidates: dense ids int32 ``[B, C]``, rising, 0 where there is none; None for all.
        """
        popularity = self.popularity[tf.newaxis]
        if candidates is not None:
            popularity = tf.gather(self.popularity, candidates)
            blocked = tf.gather(blocked, candidates, batch_dims=1)
        scores = tf.where(known[:, tf.newaxis], scores, popularity)
        scores = tf.where(blocked, tf.constant(BLANK_SCORE), scores)
        k = tf.clip_by_value(k, 0, tf.minimum(tf.shape(scores)[1], self.seen.num_columns - 1))
        width = tf.reduce_max(tf.concat([k, [0]], axis=0))
        top, at = tf.math.top_k(scores, k=width)
        items = at if candidates is None else tf.gather(candidates, at, batch_dims=1)
        shown = (tf.range(width)[tf.newaxis] < k[:, tf.newaxis]) & (top > BLANK_SCORE)
        return {
            "item_ids": self.items.raw(tf.where(shown, items, 0)),
            "scores": tf.where(shown, top, tf.constant(BLANK_SCORE)),
            "known_user": known,
        }

    def _blocked_for(self, users: tf.Tensor, exclude_ids: tf.Tensor) -> tf.Tensor:
        at, seen, _ = self.seen.entries(users)
        return self._blocked(exclude_ids, at, seen)

    def _blocked_after(self, events: tf.Tensor, exclude_ids: tf.Tensor) -> tf.Tensor:
        at = tf.repeat(tf.range(tf.shape(events)[0]), tf.shape(events)[1])
        return self._blocked(exclude_ids, at, tf.reshape(events, [-1]))

    def _blocked(self, exclude_ids: tf.Tensor, row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        """Return bool ``[B, num_items + 1]``: excluded and hidden items, and the given cells."""
        excluded = self.items.dense(exclude_ids)
        count = tf.shape(excluded)[0]
        rows = tf.concat([row, tf.repeat(tf.range(count), tf.shape(excluded)[1])], axis=0)
        columns = tf.concat([column, tf.reshape(excluded, [-1])], axis=0)
        shape = [count, self.seen.num_columns]
        cells = tf.scatter_nd(tf.stack([rows, columns], axis=1), tf.ones_like(rows), shape)
        return (cells > 0) | self.hidden

    def _known_first(self, history: tf.Tensor) -> tf.Tensor:
        """Return dense ids; a stable sort moves unknown and blank ids behind the known ones."""
        dense = self.items.dense(history)
        order = tf.argsort(tf.cast(dense == 0, tf.int32), axis=1, stable=True)
        return tf.gather(dense, order, batch_dims=1)

    def _distinct(self, allow_ids: tf.Tensor) -> tf.Tensor:
        """Return dense ids, rising so that ties go to the first in the vocabulary; 0 for repeated ones."""
        dense = tf.sort(self.items.dense(allow_ids), axis=1)
        repeated = tf.concat([tf.zeros_like(dense[:, :1], tf.bool), dense[:, 1:] == dense[:, :-1]], axis=1)
        return tf.where(repeated, 0, dense)


def served_functions(recommender: Recommender) -> dict[str, Callable[..., dict[str, tf.Tensor]]]:
    """Return the functions of a SavedModel by the names of their signatures.

    Args:
        recommender: what they ask.

    Returns:
        A `tf.function` with named inputs for ``serving_default``, ``recommend``,
        ``recommend_among`` and, where the scorer reads histories, ``recommend_from_history`` and
        ``recommend_among_from_history``.
    """
    user = tf.TensorSpec([None], recommender.users.dtype, "user_id")
    item = tf.TensorSpec([None], recommender.items.dtype, "item_id")
    k = tf.TensorSpec([None], tf.int32, "k")
    exclude, allow, history = (
        tf.TensorSpec([None, None], recommender.items.dtype, name)
        for name in ("exclude_ids", "allow_ids", "history")
    )
    functions = {
        "serving_default": tf.function(recommender.rate, [user, item]),
        "recommend": tf.function(recommender.recommend, [user, k, exclude]),
        "recommend_among": tf.function(recommender.recommend_among, [user, k, exclude, allow]),
    }
    if recommender.scorer.reads_history:
        functions["recommend_from_history"] = tf.function(
            recommender.recommend_from_history, [history, k, exclude]
        )
        functions["recommend_among_from_history"] = tf.function(
            recommender.recommend_among_from_history, [history, k, exclude, allow]
        )
    return functions


def _same_rows(**inputs: tf.Tensor) -> tf.control_dependencies:
    """Check in the graph, so that the answer names the input, that all inputs have as many rows."""
    first, *others = inputs
    checks = [
        tf.debugging.assert_equal(
            tf.shape(inputs[name])[0],
            tf.shape(inputs[first])[0],
            message=f"{name} must have one row for each row of {first}.",
        )
        for name in others
    ]
    return tf.control_dependencies(checks)


def _blank(vocabulary: Vocabulary) -> int | str:
    """Return an id that no item has."""
    if vocabulary.dtype != INTEGER:
        return ""
    return min(-1, int(vocabulary.ids[0]) - 1)
