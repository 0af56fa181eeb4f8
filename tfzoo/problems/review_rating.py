"""What a recipe may say of rating prediction from reviews."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tfzoo.problems.base import Count, register_problem
from tfzoo.problems.rating import RatingProblem


class ReviewRatingSettings(BaseModel):
    """Settings of the review-rating task.

    How many words of a document are read is a matter of the model: ``builder.document_length``.

    Attributes:
        loss: ``"mse"`` or ``"mae"``.
        drop_target_review: in training, leave the review that came with the rating to be
            predicted out of the user's and of the item's document. At test time it is never
            there, so a model that trains on it learns to read what it will not have.
        documents_from: which reviews make the documents. ``"all"`` lets validation and test
            reviews in; it exists to measure that leak.
        max_words: size of the vocabulary, the most frequent words of the training reviews.
        review_length: words that are kept of each review, from its beginning; null for all.
        word_vectors: file of pre-trained word vectors to start from, see `read_word_vectors`;
            words that it lacks keep their random start.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    loss: Literal["mse", "mae"] = "mse"
    drop_target_review: bool = True
    documents_from: Literal["train", "all"] = "train"
    max_words: Count = 20_000
    review_length: Count | None = None
    word_vectors: Path | None = None


@register_problem
class ReviewRatingProblem(RatingProblem):
    """Predicting ratings from reviews."""

    name = "review-rating"
    Settings = ReviewRatingSettings
    automatic = (*RatingProblem.automatic, "vocabulary_size")
