"""What a recipe may say of learning from sampled negatives."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tfzoo.problems.base import Problem, register_problem
from tfzoo.problems.ranking import RankingSettings


class ImplicitSettings(RankingSettings):
    """Settings of the implicit task.

    Attributes:
        loss: ``bce`` learns each pair by itself (pointwise); ``bpr`` compares a positive with a
            negative of the same user (pairwise).
        negatives: negatives drawn for each positive, anew in every epoch; 0 trains on the
            positives alone.
        weighting: draw negatives ``uniform`` or by ``popularity``.
        alpha: exponent of the popularity.
        reject_known: never draw an item that the user has in the training part.
        labels: what positives are trained towards: ``binary``, 1; ``rating``, the rating divided by
            the highest one (Xue et al. 2017, normalised cross-entropy); for ``bce`` alone.
        mask_target: in training, leave the interaction to be predicted out of the rows that models
            without embeddings read.
    """

    loss: Literal["bce", "bpr"] = "bce"
    negatives: Annotated[int, Field(ge=0)] = 4
    weighting: Literal["uniform", "popularity"] = "uniform"
    alpha: Annotated[float, Field(ge=0)] = 1.0
    reject_known: bool = True
    labels: Literal["binary", "rating"] = "binary"
    mask_target: bool = True

    @model_validator(mode="after")
    def _check_negatives(self) -> ImplicitSettings:
        if self.loss == "bpr" and self.negatives == 0:
            raise ValueError("the loss 'bpr' compares with negatives; negatives must be at least 1")
        if self.loss == "bpr" and self.labels == "rating":
            raise ValueError("the loss 'bpr' has no labels; labels: rating needs the loss 'bce'")
        return self


@register_problem
class ImplicitProblem(Problem):
    """Telling items of interactions from items drawn at random."""

    name = "implicit"
    Settings = ImplicitSettings
