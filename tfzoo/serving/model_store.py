"""Finds the exported models of a folder, and watches for new models and new versions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tfzoo.errors import UsageError, nearest
from tfzoo.serving.export import METADATA, versions
from tfzoo.serving.served_model import ServedModel


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
        self._said: dict[str, str] = {}
        self._stopped = threading.Event()
        self._watcher: threading.Thread | None = None

    def refresh(self) -> None:
        """Look for models and versions once.

        Raises:
            UsageError: a model that was named is not there, or there is none at all.
        """
        found = find_models(self._folder, self._say_unreadable)
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
            try:
                model.refresh()
            except OSError as error:
                # Such as a folder that may not be read: the other models go on.
                self._say_once(model.name, f"Cannot look for new versions of model '{model.name}': {error}")
            else:
                self._said.pop(model.name, None)

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
                self._say_once("", f"Cannot look for new versions: {error}")
            else:
                self._said.pop("", None)

    def _say_unreadable(self, entry: Path, error: OSError) -> None:
        if entry.name not in self.models:
            self._say_once(entry.name, f"Cannot look for versions in {entry}: {error.strerror}")

    def _say_once(self, about: str, line: str) -> None:
        """Report what is wrong, and not again before it is right or another thing is wrong."""
        if self._said.get(about) != line:
            self._said[about] = line
            self._report(line)


def find_models(folder: Path, report: Callable[[Path, OSError], None]) -> list[str]:
    """Return the names of the subfolders that hold at least one version, sorted.

    Args:
        folder: to look in.
        report: called for every subfolder that cannot be read.
    """
    if not folder.is_dir():
        return []
    found = []
    for entry in sorted(folder.iterdir()):
        try:
            if not entry.name.startswith(".") and any(map(_is_ours, versions(entry).values())):
                found.append(entry.name)
        except OSError as error:
            report(entry, error)
    return found


def _is_ours(version: Path) -> bool:
    # Exports for other runtimes, which may lie beside them, have their metadata on top.
    return not (version / METADATA).exists()
