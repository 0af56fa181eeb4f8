"""Orders that a page states in words, written beside them so that they can be checked.

A sentence such as "SVD++ is better than EDRS" is followed by a comment that readers do not see::

    <!-- holds: ml-100k, random 70/15/15, rmse: svdpp tuned < edrs tuned -->

The better row stands first. Figures may follow a row; ``, seeds 0 to 2`` behind the metric takes these
seeds alone of rows that have more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tfzoo.errors import UsageError
from tfzoo.reporting.ranking import rank
from tfzoo.reporting.summary import Summary, split_name

CLAIM = re.compile(r"<!-- holds: (.*?) -->", re.DOTALL)
PARTS = re.compile(r"([^,]+), ([^,]+), ([^,:]+)(?:, seeds (\d+) to (\d+))?: (.+)")
ROW = re.compile(r"(\S+) (\S+)(?: (\d\.\d+))?")


@dataclass(frozen=True)
class Claim:
    """An order that a page states.

    Attributes:
        split: the first words of the protocol.
        seeds: those that count; None for all that the rows have.
        rows: model, recipe, and the figure that the page gives, if it does; the best first.
    """

    text: str
    dataset: str
    split: str
    metric: str
    seeds: range | None
    rows: tuple[tuple[str, str, str], ...]


def claims_of(page: str) -> list[Claim]:
    """Return the orders that a Markdown page states.

    Raises:
        UsageError: a comment is not of the form above.
    """
    return [_parsed(" ".join(text.split())) for text in CLAIM.findall(page)]


def check(claim: Claim, summaries: Sequence[Summary]) -> None:
    """Raise `UsageError` where the records do not bear out an order, or its rows do not compare."""
    chosen = [_row(claim, model, recipe, summaries) for model, recipe, _ in claim.rows]
    found = [summary.label for summary in rank(chosen, claim.metric)]
    stated = [summary.label for summary in chosen]
    figures = [f"{summary.mean(claim.metric):.4f}" for summary in chosen]
    given = [figure or ours for (*_, figure), ours in zip(claim.rows, figures, strict=True)]
    if found != stated or given != figures:
        ours = ", ".join(f"{label} {figure}" for label, figure in zip(stated, figures, strict=True))
        raise UsageError(f"The records do not say '{claim.text}': {ours}.")


def _parsed(text: str) -> Claim:
    match = PARTS.fullmatch(text)
    rows = [ROW.fullmatch(row) for row in match[6].split(" < ")] if match else []
    if match is None or len(rows) < 2 or not all(rows):
        raise UsageError(
            "An order is stated as 'DATA SET, SPLIT, METRIC: MODEL RECIPE < MODEL RECIPE', with "
            f"', seeds 0 to 2' behind the metric where not all count. Received '{text}'."
        )
    seeds = range(int(match[4]), int(match[5]) + 1) if match[4] else None
    named = tuple((row[1], row[2], row[3] or "") for row in rows if row)
    return Claim(text, match[1], match[2], match[3], seeds, named)


def _row(claim: Claim, model: str, recipe: str, summaries: Sequence[Summary]) -> Summary:
    """Return the row of a claim, with the seeds that count."""
    found = [
        summary
        for summary in summaries
        if (summary.first.model, summary.recipe, summary.dataset) == (model, recipe, claim.dataset)
        and split_name(summary.protocol) == claim.split
    ]
    if len(found) != 1:
        raise UsageError(f"'{claim.text}': {len(found)} rows are {model} {recipe}, expected one.")
    if claim.seeds is None:
        return found[0]
    records = tuple(record for record in found[0].records if record.seed in claim.seeds)
    if len(records) != len(claim.seeds):
        raise UsageError(f"'{claim.text}': {model} {recipe} lacks some of these seeds.")
    return replace(found[0], records=records)
