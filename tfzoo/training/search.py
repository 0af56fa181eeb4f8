"""What a search for settings may try, and what one has cost; both stand in recipe files."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Count = Annotated[int, Field(ge=0)]


class Range(BaseModel):
    """The values of one setting that a search may try: a range of numbers, or a list.

    Attributes:
        low: least number; whole numbers alone are tried where both ends are whole.
        high: largest number.
        log: a factor counts as much at every size, as for learning rates.
        choices: the values, instead of a range; lists among them are values too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: tuple[Any, ...] | None = None

    @field_validator("low", "high", mode="before")
    @classmethod
    def _check_no_truth(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("a number is expected")
        return value

    @model_validator(mode="after")
    def _check_kind(self) -> Range:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("give low and high, or choices, not both")
            if len({json.dumps(choice) for choice in self.choices}) != len(self.choices) or not self.choices:
                raise ValueError("choices must be different values")
            return self
        if self.low is None or self.high is None or not self.low < self.high:
            raise ValueError("a range needs low and a larger high, or give choices")
        if self.log and self.low <= 0:
            raise ValueError("a range with log begins above 0")
        return self

    @property
    def whole(self) -> bool:
        """Whether whole numbers alone are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def examples(self) -> tuple[Any, ...]:
        """The ends of the range, or the choices."""
        return (self.low, self.high) if self.choices is None else self.choices

    def holds(self, value: Any) -> bool:
        """Tell whether a search could try a value."""
        if self.choices is not None:
            return any(json.dumps(value) == json.dumps(choice) for choice in self.choices)
        if isinstance(value, bool) or not isinstance(value, int | float) or (self.whole and value % 1):
            return False
        return bool(self.low <= value <= self.high)  # type: ignore[operator]

    def __str__(self) -> str:
        if self.choices is not None:
            return f"one of {', '.join(json.dumps(choice) for choice in self.choices)}"
        return f"{self.low:g} to {self.high:g}{', log' if self.log else ''}"


class Budget(BaseModel):
    """What the search has cost that a recipe's settings come from.

    Attributes:
        space: what was tried, by the path of the setting.
        trials: how many were begun, those that were ended early and those that failed among them.
        pruned: how many were ended early.
        failed: how many ended with an error.
        seconds: of all trials together.
        rows: of the training part.
        metric: of the validation part, that trials were judged by.
        value: of the best trial.
        seed: of the search, its split and its trainings.
        folds: parts that what is not tested on was divided into; None for the validation part.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    space: dict[str, Range]
    trials: Count
    pruned: Count = 0
    failed: Count = 0
    seconds: Annotated[float, Field(ge=0)]
    rows: Count
    metric: str
    value: float
    seed: Count
    folds: Annotated[int, Field(ge=2)] | None = None

    def __str__(self) -> str:
        judged = f"{self.folds} folds" if self.folds else "validation"
        return (
            f"{self.trials} trials of {', '.join(self.space)} in {self.seconds:,.0f} s on {self.rows:,} "
            f"rows, chosen by {self.metric} on {judged}"
        )
