"""Ids themselves: ``user_id`` and ``item_id``."""

from __future__ import annotations

import tensorflow as tf

from tfzoo.inputs.base import Case, Input, register_input


@register_input("id")
class Ids(Input):
    """The dense id, int32 ``[...]``."""

    def of(self, ids: tf.Tensor) -> tf.Tensor:
        """Return the ids."""
        return ids

    def train(self, case: Case) -> tf.Tensor:
        """Return the ids of the examples."""
        return case.ids(self.side)
