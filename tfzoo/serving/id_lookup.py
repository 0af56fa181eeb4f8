"""Raw ids and dense ids, inside a graph."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from tfzoo.data.vocabulary import INTEGER, Vocabulary
from tfzoo.errors import DataError


class Lookup(tf.Module):
    """Raw values to their places in a vocabulary, inside a graph.

    The vocabulary lies in an asset file, so that it does not count against the size limit of
    the graph.

    Args:
        vocabulary: the values.
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

    def dense(self, raw: tf.Tensor) -> tf.Tensor:
        """Return dense ids, int32; 0 where the raw value is unknown."""
        return tf.cast(self._table.lookup(raw) + 1, tf.int32)


class IdLookup(Lookup):
    """Raw ids to dense ids and back, inside a graph.

    Args:
        vocabulary: the ids.
        path: see `Lookup`.
        name: of the variable with the raw ids.
    """

    def __init__(self, vocabulary: Vocabulary, path: Path, name: str) -> None:
        super().__init__(vocabulary, path)
        self.blank = blank_id(vocabulary)
        self._raw = tf.Variable(
            raw_ids(vocabulary), dtype=self.dtype, trainable=False, name=name, shape=[None]
        )

    def raw(self, dense: tf.Tensor) -> tf.Tensor:
        """Return raw ids; the blank id for 0."""
        return tf.gather(self._raw, dense)


def raw_ids(vocabulary: Vocabulary) -> list[int | str]:
    """Return the raw ids by dense id, the blank id for 0."""
    return [blank_id(vocabulary), *vocabulary.ids.tolist()]


def blank_id(vocabulary: Vocabulary) -> int | str:
    """Return an id that no item has; raises `DataError` where -2**63 is taken."""
    if vocabulary.dtype != INTEGER:
        return ""
    least = int(vocabulary.ids.min())
    blank = min(-1, least - 1)
    if blank < -(2**63):
        raise DataError(f"The id {least} is the smallest of 64 bits: no number is left for blanks.")
    return blank
