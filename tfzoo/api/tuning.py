"""A search for settings on a data frame."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from tfzoo.api.advice import without_tracing_advice
from tfzoo.api.keywords import DIVIDER, overrides_of
from tfzoo.api.preparing import Columns, prepare, recipe_for
from tfzoo.api.randomness import own_random_numbers
from tfzoo.api.storing import given_folder
from tfzoo.api.wording import keywords_in_errors
from tfzoo.errors import check_seed
from tfzoo.models import model_info
from tfzoo.training.search import Range
from tfzoo.training.settings import Recipe, parse
from tfzoo.tuning.search_file import Search
from tfzoo.tuning.searching import MOST_TRIALS, Found, check_count, describe_trial, search_settings
from tfzoo.tuning.space import space_of
from tfzoo.tuning.study import optuna
from tfzoo.tuning.trials import check_folds


class TunedSettings:
    """What `tune` returns.

    Attributes:
        settings: the best ones, as keyword arguments of `fit`.
        metric: of the validation part, that trials were judged by.
        value: of the best trial.
        recipe: a recipe file with the best settings, for ``recipe=`` of `fit` and for ``tfzoo train``;
            without ``output`` it lasts as long as this object.
        trials: one row a trial: number, state, figure, epochs, seconds, settings, and why it failed.
    """

    def __init__(self, found: Found, keep: Any = None) -> None:
        self.settings: dict[str, Any] = {
            path.replace(".", DIVIDER): value for path, value in found.best.settings.items()
        }
        self.metric, self.value = found.budget.metric, found.budget.value
        self.recipe = found.recipe
        self.trials: pd.DataFrame = pd.read_csv(found.written[0])
        self._keep = keep

    def __repr__(self) -> str:
        return f"TunedSettings({self.settings!r}, validation {self.metric} {self.value:.4f})"


@keywords_in_errors()
@without_tracing_advice()
def tune(
    data: Any,
    model: str = "ease",
    *,
    trials: int = 30,
    space: Mapping[str, Any] | None = None,
    folds: int | None = None,
    output: str | Path | None = None,
    user_col: str = "user_id",
    item_col: str = "item_id",
    rating_col: str | None = None,
    time_col: str | None = None,
    text_col: str | None = None,
    recipe: str | Path = "paper",
    protocol: str | None = None,
    seed: int = 0,
    user_features: Any = None,
    item_features: Any = None,
    duplicates: str | None = None,
    name: str = "data",
    verbose: bool = True,
    **settings: Any,
) -> TunedSettings:
    """Search for the settings of a model that validation likes best; the test part is never measured.

    Args:
        data: see `fit`, as are all arguments that are not named here.
        model: name of a registered model.
        trials: how many to try, those that ``output`` holds already among them.
        space: what to try, by the names that settings have as keywords: a list of values, or a range
            such as ``{"low": 1e-3, "high": 0.1, "log": True}``. None for what the recipe says under
            ``search``, or else ranges around its own values.
        folds: of models of ratings: judge a trial by so many trainings, each without one of so many parts of
            what is not tested on; None for one training, judged by the validation part.
        output: folder of the search, which the same call goes on with after an interruption; None for a
            temporary one, which lasts as long as the returned object.
        user_col: see `fit`.
        item_col: see `fit`.
        rating_col: see `fit`.
        time_col: see `fit`.
        text_col: see `fit`.
        recipe: whose settings are tried first, see `fit`.
        protocol: see `fit`.
        seed: fixes split, initial weights, order and what is tried.
        user_features: see `fit`.
        item_features: see `fit`.
        duplicates: see `fit`.
        name: see `fit`.
        verbose: show notes on the data, and each trial.
        **settings: of the recipe in all trials, see `fit`.

    Returns:
        The best settings, and what was tried.

    Raises:
        UsageError: an argument has no meaning, or the extra ``tune`` is not installed.
        DataError: the data cannot be used; the message names column and row.
        TfzooError: the folder holds another search, or no trial ended with a figure.

    Warns:
        DataWarning: see `fit`.
    """
    check_seed(seed)
    check_count("trials", trials, MOST_TRIALS)
    folder = None if output is None else given_folder(output)
    optuna()
    columns = Columns(user_col, item_col, rating_col, time_col, text_col, duplicates)
    chosen = recipe_for(data, model, recipe, overrides_of(model_info(model), settings), protocol)
    ranges = _ranges(chosen, space)
    interactions = columns.read(data, model, name)
    interactions = columns.with_features(interactions, user_features, item_features)
    console = Console(stderr=True, markup=False, quiet=not verbose)
    experiment = prepare(chosen, interactions, columns, seed, console)
    check_folds(experiment, folds)
    search = Search.of(chosen, ranges, experiment, folds)
    metric = experiment.task.monitor
    keep = None
    if folder is None:
        keep = tempfile.TemporaryDirectory(prefix="tfzoo-")
        folder = Path(keep.name, "search")
    with own_random_numbers():
        found = search_settings(
            search,
            chosen,
            experiment,
            folder,
            trials,
            on_trial=lambda trial: console.print(
                describe_trial(trial, metric), highlight=False, soft_wrap=True
            ),
        )
    return TunedSettings(found, keep)


def _ranges(recipe: Recipe, space: Mapping[str, Any] | None) -> dict[str, Range]:
    """Return what is to be tried, by the paths of the settings."""
    if space is None:
        return space_of(recipe)
    ranges = {}
    for text in overrides_of(model_info(recipe.model), space):
        path, _, written = text.partition("=")
        values = json.loads(written)
        values = values if isinstance(values, dict) else {"choices": values}
        ranges[path] = parse(Range, values, f"space, '{path.replace('.', DIVIDER)}'")
    return space_of(recipe.model_copy(update={"search": ranges}))
