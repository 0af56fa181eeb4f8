"""How long rating models take to fit, and how well they then predict, beside Surprise on the same rows."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.peers import Peer, compared
from tfzoo.data.datasets import load_dataset
from tfzoo.data.interactions import Interactions
from tfzoo.experiment import Experiment
from tfzoo.training.recipe import load_recipe
from tfzoo.training.trainer import Trainer

MODELS = ("baseline", "biased-mf", "svdpp", "item-knn-rating")
# As many factors as there.
OVERRIDES = {"svdpp": ["builder.embedding_dim=20"]}


def measure_fits(model: str, *, rounds: int, python: str | None = None) -> dict[str, Any]:
    """Fit one model on the first of five folds of ml-100k, ours and Surprise's in turns.

    Ours has the recipe ``five-fold``, tuned on ml-100k; Surprise its default settings. Ours is built,
    compiled and fitted anew each time.

    Args:
        model: one of `MODELS`.
        rounds: fits of each side.
        python: the Python that has Surprise; None for this one.

    Returns:
        ``fit``: seconds of both, see `compared`; ``test``: RMSE and MAE of both.
    """
    recipe = load_recipe(model, "ml-100k", "five-fold", OVERRIDES.get(model, []))
    experiment = Experiment.prepare(recipe, load_dataset("ml-100k"), 0)
    with tempfile.TemporaryDirectory() as folder:
        parts = [Path(folder) / f"{part}.csv" for part in ("train", "test")]
        _write(experiment.split.train, parts[0])
        _write(experiment.split.test, parts[1])
        peer = Peer.surprise(model, parts, python)
        try:
            fits: dict[str, list[float]] = {"tfzoo": [], "surprise": []}
            for _ in range(rounds):
                seconds, ours = _fit(experiment)
                fits["tfzoo"].append(seconds)
                fits["surprise"].append(peer.epochs(1))
            peer.evaluate()
            theirs = {metric: peer.last[metric] for metric in ("rmse", "mae")}
        finally:
            peer.close()
    return {
        "model": model,
        "there": f"{peer.about['model']} {peer.about['version']}",
        "fit": compared(fits, ours="tfzoo", more_is_better=False),
        "test": {"tfzoo": ours, "surprise": theirs},
    }


def _fit(experiment: Experiment) -> tuple[float, dict[str, float]]:
    started = time.perf_counter()
    model = experiment.build()
    if model.trainable_variables:
        features, train = experiment.features(model), experiment.split.train
        Trainer(model, experiment.task, features, train, experiment.recipe.training, seed=0).fit(None)
        experiment.task.finish(model, train)
    seconds = time.perf_counter() - started
    measured = experiment.evaluator(model).evaluate("test")
    return seconds, {metric: measured[metric] for metric in ("rmse", "mae")}


def _write(part: Interactions, path: Path) -> None:
    columns = {"user": part.user_id, "item": part.item_id, "rating": part.ratings}
    pd.DataFrame(columns).to_csv(path, index=False)


if __name__ == "__main__":
    import sys

    print(json.dumps([measure_fits(m, rounds=1, python=sys.argv[1]) for m in sys.argv[2:]], indent=1))
