"""What a recipe may say of rating prediction."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from tfzoo.problems.base import Problem, register_problem


class RatingSettings(BaseModel):
    """Settings of the rating task.

    Attributes:
        loss: ``"mse"`` or ``"mae"``.
        mask_target: in training, leave the rating to be predicted out of the rows that models
            without embeddings read.
        rows_from: which ratings fill those rows. ``"all"`` lets validation and test ratings
            leak into the input; it exists to measure that leak.
        examples: ``"pairs"``: one rating is one example. ``"users"`` or ``"items"``: one example is
            all ratings of a user or item, for models whose rating is an inner product; the loss is
            then the sum over these ratings, and no rating is masked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    loss: Literal["mse", "mae"] = "mse"
    mask_target: bool = True
    rows_from: Literal["train", "all"] = "train"
    examples: Literal["pairs", "users", "items"] = "pairs"


@register_problem
class RatingProblem(Problem):
    """Predicting ratings."""

    name = "rating"
    Settings: ClassVar[type[BaseModel]] = RatingSettings
    predicts_ratings = True
    automatic: ClassVar[tuple[str, ...]] = ("mean_rating", "rating_scale")
