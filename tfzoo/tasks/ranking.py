"""What the tasks that recommend lists of items have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tfzoo.tasks.base import Task

Cutoff = Annotated[int, Field(ge=1)]


class RankingSettings(BaseModel):
    """Settings of every task whose result is a ranked list.

    Attributes:
        cutoffs: lengths K of the lists that are measured.
        monitor: validation metric by which the best epoch is chosen, such as ``ndcg@10``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cutoffs: tuple[Cutoff, ...] = (10,)
    monitor: str = "ndcg@10"

    @model_validator(mode="after")
    def _check_monitor(self) -> RankingSettings:
        names = [f"{metric}@{cutoff}" for cutoff in self.cutoffs for metric in self.measured()]
        if self.monitor not in names:
            raise ValueError(f"monitor must be one of {', '.join(names)}; it is {self.monitor!r}")
        return self

    @classmethod
    def measured(cls) -> tuple[str, ...]:
        """Names of the metrics, without cutoff."""
        return ("hr", "ndcg", "precision", "recall", "recall_min", "map", "map_min", "mrr")


class RankingTask(Task):
    """A task that is measured by full or sampled ranking of the items a user has not seen."""

    evaluation = "ranking"
    settings: RankingSettings

    @property
    def monitor(self) -> str:
        """Validation metric by which the best epoch is chosen."""
        return self.settings.monitor

    @property
    def headline(self) -> tuple[str, ...]:
        """Metrics that tables show."""
        shown = ("hr", "ndcg", "precision", "recall", "map")
        return tuple(f"{metric}@{self.settings.cutoffs[0]}" for metric in shown)

    def describe(self) -> str:
        """Return one line that says how the metrics are defined."""
        return (
            "recall and map are divided by all relevant items (recall_min and map_min by at most K), "
            "means are over users with a test item, ties count against the model"
        )
