"""Files that TensorBoard shows: curves of a training, and vectors for its projector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.files import write_atomically, write_text, writing

FOLDER = "tensorboard"
EVENTS = "events.out.tfevents.*"
VECTORS, METADATA, PROJECTOR = "vectors.tsv", "metadata.tsv", "projector_config.pbtxt"
CONFIG = """embeddings {
  tensor_name: "items"
  tensor_path: "vectors.tsv"
  metadata_path: "metadata.tsv"
}
"""


class EventLog:
    """Writes what a training has measured after each epoch, the epoch as step, no step twice.

    Steps that a process which was killed has written stay, and a resumed training goes on after
    them in a file of its own; epochs before the first one told are written too.

    Args:
        folder: for the event files of the training itself; a pilot or a refit has a folder below.
        resume: keep the events that are there; else they are removed before any is written.
    """

    def __init__(self, folder: Path, *, resume: bool) -> None:
        self._folder, self._stale = folder, not resume
        self._writers: dict[str, Any] = {}
        self._steps: dict[str, int] = {}

    def write(self, stage: str, history: Sequence[Mapping[str, float]]) -> None:
        """Write the epochs that are not written yet.

        Args:
            stage: name of the folder below, or an empty text for the training itself.
            history: of all epochs of this stage so far, metric name -> value.

        Raises:
            TfzooError: the files cannot be written.
        """
        folder = self._folder / stage
        if self._stale:
            self._stale = False
            for path in self._folder.rglob(EVENTS):
                path.unlink(missing_ok=True)
        if stage not in self._steps:
            self._steps[stage] = max((step for step, _ in read_scalars(folder)), default=0)
        if len(history) <= self._steps[stage]:
            return
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if stage not in self._writers:
                self._writers[stage] = tf.summary.create_file_writer(str(folder))
            with self._writers[stage].as_default():
                for epoch in range(self._steps[stage] + 1, len(history) + 1):
                    for name, value in history[epoch - 1].items():
                        if name != "refit":
                            _write_scalar(name.replace("val_", "validation/", 1), value, epoch)
            self._writers[stage].flush()
        self._steps[stage] = len(history)

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()


def read_scalars(folder: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Give step and values of each event in the event files of a folder; what was cut off is passed over."""
    for path in sorted(folder.glob(EVENTS)):
        try:
            for record in tf.data.TFRecordDataset(str(path)):
                event = tf.compat.v1.Event.FromString(record.numpy())
                values = {value.tag: value.simple_value for value in event.summary.value}
                if values:
                    yield event.step, values
        except tf.errors.DataLossError:
            continue


def remove_logs(run: Path) -> None:
    """Remove what an earlier training has written into the folder of a run for TensorBoard."""
    top = run / FOLDER
    for name in (EVENTS, VECTORS, METADATA, PROJECTOR):
        for path in top.rglob(name):
            path.unlink(missing_ok=True)
    for folder in sorted(filter(Path.is_dir, (top, *top.rglob("*"))), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def write_projector(
    folder: Path, vectors: NDArray[np.float32], columns: Mapping[str, Sequence[Any] | NDArray]
) -> None:
    """Write vectors and what they stand for to where TensorBoard's projector looks for them.

    Args:
        folder: the folder of the event files.
        vectors: float32 ``[n, width]``.
        columns: name -> ``[n]`` values, such as the ids and titles of the items.

    Raises:
        TfzooError: a file cannot be written.
    """
    lines = ["\t".join(map(_cell, row)) for row in zip(*columns.values(), strict=True)]
    # A file of one column has no heading: the projector would show it as an item.
    head = ["\t".join(columns)] if len(columns) > 1 else []
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / VECTORS, lambda file: np.savetxt(file, vectors, fmt="%.6g", delimiter="\t"))
        write_text(folder / METADATA, "\n".join([*head, *lines]) + "\n")
        # Last, as it names the other two.
        write_text(folder / PROJECTOR, CONFIG)


def _write_scalar(name: str, value: float, step: int) -> None:
    # `tf.summary.scalar` needs the package of TensorBoard, which the install does not have to bring.
    summary = tf.compat.v1.Summary(value=[tf.compat.v1.Summary.Value(tag=name, simple_value=value)])
    tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=step)


def _cell(value: Any) -> str:
    return " ".join(str(value).split())
