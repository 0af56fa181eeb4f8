"""What models of histories are asked with, and how they score: stored and given histories."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Split
from tfzoo.data.windows import Sequences
from tfzoo.errors import UsageError
from tfzoo.layers import ItemTable
from tfzoo.models.retrieval import scoring_layer
from tfzoo.tasks.base import Features, Scorer

MOMENTS = ("validation", "test", "serve")
READ = ("history", "history_gaps", "user_id")


class HistoryTables(tf.Module):
    """The last events of every user, right-aligned: ids, and the gaps after them where they are read.

    Args:
        parts: what is known.
        length: events of a history.
        gap: seconds after the last event of each user; None where gaps are not read.
        name: of the module.
    """

    def __init__(self, parts: Sequence[Interactions], length: int, *, gap: float | None, name: str) -> None:
        super().__init__(name=name)
        sequences, num_users = Sequences.of(*parts), parts[0].num_users
        self.history = tf.Variable(
            sequences.last(sequences.item_id, num_users, length), trainable=False, name="histories"
        )
        self.gaps = None
        if gap is not None:
            found = sequences.last(sequences.gaps(gap), num_users, length)
            self.gaps = tf.Variable(found, trainable=False, name="gaps")


class SequenceFeatures(Features):
    """Fills ``history`` int32 ``[B, L]``, ``history_gaps`` float32 ``[B, L]`` and ``user_id`` int32 ``[B]``.

    Gaps are the seconds from each event to the next one. How long that is after the last event is not known
    where the next one is asked for; `usual_gap` stands for it, the median of the training part.

    Args:
        inputs: of the model.
        split: the parts; what is known at each moment, see `moment_parts`, is read when it is asked for.

    Raises:
        UsageError: the model reads something else.
    """

    supports_jit = False

    def __init__(self, inputs: Sequence[keras.KerasTensor], split: Split) -> None:
        super().__init__()
        self.names = tuple(tensor.name for tensor in inputs)
        if unknown := set(self.names) - set(READ):
            raise UsageError(
                f"Models of histories read {', '.join(READ)}. This one reads {', '.join(sorted(unknown))}."
            )
        self.length = next(tensor.shape[1] for tensor in inputs if tensor.name == "history")
        self.reads_gaps = "history_gaps" in self.names
        # An update trains on some rows only; how popular items are is of all.
        self.train = split.train
        self._split, self._tables = split, dict[str, HistoryTables]()
        self.num_items = split.train.num_items
        trained = split.train.item_counts() > 0
        trained[0] = False
        # An item that training lacks has a vector of chance alone: histories pass over it.
        self.known_items = tf.Variable(
            np.where(trained, np.arange(len(trained)), 0).astype(np.int32),
            trainable=False,
            name="known_items",
        )
        self.usual_gap = 0.0
        if self.reads_gaps:
            gaps = Sequences.of(split.train).gaps()
            self.usual_gap = float(np.median(gaps[gaps > 0])) if (gaps > 0).any() else 0.0

    def tables(self, moment: str) -> HistoryTables:
        """Return the histories that are known at a moment."""
        if moment not in self._tables:
            parts = moment_parts(self._split, moment)
            gap = self.usual_gap if self.reads_gaps else None
            self._tables[moment] = HistoryTables(parts, self.length, gap=gap, name=moment)
        return self._tables[moment]

    def of_users(self, user_id: tf.Tensor, tables: HistoryTables) -> dict[str, tf.Tensor]:
        """Return the model's inputs for known users, int32 ``[B]``."""
        history = tf.gather(self.known_items, tf.gather(tables.history, user_id))
        gaps = None if tables.gaps is None else tf.gather(tables.gaps, user_id)
        return self._aligned(history, gaps, user_id)

    def of_histories(self, history: tf.Tensor, gaps: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """Return the model's inputs for histories of dense ids int32 ``[B, h]``, oldest first, 0 for none.

        Without gaps the next event comes the training median after each.
        """
        known = tf.gather(self.known_items, history)
        if gaps is None:
            gaps = tf.fill(tf.shape(known), self.usual_gap)
        return self._aligned(known, gaps, tf.zeros(tf.shape(history)[:1], tf.int32))

    def _aligned(
        self, history: tf.Tensor, gaps: tf.Tensor | None, user_id: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Move the known events to the right end, in their order, and keep the last ones."""
        order = tf.argsort(tf.cast(history > 0, tf.int32), axis=1, stable=True)

        def last(values: tf.Tensor) -> tf.Tensor:
            moved = tf.gather(values, order, batch_dims=1)[:, -self.length :]
            return tf.pad(moved, [[0, 0], [self.length - tf.shape(moved)[1], 0]])

        inputs = {"history": tf.ensure_shape(last(history), [None, self.length]), "user_id": user_id}
        if gaps is not None and self.reads_gaps:
            inputs["history_gaps"] = tf.where(inputs["history"] > 0, last(gaps), 0.0)
        return {name: inputs[name] for name in self.names}


def moment_parts(split: Split, moment: str) -> list[Interactions]:
    """Return what is known of users when validation is measured, when the test part is, and when serving."""
    known = [split.train, *([split.fold_in] if split.fold_in is not None else [])]
    later = {"validation": [], "test": ["validation"], "serve": ["validation", "test"]}[moment]
    known += [getattr(split, name) for name in later if name not in split.in_training]
    # A part that stands in several places, as where there is nothing to hold out, is known once.
    return list({id(part): part for part in known}.values())


class SequenceScorer(Scorer):
    """Scores whole catalogues after a history.

    Args:
        model: from ``history`` and what else it reads to ``scores`` ``[B, num_items + 1]``.
        features: fills its inputs.
        moment: what is known of users, one of `MOMENTS`.
    """

    reads_history = True

    def __init__(self, model: keras.Model, features: SequenceFeatures, moment: str = "serve") -> None:
        super().__init__()
        self.model, self.features = model, features
        self._moment = moment
        # Exports carry the histories; those of another moment are made when they are asked for.
        self._tables = features.tables(moment)

    def score_items(self, user_id: tf.Tensor) -> tf.Tensor:
        """Return the score of every item after each user's history, int32 ``[B]``."""
        return self.model(self.features.of_users(user_id, self._tables), training=False)["scores"]

    def score_history(self, history: tf.Tensor) -> tf.Tensor:
        """Return the score of every item after histories, int32 ``[B, h]``, oldest first."""
        return self.model(self.features.of_histories(history), training=False)["scores"]


def scoring_table(model: keras.Model) -> ItemTable:
    """Return the layer that scores states against items: the one that ``scores`` comes from.

    Raises:
        UsageError: another layer makes the scores.
    """
    table = scoring_layer(model)
    if table is None:
        maker = model.output["scores"]._keras_history.operation.name
        raise UsageError(f"The scores of '{model.name}' must come from an ItemTable, not from {maker}.")
    return table
