"""What the tests over all registered models share: small sizes, contracts by task, inputs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.models import create_model, list_models, model_info

NUM_USERS, NUM_ITEMS = 7, 5
WORDS, TOKENS = 12, 8

# Options for models that are large by default.
SMALL = {
    "adrs": {
        "vocabulary_size": WORDS,
        "document_length": TOKENS,
        "embedding_dim": 6,
        "filters": 8,
        "hidden_units": 5,
    },
    "cdae": {"embedding_dim": 6},
    "deepconn": {
        "vocabulary_size": WORDS,
        "document_length": TOKENS,
        "embedding_dim": 6,
        "filters": 8,
        "latent_dim": 5,
        "fm_factors": 3,
    },
    "dmf": {"user_units": (6, 4), "item_units": (5, 4)},
    "dmf-rating": {"user_units": (6, 4), "item_units": (5, 4)},
    "deepfm": {"embedding_dim": 4, "hidden_units": (6, 5)},
    "gru4rec": {"units": (6, 4)},
    "i-autorec": {"hidden_units": 6},
    "u-autorec": {"hidden_units": 6},
    "mult-dae": {"latent_dim": 6},
    "mult-vae": {"hidden_units": (9,), "latent_dim": 6},
    "wide-deep": {"embedding_dim": 4, "hidden_units": (6, 5)},
    "pure-svd": {"factors": 3},
}

# By task, the names of a model's inputs and outputs, sorted, as patterns.
INPUTS = {
    "rating": r"(item_features )?item_(id|row)( item_row)? (user_features )?user_(id|row)( user_row)?",
    "review-rating": r"(item_id )?item_tokens (user_id )?user_tokens",
    "implicit": r"item_(id|row) user_(id|row)",
    "reconstruction": r"(user_id )?user_row",
    "next-item": r"item_id( state_\d)+",
}
OUTPUTS = {
    "rating": r"rating",
    "review-rating": r"rating",
    "implicit": r"score",
    "reconstruction": r"scores",
    "next-item": r"scores( state_\d)+",
}
WITH_TOWERS = ("rating", "review-rating", "implicit")


def task_of(name):
    return model_info(name).task


# One of each kind, for tests of properties that all models share; the others run with --runslow.
SAMPLE = (
    "biased-mf",
    "deepconn",
    "deepfm",
    "dmf",
    "ease",
    "edrs",
    "gru4rec",
    "item-knn-rating",
    "mult-vae",
    "neumf",
    "nnmf",
    "svdpp",
)


def sampled(names, sample=SAMPLE):
    """Return test parameters of which those that are not in the sample are slow."""
    return [pytest.param(name, marks=() if name in sample else pytest.mark.slow) for name in names]


def models_of(*tasks):
    """Return the names of the models of the given tasks."""
    return [name for name in list_models() if task_of(name) in tasks]


def contract(tensor, num_users=NUM_USERS, num_items=NUM_ITEMS):
    """Return type and shape, without the batch, of an input or output by its name."""
    if tensor in ("user_id", "item_id"):
        return "int32", ()
    if tensor in ("user_tokens", "item_tokens"):
        return "int32", (TOKENS,)
    if tensor.startswith("state_"):
        return "float32", (SMALL["gru4rec"]["units"][int(tensor.removeprefix("state_"))],)
    widths = {"user_row": num_items + 1, "scores": num_items + 1, "item_row": num_users + 1}
    return "float32", (widths[tensor],) if tensor in widths else ()


def small(name, num_users=NUM_USERS, num_items=NUM_ITEMS, **options):
    """Build a small model with its initial weights."""
    return create_model(name, num_users, num_items, **{**SMALL.get(name, {}), **options})


def build(name, seed=0, scale=0.3, num_users=NUM_USERS, num_items=NUM_ITEMS, **options):
    """Build a small model with random weights, biases and solved weights included."""
    model = small(name, num_users, num_items, **options)
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.shape:
            weight.assign(random.normal(scale=scale, size=weight.shape))
    return model


def random_inputs(model, batch, seed=0):
    """Return inputs of the sizes above."""
    random = np.random.default_rng(seed)
    largest_cell = 2 if set(model.output) == {"scores"} else 6
    values = {
        "user_id": random.integers(0, NUM_USERS + 1, batch),
        "item_id": random.integers(0, NUM_ITEMS + 1, batch),
        "user_row": random.integers(0, largest_cell, (batch, NUM_ITEMS + 1)),
        "item_row": random.integers(0, largest_cell, (batch, NUM_USERS + 1)),
        "user_tokens": random.integers(0, WORDS, (batch, TOKENS)),
        "item_tokens": random.integers(0, WORDS, (batch, TOKENS)),
    }
    for tensor in model.inputs:
        if tensor.name.startswith("state_"):
            values[tensor.name] = random.normal(size=(batch, tensor.shape[-1]))
    return {tensor.name: tf.constant(values[tensor.name], tensor.dtype) for tensor in model.inputs}


def call(model, inputs):
    """Return the outputs as arrays, in the order of their names."""
    outputs = model(inputs, training=False)
    return {key: outputs[key].numpy() for key in sorted(outputs)}


def all_layers(model):
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)


def table(user_id, item_id, rating=None, *, num_users=None, num_items=None, **columns):
    """Make interactions whose raw ids are the dense ids minus 1."""
    users, items = num_users or int(np.max(user_id)), num_items or int(np.max(item_id))
    return Interactions(
        Vocabulary(np.arange(users)),
        Vocabulary(np.arange(items)),
        np.array(user_id),
        np.array(item_id),
        rating,
        **{"name": "table", **columns},
    )
