"""Fits and measures a Surprise model, a turn for every line on standard input; see `recbole_worker`.

The training part is a CSV file of dense ids and ratings, ``user,item,rating``, and so is the test part.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from worker_turns import answer_turns, say

# What the benchmark's models are called there; all with Surprise's default settings.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline": ("BaselineOnly", {}),
    "biased-mf": ("SVD", {}),
    "svdpp": ("SVDpp", {"cache_ratings": True}),
    "item-knn-rating": ("KNNBaseline", {"sim_options": {"name": "pearson_baseline", "user_based": False}}),
}


def main() -> None:
    """Read turns until the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("train")
    parser.add_argument("test")
    options = parser.parse_args()
    sys.stdout = sys.stderr
    import pandas as pd
    import surprise

    reader = surprise.Reader(rating_scale=(1, 5))
    train = surprise.Dataset.load_from_df(pd.read_csv(options.train), reader).build_full_trainset()
    test = list(pd.read_csv(options.test).itertuples(index=False, name=None))
    name, settings = MODELS[options.model]
    if name != "BaselineOnly" and not name.startswith("KNN"):
        settings = {**settings, "random_state": 0}
    model = getattr(surprise, name)(**settings, **({} if name.startswith("SVD") else {"verbose": False}))
    say(examples=train.n_ratings, version=surprise.__version__, model=name)

    def evaluate() -> dict[str, float]:
        predictions = model.test(test)
        return {
            "rmse": surprise.accuracy.rmse(predictions, verbose=False),
            "mae": surprise.accuracy.mae(predictions, verbose=False),
        }

    answer_turns(lambda: model.fit(train), evaluate)


if __name__ == "__main__":
    main()
