"""What a search leaves: a table and a plot of its trials, and a recipe file with the best settings."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tfzoo.errors import TfzooError, UsageError
from tfzoo.files import write_text
from tfzoo.reporting.figures import new_figure, save_figure
from tfzoo.training.recipe import load_recipe
from tfzoo.training.search import Budget
from tfzoo.training.settings import Recipe, part_of_a_path
from tfzoo.tuning.space import with_settings
from tfzoo.tuning.study import Study, Trial

TABLE, PLOT, RECIPE = "trials.csv", "trials", "recipe.yaml"
OURS, BEST, PRUNED = "#3b6ea5", "#d9822b", "#999999"
GROUPS = ("builder", "filter", "split", "task", "step", "training", "pretraining", "leaks", "reported")


def budget_of(study: Study, *, metric: str, rows: int, seed: int, folds: int | None) -> Budget:
    """Return what the trials so far have cost, and the best figure.

    Raises:
        TfzooError: no trial has ended with a figure.
    """
    trials = study.trials()
    best = study.best().value
    return Budget(
        space=dict(study.space),
        trials=len(trials),
        pruned=sum(trial.state == "pruned" for trial in trials),
        failed=sum(trial.state == "failed" for trial in trials),
        seconds=round(sum(trial.seconds for trial in trials), 1),
        rows=rows,
        metric=metric,
        value=float(best or 0.0),
        seed=seed,
        folds=folds,
    )


def write_recipe(recipe: Recipe, best: Trial, budget: Budget, folder: Path) -> Path:
    """Write a recipe file with the best settings, and what the search has cost.

    Args:
        recipe: resolved, which the search began with.
        best: the best trial.
        budget: of the search.
        folder: of the search.

    Returns:
        The file, which ``tfzoo train --recipe`` takes. Its recipe is named after the folder.

    Raises:
        TfzooError: it would not be read as the settings of the trial.
    """
    found = with_settings(recipe, best.settings)
    values = found.model_dump(mode="json")
    written: dict[str, Any] = {"name": _name_of(folder), "description": f"{recipe.name}, searched: {budget}."}
    shown = {**values, **_without_defaults(found)}
    written |= {group: shown[group] for group in GROUPS if shown[group]}
    written["budget"] = budget.model_dump(mode="json", exclude_defaults=True)
    path = folder / RECIPE
    write_text(path, yaml.safe_dump(written, sort_keys=False, width=100, allow_unicode=True))
    # A recipe may hold settings of splits that its own does not read.
    values["split"] = found.split.read
    read = load_recipe(recipe.model, "", str(path))
    again = {**read.model_dump(mode="json"), "split": read.split.read}
    for group in GROUPS[:-1]:
        if again[group] != values[group]:
            raise TfzooError(f"{path} is not read as it was written: {again[group]}, not {values[group]}.")
    return path


def _name_of(folder: Path) -> str:
    """Return what a search is called, by its folder: what is trained with its recipe is named so."""
    try:
        return part_of_a_path(folder.absolute().name)
    except ValueError:
        return Path(RECIPE).stem


def _without_defaults(recipe: Recipe) -> dict[str, Any]:
    """Return the groups whose settings have defaults, without those that are at theirs."""
    short = recipe.model_dump(mode="json", exclude_defaults=True, include={"filter", "split", "training"})
    # Where nothing is said of the split, some data sets have one of their own.
    split = {"kind": recipe.split.kind, **short.get("split", {})}
    return {
        **short,
        "filter": short.get("filter", {}),
        "split": {key: value for key, value in split.items() if key in recipe.split.read},
    }


def write_table(trials: Sequence[Trial], metric: str, paths: Sequence[str], folder: Path) -> Path:
    """Write a row a trial as CSV: number, state, figure, epochs, seconds, settings, and why it failed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", metric, "epochs", "best_epoch", "seconds", *paths, "reason"])
    for trial in trials:
        value = "" if trial.value is None else trial.value
        settings = [trial.settings.get(path, "") for path in paths]
        about = [trial.number, trial.state, value, trial.epochs, trial.best_epoch, trial.seconds]
        writer.writerow([*about, *settings, trial.reason])
    path = folder / TABLE
    write_text(path, text.getvalue())
    return path


def plot_trials(trials: Sequence[Trial], metric: str, folder: Path, *, maximize: bool) -> list[Path]:
    """Draw the figure of each trial, and the best one so far.

    Args:
        trials: that have ended.
        metric: of the validation part.
        folder: of the search.
        maximize: larger figures are better.

    Returns:
        The files written.

    Raises:
        UsageError: matplotlib is missing, or no trial has a figure.
    """
    shown = [trial for trial in trials if trial.value is not None]
    if not shown:
        raise UsageError("No trial has a figure to plot.")
    figure, axes = new_figure(6.0, 3.6)
    for state, color, label in (("complete", OURS, "trial"), ("pruned", PRUNED, "ended early")):
        points = [(trial.number, trial.value) for trial in shown if trial.state == state]
        if points:
            axes.scatter(*zip(*points, strict=True), s=14, color=color, label=label)
    best: list[tuple[int, float]] = []
    for trial in (one for one in shown if one.state == "complete"):
        value = float(trial.value or 0.0)
        better = not best or (value > best[-1][1] if maximize else value < best[-1][1])
        best.append((trial.number, value if better else best[-1][1]))
    if best:
        axes.step(*zip(*best, strict=True), where="post", color=BEST, label="best so far")
    axes.set_xlabel("trial")
    axes.set_ylabel(f"validation {metric} ({'more' if maximize else 'less'} is better)")
    axes.legend(fontsize=8)
    return save_figure(figure, folder / PLOT)
