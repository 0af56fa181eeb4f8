"""What the tables of results say in a sentence each, written from them."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

from tfzoo.reporting.ranking import Comparison, seeds_text
from tfzoo.reporting.summary import Summary, split_name
from tfzoo.reporting.verdicts import STANDARD_ERRORS, row_verdict

NAMED = 3


def opening(tables: Mapping[tuple[str, str, str], Sequence[Comparison]]) -> list[str]:
    """Return Markdown points: one on the verdicts, then one on the largest comparison of each table.

    Comparisons of one seed say nothing of chance, and have none.

    Args:
        tables: key of `tables_of` -> what compares, and what stands apart.
    """
    summaries = [s for found in tables.values() for comparison in found for s in comparison.summaries]
    points = [_verdicts(summaries)]
    for (dataset, protocol, _), found in tables.items():
        title = f"{dataset}: {split_name(protocol)}"
        link = f"[{title}](#{anchor(title)})"
        ranked = [one for one in found if one.metric and len(one.summaries[0].seeds) > 1]
        points += [f"- {link}, {_order(comparison)}" for comparison in ranked[:1]]
    return points


def anchor(title: str) -> str:
    """Return what a heading is linked by, on the site and on code hosts alike."""
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip())


def paired_difference(first: Summary, second: Summary, metric: str) -> tuple[float, float]:
    """Return the mean of first - second over the seeds, and its standard error, 0 where no seed differs.

    Args:
        first: of two seeds or more.
        second: of the same seeds.
        metric: of the test part.
    """
    gaps = [
        one.metrics["test"][metric] - other.metrics["test"][metric]
        for one, other in zip(first.records, second.records, strict=True)
    ]
    return statistics.fmean(gaps), statistics.stdev(gaps) / math.sqrt(len(gaps))


def _verdicts(summaries: Sequence[Summary]) -> str:
    found = Counter(filter(None, map(row_verdict, summaries)))
    each = ", ".join(f"{found[verdict]} {verdict}" for verdict in sorted(found))
    return f"- {found.total()} rows stand beside printed figures: {each or 'none'}."


def _order(comparison: Comparison) -> str:
    metric, rows = str(comparison.metric), comparison.summaries
    first, second = rows[:2]
    place = "all" if len(rows) <= NAMED else f"the first of {len(rows)}"
    named = ", ".join(f"`{summary.label}` {summary.text(metric)}" for summary in rows[:NAMED])
    text = f"trained on {first.trained_on}, {seeds_text(first.seeds)}, {metric}, {place}: {named}."
    gap, error = paired_difference(first, second, metric)
    if error == 0:
        return f"{text} No seed changes the first two, so that seeds say nothing of chance between them."
    beyond = abs(gap) > STANDARD_ERRORS * error
    amount = "more" if beyond else "no more"
    return f"{text} The first two differ by {amount} than two standard errors of their paired differences."
