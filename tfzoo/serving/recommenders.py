"""Two ways to find the best items: score all of them, or ask an index over their vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.serving.cells import Cells
from tfzoo.serving.checks import checked
from tfzoo.serving.index import IndexSettings
from tfzoo.serving.recommender import (
    BLANK_SCORE,
    Answer,
    Recommender,
    item_variable,
    largest,
    row_numbers,
)
from tfzoo.tasks.base import Scorer
from tfzoo.tasks.factors import Factors


class CatalogueRecommender(Recommender):
    """Scores all items with the model.

    Args:
        scorer: scores pairs, whole catalogues and perhaps histories by dense ids.
        train: training interactions.
        assets: folder for the vocabulary files.
        **options: see `Recommender`.
    """

    def __init__(self, scorer: Scorer, train: Interactions, assets: Path, **options: Any) -> None:
        super().__init__(scorer, train, assets, **options)
        self._scorer, self.reads_history = scorer, scorer.reads_history

    @checked
    def recommend_from_history(self, history: tf.Tensor, k: tf.Tensor, exclude_ids: tf.Tensor) -> Answer:
        """Rank all items after the raw item ids of ``history``, oldest first."""
        events = self._known_first(history)
        known = tf.reduce_any(events > 0, axis=1)
        scores = self._scorer.score_history(events)
        return self._best_of_all(scores, known, self._barred_after(events, exclude_ids), k)

    @checked
    def recommend_among_from_history(
        self, history: tf.Tensor, k: tf.Tensor, exclude_ids: tf.Tensor, allow_ids: tf.Tensor
    ) -> Answer:
        """Rank the items of ``allow_ids`` after the raw item ids of ``history``, oldest first."""
        events = self._known_first(history)
        known = tf.reduce_any(events > 0, axis=1)
        allowed = self._distinct(allow_ids)
        scores = tf.gather(self._scorer.score_history(events), allowed, batch_dims=1)
        return self._best_among(scores, allowed, known, self._barred_after(events, exclude_ids), k)

    def _score_pairs(self, users: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        return self._scorer.score_pairs(users, items)

    def _score_candidates(self, users: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
        return self._scorer.score_candidates(users, candidates)

    def _best(self, users: tf.Tensor, barred: Cells, k: tf.Tensor) -> Answer:
        return self._best_of_all(self._scorer.score_items(users), users > 0, barred, k)

    def _best_of_all(self, scores: tf.Tensor, known: tf.Tensor, barred: Cells, k: tf.Tensor) -> Answer:
        """Return the best of all items; unlike `_best_among` it looks up no ids."""
        scores = tf.where(known[:, tf.newaxis], scores, tf.convert_to_tensor(self.popularity))
        blocked = barred.mask(tf.shape(scores)[0]) | self.hidden
        scores = tf.where(blocked, BLANK_SCORE, scores)
        k = self._capped(k, tf.shape(scores)[1])
        top, items = tf.math.top_k(scores, k=largest(k))
        return self._answer(top, items, known, k)

    def _known_first(self, history: tf.Tensor) -> tf.Tensor:
        """Return dense ids; a stable sort moves unknown and blank ids behind the known ones."""
        dense = self.items.dense(history)
        order = tf.argsort(tf.cast(dense == 0, tf.int32), axis=1, stable=True)
        return tf.gather(dense, order, batch_dims=1)

    def _barred_after(self, events: tf.Tensor, exclude_ids: tf.Tensor) -> Cells:
        if not self.exclude_seen:
            events = events[:, :0]
        return self._barred(exclude_ids, tf.reshape(row_numbers(events), [-1]), tf.reshape(events, [-1]))


class IndexedRecommender(Recommender):
    """Finds items by inner products with their vectors, which can be exchanged after the export.

    Args:
        scorer: whose scores are inner products.
        factors: those of the scorer.
        index: which index is built over the items' vectors.
        train: training interactions.
        assets: folder for the vocabulary files.
        **options: see `Recommender`.
    """

    def __init__(
        self,
        scorer: Scorer,
        factors: Factors,
        index: IndexSettings,
        train: Interactions,
        assets: Path,
        **options: Any,
    ) -> None:
        super().__init__(scorer, train, assets, **options)
        self.factors, self.index = factors, index.build(factors.vectors, self.hidden)
        self.popular = item_variable(popular_order(self.popularity.numpy(), self.hidden.numpy()), "popular")

    def _score_pairs(self, users: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        scores = self._score_candidates(users, items[:, tf.newaxis])
        return self.factors.output(scores[:, 0])

    def _score_candidates(self, users: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
        queries, offset = self.factors.queries(users)
        vectors = tf.gather(self.factors.vectors, candidates)
        return tf.linalg.matvec(vectors, queries) + offset[:, tf.newaxis]

    def _best(self, users: tf.Tensor, barred: Cells, k: tf.Tensor) -> Answer:
        k = self._capped(k, tf.size(self.popularity))
        queries, offset = self.factors.queries(users)
        scores, items = self.index.search(queries, barred, largest(k))
        scores = tf.where(items > 0, scores + offset[:, tf.newaxis], BLANK_SCORE)
        counts, popular = self._most_popular(tf.shape(users)[0], barred, largest(k))
        known = (users > 0)[:, tf.newaxis]
        return self._answer(tf.where(known, scores, counts), tf.where(known, items, popular), known[:, 0], k)

    def _most_popular(self, rows: tf.Tensor, barred: Cells, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return counts and ids ``[rows, k]`` of the most popular items that are not barred."""
        # As many as are barred in one row may have to be passed over.
        passed = tf.reduce_max(tf.concat([tf.math.bincount(barred.row, minlength=1), [0]], axis=0))
        items = tf.repeat(self.popular[tf.newaxis, : k + passed], rows, axis=0)
        counts = tf.where(
            barred.hold(row_numbers(items), items), BLANK_SCORE, tf.gather(self.popularity, items)
        )
        blanks = tf.fill([rows, k], BLANK_SCORE)
        counts, at = tf.math.top_k(tf.concat([counts, blanks], axis=1), k=k)
        return counts, tf.gather(tf.pad(items, [[0, 0], [0, k]]), at, batch_dims=1)


def popular_order(popularity: Any, hidden: Any) -> Any:
    """Return the dense ids of the items that may be listed, int32, the most popular one first."""
    order = np.argsort(-popularity, kind="stable").astype(np.int32)
    return order[~hidden[order]]
