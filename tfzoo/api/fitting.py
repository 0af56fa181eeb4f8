"""One call from a data frame to a trained model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tfzoo.api.advice import without_tracing_advice
from tfzoo.api.fitted import FittedModel
from tfzoo.api.keywords import overrides_of
from tfzoo.api.preparing import Columns, prepare, recipe_for
from tfzoo.api.randomness import own_random_numbers
from tfzoo.api.wording import keywords_in_errors
from tfzoo.errors import UsageError
from tfzoo.experiment import Experiment
from tfzoo.models import model_info
from tfzoo.runs import run
from tfzoo.training.checkpoint import TrainingState
from tfzoo.training.recipe import fit_on_all


@keywords_in_errors()
@without_tracing_advice()
def fit(
    data: Any,
    model: str = "ease",
    *,
    user_col: str = "user_id",
    item_col: str = "item_id",
    rating_col: str | None = None,
    time_col: str | None = None,
    text_col: str | None = None,
    recipe: str | Path = "paper",
    protocol: str | None = None,
    fit_on: str = "train",
    seed: int = 0,
    user_features: Any = None,
    item_features: Any = None,
    duplicates: str | None = None,
    name: str = "data",
    verbose: bool = True,
    **settings: Any,
) -> FittedModel:
    """Train a model on a data frame.

    Args:
        data: one row per interaction: a data frame of pandas, polars, Arrow or another library that shares
            its columns; or `Interactions`, as of `load_dataset`, for which no column is named.
        model: name of a registered model, see `list_models`.
        user_col: column of user ids, whole numbers or text.
        item_col: column of item ids.
        rating_col: column of ratings; None for ``"rating"`` where there is such a column.
        time_col: column of times; None for data without.
        text_col: column of reviews; None for data without.
        recipe: name of a recipe of the model, or path of a YAML file.
        protocol: how to divide and measure instead of the recipe's own way, see `list_protocols`.
        fit_on: ``"train"`` holds validation and test parts out, so that `FittedModel.evaluate` has
            something to measure; ``"all"`` trains the final model on every interaction, for as many epochs
            as validation has chosen before, or as ``epochs=`` says.
        seed: fixes split, initial weights, order and negatives. Python's and NumPy's own random numbers go on
            as before; the global seed of TensorFlow and Keras is this one afterwards.
        user_features: a data frame with one row a user, whose column ``user_col`` holds the ids.
        item_features: a data frame with one row an item; a column ``title`` is shown beside answers.
        duplicates: what to do with a second row of the same user and item, see `from_dataframe`; None for
            what the model's task does.
        name: short name of the data.
        verbose: show notes on the data and the progress.
        **settings: of the recipe, such as ``epochs=5``, ``embedding_dim=16`` or ``min_rating=4``. The
            group may stand before two underscores where a name occurs in several:
            ``training__batch_size=64``.

    Returns:
        The trained model, with all that it takes to ask it.

    Raises:
        UsageError: an argument has no meaning; the message names the nearest that has one.
        DataError: the data cannot be used; the message names column and row.

    Warns:
        DataWarning: of what makes figures less, or other, than they seem, such as dislikes that count as
            positive; it names the argument that says otherwise.
    """
    if fit_on not in ("train", "all"):
        raise UsageError(f"fit_on must be 'train' or 'all'. Received {fit_on!r}.")
    overrides = overrides_of(model_info(model), settings)
    if fit_on == "all":
        overrides += fit_on_all(overrides)
    columns = Columns(user_col, item_col, rating_col, time_col, text_col, duplicates)
    chosen = recipe_for(data, model, recipe, overrides, protocol)
    interactions = columns.read(data, model, name)
    interactions = columns.with_features(interactions, user_features, item_features)
    console = Console(stderr=True, markup=False, quiet=not verbose)
    experiment = prepare(chosen, interactions, columns, seed, console)
    folder = tempfile.TemporaryDirectory(prefix="tfzoo-")
    with own_random_numbers(), _progress(console, experiment) as on_epoch:
        record, place = run(experiment, Path(folder.name), on_epoch=on_epoch)
    return FittedModel(experiment, interactions, record, place, keep=folder)


@contextmanager
def _progress(console: Console, experiment: Experiment) -> Iterator[Callable[[TrainingState], None]]:
    """Show a bar in a terminal or a notebook, and give what moves it after each epoch."""
    recipe, task = experiment.recipe, experiment.task
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
        TimeRemainingColumn(),
    )
    shown = not console.quiet and (console.is_terminal or console.is_jupyter)
    with Progress(*columns, console=console, disable=not shown) as progress:
        bar = progress.add_task(recipe.model, total=recipe.training.epochs, status="starting")

        def show(state: TrainingState) -> None:
            status = f"loss {state.history[-1]['loss']:.4f}"
            if state.best_epoch:
                status += f", best validation {task.monitor} {state.best_value:.4f}"
            progress.update(bar, completed=state.epoch, status=status)

        yield show
