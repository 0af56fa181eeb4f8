"""Rows to ask any signature about, in dense ids, and the answers that Keras' scores lead to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tests.serving.keras_truth import BLANK_SCORE, best, by_rows, catalogue, history_scores
from tests.zoo import task_of
from tfzoo.data.interactions import Interactions
from tfzoo.data.vocabulary import INTEGER, Vocabulary

# Dense ids that stand for the blank id and for an id that the data set lacks.
BLANK, UNKNOWN = 0, -1
PAIRS = "serving_default"


@dataclass(frozen=True)
class Row:
    """What one row of a request asks; a signature takes of it what it knows."""

    user: int = UNKNOWN
    item: int = UNKNOWN
    history: tuple[int, ...] = ()
    k: int = 3
    exclude: tuple[int, ...] = ()
    allow: tuple[int, ...] = ()


@dataclass(frozen=True)
class Served:
    """An export and what it was made of; `cache` keeps scores that Keras has given."""

    name: str
    model: keras.Model
    train: Interactions
    version: Path
    cache: dict[Any, np.ndarray] = field(default_factory=dict)

    def signatures(self) -> dict[str, meta_graph_pb2.SignatureDef]:
        """Return what the export offers to a server, as the file says."""
        saved = saved_model_pb2.SavedModel.FromString((self.version / "saved_model.pb").read_bytes())
        (graph,) = saved.meta_graphs
        return {key: value for key, value in graph.signature_def.items() if not key.startswith("__")}


def raw_ids(vocabulary: Vocabulary, dense: Sequence[int]) -> list[int | str]:
    """Return raw ids, with the blank id and an unknown one where the dense ids say so."""
    ids = vocabulary.ids.tolist()
    if vocabulary.dtype == INTEGER:
        special = {BLANK: min(-1, ids[0] - 1), UNKNOWN: ids[-1] + 1}
    else:
        special = {BLANK: "", UNKNOWN: "no such id"}
    return [special[number] if number < 1 else ids[number - 1] for number in dense]


def tensors(inputs: Sequence[str], rows: Sequence[Row], train: Interactions) -> dict[str, tf.Tensor]:
    """Return the given inputs for the rows; lists are padded with the blank id."""
    users, items = train.users, train.items
    lists = {
        "history": [row.history for row in rows],
        "exclude_ids": [row.exclude for row in rows],
        "allow_ids": [row.allow for row in rows],
    }
    made = {}
    for name in inputs:
        if name == "k":
            made[name] = tf.constant([row.k for row in rows], tf.int32)
        elif name == "user_id":
            made[name] = tf.constant(raw_ids(users, [row.user for row in rows]), _dtype(users))
        elif name == "item_id":
            made[name] = tf.constant(raw_ids(items, [row.item for row in rows]), _dtype(items))
        else:
            width = max([0, *map(len, lists[name])])
            padded = [raw_ids(items, [*ids, *[BLANK] * (width - len(ids))]) for ids in lists[name]]
            made[name] = tf.reshape(tf.constant(padded, _dtype(items)), [len(rows), width])
    return made


def check_answer(served: Served, signature: str, rows: Sequence[Row], outputs: Mapping[str, Any]) -> None:
    """Compare an answer with what Keras gives; scores may differ by 1e-5.

    Raises:
        AssertionError: they differ, or the signature is not known here.
    """
    if signature == PAIRS:
        (found,) = outputs.values()
        assert found.dtype == np.float32
        _assert_close(found, [_pair(served, row) for row in rows])
        return
    known = ("recommend", "recommend_among", "recommend_from_history", "recommend_among_from_history")
    assert signature in known, f"No test knows what '{signature}' must answer."
    assert {name: array.dtype for name, array in outputs.items()} == {
        "item_ids": np.int64 if served.train.items.dtype == INTEGER else np.object_,
        "scores": np.float32,
        "known_user": np.bool_,
    }
    widest = served.train.num_items
    if "_among" in signature:
        widest = min(widest, max([0, *(len(row.allow) for row in rows)]))
    shape = (len(rows), max([0, *(min(row.k, widest) for row in rows)]))
    assert outputs["item_ids"].shape == outputs["scores"].shape == shape
    assert outputs["known_user"].shape == shape[:1]
    for number, row in enumerate(rows):
        _check_list(served, signature, row, *(outputs[name][number] for name in sorted(outputs)))


def _check_list(
    served: Served, signature: str, row: Row, items: np.ndarray, known_user: bool, scores: np.ndarray
) -> None:
    train = served.train
    events = [item for item in row.history if item > 0]
    from_history = signature.endswith("_from_history")
    known = bool(events) if from_history else row.user > 0
    assert known_user == known
    if not known:
        truth = train.item_counts().astype(np.float32)
    else:
        truth = _history(served, events) if from_history else _catalogue(served, row.user)
    blocked = {*row.exclude, *(events if from_history else train.item_id[train.user_id == row.user].tolist())}
    if "_among" in signature:
        blocked |= set(range(1, train.num_items + 1)) - set(row.allow)
    hide = task_of(served.name) not in ("rating", "review-rating")
    eligible = best(truth, train, train.num_items, blocked, hide=hide)
    expected = eligible[: max(0, row.k)]
    listed, blanks = items[: len(expected)], items[len(expected) :]
    texts = [item.decode() if isinstance(item, bytes) else int(item) for item in listed]
    found = train.items.lookup(texts).tolist() if texts else []
    # Scores that differ by less than rounding may change places; equal numbers of interactions may not.
    assert set(found) <= set(eligible)
    assert len(set(found)) == len(found)
    _assert_close(truth[found], truth[expected])
    assert known or found == expected
    _assert_close(scores[: len(expected)], truth[found])
    (blank,) = raw_ids(train.items, [BLANK])
    assert set(blanks.tolist()) <= {blank.encode() if isinstance(blank, str) else blank}
    assert set(scores[len(expected) :].tolist()) <= {BLANK_SCORE}


def _pair(served: Served, row: Row) -> float:
    user, item = max(0, row.user), max(0, row.item)
    if task_of(served.name) != "implicit":
        return float(_catalogue(served, user)[item])
    return float(by_rows(served.model, served.train, [user], [item])["score"][0])


def _catalogue(served: Served, user: int) -> np.ndarray:
    if ("user", user) not in served.cache:
        served.cache["user", user] = catalogue(served.name, served.model, served.train, user)
    return served.cache["user", user]


def _history(served: Served, events: Sequence[int]) -> np.ndarray:
    key = ("history", *events)
    if key not in served.cache:
        served.cache[key] = history_scores(served.name, served.model, served.train, list(events))
    return served.cache[key]


def _assert_close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def _dtype(vocabulary: Vocabulary) -> tf.DType:
    return tf.int64 if vocabulary.dtype == INTEGER else tf.string
