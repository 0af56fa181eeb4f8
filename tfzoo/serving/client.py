"""Asks an exported SavedModel in this process, through the signatures that a server offers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfzoo.serving.export import METADATA, TITLES
from tfzoo.serving.interface import Array, Client, Recommendations
from tfzoo.serving.metadata import Signature, TensorInfo

__all__ = ["LocalClient", "Recommendations"]


class LocalClient(Client):
    """A SavedModel loaded with TensorFlow.

    Args:
        version: folder of one version of an export.

    Attributes:
        metadata: what the export says of itself: model, recipe, policy and so on.
        titles: titles of items by raw id as text; empty where the data set has none.
    """

    def __init__(self, version: Path) -> None:
        self._loaded = tf.saved_model.load(str(version))
        extra = version / "assets.extra"
        self.metadata = json.loads((extra / METADATA).read_text(encoding="utf-8"))
        titles = extra / TITLES
        self.titles: dict[str, str] = (
            json.loads(titles.read_text(encoding="utf-8")) if titles.exists() else {}
        )
        self.model = self.metadata.get("model", version.parent.name)
        self.signatures = {
            name: Signature(
                _infos(function.structured_input_signature[1]), _infos(function.structured_outputs)
            )
            for name, function in self._loaded.signatures.items()
        }

    def _run(self, signature: str, inputs: dict[str, Array]) -> dict[str, Array]:
        infos = self.signatures[signature].inputs
        tensors = {name: tf.constant(array, infos[name].dtype) for name, array in inputs.items()}
        return {
            name: tensor.numpy() for name, tensor in self._loaded.signatures[signature](**tensors).items()
        }


def _infos(specs: dict[str, Any]) -> dict[str, TensorInfo]:
    return {
        name: TensorInfo(
            spec.dtype.name,
            None if spec.shape.rank is None else tuple(-1 if size is None else size for size in spec.shape),
        )
        for name, spec in sorted(specs.items())
    }
