"""Trains the named cases on one device and on several logical ones, and prints what came of it as JSON."""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

from tests.zoo import table
from tfzoo.data.splits import Split
from tfzoo.models import create_model
from tfzoo.problems.rating import RatingSettings
from tfzoo.tasks import ImplicitSettings, ImplicitTask, RatingTask
from tfzoo.training.distributed import Distribution
from tfzoo.training.settings import TrainingSettings
from tfzoo.training.strategies import open_distribution
from tfzoo.training.trainer import Trainer

# Name: model, its options, task, settings. 300 = 5 * 51 + 45, so that no batch divides by 2.
CASES = {
    "biased-mf": ("biased-mf", {}, RatingTask(), {"batch_size": 51}),
    "edrs": ("edrs", {"dropout": 0.0}, RatingTask(), {"batch_size": 51, "jit_compile": False}),
    # The last batch has 2 examples: the second device has none.
    "gmf": (
        "gmf",
        {},
        ImplicitTask(ImplicitSettings(negatives=1)),
        {"batch_size": 46, "average": 0.9, "jit_compile": False},
    ),
    "penalties": (
        "pmf",
        {"lookup_l2": 0.3},
        RatingTask(),
        {"batch_size": 77, "optimizer": "lazy-adam", "jit_compile": False},
    ),
    "rows": (
        "u-autorec",
        {"hidden_units": 6},
        RatingTask(RatingSettings(examples="users")),
        {"batch_size": 7, "jit_compile": False},
    ),
    "shared rows": (
        "dmf",
        {"user_units": (6, 4), "item_units": (5, 4), "initial_stddev": 0.3},
        ImplicitTask(ImplicitSettings(negatives=1)),
        {"batch_size": 51},
    ),
}


def interactions():
    """Return 300 ratings of 30 users for 20 items."""
    random = np.random.default_rng(1)
    cells = random.choice(30 * 20, 300, replace=False)
    affinity = random.normal(size=(30, 2)) @ random.normal(size=(2, 20))
    rating = np.clip(np.rint(3 + affinity), 1, 5).reshape(-1)[cells].astype(np.float32)
    return table(cells // 20 + 1, cells % 20 + 1, rating, num_users=30, num_items=20, rating_scale=(1, 5))


def train(case, distribution):
    name, options, task, settings = CASES[case]
    data = interactions()
    keras.utils.set_random_seed(0)
    with distribution.scope():
        model = create_model(name, data.num_users, data.num_items, **options)
    before = [keras.ops.convert_to_numpy(weight).copy() for weight in model.trainable_variables]
    chosen = TrainingSettings(
        **{"optimizer": "adam", "learning_rate": 0.01, "epochs": 2, "patience": None, **settings}
    )
    features = task.features(model, Split(data, data, data, "all"), data)
    trainer = Trainer(model, task, features, data, chosen, seed=3, distribution=distribution)
    losses = [row["loss"] for row in trainer.fit(None).history]
    after = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_variables]
    return losses, before, after


def largest(first, second):
    return max(float(np.abs(one - two).max()) for one, two in zip(first, second, strict=True))


def main(devices, cases):
    physical = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(physical, [tf.config.LogicalDeviceConfiguration()] * devices)
    several = open_distribution("mirrored")
    found = {}
    for case in cases:
        one, before, expected = train(case, Distribution())
        other, _, after = train(case, several)
        found[case] = {
            "one": one,
            "several": other,
            "moved": largest(before, expected),
            "apart": largest(expected, after),
            "devices": several.describe(),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
