"""What a recipe may say of next-item prediction in sessions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tfzoo.problems.base import Count, Problem, register_problem
from tfzoo.problems.ranking import RankingSettings


class NextItemSettings(RankingSettings):
    """Settings of the next-item task.

    Attributes:
        cutoffs: lengths K of the lists that are measured.
        monitor: validation metric by which the best epoch is chosen, ``mrr@K`` or ``recall@K``.
        loss: a loss of `tfzoo.layers.session_losses`. The authors recommend ``cross-entropy`` and
            ``bpr-max``.
        n_sample: extra negatives a step, shared by the whole batch, beside the other targets.
        sample_alpha: they are drawn in proportion to ``support ** sample_alpha``.
        logq: weight of the logQ correction of cross-entropy, which takes out of the training
            scores that popular items are proposed more often; 0 for none.
        bpreg: weight of the penalty of BPR-max.
    """

    cutoffs: tuple[Count, ...] = (20,)
    monitor: str = "mrr@20"
    loss: Literal["cross-entropy", "bpr", "top1", "top1-max", "bpr-max"] = "cross-entropy"
    n_sample: Annotated[int, Field(ge=0)] = 2048
    sample_alpha: Annotated[float, Field(ge=0)] = 0.5
    logq: Annotated[float, Field(ge=0)] = 0.0
    bpreg: Annotated[float, Field(ge=0)] = 1.0

    @model_validator(mode="after")
    def _check_logq(self) -> NextItemSettings:
        if self.logq and self.loss != "cross-entropy":
            raise ValueError(f"logq corrects cross-entropy only; the loss is {self.loss!r}")
        return self

    @classmethod
    def measured(cls) -> tuple[str, ...]:
        """Names of the metrics, without cutoff."""
        return ("recall", "hr", "mrr")


@register_problem
class NextItemProblem(Problem):
    """Predicting the next item of a session."""

    name = "next-item"
    Settings = NextItemSettings
