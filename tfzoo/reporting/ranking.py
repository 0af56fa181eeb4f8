"""Which rows of a table compare: those that learned from equal data, over the same seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tfzoo.errors import UsageError
from tfzoo.reporting.summary import Summary


@dataclass(frozen=True)
class Comparison:
    """Rows of one table that stand together.

    Attributes:
        summaries: the best first where they are ranked, else in the order of the table.
        metric: they are ranked by, as they have learned from equal data and have the same seeds; None
            where they stand apart.
    """

    summaries: tuple[Summary, ...]
    metric: str | None

    @property
    def title(self) -> str:
        """What the rows have in common, or that they stand apart."""
        if self.metric is None:
            return (
                "Not ranked: no other row here has their training data and their seeds, or a leak is measured"
            )
        first = self.summaries[0]
        return f"Trained on {first.trained_on}, {seeds_text(first.seeds)}: ranked by {self.metric}"


def seeds_text(seeds: Sequence[int]) -> str:
    """Return seeds as a page names them, such as ``seeds 0 to 4``."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seeds {', '.join(map(str, seeds))}"


def rank(summaries: Sequence[Summary], metric: str) -> list[Summary]:
    """Return summaries by their means, the best first.

    Args:
        summaries: of one data set, protocol and definition of metrics.
        metric: of the test part.

    Raises:
        UsageError: they do not compare: they were measured otherwise, learned from unequal data, or have
            other seeds; or one of them leaks; or one lacks the metric.
    """
    if not summaries:
        return []
    first = summaries[0]
    for summary in summaries:
        both = f"{first.label} and {summary.label} are not ranked among each other:"
        if summary.leaks:
            raise UsageError(f"{summary.label} is not ranked: it measures a leak of test data.")
        if metric not in summary.metrics():
            raise UsageError(f"{summary.label} is not ranked: it has no {metric}.")
        if _measured(summary) != _measured(first):
            raise UsageError(f"{both} they were not measured alike, on the same data by one protocol.")
        if summary.trained_on != first.trained_on:
            raise UsageError(
                f"{both} one was trained on {first.trained_on}, the other on {summary.trained_on}. Train "
                "both with the same training.refit and split.validation."
            )
        if summary.seeds != first.seeds:
            raise UsageError(
                f"{both} one has {seeds_text(first.seeds)}, the other {seeds_text(summary.seeds)}. Train the "
                "missing seeds."
            )
    sign = -1 if first.task.maximizes(metric) else 1
    return sorted(summaries, key=lambda summary: sign * summary.mean(metric))


def comparisons(summaries: Sequence[Summary], metric: str) -> list[Comparison]:
    """Divide the rows of one table into what compares, and into what stands apart.

    Of the rows that learned from the same data those with the most seeds are ranked, if they are two
    or more; rows with other seeds, alone with their data, or with a leak stand apart.

    Args:
        summaries: of one table, see `tables_of`.
        metric: of the test part, to rank by; rows without it stand apart.
    """
    alike: dict[str, dict[tuple[int, ...], list[Summary]]] = defaultdict(lambda: defaultdict(list))
    for summary in summaries:
        if not summary.leaks and metric in summary.metrics():
            alike[summary.trained_on][summary.seeds].append(summary)
    found = []
    for by_seeds in alike.values():
        several = [seeds for seeds, rows in by_seeds.items() if len(rows) > 1]
        if several:
            rows = by_seeds[max(several, key=len)]
            found.append(Comparison(tuple(rank(rows, metric)), metric))
    # The largest first; of two as large that with more seeds.
    found.sort(key=lambda comparison: (-len(comparison.summaries), -len(comparison.summaries[0].seeds)))
    ranked = [summary for comparison in found for summary in comparison.summaries]
    apart = tuple(summary for summary in summaries if not any(summary is one for one in ranked))
    return [*found, *([Comparison(apart, None)] if apart else [])]


def _measured(summary: Summary) -> tuple[str, str, str]:
    return summary.dataset, summary.measured, summary.first.headline
