"""Export to a SavedModel that a stock TensorFlow Serving loads: raw ids in, ratings and lists out."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.rows import SparseRows
from tfzoo.data.vocabulary import INTEGER, Vocabulary
from tfzoo.errors import TfzooError
from tfzoo.tasks.base import Scorer

BLANK_SCORE = -1e9
METADATA = "tfzoo.json"
POLICY = {
    "unknown_user": "serving_default scores the average user; recommend ranks by popularity "
    "(training interactions) and returns that count as the score",
    "unknown_item": "serving_default scores the average item; unknown ids among exclude_ids are ignored",
    "blank": "rows past their own k, or past the last eligible item, hold the blank id and the blank score",
    "history": "recommend_from_history leaves out the items of the history, ignores unknown ids, and ranks "
    "by popularity where no id is known",
    "k": "k is capped at the number of items; k below 1 gives a blank row",
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
        scores = self.scorer.score_pairs(self.users.dense(user_id), self.items.dense(item_id))
        return {self.scorer.output_name: scores}

    def recommend(self, user_id: tf.Tensor, k: tf.Tensor, exclude_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """Rank all items for raw user ids ``[B]``, ``k`` int32 ``[B]``, raw ``exclude_ids`` ``[B, m]``."""
        users = self.users.dense(user_id)
        excluded = self.items.dense(exclude_ids)
        at, seen, _ = self.seen.entries(users)
        blocked = self._cells(excluded, at, seen)
        return {**self._top(self.scorer.score_items(users), users > 0, blocked, k), "known_user": users > 0}

    def recommend_from_history(
        self, history: tf.Tensor, k: tf.Tensor, exclude_ids: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Rank all items for raw item ids ``[B, m]``, oldest first, ``k`` and ``exclude_ids`` as above."""
        dense = self.items.dense(history)
        # Unknown and blank ids are skipped: a stable sort moves them behind the known ones.
        dense = tf.gather(dense, tf.argsort(tf.cast(dense == 0, tf.int32), axis=1, stable=True), batch_dims=1)
        at = tf.repeat(tf.range(tf.shape(dense)[0]), tf.shape(dense)[1])
        blocked = self._cells(self.items.dense(exclude_ids), at, tf.reshape(dense, [-1]))
        known = tf.reduce_any(dense > 0, axis=1)
        return {**self._top(self.scorer.score_history(dense), known, blocked, k), "known_user": known}

    def _top(
        self, scores: tf.Tensor, known: tf.Tensor, blocked: tf.Tensor, k: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        scores = tf.where(known[:, tf.newaxis], scores, self.popularity[tf.newaxis])
        scores = tf.where(blocked | self.hidden, tf.constant(BLANK_SCORE), scores)
        k = tf.clip_by_value(k, 0, tf.shape(scores)[1] - 1)
        width = tf.reduce_max(tf.concat([k, [0]], axis=0))
        top, items = tf.math.top_k(scores, k=width)
        shown = (tf.range(width)[tf.newaxis] < k[:, tf.newaxis]) & (top > BLANK_SCORE)
        return {
            "item_ids": self.items.raw(tf.where(shown, items, 0)),
            "scores": tf.where(shown, top, tf.constant(BLANK_SCORE)),
        }

    def _cells(self, excluded: tf.Tensor, row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        """Return bool ``[B, num_items + 1]``: excluded items (dense ``[B, m]``), and the given cells."""
        count = tf.shape(excluded)[0]
        rows = tf.concat([row, tf.repeat(tf.range(count), tf.shape(excluded)[1])], axis=0)
        columns = tf.concat([column, tf.reshape(excluded, [-1])], axis=0)
        shape = [count, self.seen.num_columns]
        return tf.scatter_nd(tf.stack([rows, columns], axis=1), tf.ones_like(rows), shape) > 0


def export_saved_model(
    model: keras.Model,
    scorer: Scorer,
    train: Interactions,
    folder: Path,
    *,
    metadata: dict[str, Any],
    exclude_seen: bool = True,
    fold_in: Interactions | None = None,
) -> Path:
    """Write the next version of a served model.

    Args:
        model: the trained model; its variables become part of the export.
        scorer: from the model's task.
        train: the training part.
        folder: the served model's folder, ``EXPORT_DIR/<model>-<dataset>``; the export becomes
            the subfolder named by the next whole number, written beside and renamed into place.
        metadata: what to write into ``assets.extra/tfzoo.json`` beside the policy.
        exclude_seen: `recommend` leaves out what a user has rated in training.
        fold_in: known history of users whom training never sees, left out likewise.

    Returns:
        The folder of the new version. Its signatures are ``serving_default`` (``user_id``
        ``[B]``, ``item_id`` ``[B]`` -> ``rating`` ``[B]``) and ``recommend`` (``user_id``
        ``[B]``, ``k`` int32 ``[B]``, ``exclude_ids`` ``[B, m]`` -> ``item_ids`` ``[B, K]``,
        ``scores`` ``[B, K]``, ``known_user`` ``[B]``, with K the largest k) and, where the scorer
        reads histories, ``recommend_from_history`` (``history`` ``[B, m]`` instead of the user).

    Raises:
        TfzooError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".export-", dir=folder))
    except OSError as error:
        raise TfzooError(f"Cannot write the export to {folder}: {error}") from error
    try:
        assets = temporary / "vocabulary"
        assets.mkdir()
        recommender = Recommender(scorer, train, assets, exclude_seen=exclude_seen, fold_in=fold_in)
        target = temporary / "model"
        _write(model, recommender, target)
        _write_extra(target, train, recommender, metadata, exclude_seen)
        version = folder / str(_next_version(folder))
        os.replace(target, version)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return version


def latest_version(folder: Path) -> Path:
    """Return the folder of the newest version; raises `TfzooError` where there is none."""
    versions = _versions(folder)
    if not versions:
        raise TfzooError(
            f"No exported model in {folder}. Export one with scripts/train.py or scripts/export.py."
        )
    return folder / str(max(versions))


def _write(model: keras.Model, recommender: Recommender, target: Path) -> None:
    users, items = recommender.users.dtype, recommender.items.dtype
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.track(recommender)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], users, "user_id"),
            tf.TensorSpec([None], items, "item_id"),
        ]
    )
    def rate(user_id: tf.Tensor, item_id: tf.Tensor) -> dict[str, tf.Tensor]:
        return recommender.rate(user_id, item_id)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], users, "user_id"),
            tf.TensorSpec([None], tf.int32, "k"),
            tf.TensorSpec([None, None], items, "exclude_ids"),
        ]
    )
    def recommend(user_id: tf.Tensor, k: tf.Tensor, exclude_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        return recommender.recommend(user_id, k, exclude_ids)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], items, "history"),
            tf.TensorSpec([None], tf.int32, "k"),
            tf.TensorSpec([None, None], items, "exclude_ids"),
        ]
    )
    def recommend_from_history(
        history: tf.Tensor, k: tf.Tensor, exclude_ids: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        return recommender.recommend_from_history(history, k, exclude_ids)

    archive.add_endpoint("serving_default", rate)
    archive.add_endpoint("recommend", recommend)
    if recommender.scorer.reads_history:
        archive.add_endpoint("recommend_from_history", recommend_from_history)
    archive.write_out(str(target), verbose=False)


def _write_extra(
    target: Path, train: Interactions, recommender: Recommender, metadata: dict[str, Any], exclude_seen: bool
) -> None:
    extra = target / "assets.extra"
    extra.mkdir()
    policy = {
        **POLICY,
        "seen_items": "left out of recommend" if exclude_seen else "kept in recommend",
        "blank_id": recommender.items.blank,
        "blank_score": BLANK_SCORE,
    }
    text = json.dumps({**metadata, "policy": policy}, indent=1, sort_keys=True)
    (extra / METADATA).write_text(text + "\n", encoding="utf-8")
    if "title" in train.item_features:
        titles = dict(zip(train.items.ids.tolist(), train.item_features["title"][1:].tolist(), strict=True))
        (extra / "titles.json").write_text(json.dumps(titles) + "\n", encoding="utf-8")


def _blank(vocabulary: Vocabulary) -> int | str:
    """Return an id that no item has."""
    if vocabulary.dtype != INTEGER:
        return ""
    return min(-1, int(vocabulary.ids[0]) - 1)


def _versions(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return [int(entry.name) for entry in folder.iterdir() if entry.is_dir() and entry.name.isdigit()]


def _next_version(folder: Path) -> int:
    return max(_versions(folder), default=0) + 1
