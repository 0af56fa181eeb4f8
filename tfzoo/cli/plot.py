"""``tfzoo plot``: the training curves of runs, their errors and ranked lists, and their vectors."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfzoo.cli.common import configure_device, reopen
from tfzoo.cli.output import more, say
from tfzoo.cli.paths import runs_of
from tfzoo.errors import UsageError
from tfzoo.evaluation import groups as grouping
from tfzoo.evaluation.ranking import known_parts, left_out
from tfzoo.evaluation.vectors import category, id_vectors, project
from tfzoo.experiment import Experiment
from tfzoo.reporting.model_plots import Cloud, GroupPanel, plot_clouds, plot_groups, plot_lengths
from tfzoo.reporting.plots import plot_history
from tfzoo.reporting.summary import split_name
from tfzoo.runs import load_model
from tfzoo.training.record import RunRecord

LIST_LENGTH = 10
LENGTHS = tuple(range(1, 21))


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    if options.errors or options.embeddings or options.lengths:
        configure_device(options)
    folders = [run for path in options.runs for run in runs_of(path)]
    for folder in folders:
        for path in _draw(folder, options):
            say(f"Written: {path}")
            more("written", path)
    if options.lengths:
        for path in _draw_lengths(folders, options.data):
            say(f"Written: {path}")
            more("written", path)


def _draw(folder: Path, options: argparse.Namespace) -> Iterator[Path]:
    if not (options.errors or options.embeddings):
        if not options.lengths:
            yield from plot_history(RunRecord.load(folder), folder / "history")
        return
    experiment, record = reopen(folder, options.data)
    model = load_model(folder)
    title = f"{record.model} on {record.dataset}, {record.recipe_name}, seed {record.seed}"
    if options.errors:
        yield from plot_groups(_panels(experiment, model), f"{title}: test part", folder / "errors")
    if options.embeddings:
        clouds = list(_clouds(experiment, model, options.dimensions))
        name = "embeddings" if options.dimensions == 2 else "embeddings-3d"
        yield from plot_clouds(clouds, title, folder / name)


def _draw_lengths(folders: list[Path], data: Path | None) -> list[Path]:
    """Measure the test part of runs on the same data at many lengths of the list."""
    lines, tables = {}, set()
    for folder in folders:
        experiment, record = reopen(folder, data)
        tables.add(f"{record.dataset}, {split_name(record.protocol)}")
        if "cutoffs" not in type(experiment.task.settings).model_fields:
            what = "clicks" if experiment.task.needs.clicks else "ratings"
            raise UsageError(f"--lengths is for models of ranked lists. '{record.model}' predicts {what}.")
        settings = experiment.task.settings.model_copy(update={"cutoffs": LENGTHS})
        measured = replace(experiment, task=type(experiment.task)(settings))
        figures = measured.evaluator(load_model(folder)).evaluate("test")
        label = f"{record.model} {record.recipe_name}"
        # Seeds of one recipe, or two runs with other changes of it.
        lines[label if label not in lines else f"{label} ({folder})"] = figures
    if len(tables) > 1:
        raise UsageError(f"--lengths compares runs of one data set and protocol. Received {sorted(tables)}.")
    return plot_lengths(lines, tables.pop(), folders[0] / "lengths")


def _panels(experiment: Experiment, model: keras.Model) -> list[GroupPanel]:
    """Measure the test part by what training knows of users and items."""
    if experiment.task.predicts_ratings:
        return _rating_panels(experiment, model)
    if experiment.task.ranks_lists:
        return _ranking_panels(experiment, model)
    what = "the next item of a session, whose user training never saw"
    raise UsageError(
        f"--errors is for models of ratings and of ranked lists. '{experiment.recipe.model}' predicts "
        f"{'clicks' if experiment.task.needs.clicks else what}."
    )


def _rating_panels(experiment: Experiment, model: keras.Model) -> list[GroupPanel]:
    cases = experiment.evaluator(model).cases("test")
    panels = []
    for side, counts in enumerate(grouping.known_counts(experiment.split)):
        groups = grouping.equal_groups(counts[cases.keys[:, side]])
        figures = {
            name.upper(): grouping.group_figures(values, groups, figure)
            for name, (values, figure) in cases.metrics.items()
        }
        axis = f"training ratings of the {('user', 'item')[side]}"
        panels.append(GroupPanel(axis, "test ratings", groups, figures, {}))
    return panels


def _ranking_panels(experiment: Experiment, model: keras.Model) -> list[GroupPanel]:
    split, cases = experiment.split, experiment.evaluator(model).cases("test")
    users = np.unique(split.test.user_id)
    of_users, of_items = grouping.known_counts(split)
    groups = grouping.equal_groups(of_users[users])
    figures = {name: grouping.group_figures(cases.metrics[name][0], groups) for name in _shown(cases.metrics)}
    activity = GroupPanel("known items of the user", "users", groups, figures, {})
    # An item that training lacks cannot be recommended.
    tested = split.test.item_id[of_items[split.test.item_id] > 0]
    popularity = grouping.equal_groups(of_items[tested])
    scorer = experiment.task.scorer(model, experiment.features(model))
    listed = grouping.recommendation_counts(
        scorer, users, known_parts(split, "test"), LIST_LENGTH, rank_known=not left_out(split, "test")
    )
    shares = {
        "test items": grouping.group_shares(
            of_items, np.bincount(tested, minlength=len(of_items)), popularity
        ),
        f"first {LIST_LENGTH} recommended": grouping.group_shares(of_items, listed, popularity),
    }
    return [activity, GroupPanel("training users of the item", "test items", popularity, {}, shares)]


def _shown(metrics: Any) -> list[str]:
    """Return the names of NDCG and hit rate at 10, or at the first length there is."""
    names = []
    for metric in ("ndcg", "hr"):
        lengths = [name for name in metrics if name.startswith(f"{metric}@")]
        names.append(next((name for name in lengths if name == f"{metric}@{LIST_LENGTH}"), lengths[0]))
    return names


def _clouds(experiment: Experiment, model: keras.Model, dimensions: int) -> Iterator[Cloud]:
    """Project the vectors of items, then of users, that training has seen."""
    interactions, features = experiment.interactions, experiment.features(model)
    of_users, of_items = grouping.known_counts(experiment.split)
    sides: list[tuple[str, Any, Any]] = [
        ("item", of_items, interactions.item_features),
        ("user", of_users, interactions.user_features),
    ]
    for side, counts, described in sides:
        vectors = id_vectors(model, features, side, len(counts) - 1)
        if vectors is None and side == "item":
            raise UsageError(f"'{experiment.recipe.model}' has no vectors of items to draw.")
        if vectors is None:
            continue
        seen = counts[1:] > 0
        places, shares = project(vectors[seen], dimensions)
        name, values = category(described) or ("", None)
        title = f"{seen.sum():,} {side}s"
        yield Cloud(title, places, shares, name, None if values is None else values[seen])
