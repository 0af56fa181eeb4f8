"""The leaderboard: every row of results.csv as an HTML table that is whole without scripts."""

from __future__ import annotations

import csv
import html
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from error_bars import Scale, error_bar, scale_of

MARK = "<!-- leaderboard -->"
# (name in the address and of the column, label, what stands for all)
FILTERS = (
    ("dataset", "Data set", "all data sets"),
    ("protocol", "Protocol", "all protocols"),
    ("metric", "Metric", "all metrics"),
    ("trained_on", "Trained on", "all training data"),
    ("family", "Family", "all families"),
    ("verdict", "Verdict", "all verdicts"),
)
TEXTS = (
    "dataset",
    "protocol",
    "model",
    "recipe",
    "trained_on",
    "part",
    "metric",
    "source",
    "verdict",
    "reason",
)
PRINTED = "printed"
NONE_PRINTED = "none printed"


@dataclass(frozen=True)
class Row:
    """One metric of one recipe on one part of the test data.

    Attributes:
        deviation: over the seeds; None for one seed.
        printed: the paper's figure; None where it prints none.
    """

    dataset: str
    protocol: str
    model: str
    recipe: str
    trained_on: str
    part: str
    metric: str
    source: str
    printed: float | None
    ours: float
    deviation: float | None
    seeds: int
    verdict: str
    reason: str

    @property
    def short_protocol(self) -> str:
        """How the data is divided, without the details of validation and ranking."""
        return re.split(", |: ", self.protocol)[0]

    @property
    def group(self) -> tuple[str, str, str]:
        """What has a common scale: figures of the same data set, division and metric."""
        return self.dataset, self.short_protocol, self.metric

    @property
    def lower_is_better(self) -> bool:
        """Whether the metric is an error."""
        return self.metric.startswith(("rmse", "mae"))


def read_rows(path: Path) -> list[Row]:
    """Read results.csv.

    Args:
        path: of the file, as `tfzoo results` writes it.

    Returns:
        Its rows, in its order.

    Raises:
        KeyError: a column is missing.
        ValueError: a figure is no number.
    """
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Row(
                **{name: cells[name] for name in TEXTS},
                printed=_number(cells["printed"]),
                ours=float(cells["ours"]),
                deviation=_number(cells["deviation"]),
                seeds=int(cells["seeds"]),
            )
            for cells in csv.DictReader(file)
        ]


def read_families(docs: Path) -> dict[str, str]:
    """Return model -> family, as the pages of the models name it."""
    found = {}
    for path in sorted((docs / "models").glob("*.md")):
        match = re.search(r"^\| family \| (.+?) \|$", path.read_text(encoding="utf-8"), re.MULTILINE)
        if match:
            found[path.stem] = match[1]
    return found


def leaderboard_html(rows: Sequence[Row], families: Mapping[str, str], addresses: Mapping[str, str]) -> str:
    """Return filters, table and protocols.

    Args:
        rows: of the table.
        families: model -> family.
        addresses: model -> address of its page, relative to this one.

    Returns:
        HTML without inline scripts or styles. The filters are hidden until the script finds them.
    """
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.group].append(row)
    scales = {group: scale_of(members) for group, members in groups.items()}
    printed = {row.group for row in rows if row.printed is not None}
    body = "\n".join(
        _table_row(
            row,
            families.get(row.model, ""),
            addresses.get(row.model),
            scales[row.group],
            row.group in printed,
        )
        for row in rows
    )
    head = "".join(
        f'<th scope="col" data-column="{name}"{kind}>{label}</th>'
        for name, label, kind in (
            ("model", "model", ""),
            ("dataset", "data set", ""),
            ("metric", "metric", ""),
            ("ours", "ours", ' data-kind="number" class="figure"'),
            ("bar", "ours ●, paper ◇", ' data-kind="picture"'),
            ("printed", "paper", ' data-kind="number" class="figure"'),
            ("verdict", "verdict", ""),
            ("recipe", "recipe", ""),
            ("protocol", "protocol", ""),
            ("trained_on", "trained on", ""),
            ("family", "family", ""),
            ("seeds", "seeds", ' data-kind="number" class="figure"'),
        )
    )
    return (
        f"{_filters(rows, families)}\n"
        '<div class="table-scroll leaderboard-scroll" tabindex="0" role="region" aria-label="Leaderboard">'
        '<table class="zoo-table leaderboard" id="leaderboard-table">'
        '<caption class="visually-hidden">Every recorded figure beside the paper\'s</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
        f"</div>\n{_protocols(rows)}"
    )


def _table_row(row: Row, family: str, address: str | None, scale: Scale, comparable: bool) -> str:
    name = html.escape(row.model)
    model = f'<a href="{html.escape(address)}">{name}</a>' if address else name
    if row.part != "test":
        model += f' <small class="part">{html.escape(row.part)}</small>'
    protocol = html.escape(row.short_protocol)
    arrow, direction = ("↓", "lower is better") if row.lower_is_better else ("↑", "higher is better")
    metric = f'{html.escape(row.metric)} <span class="direction" title="{direction}">{arrow}</span>'
    deviation = "" if row.deviation is None else f' <span class="deviation">± {row.deviation:.4f}</span>'
    paper, kind = (
        ("", "") if row.printed is None else (f"{row.printed:.4f}".removesuffix("0"), _slug(row.verdict))
    )
    if row.source:
        paper = f'<span title="{html.escape(row.source)}">{paper}</span>'
    verdict = f'<span class="verdict {kind}"{_title(row.reason)}>{html.escape(row.verdict)}</span>'
    cells = (
        (model, row.model, ""),
        (html.escape(row.dataset), row.dataset, ""),
        (metric, row.metric, ' class="metric"'),
        (f"{row.ours:.4f}{deviation}", f"{row.ours:.6f}", ' class="figure"'),
        (error_bar(row.ours, row.deviation, row.printed, scale), "", ' class="bar"'),
        (paper, "" if row.printed is None else f"{row.printed:.6f}", ' class="figure"'),
        (verdict if row.verdict else "", row.verdict, ""),
        (html.escape(row.recipe), row.recipe, ""),
        (protocol, row.short_protocol, ""),
        (html.escape(row.trained_on), row.trained_on, ""),
        (html.escape(family), family, ""),
        (str(row.seeds), str(row.seeds), ' class="figure"'),
    )
    text = "".join(f'<td data-value="{html.escape(value)}"{kind}>{cell}</td>' for cell, value, kind in cells)
    return f"<tr{' data-printed' if comparable else ''}>{text}</tr>"


def _filters(rows: Sequence[Row], families: Mapping[str, str]) -> str:
    values = {
        "dataset": {row.dataset for row in rows},
        "protocol": {row.short_protocol for row in rows},
        "metric": {row.metric for row in rows},
        "trained_on": {row.trained_on for row in rows},
        "family": {families[row.model] for row in rows if row.model in families},
        "verdict": {row.verdict for row in rows if row.verdict},
    }
    fields = []
    for name, label, everything in FILTERS:
        options = [f'<option value="">{everything}</option>']
        if name == "metric":
            options.insert(0, f'<option value="{PRINTED}" selected>printed in papers</option>')
        if name == "verdict":
            options.append(f'<option value="{NONE_PRINTED}">{NONE_PRINTED}</option>')
        options += [
            f'<option value="{html.escape(value)}">{html.escape(value)}</option>'
            for value in sorted(values[name], key=_natural)
        ]
        fields.append(
            f'<div class="filter"><label for="filter-{name}">{label}</label>'
            f'<select id="filter-{name}" name="{name}">{"".join(options)}</select></div>'
        )
    return (
        '<form class="leaderboard-filters" id="leaderboard-filters" aria-label="Filter the leaderboard" '
        "hidden>"
        + "".join(fields)
        + '<button type="reset" class="filter-reset">Reset filters</button>'
        + '<output id="leaderboard-count" aria-live="polite"></output></form>'
    )


def _protocols(rows: Sequence[Row]) -> str:
    """Return what the short names of protocols stand for."""
    full: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for row in rows:
        full[row.dataset, row.short_protocol][row.protocol] = None
    terms = "".join(
        f"<dt>{html.escape(dataset)}: {html.escape(short)}</dt>"
        + "".join(f"<dd>{html.escape(protocol)}</dd>" for protocol in protocols)
        for (dataset, short), protocols in sorted(full.items())
    )
    return f'<h2 id="protocols">Protocols in full</h2><dl class="protocols">{terms}</dl>'


def _natural(text: str) -> list[tuple[int, int | str]]:
    """Return a key that puts hr@5 before hr@10."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", text) if part]


def _title(text: str) -> str:
    return f' title="{html.escape(text)}"' if text else ""


def _slug(verdict: str) -> str:
    return "verdict-" + re.sub(r"\W+", "-", verdict)


def _number(text: str) -> float | None:
    return float(text) if text else None
