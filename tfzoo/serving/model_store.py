"""Finds the versions of exported models in a folder, loads the newest of each, and watches for newer ones.

The rules are TensorFlow Serving's ("latest" version policy): a version is a folder whose name is
a whole number, the largest is served, and a newer one takes over once it is loaded and warm.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfzoo.errors import UsageError, nearest
from tfzoo.serving.export import METADATA, versions
from tfzoo.serving.interface import Array
from tfzoo.serving.metadata import DEFAULT_SIGNATURE, Signature, describe, read_metadata
from tfzoo.serving.warmup import WARMUP_FILE

# TensorFlow Serving's own limit ("SavedModel Warmup").
MAX_WARMUP_REQUESTS = 1000


class Version:
    """One loaded version of a model.

    Args:
        model: name of the model.
        number: of the version.
        folder: the SavedModel.

    Attributes:
        metadata: the answer of the metadata API.
        signatures: what it answers.
    """

    def __init__(self, model: str, number: int, folder: Path) -> None:
        saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        self.number = number
        self.metadata = describe(model, number, saved.meta_graphs[0].signature_def)
        self.signatures: Mapping[str, Signature] = read_metadata(self.metadata)
        self._loaded = tf.saved_model.load(str(folder))

    def predict(self, signature: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Ask a signature; strings are arrays of `bytes` objects both ways.

        Raises:
            UsageError: the graph refuses the inputs.
        """
        infos = self.signatures[signature].inputs
        tensors = {name: tf.constant(inputs[name], info.dtype) for name, info in infos.items()}
        try:
            outputs = self._loaded.signatures[signature](**tensors)
        except tf.errors.InvalidArgumentError:
            # TensorFlow's text names nodes of the graph, which says nothing to a client.
            raise UsageError(f"The model refuses the inputs of '{signature}': {', '.join(infos)}.") from None
        # TensorFlow orders them anew in every process; the same question has the same answer, byte for byte.
        return {name: outputs[name].numpy() for name in sorted(outputs)}


@dataclass(frozen=True)
class State:
    """What became of a version: a name of ``ModelVersionStatus.State``, and an error or an empty text."""

    name: str
    error: str = ""


class ServedModel:
    """The versions of one model.

    Args:
        name: of the model.
        folder: with a subfolder for each version.
        report: called with a line about every version that is loaded or broken.

    Attributes:
        current: the version that answers; None as long as none could be loaded.
        states: by number, of all versions seen and still there.
    """

    def __init__(self, name: str, folder: Path, report: Callable[[str], None]) -> None:
        self.name = name
        self.current: Version | None = None
        self.states: Mapping[int, State] = {}
        self._folder = folder
        self._report = report
        self._broken: dict[int, float] = {}

    def refresh(self) -> None:
        """Load the largest version that is not broken, and let it take over.

        A broken version is tried again when its folder has changed, for it may have been copied
        there while it was read. Without a version on disk, the last one goes on answering.
        """
        found = versions(self._folder)
        self.states = {number: state for number, state in self.states.items() if number in found}
        for number in sorted(found, reverse=True):
            if self.current is not None and self.current.number == number:
                self._set(number, State("AVAILABLE"))
                return
            changed = _last_change(found[number])
            if self._broken.get(number) != changed:
                if self._load(number, found[number]):
                    return
                self._broken[number] = changed

    def _load(self, number: int, folder: Path) -> bool:
        self._set(number, State("LOADING"))
        try:
            version = Version(self.name, number, folder)
            warm = _replay_warmup(version, folder)
        except Exception as error:  # A broken file may raise anything, and must not stop the server.
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            self._set(number, State("END", reason))
            self._report(f"Model '{self.name}': version {number} is broken and not served: {reason}")
            return False
        old, self.current = self.current, version
        self._set(number, State("AVAILABLE"))
        if old is not None and old.number in self.states:
            self._set(old.number, State("END"))
        self._report(f"Model '{self.name}': version {number} is served ({warm} warm-up requests).")
        return True

    def _set(self, number: int, state: State) -> None:
        # A new object, so that readers in other threads see one or the other.
        self.states = {**self.states, number: state}


class ModelStore:
    """All models of a folder.

    Args:
        folder: of exported models, ``<name>/<version>/``.
        names: the models to serve; all that are there, and that come, if empty.
        report: as for `ServedModel`.
    """

    def __init__(self, folder: Path, names: Sequence[str], report: Callable[[str], None]) -> None:
        self._folder = folder
        self._names = names
        self._report = report
        self.models: Mapping[str, ServedModel] = {}
        self._stopped = threading.Event()
        self._watcher: threading.Thread | None = None

    def refresh(self) -> None:
        """Look for models and versions once.

        Raises:
            UsageError: a model that was named is not there, or there is none at all.
        """
        found = find_models(self._folder)
        for name in self._names or found:
            if name not in found and name not in self.models:
                raise UsageError(f"There is no model '{name}' in {self._folder}. {nearest(name, found)}")
            if name not in self.models:
                model = ServedModel(name, self._folder / name, self._report)
                self.models = {**self.models, name: model}
        if not self.models:
            hint = " This is the folder of one model: name the one above." if versions(self._folder) else ""
            raise UsageError(
                f"There is no exported model in {self._folder}: expected MODEL/VERSION/saved_model.pb.{hint}"
            )
        for model in self.models.values():
            model.refresh()

    def start(self, poll_seconds: float) -> None:
        """Look again every ``poll_seconds`` in a thread of its own; never if that is 0."""
        if poll_seconds > 0:
            self._watcher = threading.Thread(target=self._watch, args=(poll_seconds,), daemon=True)
            self._watcher.start()

    def stop(self) -> None:
        """End the watching."""
        self._stopped.set()
        if self._watcher is not None:
            self._watcher.join()

    def _watch(self, poll_seconds: float) -> None:
        while not self._stopped.wait(poll_seconds):
            try:
                self.refresh()
            except (UsageError, OSError) as error:
                # Such as a network drive that is away: the loaded models go on answering.
                self._report(f"Cannot look for new versions: {error}")


def find_models(folder: Path) -> list[str]:
    """Return the names of the subfolders that hold at least one version, sorted."""
    if not folder.is_dir():
        return []
    entries = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    return [name for name in entries if any(map(_is_ours, versions(folder / name).values()))]


def _is_ours(version: Path) -> bool:
    # Exports for other runtimes, which may lie beside them, have their metadata on top.
    return not (version / METADATA).exists()


def _last_change(folder: Path) -> float:
    return max(path.stat().st_mtime for path in [folder, *folder.rglob("*")])


def _replay_warmup(version: Version, folder: Path) -> int:
    """Ask the warm-up requests of an export; returns their number, 0 where the extra ``grpc`` is missing."""
    path = folder / "assets.extra" / WARMUP_FILE
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError:
        return 0
    if not path.exists():
        return 0
    count = 0
    for record in tf.data.TFRecordDataset(str(path)).take(MAX_WARMUP_REQUESTS).as_numpy_iterator():
        request: Any = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        version.predict(request.model_spec.signature_name or DEFAULT_SIGNATURE, inputs)
        count += 1
    return count
