"""Run records of one model, data set and recipe, over seeds."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tfzoo.errors import UsageError
from tfzoo.files import write_text
from tfzoo.models import list_models, model_info
from tfzoo.reporting.origin import refuse_uncommitted
from tfzoo.tasks import TASKS, Task, get_task
from tfzoo.training.changes import MARK, describe_changes, differences, flat_settings, short_hash
from tfzoo.training.recipe import load_recipe
from tfzoo.training.record import FILE_NAME, RunRecord
from tfzoo.training.settings import REFITTED, Recipe, Reported, parse

# How much of the rest of a fold validates, as a protocol says it.
VALIDATION = re.compile(r", [\d.]+ % of the rest for validation")
# A curve of so many points adds 4 KB to a record at most.
CURVE_EPOCHS = 40


@dataclass(frozen=True)
class Summary:
    """One model on one data set with one recipe, over seeds.

    Attributes:
        records: the runs, by seed.
        differs: what their settings are where they are not those of the recipe as it is today, though
            the records do not say that anything was changed; looked at where two summaries would have
            one name.
        data_mark: what tells their data from other data of the same name.
    """

    records: tuple[RunRecord, ...]
    differs: Mapping[str, Any] = field(default_factory=dict)
    data_mark: str = ""

    @property
    def first(self) -> RunRecord:
        """The record of the lowest seed."""
        return self.records[0]

    @property
    def recipe(self) -> str:
        """Name of the recipe, with a mark where its settings were changed."""
        return self.first.recipe_name.removesuffix(MARK) + (MARK if self.changes else "")

    @property
    def changes(self) -> dict[str, Any]:
        """What is not as in the recipe that has the name, ``group.key`` -> value."""
        return {**self.differs, **self.first.changes}

    @property
    def label(self) -> str:
        """Model and recipe in few letters, not the same for other changes."""
        return " ".join(filter(None, (self.first.model, self.recipe, short_hash(self.changes))))

    @property
    def dataset(self) -> str:
        """Name of the data, with a mark where other data has the same name."""
        return self.first.dataset + self.data_mark

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
    def trained_on(self) -> str:
        """What the final model learned from; where part of a larger part only validates, how much does."""
        share = VALIDATION.search(self.protocol)
        if share is None or self.refitted:
            return self.first.trained_on
        return f"{self.first.trained_on} ({share[0].removeprefix(', ')})"

    @property
    def measured(self) -> str:
        """How the test part came about and was measured, whatever the final model was trained on."""
        return VALIDATION.sub("", self.protocol.replace(REFITTED, ""))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the runs, ascending."""
        return tuple(record.seed for record in self.records)

    @property
    def leaks(self) -> bool:
        """Whether the recipe lets test data reach the model, to measure what that gives."""
        recipe = self._recipe_today
        return bool(self.first.recipe.get("leaks", False) if recipe is None else recipe.leaks)

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe without its prose and the paper's figures, complete with today's defaults."""
        where = f"the record of {self.first.dataset} {self.first.model}"
        recipe = parse(Recipe, self.first.recipe, where).model_dump(mode="json")
        if recipe["split"]["kind"] != "k-fold":
            recipe["split"].pop("fold")  # It has no meaning there, and its default has changed.
        return {k: v for k, v in recipe.items() if k not in ("description", "reported", "leaks", "changes")}

    @property
    def note(self) -> str:
        """What is to be known of the runs beside their figures; empty where there is nothing."""
        if self.first.model not in list_models():
            return "model not installed here"
        return describe_changes(self.changes)

    @property
    def headline(self) -> Sequence[str]:
        """Names of the metrics to show first; of a task that is not installed here, those recorded first."""
        return self.task.headline if self.first.task in TASKS else self.metrics()[:4]

    @property
    def task(self) -> Task:
        """The learning problem, with the settings of the recipe."""
        task = get_task(self.first.task)
        where = f"the record of {self.first.dataset} {self.first.model}, task"
        return task(parse(task.Settings, self.first.recipe.get("task", {}), where))

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
    def source(self) -> str:
        """Where the printed figures stand, and whether they were read there; empty where there are none."""
        statement = self._statement
        if statement is None:
            return ""
        return statement.source + (f" ({statement.known})" if statement.known else "")

    @property
    def defaults(self) -> bool:
        """Whether a tuned recipe stands beside another library's defaults."""
        return self._statement is not None and self._statement.settings == "defaults"

    @property
    def incomparable(self) -> str:
        """Why no verdict is given on the printed figures; empty where one is."""
        statement = self._statement
        if self.first.model not in list_models():
            return "The model is not installed here."
        if self.leaks:
            return "Test data reaches the model, to measure what that gives."
        if model_info(self.first.model).reconstruction:
            return "A reconstruction: its paper could not be read in full."
        if statement is not None and not statement.comparable:
            return "The printed figures are of another split, other training data or another metric."
        own = "same" if self.first.recipe["name"] == "paper" else "other"
        if self.changes or (statement is not None and (statement.settings or own) == "other"):
            return "The printed figures are of other settings."
        return ""

    @cached_property
    def _statement(self) -> Reported | None:
        """What is said of the printed figures: today where they are the same, else by the record."""
        recorded = None if self.first.paper is None else Reported.model_validate(self.first.paper)
        if self._recipe_today is None or recorded is None:
            return recorded
        today = self._reported_today
        if today is None:
            # They were no reference for this model after all.
            return None
        return today if today.metrics == recorded.metrics else recorded

    @property
    def _reported_today(self) -> Reported | None:
        return None if self._recipe_today is None else self._recipe_today.reported

    @cached_property
    def _recipe_today(self) -> Recipe | None:
        """The recipe of this name as the package has it; None where it has none."""
        try:
            return load_recipe(self.first.model, self.first.dataset, self.first.recipe["name"])
        except UsageError:
            return None

    def metrics(self, part: str = "test") -> list[str]:
        """Return the metrics that every seed has: records of another version may have more or fewer."""
        known = [record.metrics.get(part, {}) for record in self.records]
        return [metric for metric in known[0] if all(metric in found for found in known)]

    def reported(self, metric: str) -> float | None:
        """Return the paper's figure, or None where it prints none."""
        return None if self._statement is None else self._statement.metrics.get(metric)

    def mean(self, metric: str, part: str = "test") -> float:
        """Return the mean of a metric over the seeds."""
        return statistics.fmean(record.metrics[part][metric] for record in self.records)

    def deviation(self, metric: str, part: str = "test") -> float | None:
        """Return the sample standard deviation over the seeds; None for one seed."""
        values = [record.metrics[part][metric] for record in self.records]
        return statistics.stdev(values) if len(values) > 1 else None

    def standard_error(self, metric: str) -> float | None:
        """Return the standard error of the mean over the seeds; None for one seed."""
        deviation = self.deviation(metric)
        return None if deviation is None else deviation / math.sqrt(len(self.records))

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

    Records of one model, data and recipe whose settings are not the same, since the recipe was another
    when they were made, are summaries of their own, which say so.

    Raises:
        UsageError: a record has settings that this version does not know.
    """
    groups: dict[tuple[str, ...], dict[str, dict[int, RunRecord]]] = defaultdict(lambda: defaultdict(dict))
    for record in records:
        changes = json.dumps(record.changes, sort_keys=True) if record.changes else ""
        key = (record.dataset, record.model, str(record.recipe["name"]), changes, _data_of(record))
        settings = json.dumps(Summary((record,)).settings, sort_keys=True)
        groups[key][settings][record.seed] = record
    data: dict[str, list[str]] = defaultdict(list)
    for dataset, *_, of in sorted(groups):
        data[dataset] += [] if of in data[dataset] else [of]
    found = []
    for (dataset, *_, of), by_settings in sorted(groups.items()):
        mark = f" ({data[dataset].index(of) + 1})" if len(data[dataset]) > 1 else ""
        summaries = [Summary(tuple(seeds[seed] for seed in sorted(seeds))) for seeds in by_settings.values()]
        today = _settings_today(summaries[0]) if len(summaries) > 1 else {}
        for summary in summaries:
            differs = differences(today, flat_settings(summary.settings)) if today else {}
            found.append(replace(summary, differs=differs, data_mark=mark))
    return found


def _data_of(record: RunRecord) -> str:
    """Return what is the same for records of the same data."""
    known = record.data
    return str(known.get("dataset") or record.data_fingerprint or known.get("checksum") or known.get("file"))


def _settings_today(summary: Summary) -> dict[str, Any]:
    """Return the settings of the recipe as the package has it, or those of the summary."""
    first = summary.first
    try:
        recipe = load_recipe(first.model, first.dataset, first.recipe["name"])
    except UsageError:
        return flat_settings(summary.settings)
    known = first.model_copy(update={"recipe": recipe.model_dump(mode="json")})
    return flat_settings(Summary((known,)).settings)


def collect(record: RunRecord, folder: Path) -> Path:
    """Copy a record to ``folder/<model>-<dataset>-<recipe>/seed-<n>.json``.

    Of its history seed 0 keeps loss and monitored metric of at most `CURVE_EPOCHS` epochs, see
    `short_history`; other seeds keep none.

    Machine paths do not travel: records of a user's own file are refused.

    Raises:
        UsageError: the record is of a data file and not of a named data set, or of uncommitted code.
    """
    if "dataset" not in record.data:
        raise UsageError(f"Only records of named data sets are collected. Received data {record.data}.")
    refuse_uncommitted([record])
    target = folder / record.run_name / f"seed-{record.seed}.json"
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
