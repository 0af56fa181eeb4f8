"""What one epoch in half precision does to every model's figures, and to its time.

Run from a clone, see benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.performance_page import precision_table
from tfzoo.data.datasets import load_dataset
from tfzoo.data.interactions import Interactions
from tfzoo.experiment import Experiment
from tfzoo.files import write_text
from tfzoo.models import list_models, model_info
from tfzoo.training.recipe import list_recipes, load_recipe
from tfzoo.training.record import environment
from tfzoo.training.trainer import Trainer

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
DATASETS = {"review-rating": "amazon-musical-instruments", "next-item": "ml-100k"}


def train_some_epochs(
    model: str, precision: str, epochs: int = 1, users: int | None = None, seed: int = 0
) -> dict[str, Any] | None:
    """Train a model so many epochs and measure its validation part.

    Args:
        model: name of a model.
        precision: a Keras policy.
        epochs: at least 1.
        users: train on the rows of so many users, the first ones, alone; None for all.
        seed: of split, initial weights and order.

    Returns:
        The last loss, the metric that training watches, and seconds; None for a model without training.
    """
    keras.config.set_dtype_policy(precision)
    dataset = DATASETS.get(model_info(model).task, "ml-100k")
    recipe = "tuned" if "tuned" in list_recipes(model) else "paper"
    settings = [f"training.epochs={epochs}", "training.patience=null", "training.refit=false"]
    resolved = load_recipe(model, dataset, recipe, settings)
    data = load_dataset(dataset)
    if users is not None and isinstance(data, Interactions):
        data = data.take(np.flatnonzero(data.user_id <= users))
    experiment = Experiment.prepare(resolved.model_copy(update={"pretraining": None}), data, seed)
    built = experiment.build()
    if not built.trainable_variables:
        return None
    features, train = experiment.features(built), experiment.split.train
    trainer = Trainer(built, experiment.task, features, train, experiment.recipe.training, seed=seed)
    started = time.perf_counter()
    state = trainer.fit(None)
    seconds = time.perf_counter() - started
    metric = experiment.task.monitor
    value = experiment.evaluator(built).validate()[metric]
    return {"loss": state.history[-1]["loss"], "metric": metric, "value": value, "seconds": seconds}


def train_with_seeds(
    model: str, precision: str, epochs: int, users: int | None, seeds: int
) -> dict[str, Any] | None:
    """Return `train_some_epochs` of the first seeds: means, and ``deviation``, the value's over the seeds.

    Raises:
        AssertionError: a loss is not finite.
    """
    runs = [train_some_epochs(model, precision, epochs, users, seed) for seed in range(seeds)]
    found = [run for run in runs if run is not None]
    if not found:
        return None
    for run in found:
        if not math.isfinite(run["loss"]):
            raise AssertionError(f"{model} in {precision}: the loss is {run['loss']}.")
    means = {key: float(np.mean([run[key] for run in found])) for key in ("loss", "value", "seconds")}
    deviation = float(np.std([run["value"] for run in found], ddof=1)) if seeds > 1 else None
    return {**means, "metric": found[0]["metric"], "deviation": deviation}


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="append", default=[], help="may be repeated (default: all)")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--users", type=int, help="train on the rows of so many users alone (default: all)")
    parser.add_argument("--seeds", type=int, default=1, help="give the mean over so many (default: 1)")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    rows: dict[str, Any] = {}
    print(precision_table({"rows": rows}), end="")
    for model in options.model or list_models():
        found = {
            precision: train_with_seeds(model, precision, options.epochs, options.users, options.seeds)
            for precision in PRECISIONS
        }
        if found["float32"] is None:
            continue
        rows[model] = {"epochs": options.epochs, "users": options.users, "seeds": options.seeds, **found}
        print(precision_table({"rows": {model: rows[model]}}).splitlines()[-1], flush=True)
        if options.output:
            content = {"environment": environment(), "rows": rows}
            write_text(options.output, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
