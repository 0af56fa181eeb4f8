"""How fast a recommendation loses its score when what explains it is taken away, against chance.

Run from a clone, see docs/explanations.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.datasets import load_dataset
from tfzoo.experiment import Experiment
from tfzoo.explaining import deletion_curve, history_of, scores_after, without_each
from tfzoo.files import write_text
from tfzoo.runs import load_model, run
from tfzoo.training.recipe import load_recipe
from tfzoo.training.record import environment

DATASET = "ml-100k"
MODELS = (("ease", "paper"), ("mult-vae", "tuned"))
USERS, DRAWS, SEED = 300, 3, 0
SHARES = np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0])


def curves(model: str, recipe: str, users: int) -> dict[str, Any]:
    """Measure the deletion curves of one model.

    Args:
        model: one that reads histories.
        recipe: of it.
        users: drawn among those with at least 20 past items.

    Returns:
        For ``explained`` and ``random`` the mean share of the score that is left of the best new item of
        each user, at each of `SHARES` of the history taken away; 1 at none of it, 0 at all.
    """
    experiment = Experiment.prepare(load_recipe(model, DATASET, recipe), load_dataset(DATASET), SEED)
    with tempfile.TemporaryDirectory() as scratch:
        _, folder = run(experiment, Path(scratch))
        trained = load_model(folder)
    final = experiment.refitted()
    scorer = final.task.scorer(trained, final.features(trained))
    random = np.random.default_rng(SEED)
    counts = final.split.train.user_counts()
    drawn = random.permutation(np.flatnonzero(counts >= 20))[:users]
    found: dict[str, list[NDArray[np.float64]]] = {"explained": [], "random": []}
    for user in drawn:
        past = history_of(final, scorer, int(user))
        everything = scorer.score_history(past[np.newaxis]).numpy()[0]
        everything[past] = -np.inf
        everything[0] = -np.inf
        item = int(np.argmax(everything))

        def score(histories: NDArray[np.int32], item: int = item) -> NDArray[np.float32]:
            return scores_after(scorer, histories, item)

        best = without_each(past, score).item_id
        order = np.array([np.flatnonzero(past == one)[0] for one in best])
        found["explained"].append(_left(deletion_curve(past, order, score, SHARES)))
        chance = [
            _left(deletion_curve(past, random.permutation(len(past)), score, SHARES)) for _ in range(DRAWS)
        ]
        found["random"].append(np.mean(chance, axis=0))
    means = {way: np.mean(rows, axis=0).round(4).tolist() for way, rows in found.items()}
    return {"model": model, "recipe": recipe, "users": len(drawn), **means}


def _left(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return (scores - scores[-1]) / (scores[0] - scores[-1])


def table(content: dict[str, Any]) -> str:
    """Return the table of the page."""
    shares = [f"{share:.0%}" for share in content["shares"][1:-1]]
    lines = [f"| model | taken away first | {' | '.join(shares)} |", f"|---|---|{'---|' * len(shares)}"]
    names = {"explained": "what explains it most", "random": "at random"}
    for row in content["rows"]:
        for way, name in names.items():
            left = " | ".join(f"{share:.2f}" for share in row[way][1:-1])
            lines.append(f"| `{row['model']}` {row['recipe']} | {name} | {left} |")
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--models", nargs="+", default=[model for model, _ in MODELS])
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    rows = [curves(model, recipe, options.users) for model, recipe in MODELS if model in options.models]
    content = {"environment": environment(), "dataset": DATASET, "shares": SHARES.tolist(), "rows": rows}
    print(table(content))
    if options.output:
        write_text(options.output, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
