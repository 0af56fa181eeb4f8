"""What recipes may say of every task whose result is a ranked list."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, model_validator

from tfzoo.problems.base import Count


class RankingSettings(BaseModel):
    """Settings of every task whose result is a ranked list.

    Attributes:
        cutoffs: lengths K of the lists that are measured.
        monitor: validation metric by which the best epoch is chosen, such as ``ndcg@10``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cutoffs: tuple[Count, ...] = (10,)
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
        return ("hr", "ndcg", "precision", "recall", "recall_min", "f1", "map", "map_min", "mrr")
