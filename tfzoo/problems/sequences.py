"""What a recipe may say of next-item prediction from padded histories."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tfzoo.data.windows import Examples
from tfzoo.problems.base import Count, Problem, register_problem
from tfzoo.problems.ranking import RankingSettings

Share = Annotated[float, Field(gt=0, lt=1)]


class SequenceSettings(RankingSettings):
    """Settings of the sequence task.

    Attributes:
        examples: what one example is: ``positions``, a window with a target after each of its events;
            ``prefixes``, a prefix with the event after it; ``windows``, a run of events with the next
            ``targets`` ones; ``cloze``, a window in which some events are masked.
        targets: events to predict from one window, of ``windows``.
        stride: of ``positions`` and ``cloze``: further windows of a long sequence begin so many events
            earlier; null for the last window alone.
        mask: of ``cloze``, the share of the events that is masked.
        last_alone: of ``cloze``, the share of the examples in which the last event alone is masked.
        loss: ``softmax`` over all items, or over the target and negatives: ``sampled-softmax``, ``bce``,
            ``gbce`` (generalised binary cross-entropy), ``bpr`` or ``bpr-max``.
        negatives: drawn for each target where the loss needs them.
        shared: who shares the drawn negatives: the targets of a ``sequence``, those of a ``batch``, or
            nobody (``target``).
        weighting: draw negatives ``uniform`` or by ``popularity``.
        alpha: exponent of the popularity.
        reject_known: never draw an item that the user has in the training part; of ``target`` alone.
        logq: of ``sampled-softmax``, weight of the correction for how often an item is drawn.
        calibration: of ``gbce``, t: 0 for plain cross-entropy, 1 for calibrated probabilities.
        bpreg: of ``bpr-max``, weight of the penalty on the scores of negatives.
        measure: ``lists``: each user's held-out items from what was known before them; ``events``: each
            event of a held-out session from those before it.
        label_smoothing: of ``softmax``, share of the target's weight that all items share.
    """

    examples: Examples = "positions"
    targets: Count = 1
    stride: Count | None = None
    mask: Share = 0.2
    last_alone: Annotated[float, Field(ge=0, le=1)] = 0.0
    loss: Literal["softmax", "sampled-softmax", "bce", "gbce", "bpr", "bpr-max"] = "softmax"
    negatives: Count = 1
    shared: Literal["target", "sequence", "batch"] = "target"
    weighting: Literal["uniform", "popularity"] = "uniform"
    alpha: Annotated[float, Field(ge=0)] = 1.0
    reject_known: bool = True
    logq: Annotated[float, Field(ge=0)] = 0.0
    calibration: Annotated[float, Field(ge=0, le=1)] = 0.75
    bpreg: Annotated[float, Field(ge=0)] = 1.0
    measure: Literal["lists", "events"] = "lists"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _check_targets(self) -> SequenceSettings:
        if self.targets > 1 and self.examples != "windows":
            raise ValueError(f"targets above 1 are of examples: windows; examples is {self.examples!r}")
        return self


@register_problem
class SequenceProblem(Problem):
    """Predicting the next item of a history."""

    name = "sequence"
    Settings = SequenceSettings
