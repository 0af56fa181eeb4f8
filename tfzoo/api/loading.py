"""A fitted model out of the folder that it was saved to."""

from __future__ import annotations

from pathlib import Path

from tfzoo.api.fitted import FittedModel
from tfzoo.api.storing import given_folder, read
from tfzoo.errors import TfzooError
from tfzoo.experiment import Experiment
from tfzoo.training.record import sources_of
from tfzoo.training.settings import Recipe, parse
from tfzoo.updates import of_record, reopened


def load(folder: str | Path) -> FittedModel:
    """Read what `FittedModel.save` wrote.

    Args:
        folder: of the fitted model.

    Returns:
        The model, which answers as the saved one did.

    Raises:
        UsageError: there is no such folder, or it is none of a fitted model.
        TfzooError: a file in it is damaged, or the data is not the data that the model was trained on.
    """
    folder = given_folder(folder)
    data, record, updates = read(folder)
    recipe = parse(Recipe, record.recipe, f"the record of {folder}")
    experiment = Experiment.prepare(recipe, data, record.seed, sources_of(record.data)[0])
    if updates:
        experiment = of_record(reopened(experiment.refitted(), updates), record)
    if not experiment.is_of(record):
        raise TfzooError(f"The data in {folder} is not the data that the model was trained on.")
    return FittedModel(experiment, data, record, folder, updates=updates)
