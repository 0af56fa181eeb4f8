"""Export of models of clicks: raw fields by their names in, the probability of a click out."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzoo.data.click_log import ClickLog
from tfzoo.data.encoders import Encoders
from tfzoo.serving.checks import with_right_shapes
from tfzoo.serving.deployment import write_deployment
from tfzoo.serving.export import METADATA, check_finite, publish, writing_version
from tfzoo.serving.id_lookup import Lookup
from tfzoo.serving.recommender import Answer
from tfzoo.serving.warmup import BATCH_SIZES, write_requests
from tfzoo.tasks.click_features import FieldScorer

POLICY = {
    "unknown_value": "a value that training lacks, or has too rarely, counts as the average one of its "
    "field; so does an empty text",
    "missing_number": "NaN stands for a missing number, and so does every number that is not finite",
}


class ClickPredictor(tf.Module):
    """The function behind ``serving_default``.

    Args:
        scorer: from the task.
        assets: folder for the vocabulary files.

    Attributes:
        specs: the inputs, all ``[B]``: categories, then numbers, in the order of the log.
    """

    def __init__(self, scorer: FieldScorer, assets: Path) -> None:
        super().__init__()
        self.scorer = scorer
        encoders = scorer.features.encoders
        self.lookups = [
            Lookup(one.vocabulary, assets / f"field-{number}.txt")
            for number, one in enumerate(encoders.categories.values())
        ]
        types = [one.dtype for one in self.lookups] + [tf.float32] * len(encoders.numbers)
        names = input_names([*encoders.categories, *encoders.numbers])
        self.specs = {
            name: tf.TensorSpec([None], dtype, name) for name, dtype in zip(names, types, strict=True)
        }

    def predict(self, inputs: dict[str, tf.Tensor]) -> Answer:
        """Return ``click`` float32 ``[B]`` for raw values and numbers."""
        raw = list(with_right_shapes({name: inputs[name] for name in self.specs}).values())
        given, filled = len(self.lookups), {}
        if self.lookups:
            rows = [lookup.dense(values) for lookup, values in zip(self.lookups, raw[:given], strict=True)]
            filled["fields"] = tf.stack(rows, axis=1)
        if raw[given:]:
            filled["dense"] = self.scorer.features.scale_numbers(tf.stack(raw[given:], axis=1))
        return {self.scorer.output_name: self.scorer.score_fields(filled)}


def input_names(columns: Sequence[str]) -> list[str]:
    """Return names of inputs for names of columns: TensorFlow takes letters, digits and underscores.

    Other characters become underscores, and names that would be equal get a number.
    """
    names: list[str] = []
    for column in columns:
        plain = re.sub("[^A-Za-z0-9_]", "_", column)
        plain = plain if re.match("[A-Za-z]", plain) else f"field_{plain}"
        name, number = plain, 1
        # TensorFlow takes names that differ in case alone for the same in its graphs.
        while name.lower() in {other.lower() for other in names}:
            number += 1
            name = f"{plain}_{number}"
        names.append(name)
    return names


def export_click_model(
    model: keras.Model,
    scorer: FieldScorer,
    train: ClickLog,
    folder: Path,
    *,
    metadata: dict[str, Any],
) -> Path:
    """Write the next version of a served model of clicks.

    Args:
        model: the trained model, whose weights are checked.
        scorer: from the model's task.
        train: the training part, for warm-up requests.
        folder: the served model's folder, see `export_saved_model`.
        metadata: what to write into ``assets.extra/tfzoo.json`` beside the policy and the fields.

    Returns:
        The folder of the new version. ``serving_default`` takes the raw values of the log's columns by
        their names, ``[B]`` each: text or int64 for categories, float32 for numbers, see `input_names`;
        and returns ``click`` float32 ``[B]``. There is no ``recommend``: an impression is no user with
        a catalogue.

    Raises:
        TfzooError: the folder cannot be written, or weights of the model are not finite.
    """
    check_finite(model)
    with writing_version(folder) as temporary:
        assets = temporary / "vocabulary"
        assets.mkdir()
        predictor = ClickPredictor(scorer, assets)
        target = temporary / "model"
        archive = keras.export.ExportArchive()
        archive.track(predictor)
        archive.add_endpoint("serving_default", tf.function(predictor.predict, [predictor.specs]))
        archive.write_out(str(target), verbose=False)
        extra = target / "assets.extra"
        extra.mkdir()
        requests = [("serving_default", _first_rows(train, predictor.specs, size)) for size in BATCH_SIZES]
        described = {
            **metadata,
            "policy": POLICY,
            "fields": _described(scorer.features.encoders, list(predictor.specs)),
            "warmup_requests": write_requests(extra, requests),
        }
        (extra / METADATA).write_text(
            json.dumps(described, indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )
        version = publish(target, folder)
    write_deployment(folder.parent)
    return version


def _described(encoders: Encoders, names: list[str]) -> list[dict[str, Any]]:
    """Say of each input which column it is, and what it takes."""
    kinds = [(column, one.vocabulary.dtype) for column, one in encoders.categories.items()]
    kinds += [(column, "float32") for column in encoders.numbers]
    return [
        {"input": name, "column": column, "type": kind}
        for name, (column, kind) in zip(names, kinds, strict=True)
    ]


def _first_rows(train: ClickLog, specs: dict[str, tf.TensorSpec], size: int) -> dict[str, tf.Tensor]:
    """Return a request of the first impressions of the training part, from the start again if fewer."""
    rows = np.arange(size) % len(train)
    columns: list[Any] = []
    for category in train.categories.values():
        raw = category.vocabulary.decode(np.maximum(category.codes[rows], 1)).tolist()
        columns.append(raw)
    columns += [values[rows] for values in train.numbers.values()]
    return {
        name: tf.constant(values, spec.dtype)
        for (name, spec), values in zip(specs.items(), columns, strict=True)
    }
