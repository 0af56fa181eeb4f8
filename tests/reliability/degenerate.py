"""Tiny tables that break what is not written for them, and recipes small enough to run on them."""

import dataclasses

import numpy as np
import yaml

from tests.zoo import SMALL, table, task_of
from tfzoo.training.recipe import load_recipe

DAY = 86_400
WORDS = np.array(["good amp", "bad strings loud", "fine", "loud loud amp"], object)


def interactions(user, item, rating=None, time=None, text=None, **sizes):
    """Make a table; what is not given differs from row to row."""
    user, item = np.asarray(user), np.asarray(item)
    count = len(user)
    return table(
        user,
        item,
        1.0 + (user * 7 + item * 3) % 5 if rating is None else np.full(count, rating),
        timestamp=np.arange(count) * DAY if time is None else np.full(count, time),
        text=WORDS[(user + item) % 4] if text is None else np.array([text] * count, object),
        rating_scale=(1, 5),
        **sizes,
    )


def grid(keep=0.7, **columns):
    """Make 8 users and 8 items; each pair is kept with the given chance."""
    user, item = np.divmod(np.arange(64), 8)
    rows = np.random.default_rng(0).random(64) < keep
    return interactions(user[rows] + 1, item[rows] + 1, **columns)


def one_has_all():
    others = [(user, 1 + (user * 3 + step * 2) % 10) for user in range(2, 9) for step in range(4)]
    return interactions(*np.transpose([*((1, item) for item in range(1, 11)), *others]))


def with_ids_nobody_has():
    user, step = np.divmod(np.arange(40), 5)
    return interactions(user + 1, 1 + (user + step) % 6, num_users=12, num_items=9)


DATA = {
    "ordinary": grid,
    "one item": lambda: interactions(np.arange(1, 13), np.ones(12, int)),
    "one item again and again": lambda: interactions(np.repeat(np.arange(1, 9), 4), np.ones(32, int)),
    "one user": lambda: interactions(np.ones(12, int), np.arange(1, 13)),
    "one interaction": lambda: interactions([1], [1]),
    "one pair repeated": lambda: interactions(np.ones(12, int), np.ones(12, int)),
    "two items": lambda: interactions(np.repeat(np.arange(1, 7), 2), [1, 2] * 6),
    "equal ratings": lambda: grid(rating=3.0),
    "one interaction each": lambda: interactions(np.arange(1, 21), 1 + np.arange(20) % 5),
    "one moment": lambda: grid(time=5),
    "no time": lambda: dataclasses.replace(grid(), timestamp=None),
    "everyone has all": lambda: grid(keep=2.0),
    "one has all": one_has_all,
    "ids nobody has": with_ids_nobody_has,
    "no words": lambda: grid(text=""),
    "one word": lambda: grid(text="word"),
    "vast ratings": lambda: grid(rating=3e38),
}
RANKING = {"cutoffs": [3], "monitor": "ndcg@3"}
TASK = {
    "rating": {},
    "review-rating": {},
    "implicit": RANKING,
    "reconstruction": RANKING,
    "next-item": {"cutoffs": [3], "monitor": "mrr@3", "n_sample": 4},
    "sequence": RANKING,
    "click": {},
}
RATIOS = [0.6, 0.2, 0.2]
SPLIT = {
    "rating": {"kind": "random", "ratios": RATIOS},
    "review-rating": {"kind": "random", "ratios": RATIOS},
    "implicit": {"kind": "leave-out"},
    "reconstruction": {"kind": "per-user", "ratios": RATIOS},
    "next-item": {"kind": "sessions"},
    "sequence": {"kind": "leave-out"},
    "click": {"kind": "random", "ratios": RATIOS},
}


def small_recipe(name, folder, *overrides):
    """Return a recipe of one epoch without XLA, whose compilation would take most of the time."""
    sizes = {"review-rating": ("vocabulary_size",), "click": ("field_sizes", "dense_size")}
    automatic = dict.fromkeys(sizes.get(task_of(name), ()), "auto")
    values = {
        "builder": {**SMALL.get(name, {}), **automatic},
        "task": TASK[task_of(name)],
        "split": SPLIT[task_of(name)],
        "training": {"epochs": 1, "batch_size": 8, "jit_compile": False, "steps_per_call": 2},
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return load_recipe(name, "table", str(path), overrides)
