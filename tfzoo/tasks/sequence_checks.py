"""Which examples a model of histories can learn from without reading its own targets."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tfzoo.errors import UsageError
from tfzoo.layers import ItemTable

ONE_STATE = ("prefixes", "windows")


def check_examples(model: keras.Model, examples: str) -> None:
    """Raise `UsageError` where a model and a kind of examples do not go together.

    A model with a row for hidden events finds them, and learns from ``cloze`` alone; others have no such row.
    ``positions`` need a state after each event, which may not know the events after its own, its targets:
    the states of two histories that differ in the last event alone are compared.

    Args:
        model: from ``history`` and what else it reads to ``states``.
        examples: see `SequenceSettings`.
    """
    length, states = _length(model), model.output["states"]
    masks = any(isinstance(layer, ItemTable) and layer.mask_row for layer in model._flatten_layers())
    if masks and examples != "cloze":
        raise UsageError(
            f"'{model.name}' is asked for a hidden event, which examples: {examples} never show it. Use "
            "examples: cloze."
        )
    if examples in ONE_STATE:
        return
    if states.shape[1] != length:
        raise UsageError(
            f"'{model.name}' has {states.shape[1]} state(s) a history of {length} events, so that examples: "
            f"{examples} have nothing to compare most targets with. Use examples: {' or '.join(ONE_STATE)}."
        )
    if examples == "cloze" and not masks:
        raise UsageError(
            f"'{model.name}' has no row for hidden events (ItemTable(mask_row=True)), which examples: cloze "
            "need. Use examples: positions or prefixes."
        )
    if examples == "positions" and _reads_ahead(model, length):
        raise UsageError(
            f"States of '{model.name}' change with later events, which are their targets under examples: "
            f"positions. Use examples: {' or '.join(ONE_STATE)}."
        )


def _length(model: keras.Model) -> int:
    return next(tensor.shape[1] for tensor in model.inputs if tensor.name == "history")


def _reads_ahead(model: keras.Model, length: int) -> bool:
    """Tell whether the last event changes a state before it."""
    num_items = model.output["scores"].shape[-1] - 1
    if length < 2 or num_items < 2:
        return False
    history = np.tile(np.arange(length, dtype=np.int32) % num_items + 1, (2, 1))
    history[1, -1] = history[1, -1] % num_items + 1
    inputs = {tensor.name: tf.zeros([2, *tensor.shape[1:]], tensor.dtype) for tensor in model.inputs}
    encoder = keras.Model(model.input, model.output["states"])
    one, other = encoder({**inputs, "history": tf.constant(history)}, training=False).numpy()[:, :-1]
    return bool(np.abs(one - other).max() > 1e-5 * max(np.abs(one).max(), 1e-6))
