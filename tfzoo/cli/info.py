"""``tfzoo info``: one model's page in short."""

from __future__ import annotations

import argparse

from rich.table import Table

from tfzoo.cli.common import console, say
from tfzoo.models import create_model, model_info
from tfzoo.reporting.catalogue import RECONSTRUCTION, RESULTS, summaries_by_model
from tfzoo.reporting.model_page import (
    DIFFERENCES,
    SIZES,
    dataset_of,
    docstring_sections,
    parameter_text,
    tensor_rows,
)
from tfzoo.reporting.model_settings import recipes_of
from tfzoo.reporting.summary import split_name
from tfzoo.reporting.verdicts import lines


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    info = model_info(options.model)
    summaries = summaries_by_model(options.results).get(info.name, [])
    model = create_model(info.name, *SIZES)
    say(f"{info.name}: {info.summary}")
    facts = Table(show_header=False)
    facts.add_column(no_wrap=True)
    facts.add_column()
    facts.add_row("paper", f"{info.paper} {info.paper.url}".strip())
    facts.add_row("task, family", f"{info.task}, {info.family}")
    if info.reconstruction:
        facts.add_row(RECONSTRUCTION, "the paper could not be read in full; see the differences below")
    for way, name, shape, dtype in tensor_rows(model):
        facts.add_row(way, f"{name.strip('`')} {dtype} {shape.strip('`')}")
    facts.add_row("parameters", f"{parameter_text(info)}; on ml-100k {model.count_params():,}")
    for name, recipe in recipes_of(info, dataset_of(summaries)).items():
        facts.add_row(f"recipe {name}", recipe.description)
    console.print(facts)
    if summaries:
        figures = Table()
        for column in ("data set", "recipe", "protocol", "metric", "paper", "ours", "verdict"):
            figures.add_column(column)
        for summary in summaries:
            for line in lines(summary):
                if line.part == "test" and line.metric == summary.task.headline[0]:
                    paper = "" if line.printed is None else f"{line.printed:.10g}"
                    protocol = split_name(summary.protocol)
                    ours = summary.text(line.metric)
                    where = (summary.first.dataset, summary.recipe, protocol, line.metric)
                    figures.add_row(*where, paper, ours, line.verdict)
        console.print(figures)
    else:
        say(f"No record of {info.name} in {options.results or RESULTS}.")
    say("Differences from the paper: " + " ".join(docstring_sections(info)[DIFFERENCES].split()))
    say(f"Train it: tfzoo train --model {info.name}")
