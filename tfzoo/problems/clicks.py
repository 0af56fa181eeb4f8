"""What a recipe may say of click prediction."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tfzoo.problems.base import Problem, register_problem


class ClickSettings(BaseModel):
    """Settings of the click task.

    Attributes:
        min_count: training impressions that a value must have for a row of its own; the others share that
            of unknown values.
        numbers: ``standard`` brings numbers to mean 0 and deviation 1; ``log`` takes
            ``sign(x) log(1 + |x|)`` before, for counts.
        positive_from: where the data are ratings, those of at least this much count as clicks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    min_count: int = Field(default=1, ge=1)
    numbers: Literal["standard", "log"] = "standard"
    positive_from: float = 4.0


@register_problem
class ClickProblem(Problem):
    """Predicting clicks."""

    name = "click"
    Settings = ClickSettings
