"""What is known of a model as plain values, which can be kept for lists of models and short pages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfzoo.data.datasets import list_datasets
from tfzoo.models import ModelInfo, create_model, model_info
from tfzoo.reporting.catalogue import best_summary, figure_text
from tfzoo.reporting.code_blocks import train_block
from tfzoo.reporting.kept import datasets_mark, records_marks, sources_mark
from tfzoo.reporting.model_page import (
    DIFFERENCES,
    SIZES,
    dataset_of,
    docstring_sections,
    parameter_text,
    tensor_rows,
)
from tfzoo.reporting.model_settings import recipes_of
from tfzoo.reporting.summary import Summary, split_name
from tfzoo.reporting.verdicts import lines

FIGURE = ("data set", "recipe", "protocol", "trained on", "metric", "paper", "ours", "verdict")


def facts_of(info: ModelInfo) -> dict[str, Any]:
    """Return what the registry has of a model, its tensors and its size."""
    model = create_model(info.name, *SIZES)
    return {
        **registered(info),
        "tensors": [
            {"way": way, "name": name.strip("`"), "dtype": dtype, "shape": shape.strip("`")}
            for way, name, shape, dtype in tensor_rows(model)
        ],
        "parameters": parameter_text(info),
        "parameters_on_ml_100k": model.count_params(),
        "differences": " ".join(docstring_sections(info)[DIFFERENCES].split()),
    }


def registered(info: ModelInfo) -> dict[str, Any]:
    """Return what the registry has of a model, without building it."""
    paper = info.paper
    return {
        "name": info.name,
        "summary": info.summary,
        "task": info.task,
        "family": info.family,
        "paper": {"authors": paper.authors, "title": paper.title, "venue": paper.venue}
        | {"year": paper.year, "url": paper.url},
        "reconstruction": info.reconstruction,
    }


def figures_of(info: ModelInfo, summaries: Sequence[Summary]) -> dict[str, Any]:
    """Return what the records of a model say, and what depends on the data set of its best figure."""
    dataset = dataset_of(info, summaries)
    rows = []
    for summary in summaries:
        for line in lines(summary):
            if line.part == "test" and line.metric == summary.task.headline[0]:
                printed = "" if line.printed is None else f"{line.printed:.10g}"
                where = (summary.first.dataset, summary.recipe, split_name(summary.protocol))
                row = (*where, line.trained_on, line.metric, printed, summary.text(line.metric), line.verdict)
                rows.append(dict(zip(FIGURE, row, strict=True)))
    return {
        "figures": rows,
        "best": figure_text(best_summary(summaries)),
        "recipes": {name: recipe.description for name, recipe in recipes_of(info, dataset).items()},
        "train": _first(train_block(info, dataset, ())),
    }


def keep_answers(names: Sequence[str], summaries: Mapping[str, Sequence[Summary]], results: Path) -> str:
    """Return the text of `kept.FILE`.

    Args:
        names: of the models of the package.
        summaries: of the records below ``results``, by model.
        results: folder of the records.
    """
    marks = records_marks(results)
    models = {}
    for name in names:
        info = model_info(name)
        models[name] = {
            "sources": sources_mark(name),
            "facts": facts_of(info),
            "recorded": {"records": marks.get(name, ""), "answer": figures_of(info, summaries.get(name, []))},
            "bare": {"records": "", "answer": figures_of(info, [])},
        }
    datasets = {"sources": datasets_mark(), "names": list_datasets()}
    return json.dumps({"datasets": datasets, "models": models}, indent=1, ensure_ascii=False) + "\n"


def _first(commands: str) -> str:
    """Return the first command of a block, past its comments."""
    return next(line for line in commands.splitlines() if not line.startswith("#"))
