"""What a path on the command line stands for: a run, the seeds of one, or an export, each for the others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfzoo.errors import TfzooError, UsageError
from tfzoo.serving.export import METADATA, versions
from tfzoo.serving.export import read_metadata as read_export
from tfzoo.tasks import Task, get_task
from tfzoo.training.folders import STAGES
from tfzoo.training.record import FILE_NAME, RunRecord

SEED = re.compile("seed-([0-9]{1,18})")
RUNS, EXPORTS = Path("runs"), Path("saved_models")
_MOST_NAMED = 5


def runs_of(path: Path) -> list[Path]:
    """Return the folders of the runs that a path stands for, by seed.

    Args:
        path: the folder of a run, or a file in it; the folder of the seeds of a run; an export, whose
            run is looked for in ``runs`` and beside the folder of the exports.

    Raises:
        TfzooError: there is no run, or the run of an export is not found.
    """
    if path.name == FILE_NAME and path.is_file():
        return [path.parent]
    if (path / FILE_NAME).is_file():
        return [path]
    if path.is_dir():
        seeds = {SEED.fullmatch(entry.name): entry for entry in path.iterdir()}
        found = [(int(match[1]), entry) for match, entry in seeds.items() if match is not None]
        runs = [entry for _, entry in sorted(found) if (entry / FILE_NAME).is_file()]
        if runs:
            return runs
    version = _version(path)
    if version is None:
        raise TfzooError(f"No run record at {path / FILE_NAME}. {_instead_of(path)}")
    return [_run_of_export(version)]


def _instead_of(path: Path) -> str:
    if any((path / stage).is_file() for stage in STAGES):
        return "The run was interrupted: give the command that began it again, with --resume."
    runs = sorted({str(record.parents[1]) for record in path.glob(f"*/seed-*/{FILE_NAME}")})
    if not runs:
        return "Train first, or name another run."
    more = ", ..." if len(runs) > _MOST_NAMED else ""
    return f"Name one of the runs there: {', '.join(runs[:_MOST_NAMED])}{more}."


def run_of(path: Path) -> Path:
    """Return the one run that a path stands for: of several seeds the one that validation prefers."""
    runs = runs_of(path)
    if len(runs) == 1:
        return runs[0]
    records = [RunRecord.load(run) for run in runs]
    return runs[best_run(get_task(records[0].task)(), records)]


def export_of(path: Path) -> Path:
    """Return the folder of the version that a path stands for.

    Args:
        path: a version, or a file in it; the folder of a served model, for its newest version; a run, for
            the newest version that was exported of it.

    Raises:
        TfzooError: there is none.
    """
    version = _version(path)
    if version is not None:
        if not (version / "saved_model.pb").is_file():
            kind = _described(version).get("format", "another runtime")
            raise UsageError(f"{version} is an export for {kind}, without lists; name a SavedModel.")
        return version
    try:
        run = run_of(path)
    except TfzooError:
        raise TfzooError(f"No exported model in {path}. Export one with: tfzoo export --run RUN") from None
    record = RunRecord.load(run)
    name = record.export_name
    for folder in _beside(run.absolute().parents[2], EXPORTS):
        for _, found in sorted(versions(folder / name).items(), reverse=True):
            if _described(found).get("fingerprint") == record.fingerprint:
                return found
    raise TfzooError(f"{run} has no export in {EXPORTS / name}. Export it with: tfzoo export --run {run}")


def is_export(path: Path) -> bool:
    """Tell whether a path is an export, or the folder of a served model."""
    return _version(path) is not None


def best_run(task: Task, records: Sequence[RunRecord]) -> int:
    """Return the position of the record that validation prefers; the first where it saw none."""

    def figure(position: int) -> float:
        value = records[position].metrics.get("validation", {}).get(task.monitor, 0.0)
        return -value if task.maximize else value

    return min(range(len(records)), key=figure)


def _version(path: Path) -> Path | None:
    """Return the export that a path is, or is a file of, or holds as the newest version; else None."""
    for folder in (path, path.parent):
        if (folder / "saved_model.pb").is_file() or (folder / METADATA).is_file():
            return folder
    found = versions(path)
    return found[max(found)] if found else None


def _run_of_export(version: Path) -> Path:
    described = _described(version)
    name, fingerprint = described.get("run"), described.get("fingerprint")
    parts = [part for part in str(name).split("/") if part not in ("", ".", "..")]
    if isinstance(name, str) and len(parts) == 2:
        for runs in _beside(version.absolute().parents[2], RUNS):
            folder = runs / parts[0] / parts[1]
            if (folder / FILE_NAME).is_file() and RunRecord.load(folder).fingerprint == fingerprint:
                return folder
    run = f" {name}" if name else ""
    raise UsageError(f"{version} is an export, and its run{run} is not in {RUNS}; name the run's folder.")


def _beside(folder: Path, name: Path) -> list[Path]:
    """Return where runs, or exports, may lie: in the folder one works in, and beside the other kind."""
    return list({place.absolute(): place for place in (folder / name, name)}.values())


def _described(version: Path) -> dict[str, Any]:
    try:
        return read_export(version)
    except TfzooError:
        return {}
