"""The Markdown page of one model, made from the registry, its recipes and its records."""

from __future__ import annotations

import inspect
import math
import re
import statistics
from collections.abc import Sequence

import keras

from tfzoo.models import ModelInfo, create_model
from tfzoo.reporting.catalogue import CLICKS, DATASET, REVIEWS, best_summary
from tfzoo.reporting.citation import bibtex
from tfzoo.reporting.code_blocks import keras_block, serve_block, train_block
from tfzoo.reporting.curve_drawing import draw_curve
from tfzoo.reporting.graph import Graph, read_graph, shape_text
from tfzoo.reporting.graph_drawing import draw_graph
from tfzoo.reporting.model_settings import BESIDE, recipes_of, setting_rows
from tfzoo.reporting.parameters import count_formula
from tfzoo.reporting.summary import Summary, curve_points, split_name
from tfzoo.reporting.verdicts import lines
from tfzoo.tasks import get_task
from tfzoo.training.settings import Recipe

# Those of ml-100k; no layer of any model has them as its own size.
SIZES = (943, 1682)
REBUILT = (
    "**A reconstruction.** The paper could not be read in full. What it leaves open was chosen here, see "
    "[Differences from the paper](#differences-from-the-paper); no figure of this model is called reproduced."
)
DIFFERENCES = "Differences from the paper"
# The recipe whose settings a search has chosen.
TUNED = "tuned"
PAGE = re.compile(r"\b(docs/([a-z-]+\.md))\b")
SECTION = re.compile(rf"^(Args|Returns|Raises|Example|{DIFFERENCES}):\n((?:    .*\n|\n)*)", re.MULTILINE)


def docstring_sections(info: ModelInfo) -> dict[str, str]:
    """Return the parts of a builder's docstring by their headings, as Markdown; the text above is ``""``."""
    text = re.sub("``", "`", (inspect.getdoc(info.builder) or "").partition("\n")[2]) + "\n"
    parts = {match[1]: inspect.cleandoc("\n" + match[2]) for match in SECTION.finditer(text)}
    return {"": SECTION.sub("", text).strip(), DIFFERENCES: "The builder does not say.", **parts}


def parameter_text(info: ModelInfo) -> str:
    """Return the formula of the number of parameters with the builder's defaults, if it has one."""
    try:
        return count_formula(lambda users, items: create_model(info.name, users, items).count_params(), SIZES)
    except ValueError:
        return "no polynomial of users and items"


def dataset_of(info: ModelInfo, summaries: Sequence[Summary]) -> str:
    """Return the data set that a page's commands name: that of the model's best figure, if it has one."""
    best = best_summary(summaries)
    if best is not None:
        return best.first.dataset
    needs = get_task(info.task).needs
    return REVIEWS if needs.text else CLICKS if needs.clicks else DATASET


def tensor_rows(model: keras.Model) -> list[list[str]]:
    """Return direction, name, shape and type of the inputs and outputs of a model of `SIZES`."""
    return [
        [
            way,
            f"`{name}`",
            f"`{shape_text(tensor.shape, *SIZES)}`",
            keras.backend.standardize_dtype(tensor.dtype),
        ]
        for way, tensors in (("input", model.input), ("output", model.output))
        for name, tensor in tensors.items()
    ]


def model_files(info: ModelInfo, summaries: Sequence[Summary]) -> dict[str, str]:
    """Return the page of a model and its drawings.

    Args:
        info: of the model.
        summaries: of its records.

    Returns:
        Path below the folder of the pages -> text.
    """
    model = create_model(info.name, *SIZES)
    graph = read_graph(model, *SIZES)
    files = {f"graphs/{info.name}.svg": draw_graph(graph, f"Graph of {info.name}")}
    curve = _curve(summaries)
    if curve is not None:
        files[f"curves/{info.name}.svg"] = curve[1]
    dataset, sections = dataset_of(info, summaries), docstring_sections(info)
    trained, recipes = bool(model.trainable_weights), recipes_of(info, dataset)
    text = [
        f"# {info.name}\n\n{info.summary}",
        *([REBUILT] if info.reconstruction else []),
        _about(info),
        *([sections[""]] if sections[""] else []),
        f"## Citation\n\n```bibtex\n{bibtex(info)}\n```",
        "## Inputs and outputs\n\n`B` is the number of examples; id 0 is the unknown user or item.\n\n"
        + table(["", "name", "shape", "type"], tensor_rows(model)),
        f"## Graph\n\n![{_graph_text(info, graph)}](graphs/{info.name}.svg)",
        _parameters(info, model),
        _recipes(info, dataset, trained),
        _figures(summaries),
        *([curve[0]] if curve is not None else []),
        f"## Differences from the paper\n\n{sections[DIFFERENCES]}",
        f"## Train\n\n```sh\n{train_block(info, dataset, recipes)}\n```",
        f"## Use it in Keras\n\n```python\n{keras_block(info, model, SIZES).rstrip()}\n```",
        "## Serve\n\n`tfzoo train` has exported the model already; `tfzoo export` adds a version.\n\n"
        f"```sh\n{serve_block(info, dataset)}\n```",
    ]
    return {f"{info.name}.md": "\n\n".join(text) + "\n", **files}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; bars in cells are escaped."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _about(info: ModelInfo) -> str:
    paper = f"[{info.paper}]({info.paper.url})" if info.paper.url else str(info.paper)
    rows = [["paper", paper], ["task", info.task], ["family", info.family]]
    rows.append(["builder", f"`tfzoo.models.{info.builder.__name__}`"])
    if info.solve is not None:
        rows.append(["solved", "weights that no gradient descent finds are worked out of the training part"])
    if info.pretraining is not None:
        parts = " and ".join(f"[{part}]({part}.md)" for part in info.pretraining.parts)
        rows.append(["parts", f"may start from trained {parts}"])
    return table(["", ""], rows)


def _graph_text(info: ModelInfo, graph: Graph) -> str:
    inputs = [key for key, node in graph.nodes.items() if node.is_input]
    for node in graph.nodes.values():
        inputs += [key for key, n in node.inner.nodes.items() if n.is_input] if node.inner else []
    given = [name for name in dict.fromkeys(inputs) if not name.endswith("_vector")]
    return f"Graph of {info.name}: {', '.join(given)} to {', '.join(graph.outputs)}"


def _parameters(info: ModelInfo, model: keras.Model) -> str:
    total = model.count_params()
    text = f"With the builder's defaults: `{parameter_text(info)}`, on ml-100k {total:,}."
    fixed = sum(math.prod(weight.shape) for weight in model.non_trainable_weights)
    if fixed == total:
        return f"## Parameters\n\n{text} None is found by gradient descent."
    return f"## Parameters\n\n{text}" + (
        f" Gradient descent leaves {fixed:,} of these alone." if fixed else ""
    )


def _recipes(info: ModelInfo, dataset: str, trained: bool) -> str:
    recipes = recipes_of(info, dataset)
    if not recipes:
        return "## Recipes\n\nThere is none."
    names = [name for name in BESIDE if name in recipes]
    rows = [[f"`{key}`", *values] for key, values in setting_rows(info, recipes, trained=trained)]
    text = [
        f"## Recipes\n\nSettings on {dataset}; those not named have their defaults.",
        table(["setting", *(f"`{name}`" for name in names)], rows),
        "\n".join(f"- `{name}`: {_described(name, recipe)}" for name, recipe in recipes.items()),
    ]
    return "\n\n".join(text)


def _described(name: str, recipe: Recipe) -> str:
    """Return what a recipe says of itself, and what the search has cost that its settings come from."""
    text = recipe.description or "as its file says."
    if recipe.budget is not None:
        space = ", ".join(f"`{path}` {values}" for path, values in recipe.budget.space.items())
        return f"{text} Search budget: {recipe.budget}. Space: {space}."
    return f"{text} Search budget not recorded." if name == TUNED else text


def _figures(summaries: Sequence[Summary]) -> str:
    if not summaries:
        return "## Paper and ours\n\nNothing is recorded for this model yet."
    rows, costs = [], []
    sources: dict[str, list[str]] = {}
    for summary in summaries:
        first = summary.first
        found = {line.metric: line for line in lines(summary) if line.part == "test"}
        chosen = [found[metric] for metric in summary.task.headline if metric in found]
        where = [first.dataset, summary.recipe, split_name(summary.protocol), summary.trained_on]
        where.append(str(len(summary.records)))
        for line in chosen:
            paper = "" if line.printed is None else f"{line.printed:.10g}"
            rows.append([*where, line.metric, paper, summary.text(line.metric), line.verdict])
            where = [""] * len(where)
        seconds = statistics.fmean(record.timing["train_seconds"] for record in summary.records)
        memory = [r.peak_memory_mb for r in summary.records if r.peak_memory_mb is not None]
        costs.append(
            [
                first.dataset,
                summary.recipe,
                f"{first.parameters:,}",
                f"{seconds:,.0f}" if seconds >= 1 else f"{seconds:.1f}",
                f"{max(memory):,.0f}" if memory else "",
                _hardware(summary),
            ]
        )
        if summary.source:
            source = f"{summary.source}. {summary.remark}".strip()
            sources.setdefault(PAGE.sub(r"[\1](../\2)", source), []).append(
                f"{first.dataset} `{summary.recipe}`"
            )
    remarks = [f"- {', '.join(rows_of)}: {source}" for source, rows_of in sources.items()]
    head = ["data set", "recipe", "protocol", "trained on", "seeds", "metric", "printed", "ours", "verdict"]
    text = [
        "## Paper and ours\n\nTest figures, mean ± standard deviation over seeds; the rules of the verdict "
        "stand on [the page of all results](../results.md).",
        table(head, rows),
        *(["Where the printed figures stand:\n\n" + "\n".join(remarks)] if remarks else []),
        "## Time and memory\n\nMean seconds of training and the largest memory of the process.",
        table(["data set", "recipe", "trained parameters", "seconds", "MB", "hardware"], costs),
    ]
    return "\n\n".join(text)


def _hardware(summary: Summary) -> str:
    hardware = summary.first.hardware
    parts = [f"{hardware['cpus']} CPU cores"] if hardware.get("cpus") else []
    return ", ".join([*parts, *hardware.get("gpus", [])])


def _curve(summaries: Sequence[Summary]) -> tuple[str, str] | None:
    """Return the section of the training curve, and its drawing, of the record that has one."""
    best = best_summary(summaries)
    dataset = DATASET if best is None else best.first.dataset
    ranked = sorted(summaries, key=lambda s: (s is not best, s.first.dataset != dataset))
    for summary in ranked:
        drawing = draw_curve(summary.first) if len(curve_points(summary.first)) > 1 else None
        if drawing is not None:
            first = summary.first
            title = f"{first.dataset}, recipe `{summary.recipe}`, seed {first.seed}"
            alt = f"Training loss and validation metric of {first.model} against the epoch"
            return f"## Training curve\n\n{title}.\n\n![{alt}](curves/{first.model}.svg)", drawing
    return None
