"""Asks an exported SavedModel in this process, through the signatures that a server offers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from tfzoo.errors import UsageError
from tfzoo.serving.export import METADATA


@dataclass(frozen=True)
class Recommendations:
    """A ranked list for one user.

    Attributes:
        item_ids: raw ids, best first; fewer than asked for where no more items are eligible.
        scores: the model's scores, or numbers of interactions for an unknown user.
        known_user: whether the user is in the training data; for a history, whether any of its
            items is.
    """

    item_ids: list[int | str]
    scores: list[float]
    known_user: bool


class LocalClient:
    """A SavedModel loaded with TensorFlow.

    Args:
        version: folder of one version of an export.
    """

    def __init__(self, version: Path) -> None:
        self._loaded = tf.saved_model.load(str(version))
        extra = version / "assets.extra"
        self.metadata = json.loads((extra / METADATA).read_text(encoding="utf-8"))
        titles = extra / "titles.json"
        self.titles: dict[str, str] = (
            json.loads(titles.read_text(encoding="utf-8")) if titles.exists() else {}
        )
        self._recommend = self._loaded.signatures["recommend"]
        _, inputs = self._recommend.structured_input_signature
        self._user_dtype, self._item_dtype = inputs["user_id"].dtype, inputs["exclude_ids"].dtype

    def recommend(
        self, user_id: int | str, k: int = 10, exclude_ids: Sequence[int | str] = ()
    ) -> Recommendations:
        """Return the best ``k`` items for a user.

        Raises:
            UsageError: an id is a text where the data set has whole numbers.
        """
        answer = self._recommend(
            user_id=_tensor([user_id], self._user_dtype, "user"), **self._options(k, exclude_ids)
        )
        return self._list(answer)

    def recommend_from_history(
        self, history: Sequence[int | str], k: int = 10, exclude_ids: Sequence[int | str] = ()
    ) -> Recommendations:
        """Return the best ``k`` items for someone who has interacted with ``history``, oldest first.

        Raises:
            UsageError: the model cannot score a history, or an id is a text where the data set
                has whole numbers.
        """
        if "recommend_from_history" not in self._loaded.signatures:
            raise UsageError(
                f"Model '{self.metadata['model']}' learns a vector for each user and cannot score a history; "
                "ask with the id of a user."
            )
        items = _tensor(list(history), self._item_dtype, "item")[tf.newaxis]
        signature = self._loaded.signatures["recommend_from_history"]
        return self._list(signature(history=items, **self._options(k, exclude_ids)))

    def _options(self, k: int, exclude_ids: Sequence[int | str]) -> dict[str, tf.Tensor]:
        excluded = _tensor(list(exclude_ids), self._item_dtype, "item")[tf.newaxis]
        return {"k": tf.constant([k], tf.int32), "exclude_ids": excluded}

    def _list(self, answer: dict[str, tf.Tensor]) -> Recommendations:
        known = bool(answer["known_user"].numpy()[0])
        items, scores = answer["item_ids"].numpy()[0], answer["scores"].numpy()[0]
        shown = items != self._blank
        texts = [item.decode() if isinstance(item, bytes) else int(item) for item in items[shown]]
        return Recommendations(texts, [float(score) for score in scores[shown]], known)

    @property
    def _blank(self) -> int | bytes:
        blank = self.metadata["policy"]["blank_id"]
        return blank.encode() if isinstance(blank, str) else int(blank)


def _tensor(ids: list[int | str], dtype: tf.DType, what: str) -> tf.Tensor:
    if dtype == tf.string:
        return tf.constant([str(raw) for raw in ids], tf.string)
    try:
        return tf.constant([int(raw) for raw in ids], tf.int64)
    except ValueError:
        raise UsageError(f"The {what} ids of this data set are whole numbers. Received {ids}.") from None
