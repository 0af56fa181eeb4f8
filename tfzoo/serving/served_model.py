"""The versions of one exported model: which of them answers, and what is known of the others.

The rules are TensorFlow Serving's ("latest" version policy): a version is a folder whose name is
a whole number of 64 bits, the largest is served, and a newer one takes over once it is loaded and
warm. Two things differ: where the largest is broken, the one before is served, and where no version
is left, the last one goes on answering.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfzoo.errors import UsageError
from tfzoo.serving.export import versions
from tfzoo.serving.interface import Array
from tfzoo.serving.metadata import DEFAULT_SIGNATURE, Signature, describe, read_metadata
from tfzoo.serving.recommender import ITEMS_FILE
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
        num_items: of the data set; None where the model is no export of this library.
    """

    def __init__(self, model: str, number: int, folder: Path) -> None:
        saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        self.number = number
        self.num_items = _count_lines(folder / "assets" / ITEMS_FILE)
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


@dataclass(frozen=True)
class Versions:
    """What is known of a model's versions at one moment.

    Attributes:
        current: the version that answers; None as long as none could be loaded.
        states: by number, of the one that answers, and of all others seen and still there.
    """

    current: Version | None
    states: Mapping[int, State]


class ServedModel:
    """The versions of one model.

    Args:
        name: of the model.
        folder: with a subfolder for each version.
        report: called with a line about every version that is loaded or broken.

    Attributes:
        seen: replaced as a whole, so that readers in other threads see what belongs together.
    """

    def __init__(self, name: str, folder: Path, report: Callable[[str], None]) -> None:
        self.name = name
        self.seen = Versions(None, {})
        self._folder = folder
        self._report = report
        self._broken: dict[int, float] = {}

    @property
    def current(self) -> Version | None:
        """The version that answers."""
        return self.seen.current

    @property
    def states(self) -> Mapping[int, State]:
        """The states of the versions."""
        return self.seen.states

    def refresh(self) -> None:
        """Load the largest version that is not broken, and let it take over.

        A broken version is tried again when its folder has changed, for it may have been copied
        there while it was read. Without a version on disk, the last one goes on answering.
        """
        found = versions(self._folder)
        self._forget_all_but(found)
        for number in sorted(found, reverse=True):
            if self.current is not None and self.current.number == number:
                return
            changed = _last_change(found[number])
            if self._broken.get(number) != changed:
                if self._load(number, found[number]):
                    self._forget_all_but(found)
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
        states = {**self.states, number: State("AVAILABLE")}
        if self.current is not None:
            states[self.current.number] = State("END")
        self.seen = Versions(version, states)
        self._report(f"Model '{self.name}': version {number} is served ({warm} warm-up requests).")
        return True

    def _set(self, number: int, state: State) -> None:
        self.seen = Versions(self.current, {**self.states, number: state})

    def _forget_all_but(self, found: Mapping[int, Path]) -> None:
        kept = {*found} if self.current is None else {*found, self.current.number}
        self.seen = Versions(self.current, {key: state for key, state in self.states.items() if key in kept})
        self._broken = {key: changed for key, changed in self._broken.items() if key in found}


def _last_change(folder: Path) -> float:
    return max(map(_changed, [folder, *folder.rglob("*")]))


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        # A link to nothing, or a file that was moved away in this moment.
        return 0.0


def _count_lines(path: Path) -> int | None:
    if not path.exists():
        return None
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


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
