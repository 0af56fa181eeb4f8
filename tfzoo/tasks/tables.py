"""Whether the tables of a model are those of the data it is given."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from tfzoo.data.interactions import Interactions
from tfzoo.errors import UsageError
from tfzoo.layers import IdEmbedding, IdTable


def check_tables(model: keras.Model, interactions: Interactions) -> None:
    """Raise `UsageError` unless ``model`` was built for as many users and items as the data has.

    An id past the end of a table is an error on a CPU alone: XLA reads the last row for it, and a
    GPU reads zeros, so that a model of other data would train and score without a word.
    """
    rows = {"user": interactions.num_users + 1, "item": interactions.num_items + 1}
    for what, side, found in _sizes(model):
        if found != rows[side]:
            raise UsageError(
                f"Model '{model.name}' was built for {found - 1} {side}s ({what}), but '{interactions.name}' "
                f"has {rows[side] - 1}. Build it for this data, or give the data it was built for."
            )


def _sizes(model: keras.Model) -> Iterator[tuple[str, str, int]]:
    """Give what has a row or column for every id: its name, whose ids, and how many."""
    widths = {"user_row": "item", "item_row": "user", "scores": "item"}
    for tensors in (model.input, model.output):
        for name, tensor in tensors.items():
            if name in widths:
                yield name, widths[name], tensor.shape[-1]
    for layer in model._flatten_layers():
        side = layer.name.partition("_")[0]
        if isinstance(layer, IdEmbedding | IdTable) and side in ("user", "item"):
            yield layer.name, side, layer.input_dim
