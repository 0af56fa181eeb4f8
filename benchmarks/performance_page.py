"""The tables of `docs/performance.md`, between their marks, from the figures of benchmark runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfzoo.errors import UsageError
from tfzoo.files import write_text


def write_tables(page: Path, name: str, tables: str) -> None:
    """Write tables into a page, between the marks of their name; at its end where it has none.

    Args:
        page: the Markdown file.
        name: stands in the marks.
        tables: Markdown.

    Raises:
        UsageError: the first mark stands in the page without the second.
    """
    start, end = f"<!-- {name}: start -->", f"<!-- {name}: end -->"
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    before, found, rest = text.partition(start)
    if found and end not in rest:
        raise UsageError(f"{page} has no '{end}', so what the tables replace has no end.")
    after = rest.partition(end)[2] if found else "\n"
    write_text(page, f"{before}{start}\n\n{tables}\n{end}{after}")


def performance_tables(content: dict[str, Any]) -> str:
    """Return the tables as Markdown; a ratio above 1 says that ours is better."""
    training = content["training"]
    versions = ", ".join(f"{name} {version}" for name, version in content["environment"]["versions"].items())
    cpus = content["environment"]["hardware"]["cpus"]
    lines = [
        f"Measured on {cpus} CPU cores with {versions}; medians.",
        "",
        "| model | batch | examples/s | of the limit | times plain Keras | times RecBole | pipeline alone |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in training:
        sides = row["training"]
        pipeline = f"{sides['pipeline']['median']:,.0f}" if "pipeline" in sides else ""
        cells = [_times(sides, name) for name in ("limit", "naive-keras", "recbole")]
        rate = f"{sides['tfzoo']['median']:,.0f}"
        lines.append(_row(f"`{row['model']}`", f"{row['batch_size']:,}", rate, *cells, pipeline))
    lines += [
        "",
        "| model | one evaluation, s | RecBole, s | times faster | peak memory, MB | RecBole, MB |",
        "|---|---|---|---|---|---|",
    ]
    for row in {row["model"]: row for row in training}.values():
        sides, memory = row["evaluation"], row["peak_memory_mb"]
        theirs = f"{sides['recbole']['median']:.3f}" if "recbole" in sides else ""
        used = [f"{memory[name]:,.0f}" if name in memory else "" for name in ("tfzoo", "recbole")]
        ours = f"{sides['tfzoo']['median']:.3f}"
        lines.append(_row(f"`{row['model']}`", ours, theirs, _times(sides, "recbole"), *used))
    if content["evaluations"]:
        lines += ["", "| model | data | users | items | one evaluation, s |", "|---|---|---|---|---|"]
    for row in content["evaluations"]:
        sizes = f"{row['users']:,}", f"{row['items']:,}"
        seconds = f"{row['evaluation']['tfzoo']['median']:.3f}"
        lines.append(_row(f"`{row['model']}`", row["dataset"], *sizes, seconds))
    if content["fits"]:
        lines += [
            "",
            "| model | one fit, s | RMSE / MAE | Surprise | one fit, s | RMSE / MAE |",
            "|---|---|---|---|---|---|",
        ]
    for row in content["fits"]:
        fit = [f"{row['fit'][side]['median']:.2f}" for side in ("tfzoo", "surprise")]
        found = [f"{row['test'][s]['rmse']:.4f} / {row['test'][s]['mae']:.4f}" for s in ("tfzoo", "surprise")]
        lines.append(_row(f"`{row['model']}`", fit[0], found[0], row["there"], fit[1], found[1]))
    return "\n".join(lines) + "\n"


def precision_table(content: dict[str, Any]) -> str:
    """Return the table of what `benchmarks.precision` writes as JSON."""
    lines = [
        "| model | users | epochs | seeds | metric | float32 | mixed_bfloat16 | mixed_float16 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for model, found in content["rows"].items():
        full = found["float32"]["value"]
        halves = [found[precision]["value"] for precision in ("mixed_bfloat16", "mixed_float16")]
        cells = [f"{half:.4f} ({half / full - 1:+.2%})" for half in halves]
        users = "all" if found["users"] is None else str(found["users"])
        run = users, str(found["epochs"]), str(found["seeds"]), found["float32"]["metric"]
        deviation = found["float32"]["deviation"]
        spread = "" if deviation is None else f" ± {deviation:.4f}"
        lines.append(_row(f"`{model}`", *run, f"{full:.4f}{spread}", *cells))
    return "\n".join(lines) + "\n"


def _times(sides: dict[str, Any], name: str) -> str:
    return f"{sides[name]['times']:.2f}" if name in sides else ""


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
