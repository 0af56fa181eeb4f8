"""Why a model gives an item to a user: what of the known carries the score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.data.windows import Sequences
from tfzoo.errors import DataError, UsageError
from tfzoo.experiment import Experiment
from tfzoo.tasks.click_features import FieldScorer
from tfzoo.tasks.sequence_features import SequenceScorer, moment_parts

LEAVE_ONE_OUT, NEAREST = "leave-one-out", "nearest"
# Histories that are scored at once.
ROWS_PER_CALL = 256
# Probabilities nearer to 0 and 1 are taken as so far away, since their logits are not finite.
SURE = 1e-7


@dataclass(frozen=True, eq=False)
class Explanation:
    """What of a user's past carries the score of an item.

    Attributes:
        kind: ``leave-one-out`` where a part is what the score loses without it, exactly; ``nearest`` where it
            is the cosine of the item's vector and that of the past item.
        score: of the item, for the user's history alone where there is one: without a vector of the user
            himself, and with the usual time between events.
        item_id: past items, int32 ``[n]``, those that carry most first.
        part: of each past item, float64 ``[n]``.
    """

    kind: str
    score: float
    item_id: NDArray[np.int32]
    part: NDArray[np.float64]


def explain(experiment: Experiment, scorer: Any, user: int, item: int) -> Explanation:
    """Return why a model gives an item to a user.

    Models that read histories or rows are asked again without each past item, which is exact: a vector that
    is learned for the user beside the history stays out of it, as for somebody with this history whom
    training never saw, and events are the usual time apart. Models of a vector for each user and item
    remember no single interaction; of them the past items are shown that are nearest to the item.

    Args:
        experiment: of the run, refitted.
        scorer: of the trained model.
        user: dense id of a known user.
        item: dense id of a known item.

    Raises:
        UsageError: nothing is known of the user, or the model is one of clicks or has no vectors of items.
    """
    if isinstance(scorer, FieldScorer):
        raise UsageError(f"'{experiment.recipe.model}' is a model of clicks: explain a row of its test part.")
    past = history_of(experiment, scorer, user)
    if len(past) == 0:
        raise UsageError("Nothing is known of the user: everybody like that gets what is popular.")
    if scorer.reads_history:
        return without_each(past, lambda histories: scores_after(scorer, histories, item))
    names = set(scorer.model.input)
    if "user_row" in names:
        return without_each(past, lambda histories: _scores_of_rows(scorer, histories, user, item))
    return _nearest(experiment, scorer, past, user, item)


def history_of(experiment: Experiment, scorer: Any, user: int) -> NDArray[np.int32]:
    """Return the items that a model knows of a user, oldest first where there are times.

    Args:
        experiment: of the run, refitted.
        scorer: of the trained model.
        user: dense id.
    """
    split = experiment.split
    parts = moment_parts(split, "serve" if isinstance(scorer, SequenceScorer) else "validation")
    rows = [part.take(np.flatnonzero(part.user_id == user)) for part in parts]
    if not any(map(len, rows)):
        return np.zeros(0, np.int32)
    items = Sequences.of(*rows).item_id
    if isinstance(scorer, SequenceScorer) or (scorer.reads_history and experiment.task.asks_every_event):
        return items
    # An item that stands there twice counts once, at its last place.
    _, last = np.unique(items[::-1], return_index=True)
    found: NDArray[np.int32] = items[np.sort(len(items) - 1 - last)]
    return found


def without_each(past: NDArray[np.int32], score: Any) -> Explanation:
    """Return what a score loses without each past item.

    Args:
        past: dense ids int32 ``[n]``.
        score: from histories int32 ``[B, n]``, 0 for an item that is left out, to scores ``[B]``.
    """
    count = len(past)
    histories = np.repeat(past[np.newaxis], count + 1, axis=0)
    histories[np.arange(1, count + 1), np.arange(count)] = 0
    scores = np.concatenate(
        [score(histories[first : first + ROWS_PER_CALL]) for first in range(0, count + 1, ROWS_PER_CALL)]
    ).astype(np.float64)
    part = scores[0] - scores[1:]
    order = np.argsort(-part, kind="stable")
    return Explanation(LEAVE_ONE_OUT, float(scores[0]), past[order], part[order])


def scores_after(scorer: Any, histories: NDArray[np.int32], item: int) -> NDArray[np.float32]:
    """Return the scores of an item after histories, int32 ``[B, n]`` to float32 ``[B]``."""
    found: NDArray[np.float32] = scorer.score_history(tf.constant(histories)).numpy()[:, item]
    return found


def _scores_of_rows(scorer: Any, histories: NDArray[np.int32], user: int, item: int) -> NDArray[np.float32]:
    """Return the scores of an item for a user whose row lacks what histories leave out, float32 ``[B]``."""
    users, items = np.full(len(histories), user, np.int32), np.full(len(histories), item, np.int32)
    features = getattr(scorer, "features", None) or scorer._features
    known = features.inputs(tf.constant(users), tf.constant(items))
    inputs = {name: value.numpy() for name, value in known.items()}
    kept = np.zeros(inputs["user_row"].shape, bool)
    np.put_along_axis(kept, histories, True, axis=1)
    inputs["user_row"] = np.where(kept, inputs["user_row"], 0)
    if "item_row" in inputs:
        # The cell of the item itself stands in its own row, too.
        inputs["item_row"][~kept[:, item], user] = 0
    outputs = scorer.model({name: tf.constant(value) for name, value in inputs.items()}, training=False)
    found: NDArray[np.float32] = next(iter(outputs.values())).numpy()
    return found


def _nearest(
    experiment: Experiment, scorer: Any, past: NDArray[np.int32], user: int, item: int
) -> Explanation:
    factors = scorer.factors()
    if factors is not None:
        vectors = factors.item_directions()
    elif hasattr(scorer, "item_vectors"):
        vectors = scorer.item_vectors.numpy()
    else:
        raise UsageError(f"'{experiment.recipe.model}' neither reads histories nor has vectors of items.")
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(length > 0, length, 1)
    others = past[past != item]
    part = (unit[others] @ unit[item]).astype(np.float64)
    order = np.argsort(-part, kind="stable")
    score = scorer.score_pairs(tf.constant([user], tf.int32), tf.constant([item], tf.int32)).numpy()[0]
    return Explanation(NEAREST, float(score), others[order], part[order])


def explain_fields(scorer: FieldScorer, log: Any, row: int) -> tuple[float, dict[str, float]]:
    """Return the probability of a click, and what its logit loses where a field's value is unknown.

    Args:
        scorer: of a model of clicks.
        log: a part of the log.
        row: of it, counted from 0.

    Returns:
        The probability, and field -> difference of logits, largest first. A number that is unknown is the
        mean one.

    Raises:
        DataError: there is no such row.
    """
    if not 0 <= row < len(log):
        raise DataError(f"Row {row + 1} is none of the {len(log):,} rows of the part.")
    one = scorer.features.inputs_of(log.take(np.array([row])))
    encoders = scorer.features.encoders
    changed = []
    for number in range(len(encoders.categories)):
        fields = one["fields"].copy()
        fields[0, number] = 0
        changed.append({**one, "fields": fields})
    column = 0
    for encoder in encoders.numbers.values():
        dense = one["dense"].copy()
        dense[0, column : column + encoder.width] = 0
        changed.append({**one, "dense": dense})
        column += encoder.width
    inputs = {name: tf.constant(np.concatenate([values[name] for values in (one, *changed)])) for name in one}
    click = scorer.score_fields(inputs).numpy().astype(np.float64).clip(SURE, 1 - SURE)
    logit = np.log(click) - np.log1p(-click)
    lost = dict(zip([*encoders.categories, *encoders.numbers], (logit[0] - logit[1:]).tolist(), strict=True))
    return float(click[0]), dict(sorted(lost.items(), key=lambda pair: -pair[1]))


def deletion_curve(
    past: NDArray[np.int32], order: NDArray[np.integer], score: Any, shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the score that is left when shares of a history are taken away in an order.

    Args:
        past: dense ids int32 ``[n]``.
        order: positions in ``past``, int ``[n]``, the first to be taken away first.
        score: as for `without_each`.
        shares: of the history, ``[m]``, 0 to 1.

    Returns:
        float64 ``[m]``.
    """
    histories = np.repeat(past[np.newaxis], len(shares), axis=0)
    for row, share in enumerate(shares):
        histories[row, order[: round(share * len(past))]] = 0
    found: NDArray[np.float64] = np.asarray(score(histories), np.float64)
    return found
