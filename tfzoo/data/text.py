"""Reviews as words: tokeniser, word vocabulary, and documents that leave one review out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.errors import DataError

PADDING_WORD = 0
UNKNOWN_WORD = 1
FIRST_WORD = 2
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def tokenize(text: str) -> list[str]:
    """Return the lower-cased words of a text: letters and digits, with apostrophes inside."""
    return WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


@dataclass(frozen=True, eq=False)
class EncodedTexts:
    """Texts as word ids, one after another.

    Attributes:
        tokens: int32 ``[total]``, word ids of all texts.
        starts: int64 ``[n + 1]``; text ``t`` is ``tokens[starts[t]:starts[t + 1]]``.
    """

    tokens: NDArray[np.int32]
    starts: NDArray[np.int64]


class WordVocabulary:
    """Word ids: 0 for padding, 1 for unknown words, then the words.

    Args:
        words: distinct words; the first one gets id 2.

    Raises:
        DataError: a word occurs twice.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._index = pd.Index(self.words, dtype=object)
        if not self._index.is_unique:
            twice = self._index[self._index.duplicated()][0]
            raise DataError(f"The word vocabulary holds the word {twice!r} twice.")

    @classmethod
    def from_texts(cls, texts: Sequence[str] | NDArray, max_words: int) -> WordVocabulary:
        """Take the ``max_words`` most frequent words; of equally frequent ones the alphabetically first."""
        words, _ = _split(texts)
        codes, distinct = pd.factorize(words)
        counts = np.bincount(codes, minlength=len(distinct))
        order = np.lexsort((distinct.astype(str), -counts))
        return cls(distinct[order[:max_words]].tolist())

    @property
    def size(self) -> int:
        """Number of word ids, those of padding and unknown words included."""
        return len(self.words) + FIRST_WORD

    def encode(self, texts: Sequence[str] | NDArray, longest: int | None = None) -> EncodedTexts:
        """Return the word ids of texts.

        Args:
            texts: str ``[n]``.
            longest: words that are kept of each text, from its beginning; None for all.
        """
        words, lengths = _split(texts, longest)
        codes, distinct = pd.factorize(words)
        ids = self._index.get_indexer(pd.Index(distinct, dtype=object))
        ids = np.where(ids < 0, UNKNOWN_WORD, ids + FIRST_WORD)
        return EncodedTexts(ids[codes].astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]))


class Documents(tf.Module):
    """For each id, its reviews one after another; any one of them can be left out.

    A document is a run of `tokens`, and a review is a run inside it, so leaving one out is a
    jump over it: no document has to be stored twice, and what comes after moves up.

    The arrays are variables, so that an exported graph carries them in its checkpoint.

    Args:
        reviews: the reviews.
        owner: int ``[n]``, id of the user (or item) whose document each review belongs to.
        num_ids: number of known ids; the document of id 0 is empty.
        length: words of a document that are read; see `batch`.
        timestamp: int ``[n]`` or None; reviews stand in time order, else in row order.
    """

    def __init__(
        self,
        reviews: EncodedTexts,
        owner: NDArray,
        num_ids: int,
        *,
        length: int,
        timestamp: NDArray | None = None,
    ) -> None:
        super().__init__()
        self.length = length
        keys = (owner,) if timestamp is None else (timestamp, owner)
        order = np.lexsort(keys)
        sizes = np.diff(reviews.starts)
        ends = np.cumsum(sizes[order])
        first = np.empty(len(order), np.int64)
        first[order] = ends - sizes[order]
        source = np.repeat(reviews.starts[:-1] - first, sizes)
        tokens = np.zeros(len(reviews.tokens) + 1, np.int32)
        # Position p of the reviews goes to p - source[p]; the last place is for empty data.
        tokens[np.arange(len(source)) - source] = reviews.tokens
        words = np.bincount(owner, weights=sizes, minlength=num_ids + 1).astype(np.int64)
        self.tokens = tf.Variable(tokens, trainable=False, name="tokens")
        self.starts = tf.Variable(np.concatenate([[0], np.cumsum(words)]), trainable=False, name="starts")
        self.review_starts = tf.Variable(first, trainable=False, name="review_starts")
        self.review_sizes = tf.Variable(sizes, trainable=False, name="review_sizes")

    def batch(self, ids: tf.Tensor, left_out: tf.Tensor | None = None) -> tf.Tensor:
        """Return documents, cut after `length` words and right-padded with 0.

        Args:
            ids: int32, any shape ``[...]``.
            left_out: int32, same shape; row number of one review of that id which is left out,
                -1 for none. The cut is made after it has been left out.

        Returns:
            int32 ``[..., length]``.
        """
        start, end = (tf.gather(self.starts, ids + offset)[..., tf.newaxis] for offset in (0, 1))
        place = start + tf.range(self.length, dtype=tf.int64)
        if left_out is not None:
            row = tf.maximum(left_out, 0)
            first, size = (
                tf.gather(column, row)[..., tf.newaxis] for column in (self.review_starts, self.review_sizes)
            )
            own = (left_out >= 0)[..., tf.newaxis] & (first >= start) & (first < end)
            place += tf.where(own & (place >= first), size, 0)
        inside = place < end
        return tf.where(inside, tf.gather(self.tokens, tf.where(inside, place, 0)), PADDING_WORD)


def _split(texts: Sequence[str] | NDArray, longest: int | None = None) -> tuple[NDArray, NDArray]:
    """Return all words of all texts in order, object ``[total]``, and how many each text has."""
    split = [tokenize(text)[:longest] for text in texts]
    words = np.array([word for words in split for word in words], dtype=object)
    return words, np.array([len(words) for words in split], dtype=np.int64)
