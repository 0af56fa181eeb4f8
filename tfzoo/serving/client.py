"""Asks an exported SavedModel in this process, through the signatures that a server offers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfzoo.errors import TfzooError, UsageError
from tfzoo.serving.export import TITLES, json_object, read_metadata, versions
from tfzoo.serving.interface import Array, Client, Recommendations
from tfzoo.serving.metadata import Signature, TensorInfo

__all__ = ["LocalClient", "Recommendations"]


class LocalClient(Client):
    """A SavedModel loaded with TensorFlow.

    Args:
        version: folder of one version of an export, as a path or as text.

    Raises:
        UsageError: there is no SavedModel in the folder; the message names the versions in it.
        TfzooError: it cannot be read, or is no export of this library.

    Attributes:
        metadata: what the export says of itself: model, recipe, policy and so on.
        titles: titles of items by raw id as text; empty where the data set has none.
    """

    def __init__(self, version: str | os.PathLike[str]) -> None:
        folder = Path(version)
        self._loaded = _load(folder)
        self.metadata = read_metadata(folder)
        self.titles = _read_titles(folder / "assets.extra" / TITLES)
        self.model = self.metadata.get("model", folder.parent.name)
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


def _load(folder: Path) -> Any:
    if not (folder / "saved_model.pb").is_file():
        found = versions(folder)
        hint = f" Its newest version is {found[max(found)]}." if found else ""
        raise UsageError(f"There is no SavedModel in {folder}, expected the folder of a version.{hint}")
    try:
        return tf.saved_model.load(str(folder))
    except Exception as error:  # A damaged file can make the loader stumble anywhere.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise TfzooError(f"The SavedModel in {folder} cannot be loaded: {reason} Export it again.") from error


def _read_titles(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        return json_object(path)
    except (OSError, ValueError) as error:
        raise TfzooError(f"{path} cannot be read: {error}. Export the model again.") from None


def _infos(specs: dict[str, Any]) -> dict[str, TensorInfo]:
    return {
        name: TensorInfo(
            spec.dtype.name,
            None if spec.shape.rank is None else tuple(-1 if size is None else size for size in spec.shape),
        )
        for name, spec in sorted(specs.items())
    }
