"""What comes before any training in Python: data frames to interactions, keywords to settings."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd
from rich.console import Console

from tfzoo.api.frames import as_frame, side_features
from tfzoo.api.wording import as_keywords
from tfzoo.data.datasets.files import from_dataframe
from tfzoo.data.interactions import Interactions
from tfzoo.data_notes import PYTHON, notes_on
from tfzoo.errors import DataWarning, UsageError
from tfzoo.experiment import Experiment
from tfzoo.models import model_info
from tfzoo.tasks import get_task
from tfzoo.training.recipe import load_recipe
from tfzoo.training.settings import Recipe
from tfzoo.training.splitting import apply_filter

# From what warns through `prepare`, a public function and its two decorators to the line that called it.
CALLER = 5
# A column with more different numbers than this is hardly one of ratings.
MOST_RATINGS = 20


@dataclass(frozen=True)
class Columns:
    """Which columns of a data frame are what, see `tfzoo.fit`."""

    user_col: str
    item_col: str
    rating_col: str | None = None
    time_col: str | None = None
    text_col: str | None = None
    duplicates: str | None = None

    def read(self, data: Any, model: str, name: str, *, least: int = 2) -> Interactions:
        """Return the interactions in a data frame; interactions as they are.

        Args:
            data: see `tfzoo.fit`.
            model: name of the model, which says whether ratings are needed, and pairs may repeat.
            name: of the data.
            least: users, and items, that a data frame must have.
        """
        if isinstance(data, Interactions):
            return data
        needs = get_task(model_info(model).task).needs
        columns = asdict(self)
        columns["rating_col"] = "rating" if self.rating_col is None else self.rating_col
        columns["duplicates"] = self.duplicates or needs.duplicates
        required = self.rating_col is not None or needs.rating
        frame = as_frame(data, "data")
        found = from_dataframe(frame, rating_required=required, name=name, least=least, **columns)
        if found.rating is None:
            self._warn_of_ratings(frame)
        return found

    def _warn_of_ratings(self, frame: pd.DataFrame) -> None:
        """Warn of columns that look like ratings where none are read: dislikes would count as likes."""
        named = {str(value) for value in asdict(self).values()}
        for column in frame.columns:
            if str(column) in named or not pd.api.types.is_numeric_dtype(frame[column]):
                continue
            if 1 < frame[column].nunique() <= MOST_RATINGS:
                warnings.warn(
                    f"column '{column}' is not read: every row counts alike. Where it has ratings, "
                    f"rating_col={column!r} takes them.",
                    DataWarning,
                    stacklevel=CALLER + 1,
                )

    def with_features(self, interactions: Interactions, users: Any, items: Any) -> Interactions:
        """Return interactions with the side features of two data frames; None for none."""
        if users is not None:
            table = side_features(users, str(self.user_col), interactions.users, "user_features")
            interactions = replace(interactions, user_features={**interactions.user_features, **table})
        if items is not None:
            table = side_features(items, str(self.item_col), interactions.items, "item_features")
            interactions = replace(interactions, item_features={**interactions.item_features, **table})
        return interactions


def recipe_for(data: Any, model: str, recipe: object, overrides: list[str], protocol: str | None) -> Recipe:
    """Return the resolved recipe of a model that recommends.

    Raises:
        UsageError: it is a model of clicks, or there are no such settings.
    """
    if get_task(model_info(model).task).needs.clicks:
        raise UsageError(
            f"'{model}' is a model of clicks, which recommends no lists; train it with 'tfzoo train'. "
            "tfzoo.list_models() names others."
        )
    # A data set of the package has settings of its own in a recipe, a data frame has not.
    known = data.name if isinstance(data, Interactions) else ""
    return load_recipe(model, known, str(recipe), overrides, protocol=protocol)


def prepare(
    recipe: Recipe, interactions: Interactions, columns: Columns, seed: int, console: Console
) -> Experiment:
    """Divide the data, and show what is to be known of it.

    Warns:
        DataWarning: see `tfzoo.fit`.
    """
    experiment = Experiment.prepare(recipe, interactions, seed, source_of(interactions.name, columns))
    for line in (interactions.describe(), *(f"  {note}" for note in experiment.interactions.notes)):
        console.print(as_keywords(line), highlight=False, soft_wrap=True)
    for note in (*_on_filter(experiment, interactions), *notes_on(experiment, PYTHON)):
        warnings.warn(f"{interactions.name}: {note}", DataWarning, stacklevel=CALLER)
    return experiment


def _on_filter(experiment: Experiment, interactions: Interactions) -> list[str]:
    """Return how much the recipe's filter leaves out, which the command line shows with the data."""
    if any(key.startswith("filter.") for key in experiment.recipe.changes):
        # Who asks for a filter knows of it.
        return []
    kept = apply_filter(interactions, experiment.recipe.filter)
    if len(kept) == len(interactions):
        return []
    of_users = f"{interactions.num_users - kept.num_users:,} of {interactions.num_users:,} users"
    left_out = f"{len(interactions) - len(kept):,} of {len(interactions):,} rows and {of_users}"
    return [f"the recipe's filter leaves out {left_out}; min_rating= and min_user_interactions= change it"]


def source_of(name: str, columns: Columns) -> dict[str, Any]:
    """Return what a record says of a data frame: its name, and which of its columns were read."""
    return {"frame": name, **{key: value for key, value in asdict(columns).items() if value is not None}}


def columns_of(data: Mapping[str, Any]) -> Columns:
    """Return the columns that a record of `source_of` names; the usual ones where it names none."""
    known = {key: data[key] for key in Columns.__dataclass_fields__ if key in data}
    return Columns(**{"user_col": "user_id", "item_col": "item_id", **known})
