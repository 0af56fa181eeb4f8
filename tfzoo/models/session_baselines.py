"""Floors of the next-item task, counted instead of trained: popularity and co-occurrence in sessions."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzoo.layers import (
    ComputedModel,
    SessionCounts,
    SessionNeighbours,
    StateScores,
    column_products,
    known_columns,
)
from tfzoo.models.registry import Paper, register_model

POPULARITY_PAPER = Paper(
    authors="Hidasi, Karatzoglou, Baltrunas, Tikk",
    title="Session-based Recommendations with Recurrent Neural Networks",
    venue="ICLR",
    year=2016,
    url="https://arxiv.org/abs/1511.06939",
)
COOCCURRENCE_PAPER = Paper(
    authors="Ludewig, Jannach",
    title="Evaluation of Session-based Recommendation Algorithms",
    venue="User Modeling and User-Adapted Interaction 28, 331-390",
    year=2018,
    url="https://arxiv.org/abs/1803.09587",
)
SIMILARITIES = ("count", "cosine")
# Small beside a cosine of items that have been together.
TIEBREAK = 1e-6


def solve_session_popularity(model: keras.Model, matrix: Any) -> None:
    """Set the popularity of a model from `SessionPopularity`.

    Args:
        model: a model from `SessionPopularity`.
        matrix: `scipy.sparse.csr_matrix` float32 ``[num_sessions + 1, num_items + 1]``, 1 for every
            item of a training session.

    Raises:
        UsageError: the matrix is of other items than the model.
    """
    layer = model.get_layer("item_scores")
    layer.offset.assign(_below_one(matrix, layer.offset.shape[0]))


def solve_session_cooccurrence(model: keras.Model, matrix: Any) -> None:
    """Set the neighbours of a model from `SessionCooccurrence`, a block of items at a time.

    Args:
        model: a model from `SessionCooccurrence`.
        matrix: as for `solve_session_popularity`.

    Raises:
        UsageError: the matrix is of other items than the model.
    """
    layer, scores = model.get_layer("neighbours"), model.get_layer("item_scores")
    weights = np.zeros(layer.kernel.shape, np.float32)
    sessions = known_columns(matrix, len(weights))
    counts = np.asarray(sessions.sum(axis=0)).ravel()
    cosine = layer.settings["similarity"] == "cosine"
    for rows, products in column_products(sessions):
        products[np.arange(len(products)), np.arange(rows.start, rows.stop)] = 0.0
        if cosine:
            products /= np.sqrt(np.maximum(counts[rows, None] * counts, 1.0))
        weights[rows.start + 1 : rows.stop + 1, 1:] = products
    layer.kernel.assign(weights)
    scores.offset.assign((TIEBREAK if cosine else 1.0) * _below_one(matrix, len(weights)))


@register_model(
    "session-popularity",
    task="next-item",
    family="baseline",
    paper=POPULARITY_PAPER,
    solve=solve_session_popularity,
)
def SessionPopularity(num_users: int, num_items: int) -> keras.Model:
    """The most frequent items of the session so far, then the most popular ones.

    S-POP in section 4 of the paper. Before the first event the list is that of popularity.

    Args:
        num_users: number of known sessions; unused, as they are anonymous.
        num_items: number of known items; item ids are ``1..num_items``, 0 is the unknown item.

    Returns:
        A functional model of one event a step: ``{"item_id": int32 [B], "state_0": float32
        [B, num_items + 1]}`` to ``{"state_0": float32 [B, num_items + 1], "scores": float32
        [B, num_items + 1]}``. A session starts from a state of 0, its counts. No parameter is trainable.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.SessionPopularity(943, 1682)
        >>> inputs = {"item_id": np.array([50, 172]), "state_0": np.zeros((2, 1683))}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Differences from the paper:
        Popularity, which breaks ties, is the number of training sessions with the item, not of events.
    """
    del num_users
    item_id, state = _inputs(num_items)
    after = SessionCounts(dtype="float32", name="counts")(item_id, state)
    return _model(item_id, state, after, "session-popularity")


@register_model(
    "session-cooccurrence",
    task="next-item",
    family="baseline",
    paper=COOCCURRENCE_PAPER,
    solve=solve_session_cooccurrence,
)
def SessionCooccurrence(
    num_users: int, num_items: int, *, decay: float = 0.0, similarity: str = "count"
) -> keras.Model:
    """The items that most training sessions have together with the last event.

    Simple association rules of section 3.1 of the paper (AR). Nothing is trained:
    `solve_session_cooccurrence` counts the sessions that two items have in common.

    Args:
        num_users: number of known sessions; unused, as they are anonymous.
        num_items: number of known items; item ids are ``1..num_items``, 0 is the unknown item.
        decay: what an event counts beside the one after it: 0 for the last event alone.
        similarity: ``"count"`` of the sessions with both items, or their ``"cosine"``: divided by the root
            of the product of the sessions with either.

    Returns:
        A functional model of one event a step: ``{"item_id": int32 [B], "state_0": float32
        [B, num_items + 1]}`` to ``{"state_0": float32 [B, num_items + 1], "scores": float32
        [B, num_items + 1]}``. A session starts from a state of 0, the sum of neighbours. No parameter is
        trainable.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.SessionCooccurrence(943, 1682)
        >>> inputs = {"item_id": np.array([50, 172]), "state_0": np.zeros((2, 1683))}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Raises:
        ValueError: an option has no such value.
        UsageError: there are too many items for a dense matrix.

    Differences from the paper:
        Sessions with both items are counted, not pairs of events. Ties are broken by popularity, which
        also ranks what was never together with the last event. Earlier events (``decay``) and the cosine
        are not in it; the cosine of the last event is the item-kNN of Hidasi et al., without its
        regularisation.
    """
    del num_users
    if similarity not in SIMILARITIES:
        raise ValueError(f"`similarity` must be one of {SIMILARITIES}. Received: similarity={similarity!r}")
    item_id, state = _inputs(num_items)
    layer = SessionNeighbours(decay, {"similarity": similarity}, dtype="float32", name="neighbours")
    return _model(item_id, state, layer(item_id, state), "session-cooccurrence")


def _inputs(num_items: int) -> tuple[Any, Any]:
    state = keras.Input((num_items + 1,), dtype="float32", name="state_0")
    return keras.Input((), dtype="int32", name="item_id"), state


def _model(item_id: Any, state: Any, after: Any, name: str) -> keras.Model:
    scores = StateScores(dtype="float32", name="item_scores")(after)
    return ComputedModel(
        {"item_id": item_id, "state_0": state}, {"state_0": after, "scores": scores}, name=name
    )


def _below_one(matrix: Any, size: int) -> NDArray[np.float32]:
    """Return popularity as shares that break ties between whole numbers, ``[size]``."""
    counts = np.asarray(known_columns(matrix, size).sum(axis=0)).ravel()
    return np.concatenate([[0.0], counts / (counts.max(initial=0) + 1)]).astype(np.float32)
