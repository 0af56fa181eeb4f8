"""Documents of reviews: ``user_tokens`` and ``item_tokens``."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.text import Documents
from tfzoo.errors import DataError
from tfzoo.inputs.base import Case, Input, Known, register_input


@register_input("tokens")
class Tokens(Input):
    """The words that a user, or of an item, was written in the known reviews, int32 ``[..., length]``.

    Right-padded with 0. In training the review that came with the rating is left out.
    `Known.reviews` gives the reviews of all parts, encoded.
    """

    def __init__(self, name: str, side: str, known: Known, tensor: keras.KerasTensor | None = None) -> None:
        super().__init__(name, side, known, tensor)
        if tensor is None or known.reviews is None:
            raise ValueError(f"'{name}' needs the model's input, and the reviews.")
        times = [part.timestamp for part in known.parts if part.timestamp is not None]
        owners = [part.user_id if side == "user" else part.item_id for part in known.parts]
        train = known.train
        self.documents = Documents(
            known.reviews,
            np.concatenate(owners),
            train.num_users if side == "user" else train.num_items,
            length=tensor.shape[-1],
            timestamp=np.concatenate(times) if times else None,
        )

    def of(self, ids: tf.Tensor) -> tf.Tensor:
        """Return whole documents."""
        return self.documents.batch(ids)

    def train(self, case: Case) -> tf.Tensor:
        """Return documents without the review of the example."""
        return self.documents.batch(case.ids(self.side), case.row)


def texts_of(interactions: Interactions) -> np.ndarray:
    """Return the reviews; raises `DataError` where the data has none."""
    if interactions.text is None:
        raise DataError(f"'{interactions.name}' has no review texts; this task needs them (--text-col).")
    return interactions.text
