"""How far the rating matrix of a rank lies from the whole one, and how long the decomposition takes.

Run from a clone, see benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from tfzoo.data.datasets import load_dataset
from tfzoo.files import write_text
from tfzoo.reporting.figures import new_figure, save_figure
from tfzoo.training.record import environment
from tfzoo.training.settings import SplitSettings
from tfzoo.training.splitting import make_split, with_validation

DATASET, SPLIT = "amazon-2023-musical-instruments", "leave-two-out"
RANKS = (10, 20, 50, 100, 200, 500, 1000)
LINE = "| {rank:,} | {error:.4f} | {left_out:.4f} | {truncated_s:.3f} | {full_s:.3f} | {rebuild_s:.3f} |"
TOLERANCE = 1e-6


def training_matrix() -> sparse.csr_matrix:
    """Return 1 where a user of the published training part has an item, float64 ``[users, items]``."""
    split = make_split(load_dataset(DATASET), SplitSettings(kind="given", name=SPLIT), 0)
    # The published part is not divided further here.
    train = with_validation(split).train
    user, item = np.unique(np.stack([train.user_id, train.item_id]), axis=1) - 1
    return sparse.csr_matrix((np.ones(len(user)), (user, item)), (train.num_users, train.num_items))


def trade_off(matrix: sparse.csr_matrix, ranks: list[int], repeats: int) -> list[dict[str, Any]]:
    """Measure error and time of each rank.

    Args:
        matrix: float64 ``[users, items]``.
        ranks: each at most the smaller side of the matrix.
        repeats: how often each decomposition is timed; the fastest counts.

    Returns:
        For each rank the relative error ``|R - R_k| / |R|`` by Frobenius norm of the rebuilt
        matrix, the same from the singular values left out, and seconds of the decompositions
        (``truncated_s`` is None where the rank is too high for an iterative one) and of
        rebuilding.

    Raises:
        AssertionError: the two ways to the error differ.
    """
    dense = matrix.toarray()
    norm = np.linalg.norm(dense)
    full_s, (left, values, right) = _fastest(repeats, lambda: np.linalg.svd(dense, full_matrices=False))
    rows = []
    for rank in ranks:
        started = time.perf_counter()
        rebuilt = (left[:, :rank] * values[:rank]) @ right[:rank]
        rebuild_s = time.perf_counter() - started
        error = np.linalg.norm(dense - rebuilt) / norm
        left_out = np.sqrt(np.square(values[rank:]).sum()) / norm
        # Eckart, Young, Psychometrika 1936.
        if abs(error - left_out) > TOLERANCE:
            raise AssertionError(f"Rank {rank}: error {error}, by singular values {left_out}.")
        truncated_s = None
        if rank < min(matrix.shape):
            random = np.random.default_rng(0)
            start = random.standard_normal(min(matrix.shape))
            truncated_s, (_, found, _) = _fastest(repeats, lambda: svds(matrix, k=rank, v0=start))  # noqa: B023
            if not np.allclose(np.sort(found)[::-1], values[:rank], rtol=TOLERANCE, atol=TOLERANCE * norm):
                raise AssertionError(f"Rank {rank}: the two decompositions differ.")
        seconds = {"truncated_s": truncated_s, "full_s": full_s, "rebuild_s": rebuild_s}
        rows.append({"rank": rank, "error": float(error), "left_out": float(left_out), **seconds})
    return rows


def draw(rows: list[dict[str, Any]], title: str, target: Path) -> list[Path]:
    """Draw error and seconds against the rank; returns the files written."""
    figure, axes = new_figure(6.0, 4.0)
    ranks = [row["rank"] for row in rows]
    errors = axes.plot(ranks, [row["error"] for row in rows], color="#3b6ea5", marker="o")
    axes.set_xscale("log")
    axes.set_xticks(ranks, [f"{rank:,}" for rank in ranks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("rank k")
    axes.set_ylabel("relative error |R - R_k| / |R|")
    axes.set_ylim(0, 1)
    right = axes.twinx()
    lines = [
        right.plot(ranks, [row[f"{way}_s"] for row in rows], color="#d9822b", marker=".", linestyle=style)
        for way, style in (("truncated", "-"), ("full", "--"), ("rebuild", ":"))
    ]
    right.set_ylabel("seconds")
    right.set_yscale("log")
    labels = ["relative error", "truncated decomposition", "full decomposition", "rebuilding R_k"]
    handles = [errors[0], *(line[0] for line in lines)]
    figure.legend(handles, labels, fontsize=8, ncols=2, loc="outside lower center")
    axes.set_title(title, fontsize=10)
    return save_figure(figure, target)


def _fastest(repeats: int, compute: Any) -> tuple[float, Any]:
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = compute()
        seconds.append(time.perf_counter() - started)
    return min(seconds), result


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, nargs="+", default=list(RANKS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    parser.add_argument("--plot", type=Path, help="draw them to this path, as .png and .svg")
    options = parser.parse_args()
    matrix = training_matrix()
    shape = {"users": matrix.shape[0], "items": matrix.shape[1], "interactions": int(matrix.nnz)}
    rows = trade_off(matrix, options.ranks, options.repeats)
    print("| k | relative error | by singular values | truncated s | full s | rebuild s |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            LINE.format(**{name: value if value is not None else float("nan") for name, value in row.items()})
        )
    if options.plot:
        draw(rows, f"{DATASET}, {shape['users']:,} x {shape['items']:,}", options.plot)
    if options.output:
        content = {"environment": environment(), "dataset": DATASET, **shape, "rows": rows}
        write_text(options.output, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
