"""Several trained models beside each other."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from tfzoo.api.fitted import FittedModel
from tfzoo.errors import UsageError
from tfzoo.training.changes import describe_changes


def compare(models: Sequence[FittedModel]) -> pd.DataFrame:
    """Return the test metrics of models that were measured alike, one row a model.

    Args:
        models: from `fit`, all with a held-out part.

    Returns:
        Columns ``model``, ``recipe`` (``paper*`` where settings were changed), ``changes`` with these
        settings, ``trained_on``, one for each metric that all of them have, and ``train_seconds``.

    Raises:
        UsageError: there is no model, one was trained on all data, or two were measured on other data or
            by another protocol, so that their figures do not compare.
    """
    if isinstance(models, FittedModel):
        raise UsageError("compare() needs a list of fitted models. Received one; write compare([a, b]).")
    for model in models:
        if not isinstance(model, FittedModel):
            raise UsageError(f"compare() needs fitted models, as fit and load return. Received {model!r}.")
    if not models:
        raise UsageError("compare() needs at least one fitted model.")
    records = [model.record for model in models]
    for record in records:
        if "test" not in record.metrics:
            raise UsageError(f"{record.model} was trained on all data: it has no test figures to compare.")
    first = models[0]
    for model in models[1:]:
        names = f"{first.record.model} and {model.record.model}"
        both = f"The figures of {names} do not compare: they were measured"
        if model.protocol != first.protocol:
            raise UsageError(
                f"{both} by '{first.protocol}' and '{model.protocol}'. Fit both with one seed and protocol=."
            )
        if not model.measured_as(first):
            raise UsageError(f"{both} on other test rows. Fit both with the same data and filter.")
    metrics = [name for name in records[0].metrics["test"] if all(name in r.metrics["test"] for r in records)]
    rows = [
        {
            "model": record.model,
            "recipe": record.recipe_name,
            "changes": describe_changes(record.changes),
            "trained_on": record.trained_on,
            **{name: record.metrics["test"][name] for name in metrics},
            "train_seconds": record.timing["train_seconds"],
        }
        for record in records
    ]
    return pd.DataFrame(rows)
