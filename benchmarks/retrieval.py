"""How long finding the best items takes with and without an index, and how many of them it finds.

Run from a clone, see benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.files import write_text
from tfzoo.serving.cells import Cells
from tfzoo.serving.index import ExactIndex, Index, InvertedFileIndex
from tfzoo.serving.partition import default_partitions, partition
from tfzoo.training.record import environment

WIDTH = 64
SEEN = 100
CLUSTERS = 500
WARM_UP = 5
PROBES = (8, 32, 128)
LINE = (
    "| {items:,} | {vectors} | {way} | {recall:.3f} | {p50_ms:.2f} | {p99_ms:.2f} | {times_faster:.1f} "
    "| {build_s:.1f} |"
)


def catalogue(num_items: int, kind: str, random: np.random.Generator) -> NDArray[np.float32]:
    """Return vectors of items, and row 0: ``clustered``, or ``isotropic``, the worst case."""
    shape = (num_items + 1, WIDTH)
    if kind == "isotropic":
        return random.standard_normal(shape, np.float32)
    centres = random.standard_normal((CLUSTERS, WIDTH), np.float32)
    popularity = random.gamma(2.0, 0.5, (num_items + 1, 1)).astype(np.float32)
    noise = 0.5 * random.standard_normal(shape, np.float32)
    return popularity * (centres[random.integers(0, CLUSTERS, num_items + 1)] + noise)


def dense(vectors: tf.Variable, hidden: tf.Variable) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Return what an export without an index does: scores of all items, a mask, top_k."""

    def search(queries: tf.Tensor, barred: Cells, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scores = tf.matmul(queries, vectors, transpose_b=True)
        blocked = barred.mask(tf.shape(queries)[0]) | hidden
        return tf.math.top_k(tf.where(blocked, -1e9, scores), k=k)

    return search


def compiled(search: Any, k: int, num_items: int) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return a function from one query and what its user has seen to ids."""

    @tf.function(input_signature=[tf.TensorSpec([None, WIDTH]), tf.TensorSpec([None], tf.int32)])
    def one(query: tf.Tensor, seen: tf.Tensor) -> tf.Tensor:
        cells = Cells(tf.zeros_like(seen), seen, tf.constant(num_items + 1))
        return search(query, cells, tf.constant(k))[1]

    return one


def compare(num_items: int, kind: str, queries: int, k: int, seed: int) -> list[dict[str, Any]]:
    """Measure every way to search one catalogue."""
    random = np.random.default_rng(seed)
    table = catalogue(num_items, kind, random)
    # Users lie where the items are that they like.
    users = table[random.integers(1, num_items + 1, queries)] + random.standard_normal(
        (queries, WIDTH), np.float32
    )
    barred = [random.integers(1, num_items + 1, SEEN, np.int32) for _ in range(queries)]
    vectors = tf.Variable(table, trainable=False)
    hidden = tf.Variable(np.arange(num_items + 1) == 0, trainable=False)
    start = time.perf_counter()
    arrays = partition(
        table, np.arange(1, num_items + 1, dtype=np.int32), default_partitions(num_items), seed
    )
    built = time.perf_counter() - start
    ways: dict[str, Any] = {
        "all items, mask": dense(vectors, hidden),
        "exact index": ExactIndex(vectors, hidden),
    }
    for probes in PROBES:
        ways[f"ivf, {probes} probes"] = InvertedFileIndex(vectors, arrays, probes)
    asks = {
        name: compiled(way.search if isinstance(way, Index) else way, k, num_items)
        for name, way in ways.items()
    }
    found: dict[str, list[NDArray]] = {name: [] for name in ways}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number, (query, seen) in enumerate(zip(users, barred, strict=True)):
        question = tf.constant(query[None]), tf.constant(seen)
        # In turn, so that whatever else the machine does falls on all ways alike.
        for name, ask in asks.items():
            begin = time.perf_counter()
            items = ask(*question).numpy()[0]
            if number >= WARM_UP:
                times[name].append(1e3 * (time.perf_counter() - begin))
                found[name].append(items)
    first = next(iter(ways))
    truth, baseline = found[first], times[first]
    return [
        {
            "items": num_items,
            "vectors": kind,
            "way": name,
            "recall": float(np.mean([len(set(a) & set(b)) / k for a, b in zip(items, truth, strict=True)])),
            "p50_ms": float(np.median(times[name])),
            "p99_ms": float(np.quantile(times[name], 0.99)),
            "times_faster": float(np.median(baseline) / np.median(times[name])),
            "build_s": built if "ivf" in name else 0.0,
        }
        for name, items in found.items()
    ]


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    rows = []
    print(f"| items | vectors | way | recall@{options.k} | p50 ms | p99 ms | times faster | build s |")
    print("|---|---|---|---|---|---|---|---|")
    for num_items in options.items:
        for kind in ("clustered", "isotropic"):
            for row in compare(num_items, kind, options.queries, options.k, options.seed):
                rows.append(row)
                print(LINE.format(**row), flush=True)
    if options.output:
        content = {"environment": environment(), "rows": rows}
        write_text(options.output, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
