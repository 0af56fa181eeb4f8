"""How fast models train and are measured, beside plain Keras, the compiled step alone, and other libraries.

Run it as `python scripts/benchmark.py`, from a clone. All sides take turns in one run.
"""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from benchmarks.peers import Peer, compared
from benchmarks.training_sides import InGraphLoop, OurTrainer, PipelineAlone, PlainKeras, Side
from benchmarks.worker_turns import peak_memory_mb
from tfzoo.data.datasets import load_dataset
from tfzoo.experiment import Experiment
from tfzoo.training.recipe import load_recipe

SIDES: dict[str, Callable[[Experiment], Side]] = {
    "tfzoo": OurTrainer,
    "limit": InGraphLoop,
    "naive-keras": PlainKeras,
    "pipeline": PipelineAlone,
}
PLAIN_ADAM = (
    "training.optimizer=adam",
    "training.momentum=0",
    "training.schedule=constant",
    "training.learning_rate=0.001",
)


@dataclass(frozen=True)
class Workload:
    """A model in the sizes that the other library has by default.

    Attributes:
        recipe: name of the recipe.
        overrides: settings that replace the recipe's.
        sides: which of `SIDES` it can be trained by.
        recbole: settings of RecBole's model; None where there is no such model there.
        protocol: how the data is divided; None for the recipe's own.
        evaluated: whether both sides are measured on the same test part.
    """

    recipe: str
    overrides: tuple[str, ...] = ()
    sides: tuple[str, ...] = ("tfzoo", "limit", "naive-keras", "pipeline")
    recbole: dict[str, Any] | None = field(default_factory=dict)
    protocol: str | None = "recbole"
    evaluated: bool = True


WORKLOADS = {
    "gmf": Workload(
        "paper",
        ("builder.embedding_dim=64", "task.negatives=1", "task.loss=bce", *PLAIN_ADAM),
    ),
    "neumf": Workload(
        "paper",
        ("builder.embedding_dim=64", "builder.layers=[128,128,64]", "task.negatives=1", *PLAIN_ADAM),
        recbole={"dropout_prob": 0.0},
    ),
    "edrs": Workload("paper", recbole=None, protocol=None),
    "bpr-mf": Workload("paper", ("builder.embedding_dim=64", *PLAIN_ADAM), sides=("tfzoo", "pipeline")),
    "mult-vae": Workload("tuned", PLAIN_ADAM, sides=("tfzoo",)),
    "mult-dae": Workload("tuned", PLAIN_ADAM, sides=("tfzoo",)),
    "cdae": Workload("tuned", PLAIN_ADAM, sides=("tfzoo",)),
    "dmf": Workload(
        "tuned",
        (
            "builder.user_units=[64,64]",
            "builder.item_units=[64,64]",
            "builder.logit_scale=null",
            "task.negatives=1",
            "training.average=0",
            *PLAIN_ADAM,
        ),
        sides=("tfzoo",),
    ),
    # An example is one event of a user. There it is a user's history up to the event, read anew each time.
    "gru4rec": Workload(
        "paper",
        ("builder.units=[128]", "builder.hidden_dropout=0", *PLAIN_ADAM),
        sides=("tfzoo",),
        recbole={"dropout_prob": 0.0},
        protocol=None,
        evaluated=False,
    ),
}
# Full ranking for all users of the larger data too, by models whose evaluation is a matrix product and not.
EVALUATED_ON = "ml-1m"
EVALUATED = ("gmf", "bpr-mf", "neumf")


def experiment_of(model: str, batch_size: int, dataset: str = "ml-100k") -> Experiment:
    """Return a workload with seed 0, on other data than ml-100k by the protocol `per-user`."""
    work = WORKLOADS[model]
    overrides = [*work.overrides, f"training.batch_size={batch_size}", "training.patience=null"]
    protocol = work.protocol if dataset == "ml-100k" else "per-user"
    recipe = load_recipe(model, dataset, work.recipe, overrides, protocol=protocol)
    return Experiment.prepare(recipe, load_dataset(dataset), 0)


def measure_training(
    model: str,
    batch_size: int,
    against: Iterable[str],
    *,
    rounds: int,
    seconds: float,
    python: str | None = None,
) -> dict[str, Any]:
    """Let all ways to train one model take turns.

    Args:
        model: one of `WORKLOADS`.
        batch_size: examples a step.
        against: which sides to measure beside the trainer.
        rounds: turns of each side.
        seconds: least length of a turn; as many epochs as that takes.
        python: the Python that has RecBole; None for this one.

    Returns:
        ``training`` and ``evaluation``: for each side the figures of all rounds, their median, and
        the median over rounds of the ratio between the trainer and it.
    """
    work, experiment = WORKLOADS[model], experiment_of(model, batch_size)
    chosen = [name for name in work.sides if name == "tfzoo" or name in against]
    sides: dict[str, Any] = {name: SIDES[name](experiment) for name in chosen}
    peer = None
    if "recbole" in against and work.recbole is not None:
        peer = sides["recbole"] = Peer.recbole(model, batch_size, work.recbole, python)
    try:
        training = _take_turns(sides, rounds, seconds)
        evaluation = _evaluate(experiment, peer if work.evaluated else None, rounds)
    finally:
        if peer is not None:
            peer.close()
    memory = {"tfzoo": _memory(model, batch_size)}
    if peer is not None:
        memory["recbole"] = peer.last["peak_memory_mb"]
    del sides
    gc.collect()
    return {
        "model": model,
        "batch_size": batch_size,
        "examples": experiment.task.num_examples(
            experiment.features(experiment.build()), experiment.split.train
        ),
        "training": training,
        "evaluation": evaluation,
        "peak_memory_mb": memory,
    }


def measure_evaluation(model: str, *, rounds: int) -> dict[str, Any]:
    """Measure how long all metrics of the test part of `EVALUATED_ON` take.

    Args:
        model: one of `EVALUATED`.
        rounds: how often.

    Returns:
        ``model``, ``dataset``, ``users``, ``items`` and ``evaluation``, as in `measure_training`.
    """
    experiment = experiment_of(model, 2048, EVALUATED_ON)
    test = experiment.split.test
    return {
        "model": model,
        "dataset": EVALUATED_ON,
        "users": int((test.user_counts() > 0).sum()),
        "items": test.num_items,
        "evaluation": _evaluate(experiment, None, rounds),
    }


def _take_turns(sides: dict[str, Any], rounds: int, seconds: float) -> dict[str, Any]:
    """Return examples a second of every side, and the trainer's over each other's."""
    counts = {}
    for name, side in sides.items():
        side.epochs(1)  # Compiles.
        counts[name] = max(1, round(seconds / side.epochs(1)))
    found: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        # Another one begins in each round: who comes after a busy side finds cold caches.
        start = number % len(names)
        for name in itertools.islice(itertools.cycle(names), start, start + len(names)):
            found[name].append(sides[name].examples * counts[name] / sides[name].epochs(counts[name]))
    return compared(found, ours="tfzoo", more_is_better=True)


def _evaluate(experiment: Experiment, peer: Peer | None, rounds: int) -> dict[str, Any]:
    """Return seconds of one evaluation of the test part with all metrics."""
    evaluator = experiment.evaluator(experiment.build())
    sides: dict[str, Callable[[], float]] = {"tfzoo": lambda: _seconds(lambda: evaluator.evaluate("test"))}
    if peer is not None:
        sides["recbole"] = peer.evaluate
    for side in sides.values():
        side()
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            found[name].append(side())
    return compared(found, ours="tfzoo", more_is_better=False)


def _memory(model: str, batch_size: int) -> float:
    """Return the peak memory in MB of a fresh process that trains one epoch and measures once."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_train_once, model, batch_size).result()


def _train_once(model: str, batch_size: int) -> float:
    experiment = experiment_of(model, batch_size)
    OurTrainer(experiment).epochs(1)
    experiment.evaluator(experiment.build()).evaluate("test")
    return peak_memory_mb()


def _seconds(what: Callable[[], Any]) -> float:
    started = time.perf_counter()
    what()
    return time.perf_counter() - started
