"""What identifies a run: its data, settings, seed and precision, in one text.

The text is written into records and checkpoints, which outlive the version that wrote them. So the ways in
which earlier versions made it stay here, and a record is read in the way in which it was written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tfzoo.data.splits import Split
from tfzoo.errors import UsageError
from tfzoo.problems import PROBLEMS
from tfzoo.training.recipe import recorded_recipe
from tfzoo.training.record import RunRecord
from tfzoo.training.settings import parse, what_counts


def of_data(split: Split, settings: Mapping[str, Any], seed: int, precision: str) -> Iterator[str]:
    """Return the text as this version writes it, then as earlier ones wrote it.

    Args:
        split: the data.
        settings: those that count, see `what_counts`.
        seed: of the run.
        precision: name of Keras' policy.
    """
    said = json.dumps([settings, seed, precision], sort_keys=True).encode()
    for write in (_rows, _rows_with_texts_twice, _rated_rows):
        digest = hashlib.sha256()
        write(split, digest)
        digest.update(said)
        yield digest.hexdigest()


def settings_of(record: RunRecord) -> dict[str, Any] | None:
    """Return the settings that counted for a record; None where this version would not take them."""
    where = "the record"
    try:
        recipe = recorded_recipe(record.recipe, where)
        task = parse(PROBLEMS[record.task].Settings, recipe.task, where)
    except UsageError:
        return None
    return what_counts(recipe, task)


def only_stated(settings: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings without those that a record does not state, since its version had none of them.

    Args:
        settings: groups of settings, nested.
        stated: the recipe of a record.
    """
    return {
        key: only_stated(value, stated[key])
        if isinstance(value, dict) and isinstance(stated[key], dict)
        else value
        for key, value in settings.items()
        if key in stated
    }


def _parts(split: Split) -> list[Any]:
    parts = [split.train, split.validation, split.test, split.fold_in, *split.variants.values()]
    return [part for part in parts if part is not None]


def _rows(split: Split, digest: Any) -> None:
    for part in _parts(split):
        part.digest(digest)
    for negatives in split.negatives.values():
        digest.update(np.ascontiguousarray(negatives.item_id).data)


def _rows_with_texts_twice(split: Split, digest: Any) -> None:
    """Add the rows as on 21 November 2026, when the text of reviews was written in two ways."""
    for part in _parts(split):
        text = getattr(part, "text", None)
        for column in ("user_id", "item_id", "rating", "timestamp"):
            values = getattr(part, column, None)
            digest.update(b"" if values is None else np.ascontiguousarray(values).data)
        if text is not None:
            digest.update("\x1f".join(text).encode())
            digest.update("\0".join(text).encode())
    for negatives in split.negatives.values():
        digest.update(np.ascontiguousarray(negatives.item_id).data)


def _rated_rows(split: Split, digest: Any) -> None:
    """Add the rows as the first versions did, which knew ratings alone."""
    for part in (split.train, split.validation, split.test):
        for column in ("user_id", "item_id", "rating"):
            values = getattr(part, column, None)
            digest.update(b"" if values is None else np.ascontiguousarray(values).data)
