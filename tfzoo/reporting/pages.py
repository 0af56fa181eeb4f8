"""A page for every model and one that lists them, written by one command."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tfzoo.files import write_text
from tfzoo.models import list_models, model_info
from tfzoo.reporting.catalogue import best_summary, figure_text, protocol_text
from tfzoo.reporting.model_page import model_files, table
from tfzoo.reporting.summary import Summary
from tfzoo.tasks import TASKS

INTRODUCTION = """# Models

Written by `tfzoo pages` from the registry, the recipes and the run records in `results/`; a page is
never edited by hand. `tfzoo list` prints this table and can filter it, `tfzoo info NAME` a page in short.

A figure is of the test part, mean ± standard deviation over seeds; figures of different protocols do
not compare. *Reconstruction*: the paper could not be read in full, and the page says what was chosen.
[All results](../results.md)."""


def index_page(summaries: Mapping[str, Sequence[Summary]]) -> str:
    """Return the page that lists all models, a table for each task.

    Args:
        summaries: of the records, by model.
    """
    text = [INTRODUCTION]
    for task in sorted(TASKS, key=lambda name: TASKS[name].place):
        infos = [info for info in map(model_info, list_models()) if info.task == task]
        rows = []
        for info in infos:
            best = best_summary(summaries.get(info.name, []))
            figure = figure_text(best) + ("" if best is None else f"; {protocol_text(best)}")
            year = str(info.paper.year or "")
            flag = "reconstruction" if info.reconstruction else ""
            rows.append([f"[{info.name}]({info.name}.md)", info.family, year, info.summary, figure, flag])
        text.append(f"## {task}\n\n" + table(["model", "family", "paper", "what", "best figure", ""], rows))
    return "\n\n".join(text) + "\n"


def page_files(names: Sequence[str], summaries: Mapping[str, Sequence[Summary]]) -> Iterator[tuple[str, str]]:
    """Yield the pages and drawings of some models.

    Args:
        names: of the models.
        summaries: of the records, by model.

    Returns:
        Path below the folder of the pages, and text.
    """
    for name in names:
        yield from model_files(model_info(name), summaries.get(name, [])).items()


def write_pages(folder: Path, summaries: Mapping[str, Sequence[Summary]]) -> Iterator[Path]:
    """Write the pages of all models.

    Args:
        folder: for the pages.
        summaries: of the records, by model.

    Returns:
        The files, as they are written.
    """
    index = ("index.md", index_page(summaries))
    for path, text in itertools.chain([index], page_files(list_models(), summaries)):
        write_text(folder / path, text)
        yield folder / path
