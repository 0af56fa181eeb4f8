"""How long a step of Adam takes on tables of different sizes, with Keras' Adam and with LazyAdam.

Run from a clone, see benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzoo.files import write_text
from tfzoo.layers import IdEmbedding
from tfzoo.training.lazy_optimizers import LazyAdam
from tfzoo.training.record import environment

TABLES = (10_000, 100_000, 1_000_000, 2_000_000)
WIDTH, BATCH, STEPS = 32, 1024, 16
HOT = 10_000
WAYS = {
    "Adam": (keras.optimizers.Adam, False),
    "LazyAdam": (LazyAdam, False),
    f"LazyAdam, {HOT:,} rows in use": (LazyAdam, True),
}
LINE = "| {rows:,} | {optimizer} | {xla} | {fastest_ms:.2f} | {median_ms:.2f} | {growth:.2f} | {gain:,.1f} |"


def make_block(
    rows: int, in_use: int, optimizer: keras.Optimizer, steps: int, xla: bool
) -> Callable[[], float]:
    """Return a function that trains a table for some steps and returns the mean loss.

    A step looks up `BATCH` rows, drawn evenly from the first ``in_use``, and fits their sums to noise.

    Args:
        rows: rows of the table.
        in_use: how many of them are ever looked up.
        optimizer: a fresh one.
        steps: steps a call, in one compiled program.
        xla: compile with XLA.
    """
    keras.utils.set_random_seed(0)
    ids = keras.Input((), dtype="int32")
    model = keras.Model(ids, keras.ops.sum(IdEmbedding(rows, WIDTH)(ids), axis=-1))
    weights = model.trainable_variables
    optimizer.build(weights)
    random = np.random.default_rng(0)
    batches = tf.constant(random.integers(0, in_use, size=(steps, BATCH)), tf.int32)
    targets = tf.constant(random.normal(size=(steps, BATCH)), tf.float32)

    @tf.function(jit_compile=xla)
    def block() -> tf.Tensor:
        total, step = tf.constant(0.0), tf.constant(0)
        while step < steps:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(model(batches[step]) - targets[step]))
            optimizer.apply(tape.gradient(loss, weights), weights)
            total += loss
            step += 1
        return total / steps

    return lambda: float(block())


def measure(
    tables: list[int], repeats: int, steps: int = STEPS, ways_to_compile: tuple[bool, ...] = (True, False)
) -> list[dict[str, Any]]:
    """Time each optimizer on each table.

    Args:
        tables: rows of each table, the smallest first.
        repeats: rounds, in each of which all take their turn.
        steps: steps a call of LazyAdam; Adam, which takes so much longer, runs an eighth.
        ways_to_compile: with XLA (True), without (False), or both.

    Returns:
        For each table, optimizer and way to compile: milliseconds a step, of the fastest round and the
        median one; how many times the fastest is that of the smallest table; and how many times it is
        faster than Keras' Adam on this table.

    Raises:
        AssertionError: a loss is not finite or does not fall.
    """
    rows: list[dict[str, Any]] = []
    for xla in ways_to_compile:
        blocks = {}
        for size in tables:
            for name, (way, hot) in WAYS.items():
                count = steps if way is LazyAdam else max(1, steps // 8)
                in_use = min(HOT, size) if hot else size
                block = make_block(size, in_use, way(learning_rate=0.01), count, xla)
                blocks[size, name] = (block, count, [block()])
        seconds: dict[Any, list[float]] = {key: [] for key in blocks}
        for _ in range(repeats):
            for key, (block, count, losses) in blocks.items():
                started = time.perf_counter()
                losses.append(block())
                seconds[key].append((time.perf_counter() - started) / count)
        for (size, name), (_, _, losses) in blocks.items():
            if not losses[-1] < losses[0]:
                raise AssertionError(f"{name}, {size} rows: the loss goes from {losses[0]} to {losses[-1]}.")
            fastest = min(seconds[size, name])
            rows.append(
                {
                    "rows": size,
                    "optimizer": name,
                    "xla": xla,
                    "fastest_ms": 1000 * fastest,
                    "median_ms": 1000 * statistics.median(seconds[size, name]),
                    "growth": fastest / min(seconds[tables[0], name]),
                    "gain": min(seconds[size, "Adam"]) / fastest,
                }
            )
    return rows


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, nargs="+", default=list(TABLES))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    rows = measure(sorted(options.tables), options.repeats)
    print("| rows | optimizer | XLA | fastest ms | median ms | times the smallest | times faster than Adam |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        print(LINE.format(**{**row, "xla": "yes" if row["xla"] else "no"}))
    if options.output:
        content = {"environment": environment(), "width": WIDTH, "batch": BATCH, "rows": rows}
        write_text(options.output, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
