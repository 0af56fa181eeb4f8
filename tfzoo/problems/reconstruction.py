"""What a recipe may say of completing rows."""

from __future__ import annotations

from typing import Literal

from tfzoo.problems.base import Count, Problem, register_problem
from tfzoo.problems.ranking import RankingSettings


class ReconstructionSettings(RankingSettings):
    """Settings of the reconstruction task.

    Attributes:
        loss: of a row against itself, summed over items and averaged over users:
            ``multinomial`` (``-sum x log softmax``), ``bce`` on logits, or ``mse``.
        negatives: with ``bce`` and ``mse``, items without an interaction that count, for each
            positive (in expectation, drawn anew at every step); null counts all of them.
        find_kl_cap: for variational models: train once with beta growing to 1, and take the beta of
            the best epoch as the cap of the real training (Liang et al., section 2.2.2).
    """

    loss: Literal["multinomial", "bce", "mse"] = "multinomial"
    negatives: Count | None = None
    find_kl_cap: bool = False


@register_problem
class ReconstructionProblem(Problem):
    """Completing rows of the interaction matrix."""

    name = "reconstruction"
    Settings = ReconstructionSettings
