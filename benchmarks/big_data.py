"""Peak memory and seconds of each stage on data as large as ml-32m, and of training from shards.

Run from a clone, see docs/big-data.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from tfzoo.experiment import Experiment

# ml-32m; with fewer rows users and items shrink along, each keeping its number of ratings.
ROWS, USERS, ITEMS = 32_000_204, 200_948, 84_432
CHUNK = 1_000_000
BATCH = 16_384
GMF = ["protocol=leave-one-out", "training.refit=false", "task.negatives=4"]
TRAINING = [
    "training.epochs=1",
    f"training.batch_size={BATCH}",
    "training.optimizer=lazy-adam",
    "training.patience=null",
    "training.restore_best=false",
]
WAYS = ("gmf", "biased-mf", "shards-gmf", "shards-biased-mf")
LINE = "| {rows:,} | {way} | {stage} | {seconds:.1f} | {peak_mb:,.0f} |"


def write_data(path: Path, rows: int, seed: int = 0) -> None:
    """Write made-up ratings as Parquet, sorted by user, every pair of user and item once.

    A user's number of ratings and an item's popularity follow Zipf's law.

    Args:
        path: file to write.
        rows: how many; users and items are in the proportion of ml-32m.
        seed: fixes the data.
    """
    random = np.random.default_rng(seed)
    share = min(1.0, rows / ROWS)
    users, items = max(50, round(USERS * share)), max(100, round(ITEMS * np.sqrt(share)))
    per_user = _counts(users, rows, items // 2)
    popularity = np.cumsum(1.0 / np.arange(20, items + 20))
    popularity /= popularity[-1]
    # Ids in no order, as those of a shop.
    item_ids = random.permutation(np.arange(1, 4 * items + 1))[:items]
    schema = pa.schema(
        [("user_id", pa.int64()), ("item_id", pa.int64()), ("rating", pa.float32()), ("time", pa.int64())]
    )
    with pq.ParquetWriter(path, schema) as writer:
        first = 0
        while first < users:
            last = max(first + 1, int(np.searchsorted(np.cumsum(per_user[first:]), CHUNK)) + first)
            counts = per_user[first:last]
            user = np.repeat(np.arange(first, last), counts)
            item = _distinct_items(user, popularity, random)
            ratings = np.clip(np.rint(random.normal(3.5, 1.0, len(user)) * 2) / 2, 0.5, 5.0)
            times = random.integers(1_000_000_000, 1_700_000_000, len(user))
            columns = [user + 1, item_ids[item], ratings.astype(np.float32), times]
            writer.write_table(pa.table(columns, schema=schema))
            first = last


def _counts(users: int, rows: int, most: int) -> np.ndarray:
    """Return how many ratings each user has: at least 20, at most ``most``, ``rows`` in all."""
    weights = 1.0 / np.arange(10, users + 10) ** 0.8
    counts = np.clip(np.floor(weights / weights.sum() * rows), min(20, rows // users), most).astype(np.int64)
    while (rest := rows - int(counts.sum())) != 0:
        free = np.flatnonzero(counts < most if rest > 0 else counts > 1)
        step = max(1, abs(rest) // len(free))
        free = free[: abs(rest)]
        counts[free] = np.clip(counts[free] + np.sign(rest) * step, 1, most)
    return counts


def _distinct_items(user: np.ndarray, popularity: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Draw an item for each row, none twice for one user."""
    items = len(popularity)
    item = np.searchsorted(popularity, random.random(len(user)))
    for attempt in range(10_000):
        cells = user * items + item
        order = np.argsort(cells, kind="stable")
        again = order[1:][cells[order[1:]] == cells[order[:-1]]]
        if len(again) == 0:
            return item
        # Who has seen most of the popular items already takes any other one.
        even = random.integers(0, items, len(again))
        item[again] = even if attempt > 5 else np.searchsorted(popularity, random.random(len(again)))
    raise AssertionError("A user has more ratings than there are items.")


class Stages:
    """Peak memory (resident, of the whole process) and seconds of each stage of this process."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the block."""
        # Sets the high-water mark back to what is resident now.
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        started = time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        peak, now = (
            int(line.split()[1]) / 1024
            for name_ in ("VmHWM:", "VmRSS:")
            for line in status
            if line.startswith(name_)
        )
        self.rows.append({"stage": name, "seconds": seconds, "peak_mb": peak, "after_mb": now})
        print(f"  {name}: {seconds:.1f} s, peak {peak:,.0f} MB, then {now:,.0f} MB", file=sys.stderr)


def in_memory(model_name: str, path: Path) -> list[dict[str, Any]]:
    """Load, split and train one epoch in this process, as ``tfzoo train`` does; return its stages."""
    stages = Stages()
    with stages.stage("import"):
        from tfzoo.data.datasets.files import from_file
        from tfzoo.experiment import Experiment
        from tfzoo.training.recipe import load_recipe

        overrides = TRAINING + (GMF[1:] if model_name == "gmf" else ["split.kind=random"])
        protocol = "leave-one-out" if model_name == "gmf" else None
        recipe = load_recipe(model_name, "big", _recipe(model_name), overrides, protocol=protocol)
    with stages.stage("load"):
        interactions = from_file(
            path, user_col="user_id", item_col="item_id", rating_col="rating", time_col="time", name="big"
        )
    with stages.stage("split"):
        experiment = Experiment.prepare(recipe, interactions, 0)
        del interactions  # As the command does: the experiment holds what it needs of it.
    with stages.stage("fingerprint"):
        experiment.fingerprint()
    _train(stages, experiment)
    return stages.rows


def from_shards(model_name: str, path: Path) -> list[dict[str, Any]]:
    """Make shards and train one epoch from them in this process; return its stages."""
    stages = Stages()
    with stages.stage("import"):
        from tfzoo.cli.sharded import ShardedExperiment
        from tfzoo.data.shard_writer import Source, write_shards
        from tfzoo.data.shards import open_shards
        from tfzoo.training.recipe import load_recipe

        shares = ["split.kind=random", "split.ratios=[0.96,0.02,0.02]"]
        overrides = TRAINING + (GMF[2:] if model_name == "gmf" else shares)
        recipe = load_recipe(model_name, "big", _recipe(model_name), overrides)
    folder = path.with_suffix(".shards")
    with stages.stage("shard"):
        write_shards(Source(path, time_col="time"), folder, name="big")
    with stages.stage("open"):
        experiment = ShardedExperiment.of_shards(recipe, open_shards(folder), 0)
    _train(stages, experiment)
    shutil.rmtree(folder)
    return stages.rows


def _train(stages: Stages, experiment: Experiment) -> None:
    from tfzoo.training.trainer import Trainer

    with stages.stage("features"):
        model = experiment.build()
        features = experiment.features(model)
    with stages.stage("epoch"):
        train, settings = experiment.split.train, experiment.recipe.training
        state = Trainer(model, experiment.task, features, train, settings, seed=0).fit(None)
    if not np.isfinite(state.history[-1]["loss"]):
        raise AssertionError(f"{experiment.recipe.model}: loss {state.history[-1]['loss']}")


def _recipe(model_name: str) -> str:
    return "paper" if model_name == "gmf" else "tuned"


def measure(rows: int, ways: list[str], folder: Path) -> list[dict[str, Any]]:
    """Measure each way on data of one size, each in a process of its own.

    Args:
        rows: number of ratings.
        ways: which of `WAYS`.
        folder: for temporary files.

    Returns:
        Rows of ``rows``, ``way``, ``stage``, ``seconds`` and ``peak_mb``; the stage ``all`` has the
        sum and the highest peak.
    """
    path = folder / f"{rows}.parquet"
    write_data(path, rows)
    found: list[dict[str, Any]] = []
    for way in ways:
        print(f"{rows:,} rows, {way}", file=sys.stderr)
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-m", "benchmarks.big_data", "--way", way, "--file", str(path)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
        stages = json.loads(done.stdout.splitlines()[-1])
        total = {
            "stage": "all",
            "seconds": sum(row["seconds"] for row in stages),
            "peak_mb": max(row["peak_mb"] for row in stages),
        }
        found += [{"rows": rows, "way": way, **row} for row in [*stages, total]]
    path.unlink()
    return found


def run_way(way: str, path: Path) -> list[dict[str, Any]]:
    """Run one of `WAYS` in this process."""
    if way.startswith("shards-"):
        return from_shards(way.removeprefix("shards-"), path)
    return in_memory(way, path)


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000_000, 8_000_000, ROWS])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(run_way(options.way, options.file)))
        return
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in options.rows:
            found += measure(rows, options.ways, Path(folder))
    print("| rows | way | stage | seconds | peak MB |")
    print("|---|---|---|---|---|")
    for row in found:
        print(LINE.format(**row))
    if options.output:
        from tfzoo.files import write_text
        from tfzoo.training.record import environment

        content = {"environment": environment(), "batch": BATCH, "rows": found}
        write_text(options.output, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
