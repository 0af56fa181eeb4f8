"""Train a pretrained model anew, and write its folder."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfzoo.data.datasets import load_dataset, registry
from tfzoo.errors import UsageError
from tfzoo.experiment import Experiment
from tfzoo.files import file_checksum, replace_folder, restore_folder, temporary_folder
from tfzoo.installation import version
from tfzoo.pretrained import PROVENANCE, Pretrained, pretrained_info
from tfzoo.runs import load_model, run
from tfzoo.training.checkpoint import TrainingState
from tfzoo.training.recipe import load_recipe
from tfzoo.training.record import FILE_NAME, MODEL, RunRecord

CONFIG = "config.json"
# Unknown to Keras 3.12, the last one for Python 3.10.
NEWER_SETTINGS = {"quantization_config", "input_axes", "output_axes"}
OWN_LICENCE = "Apache-2.0, as tfzoo, as far as the weights are tfzoo's to license"
GROUPLENS = (
    "Trained on {} of GroupLens, University of Minnesota: for research; commercial use needs GroupLens' "
    "permission; publications acknowledge the data set; no endorsement is implied. The data itself may "
    "not be passed on, and is not in this folder: it has weights and ids. "
    "F. M. Harper, J. A. Konstan: The MovieLens Datasets: History and Context. ACM TiiS 5(4), 2015, "
    "https://doi.org/10.1145/2827872"
)
DATA_LICENCES = {"ml-100k": GROUPLENS.format("MovieLens 100K"), "ml-1m": GROUPLENS.format("MovieLens 1M")}


def build(
    name: str,
    output: Path,
    runs: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    on_epoch: Callable[[TrainingState], None] | None = None,
) -> tuple[RunRecord, Path]:
    """Train a pretrained model with its recipe and seed, and write its folder.

    Args:
        name: of the pretrained model.
        output: the folder to write; one that is there is replaced once training has ended.
        runs: folder of all runs, where the run is kept.
        resume: go on with an interrupted run, or take a finished one.
        overwrite: replace a run with other settings or other data.
        on_epoch: called after each epoch.

    Returns:
        The record and ``output``.

    Raises:
        UsageError: there is no such pretrained model, or ``output`` is something else.
        DownloadError: the data set cannot be had.
    """
    entry = pretrained_info(name)
    restore_folder(output)
    if (
        output.exists()
        and not (output / PROVENANCE).is_file()
        and (output.is_file() or any(output.iterdir()))
    ):
        raise UsageError(f"{output} is not the folder of a pretrained model. Give another --output.")
    recipe = load_recipe(entry.model, entry.dataset, entry.recipe)
    interactions = load_dataset(entry.dataset)
    experiment = Experiment.prepare(recipe, interactions, entry.seed, {"dataset": entry.dataset})
    record, folder = run(experiment, runs, resume=resume, overwrite=overwrite, on_epoch=on_epoch)
    found = record.metrics.get("found", {})
    pack(entry, folder, output, {**experiment.refitted().builder_options(), **found})
    return record, output


def pack(entry: Pretrained, run_folder: Path, output: Path, builder: dict[str, Any]) -> None:
    """Write the folder of a pretrained model from a finished run.

    Args:
        entry: what was trained.
        run_folder: folder of the run.
        output: the folder to write; one that exists is replaced when the new one is whole.
        builder: arguments of the model's builder, nothing in them automatic.
    """
    record = RunRecord.load(run_folder)
    # The optimizer's state is of no use to those who load the model, and is twice its size.
    model = load_model(run_folder)
    output.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(output.parent, f".{output.name}-") as scratch:
        # A folder within, since a temporary folder itself is closed to other users.
        folder = scratch / "content"
        folder.mkdir()
        model.save(folder / MODEL, include_optimizer=False)
        make_portable(folder / MODEL)
        shutil.copytree(run_folder / "vocabulary", folder / "vocabulary")
        record.model_copy(update={"history": []}).save(folder)
        provenance = {
            "name": entry.name,
            "command": f"tfzoo pretrained build {entry.name}",
            "record": FILE_NAME,
            "builder": builder,
            "precision": record.precision,
            "tfzoo": version(),
            "commit": record.commit,
            "versions": record.versions,
            "data": {"dataset": entry.dataset, "files": data_checksums(entry.dataset)},
            "licence": {"weights": OWN_LICENCE, "data": DATA_LICENCES[entry.dataset]},
            "files": {
                path.relative_to(folder).as_posix(): {
                    "bytes": path.stat().st_size,
                    "sha256": file_checksum(path),
                }
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            },
        }
        (folder / PROVENANCE).write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")
        replace_folder(folder, output)


def make_portable(path: Path) -> None:
    """Let a ``.keras`` file be read by the older versions of Keras that are supported.

    Newer ones write settings that older ones do not know, and refuse, even where they are not set.

    Args:
        path: of the file, which is written anew.
    """
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents[CONFIG] = json.dumps(_without_unset(json.loads(contents[CONFIG]))).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            # Not the time of day, which would change the checksum.
            archive.writestr(zipfile.ZipInfo(name), content)


def _without_unset(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_unset(item)
            for key, item in value.items()
            if not (key in NEWER_SETTINGS and item is None)
        }
    return [_without_unset(item) for item in value] if isinstance(value, list) else value


def data_checksums(dataset: str) -> dict[str, str]:
    """Return the SHA-256 of the main file of a data set on this machine, by the file's name."""
    found = registry.find(dataset)
    file = found.main_file(registry.locate(found))
    return {} if file is None else {file.name: file_checksum(file)}
