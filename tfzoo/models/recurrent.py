"""Plain recurrent networks over padded histories, the references of what is made of sequences since."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from tfzoo.layers import ItemTable
from tfzoo.layers.histories import log_hours
from tfzoo.models.registry import Paper, register_model

GRU_PAPER = Paper(
    authors="Cho, van Merriënboer, Gulcehre, Bahdanau, Bougares, Schwenk, Bengio",
    title="Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation",
    venue="EMNLP, 1724-1734",
    year=2014,
    url="https://doi.org/10.3115/v1/D14-1179",
)
LSTM_PAPER = Paper(
    authors="Hochreiter, Schmidhuber",
    title="Long Short-Term Memory",
    venue="Neural Computation 9(8), 1735-1780",
    year=1997,
    url="https://doi.org/10.1162/neco.1997.9.8.1735",
)
# NVIDIA's kernels take no padding in front.
PADDED: dict[str, Any] = {"return_sequences": True, "use_cudnn": False}


@register_model(
    "gru",
    task="sequence",
    family="sequence",
    paper=GRU_PAPER,
    small={"history_length": 4, "embedding_dim": 6, "units": 5},
)
def GRU(
    num_users: int,
    num_items: int,
    *,
    history_length: int = 50,
    embedding_dim: int = 64,
    units: int = 128,
    depth: int = 1,
    dropout: float = 0.2,
) -> keras.Model:
    """GRU over the last events of a user, scored against the item vectors that it reads.

    The plain reference of this family. Each layer's state runs over the events of a padded history from 0,
    padding leaves it as it is, and gradients flow through the whole of it, unlike in `gru4rec`, whose
    sessions run on from batch to batch. The reset gate acts before the recurrent product, as in the paper.

    Args:
        num_users: number of known users; scores depend on the history alone.
        num_items: number of known items; item ids are ``1..num_items``, 0 is padding.
        history_length: L, events that are read, the last ones of a longer history.
        embedding_dim: width d of the items.
        units: width h of each recurrent layer.
        depth: number of recurrent layers.
        dropout: rate on the item vectors and on the last layer's states.

    Returns:
        A functional model: ``{"history": int32 [B, L]}``, right-aligned, to ``{"scores": float32
        [B, num_items + 1]}`` after the last event and ``{"states": float32 [B, L, d]}`` after each. With
        one layer it has ``(n + 1)(d + 1) + 3 (d h + h^2 + h) + h d + d`` parameters for n items.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.GRU(943, 1682)
        >>> inputs = {"history": np.zeros((2, 50), int)}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Differences from the paper:
        The paper translates phrases. Here the last state, brought to the width of the items, is scored
        against the same vectors with a bias of the item.

    Raises:
        ValueError: ``depth`` is below 1.
    """
    cells = _depth(depth, lambda name: layers.GRU(units, reset_after=False, name=name, **PADDED))
    return _recurrent(num_items, history_length, embedding_dim, dropout, cells, "gru")


@register_model(
    "lstm",
    task="sequence",
    family="sequence",
    paper=LSTM_PAPER,
    small={"history_length": 4, "embedding_dim": 6, "units": 5},
)
def LSTM(
    num_users: int,
    num_items: int,
    *,
    history_length: int = 50,
    embedding_dim: int = 64,
    units: int = 128,
    depth: int = 1,
    dropout: float = 0.2,
    read_gaps: bool = False,
) -> keras.Model:
    """LSTM over the last events of a user, scored against the item vectors that it reads.

    The plain reference of this family, with the gates of input, output and forgetting that are usual today
    and no peepholes; the forget gate starts from a bias of 1. Padding leaves states as they are.

    Args:
        num_users: number of known users; scores depend on the history alone.
        num_items: number of known items; item ids are ``1..num_items``, 0 is padding.
        history_length: L, events that are read, the last ones of a longer history.
        embedding_dim: width d of the items.
        units: width h of each recurrent layer.
        depth: number of recurrent layers.
        dropout: rate on the item vectors and on the last layer's states.
        read_gaps: the time until the next event is one more number of each event, as `time-lstm` reads it.

    Returns:
        A functional model: ``{"history": int32 [B, L]}``, right-aligned, to ``{"scores": float32
        [B, num_items + 1]}`` after the last event and ``{"states": float32 [B, L, d]}`` after each. With
        one layer it has ``(n + 1)(d + 1) + 4 (d h + h^2 + h) + h d + d`` parameters for n items. With
        ``read_gaps`` there is an input ``"history_gaps": float32 [B, L]``, and ``4 h`` parameters more.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.LSTM(943, 1682)
        >>> inputs = {"history": np.zeros((2, 50), int)}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Differences from the paper:
        The forget gate is of 2000 (Gers, Schmidhuber, Cummins), gradients flow through all gates, and the
        last state, brought to the width of the items, is scored against the same vectors with a bias of the
        item.

    Raises:
        ValueError: ``depth`` is below 1.
    """
    cells = _depth(depth, lambda name: layers.LSTM(units, name=name, **PADDED))
    return _recurrent(num_items, history_length, embedding_dim, dropout, cells, "lstm", read_gaps)


def _depth(depth: int, cell: Callable[[str], layers.Layer]) -> list[layers.Layer]:
    if depth < 1:
        raise ValueError(f"`depth` must be at least 1. Received: depth={depth}")
    return [cell(f"recurrent_{number}") for number in range(1, depth + 1)]


def _recurrent(
    num_items: int,
    history_length: int,
    width: int,
    dropout: float,
    cells: list[layers.Layer],
    name: str,
    read_gaps: bool = False,
) -> keras.Model:
    inputs = {"history": keras.Input((history_length,), dtype="int32", name="history")}
    history = inputs["history"]
    table = ItemTable(num_items, width, bias=True, name="items")
    hidden = layers.Dropout(dropout, name="embedding_dropout")(table(history, look_up=True))
    if read_gaps:
        inputs["history_gaps"] = keras.Input((history_length,), dtype="float32", name="history_gaps")
        hidden = layers.Concatenate(name="event_and_gap")([hidden, log_hours(inputs["history_gaps"])])
    known = ops.not_equal(history, 0)
    for cell in cells:
        hidden = cell(hidden, mask=known)
    hidden = layers.Dropout(dropout, name="state_dropout")(hidden)
    states = layers.Dense(width, name="to_items")(hidden)
    states = layers.Identity(dtype="float32", name="states")(states)
    return keras.Model(inputs, {"scores": table(states[:, -1]), "states": states}, name=name)
