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
        scores: predicted ratings, or numbers of interactions for an unknown user.
        known_user: whether the user is in the training data.
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
            user_id=_tensor([user_id], self._user_dtype, "user"),
            k=tf.constant([k], tf.int32),
            exclude_ids=_tensor(list(exclude_ids), self._item_dtype, "item")[tf.newaxis],
        )
        items, scores = answer["item_ids"].numpy()[0], answer["scores"].numpy()[0]
        shown = items != self._blank
        texts = [item.decode() if isinstance(item, bytes) else int(item) for item in items[shown]]
        return Recommendations(
            texts, [float(s) for s in scores[shown]], bool(answer["known_user"].numpy()[0])
        )

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
