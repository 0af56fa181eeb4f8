"""Small models with random weights, and inputs for them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzoo.models import create_model, model_info

NUM_USERS, NUM_ITEMS = 7, 5
WORDS, TOKENS = 12, 8
HISTORY = 4
FIELDS, NUMBERS = (4, 3, 5), 2
# What the data decides, and no model.
SIZES: dict[str, Any] = {"vocabulary_size": WORDS, "field_sizes": FIELDS, "dense_size": NUMBERS}


def small_options(name: str) -> dict[str, Any]:
    """Return the builder's arguments for a small model: those of its registration, and the data's sizes."""
    info = model_info(name)
    sizes = {size: value for size, value in SIZES.items() if size in info.options}
    return {**sizes, **info.small}


def small(name: str, num_users: int = NUM_USERS, num_items: int = NUM_ITEMS, **options: Any) -> keras.Model:
    """Build a small model with its initial weights.

    Args:
        name: of the model.
        num_users: number of users.
        num_items: number of items.
        **options: arguments of the builder in place of `small_options`.
    """
    return create_model(name, num_users, num_items, **{**small_options(name), **options})


def randomize(model: keras.Model, seed: int = 0, scale: float = 0.3) -> keras.Model:
    """Give a model random weights, biases and solved weights included, and return it."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(random.normal(scale=scale, size=tuple(weight.shape)))
    return model


def build(
    name: str,
    seed: int = 0,
    scale: float = 0.3,
    num_users: int = NUM_USERS,
    num_items: int = NUM_ITEMS,
    **options: Any,
) -> keras.Model:
    """Build a small model with random weights.

    Args:
        name: of the model.
        seed: of the weights.
        scale: their standard deviation.
        num_users: number of users.
        num_items: number of items.
        **options: see `small`.
    """
    return randomize(small(name, num_users, num_items, **options), seed, scale)


def random_inputs(model: keras.Model, batch: int, seed: int = 0) -> dict[str, Any]:
    """Return inputs for a model of `small` by their names; ones that no model of ours reads are 0 or 1."""
    random = np.random.default_rng(seed)
    shapes = {tensor.name: tuple(tensor.shape[1:]) for tensor in model.inputs}
    largest_cell = 2 if set(model.output) == {"scores"} else 6
    values: dict[str, Any] = {
        "user_id": random.integers(0, NUM_USERS + 1, batch),
        "item_id": random.integers(0, NUM_ITEMS + 1, batch),
        "user_row": random.integers(0, largest_cell, (batch, NUM_ITEMS + 1)),
        "item_row": random.integers(0, largest_cell, (batch, NUM_USERS + 1)),
    }
    for name in ("user_tokens", "item_tokens"):
        values[name] = random.integers(0, WORDS, (batch, *shapes.get(name, (TOKENS,))))
    for name in [name for name in shapes if name.startswith("state_")]:
        values[name] = random.normal(size=(batch, *shapes[name]))
    # Last, so that the inputs of golden files stay those of their numbers.
    length = shapes.get("history", shapes.get("history_gaps", (HISTORY,)))[0]
    values["history"] = np.sort(random.integers(0, NUM_ITEMS + 1, (batch, length)) * (np.arange(length) > 0))
    values["history_gaps"] = random.integers(0, 9, (batch, length))
    values["fields"] = random.integers(0, FIELDS, (batch, len(FIELDS)))
    values["dense"] = random.normal(size=(batch, NUMBERS))
    for name in shapes.keys() - values.keys():
        values[name] = random.integers(0, 2, (batch, *shapes[name]))
    return {
        tensor.name: keras.ops.convert_to_tensor(values[tensor.name], tensor.dtype) for tensor in model.inputs
    }


def call(model: keras.Model, inputs: dict[str, Any]) -> dict[str, NDArray]:
    """Return the outputs as arrays, in the order of their names."""
    outputs = model(inputs, training=False)
    return {key: keras.ops.convert_to_numpy(outputs[key]) for key in sorted(outputs)}
