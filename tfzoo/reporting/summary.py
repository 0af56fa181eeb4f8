"""Run records of one model, data set and recipe, over seeds."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tfzoo.errors import UsageError
from tfzoo.files import write_text
from tfzoo.models import model_info
from tfzoo.tasks import Task, get_task
from tfzoo.training.recipe import load_recipe
from tfzoo.training.record import FILE_NAME, RunRecord
from tfzoo.training.settings import Recipe, Reported, parse

REFITTED = ", refitted with validation"
# A curve of so many points adds 4 KB to a record at most.
CURVE_EPOCHS = 40


@dataclass(frozen=True)
class Summary:
    """One model on one data set with one recipe, over seeds.

    Attributes:
        records: the runs, by seed.
    """

    records: tuple[RunRecord, ...]

    @property
    def first(self) -> RunRecord:
        """The record of the lowest seed."""
        return self.records[0]

    @property
    def recipe(self) -> str:
        """Name of the recipe."""
        return str(self.first.recipe["name"])

    @property
    def protocol(self) -> str:
        """How the data was divided, without the seed and, where the seed chooses it, the fold."""
        chosen = "seed" if self.first.recipe.get("split", {}).get("fold") is not None else "seed|fold"
        return re.sub(rf", ({chosen}) \d+", "", self.first.protocol)

    @property
    def refitted(self) -> bool:
        """Whether the final model was trained on train and validation together."""
        return REFITTED in self.protocol

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe without its prose and the paper's figures, complete with today's defaults."""
        where = f"the record of {self.first.dataset} {self.first.model}"
        recipe = parse(Recipe, self.first.recipe, where).model_dump(mode="json")
        if recipe["split"]["kind"] != "k-fold":
            recipe["split"].pop("fold")  # It has no meaning there, and its default has changed.
        return {k: v for k, v in recipe.items() if k not in ("description", "reported")}

    @property
    def task(self) -> Task:
        """The learning problem, with the settings of the recipe."""
        task = get_task(self.first.task)
        return task(task.Settings(**self.first.recipe["task"]))

    @property
    def parts(self) -> list[str]:
        """The test part, and its variants where the protocol has some."""
        return [part for part in self.first.metrics if part.startswith("test") and self.metrics(part)]

    @property
    def remark(self) -> str:
        """Why ours differ from the paper's figures: as the package says today, else the record."""
        recorded = "" if self.first.paper is None else str(self.first.paper["remark"])
        today = self._reported_today
        return today.remark if today and today.remark else recorded

    @property
    def comparable(self) -> bool:
        """Whether the paper's figures are of this model, protocol and metric, as the package says today."""
        today = self._reported_today
        return not model_info(self.first.model).reconstruction and (today is None or today.comparable)

    @cached_property
    def _reported_today(self) -> Reported | None:
        try:
            return load_recipe(self.first.model, self.first.dataset, self.recipe).reported
        except UsageError:
            return None

    def metrics(self, part: str = "test") -> list[str]:
        """Return the metrics that every seed has: records of another version may have more or fewer."""
        known = [record.metrics.get(part, {}) for record in self.records]
        return [metric for metric in known[0] if all(metric in found for found in known)]

    def reported(self, metric: str) -> float | None:
        """Return the paper's figure, or None where it prints none."""
        return None if self.first.paper is None else self.first.paper["metrics"].get(metric)

    def mean(self, metric: str, part: str = "test") -> float:
        """Return the mean of a metric over the seeds."""
        return statistics.fmean(record.metrics[part][metric] for record in self.records)

    def deviation(self, metric: str, part: str = "test") -> float | None:
        """Return the sample standard deviation over the seeds; None for one seed."""
        values = [record.metrics[part][metric] for record in self.records]
        return statistics.stdev(values) if len(values) > 1 else None

    def text(self, metric: str, part: str = "test") -> str:
        """Return ``mean ± deviation``, four decimals."""
        deviation = self.deviation(metric, part)
        mean = f"{self.mean(metric, part):.4f}"
        return mean if deviation is None else f"{mean} ± {deviation:.4f}"


def split_name(protocol: str) -> str:
    """Return the first words of a protocol, which say how the data was divided."""
    return re.split(", |: ", protocol)[0]


def load_records(folders: Iterable[Path]) -> list[RunRecord]:
    """Read every record below the given folders.

    Args:
        folders: folders of runs (``record.json`` below them), or of committed records
            (``seed-<n>.json``), or single files.

    Returns:
        The records, in the order of their paths.

    Raises:
        UsageError: a folder does not exist or holds no record.
    """
    records = []
    for folder in folders:
        if folder.is_file():
            records.append(RunRecord.load(folder))
            continue
        paths = record_paths(folder)
        if not paths:
            raise UsageError(f"No run records below {folder}.")
        records.extend(RunRecord.load(path) for path in paths)
    return records


def record_paths(folder: Path) -> list[Path]:
    """Return the files of all records below a folder, sorted; none where it does not exist."""
    return sorted([*folder.rglob(FILE_NAME), *folder.rglob("seed-*.json")])


def summarise(records: Iterable[RunRecord]) -> list[Summary]:
    """Group records that differ in the seed alone.

    Raises:
        UsageError: two records claim the same name but have different settings.
    """
    groups: dict[tuple[str, str, str], dict[int, RunRecord]] = defaultdict(dict)
    for record in records:
        key = (record.dataset, record.model, record.recipe["name"])
        group = groups[key]
        settings = Summary((record,)).settings
        if any(Summary((other,)).settings != settings for other in group.values()):
            raise UsageError(
                f"The records of {' '.join(key)} were made with different settings; train them again."
            )
        group[record.seed] = record
    return [Summary(tuple(group[seed] for seed in sorted(group))) for _, group in sorted(groups.items())]


def collect(record: RunRecord, folder: Path) -> Path:
    """Copy a record to ``folder/<model>-<dataset>-<recipe>/seed-<n>.json``.

    Of its history seed 0 keeps loss and monitored metric of at most `CURVE_EPOCHS` epochs, see
    `short_history`; other seeds keep none.

    Machine paths do not travel: records of a user's own file are refused.

    Raises:
        UsageError: the record is of a data file and not of a named data set.
    """
    if "dataset" not in record.data:
        raise UsageError(f"Only records of named data sets are collected. Received data {record.data}.")
    target = folder / f"{record.model}-{record.dataset}-{record.recipe['name']}" / f"seed-{record.seed}.json"
    history = short_history(record) if record.seed == 0 else []
    text = record.model_copy(update={"history": history}).text()
    write_text(target, text)
    return target


def curve_points(record: RunRecord) -> list[dict[str, float]]:
    """Return the epochs of a training curve, each with its number.

    They are those that chose the model, or of its refit where there are no others. Collected
    records name the epoch in each row, as they do not have all.
    """
    chosen = [row for row in record.history if "refit" not in row]
    return [{"epoch": number, **row} for number, row in enumerate(chosen or record.history, 1)]


def short_history(record: RunRecord) -> list[dict[str, float]]:
    """Return what a training curve needs: some epochs with their numbers, six digits a figure.

    Args:
        record: of a run, or collected already.

    Returns:
        ``epoch``, ``loss`` and the monitored metric, evenly spread over the epochs that chose the
        model; the first, the best and the last one are always there.
    """
    rows = curve_points(record)
    if not rows:
        return []
    monitor = f"val_{Summary((record,)).task.monitor}"
    # Where not every epoch was validated, those that were are the ones to show.
    known = [row for row in rows if monitor in row] or rows
    step = -(-len(known) // CURVE_EPOCHS)
    kept = {rows[0]["epoch"], rows[-1]["epoch"], record.best_epoch, *(row["epoch"] for row in known[::step])}
    shown = ("epoch", "loss", monitor)
    return [
        {name: float(f"{row[name]:.6g}") for name in shown if name in row}
        for row in rows
        if row["epoch"] in kept
    ]
