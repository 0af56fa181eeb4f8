"""The small models, tables and questions that golden files hold and that fresh processes are asked."""

import numpy as np
import tensorflow as tf

from tests.serving.keras_truth import OPTIONS
from tests.zoo import build, random_inputs, table

# Between them they hold the custom layers that a file is most likely to outlive.
KERAS_FILES = ("edrs", "mult-vae", "gru4rec", "deepconn")
SMALLER = {"edrs": {"embedding_dim": 4, "tower_units": (12, 8), "head_units": (12, 8), **OPTIONS["edrs"]}}
EXPORTED = "biased-mf"
USERS, ITEMS = [1, 3, 99], [2, 5, 1]
BATCH = 4


def golden_table():
    """Return 6 users with 4 of 5 items each."""
    user, step = np.divmod(np.arange(24), 4)
    return table(
        user + 1,
        (user + step) % 5 + 1,
        1.0 + (user + 2 * step) % 5,
        timestamp=np.arange(24),
        rating_scale=(1, 5),
        name="golden",
    )


def outputs(model):
    """Return the outputs for fixed inputs, name -> nested lists."""
    found = model(random_inputs(model, BATCH), training=False)
    values = {name: np.asarray(value, np.float64) for name, value in found.items()}
    assert all(np.ptp(value) > 1e-3 for value in values.values()), "the outputs tell nothing"
    return {name: value.tolist() for name, value in values.items()}


def built(name):
    return build(name, seed=7, **SMALLER.get(name, {}))


def built_for_export(train):
    return build(EXPORTED, 7, num_users=train.num_users, num_items=train.num_items, embedding_dim=3)


def ask(folder):
    """Return what a SavedModel answers to fixed questions."""
    signatures = tf.saved_model.load(str(folder)).signatures
    pairs = signatures["serving_default"](
        user_id=tf.constant(USERS, tf.int64), item_id=tf.constant(ITEMS, tf.int64)
    )
    lists = signatures["recommend"](
        user_id=tf.constant(USERS, tf.int64),
        k=tf.constant([3] * len(USERS)),
        exclude_ids=tf.zeros([len(USERS), 0], tf.int64),
    )
    return {
        "pairs": pairs["rating"].numpy().tolist(),
        **{key: lists[key].numpy().tolist() for key in ("item_ids", "scores", "known_user")},
    }
