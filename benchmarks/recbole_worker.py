"""Trains and measures a RecBole model, a turn for every line on standard input.

Runs with the Python that has RecBole; it needs nothing of tfzoo. Each line is ``train N`` or ``evaluate``;
each answer is a line of JSON with ``seconds``. The first answer, without a line, says what is measured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import os
import sys
import tempfile
from typing import Any

from worker_turns import answer_turns, say

SETTINGS: dict[str, Any] = {
    "eval_args": {
        "split": {"RS": [0.8, 0.1, 0.1]},
        "group_by": "user",
        "order": "RO",
        "mode": "full",
    },
    "metrics": ["Recall", "MRR", "NDCG", "Hit", "Precision", "MAP"],
    "topk": [5, 10, 20],
    "valid_metric": "NDCG@10",
    "show_progress": False,
    "state": "ERROR",
    "seed": 2020,
}
# What the benchmark's models are called there.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "gmf": ("NeuMF", {"mlp_train": False, "mf_train": True}),
    "neumf": ("NeuMF", {}),
    "bpr-mf": ("BPR", {}),
    "mult-vae": ("MultiVAE", {}),
    "mult-dae": ("MultiDAE", {}),
    "cdae": ("CDAE", {}),
    "dmf": ("DMF", {}),
    "gru4rec": (
        "GRU4Rec",
        {"train_neg_sample_args": None, "eval_args": {**SETTINGS["eval_args"], "order": "TO"}},
    ),
}


def main() -> None:
    """Read turns until the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--settings", type=json.loads, default={})
    options = parser.parse_args()
    # The library writes logs and checkpoints below the working folder, and prints as it likes.
    scratch = tempfile.TemporaryDirectory()
    os.chdir(scratch.name)
    sys.stdout = sys.stderr
    import recbole
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    logging.disable(logging.CRITICAL)
    sys.argv = sys.argv[:1]
    name, own = MODELS[options.model]
    settings = {**SETTINGS, **own, **options.settings, "train_batch_size": options.batch_size}
    folder = os.path.join(os.path.dirname(recbole.__file__), "dataset_example")
    config = Config(model=name, dataset="ml-100k", config_dict={**settings, "data_path": folder})
    init_seed(config["seed"], True)
    dataset = create_dataset(config)
    train, _, test = data_preparation(config, dataset)
    model = get_model(config["model"])(config, train.dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.eval_collector.data_collect(train)
    batches = list(train)
    # A batch holds its negatives too where there are some; a model of rows has users as examples.
    examples = sum(len(batch) for batch in batches)
    say(examples=examples, batches=len(batches), version=recbole.__version__, torch=torch.__version__)
    epochs = itertools.count()

    def evaluate() -> dict[str, float]:
        trainer.evaluate(test, load_best_model=False, show_progress=False)
        return {}

    answer_turns(lambda: trainer._train_epoch(train, next(epochs), show_progress=False), evaluate)


if __name__ == "__main__":
    main()
