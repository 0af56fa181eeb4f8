"""Rating prediction from reviews: the words of a user and of an item in, a rating out."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfzoo.data.interactions import Interactions
from tfzoo.data.splits import Split
from tfzoo.data.text import FIRST_WORD, WordVocabulary
from tfzoo.data.word_vectors import read_word_vectors
from tfzoo.errors import DataError, UsageError
from tfzoo.inputs import Known
from tfzoo.inputs.base import SIDES
from tfzoo.inputs.tokens import texts_of
from tfzoo.layers import WordTable
from tfzoo.problems.review_rating import ReviewRatingProblem
from tfzoo.tasks.base import Needs, register_task
from tfzoo.tasks.pair_features import PairFeatures
from tfzoo.tasks.rating import RatingTask


@register_task
class ReviewRatingTask(ReviewRatingProblem, RatingTask):
    """Rating prediction where a user and an item are what was written by, and about, them.

    Inputs of a batch are ``user_tokens`` and ``item_tokens``, int32 ``[B, T]``: the document of
    the user and of the item, right-padded with 0; and ``user_id`` and ``item_id``, int32 ``[B]``,
    where the model has such inputs. The label is ``rating`` float32 ``[B]``.
    """

    place = 20
    model_inputs = "(item_id )?item_tokens (user_id )?user_tokens"
    model_outputs = "rating"
    needs = Needs(rating=True, text=True)
    settings: Any
    # Documents are made for pairs, not for whole users or items.
    _block_side = ""

    @property
    def reads_all_parts(self) -> bool:
        """True: documents may hold the reviews of all interactions, see the settings."""
        return True

    def check(self, interactions: Interactions) -> None:
        """Raise `DataError` where the data has no ratings or no reviews."""
        super().check(interactions)
        texts_of(interactions)

    def builder_arguments(self, train: Interactions) -> dict[str, Any]:
        """Return what a recipe may ask for as ``auto``, from the training part alone."""
        return {**super().builder_arguments(train), "vocabulary_size": self.vocabulary(train).size}

    def vocabulary(self, train: Interactions) -> WordVocabulary:
        """Return the words of the training reviews; raises `DataError` where there are none."""
        words = WordVocabulary.from_texts(texts_of(train), self.settings.max_words)
        if words.size == FIRST_WORD:
            raise DataError(f"The {len(train):,} training reviews of '{train.name}' hold no word at all.")
        return words

    def features(self, model: keras.Model, split: Split, interactions: Interactions) -> DocumentFeatures:
        """Prepare the documents that ``model`` reads.

        Raises:
            DataError: there are no reviews.
            UsageError: the model's word table is too small for the vocabulary.
        """
        vocabulary = self.vocabulary(split.train)
        for table in _word_tables(model):
            if table.vocabulary_size < vocabulary.size:
                raise UsageError(
                    f"builder.vocabulary_size must be at least {vocabulary.size}, or auto. "
                    f"Received {table.vocabulary_size}."
                )
        # The training part comes first, so that its row numbers hold for the documents too.
        parts = [split.train]
        if self.settings.documents_from == "all":
            parts += [split.validation, split.test]
        texts = np.concatenate([texts_of(part) for part in parts])
        reviews = vocabulary.encode(texts, self.settings.review_length)
        return DocumentFeatures.of(model, Known(tuple(parts), self.settings, reviews=reviews))

    @property
    def leaves_out(self) -> bool:
        """Whether the review that came with a rating is left out of the documents."""
        return bool(self.settings.drop_target_review)

    def prepare(self, model: keras.Model, split: Split, interactions: Interactions) -> None:
        """Load pre-trained word vectors into the word tables, before training, where asked to.

        Raises:
            DataError: the file cannot be used, see `read_word_vectors`, or is of another width.
        """
        path = self.settings.word_vectors
        if path is None:
            return
        found, vectors = read_word_vectors(path, self.vocabulary(split.train).words)
        for table in _word_tables(model):
            if vectors.shape[1] != table.embedding_dim:
                raise DataError(
                    f"{path}: the vectors have width {vectors.shape[1]}, but builder.embedding_dim is "
                    f"{table.embedding_dim}."
                )
            table.set_rows(found + FIRST_WORD, vectors)


class DocumentFeatures(PairFeatures):
    """Turns user and item ids into their documents, and what else the model reads."""

    ids_per_call = 256


def _word_tables(model: keras.Model) -> list[WordTable]:
    layers = [layer for side in SIDES for layer in model.get_layer(f"{side}_tower").layers]
    return [layer for layer in layers if isinstance(layer, WordTable)]
