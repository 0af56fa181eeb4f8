"""Negative items drawn inside the graph: weighted, never a known one, without a rejection loop."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.data.interactions import Interactions
from tfzoo.data.sampling import item_weights, known_items

ROWS_AT_ONCE = 1 << 20
# Unknown items are listed up to so many cells of users times items: 64 MiB of 16-bit numbers.
LISTED_CELLS = 1 << 25


class NegativeSampler(tf.Module):
    """Draws items that a user has not interacted with, by weight, exactly.

    Weights are whole numbers, so that a draw is one number ``r`` in ``[0, mass of the items that
    the user does not know)`` and one binary search. The known items are skipped, not rejected:
    put in order, known item ``t`` has the mass ``key_t`` of *unknown* items before it. Those
    ``key_t <= r`` lie before the drawn item, and adding their own mass to ``r`` gives the
    place of the item among the cumulative weights of all items.

    Sampling is stateless: same users and seed, same items, on every device. It is meant for
    `tf.data` and plain `tf.function`; XLA turns a binary search into a comparison of all with all.

    Args:
        interactions: the known pairs; repeated pairs count once as known, and as often as they
            occur for popularity.
        weighting: ``"uniform"``, or ``"popularity"``: as the item's number of interactions.
        alpha: exponent of that number, 0.75 for example as in word2vec; at least 0.
        reject_known: never draw an item that the user has interacted with.

    Raises:
        UsageError: unknown ``weighting``, or ``alpha`` is negative or not finite.
        DataError: ``reject_known`` and a user has interacted with every item.
    """

    def __init__(
        self,
        interactions: Interactions,
        *,
        weighting: str = "uniform",
        alpha: float = 1.0,
        reject_known: bool = True,
    ) -> None:
        super().__init__()
        weights = item_weights(interactions, weighting, alpha)
        self.uniform = weighting == "uniform"
        cumulative = np.cumsum(weights)
        self.total = int(cumulative[-1])
        self.cumulative = tf.constant(cumulative[1:], tf.int64)
        self.rejects = reject_known and bool(((interactions.user_id > 0) & (interactions.item_id > 0)).any())
        cells = (interactions.num_users + 1) * interactions.num_items
        self.lists = self.rejects and self.uniform and cells <= LISTED_CELLS
        if self.lists:
            self._list_unknown(interactions)
        elif self.rejects:
            self._skip_known(interactions, weights, cumulative)

    def sample(self, users: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Draw one item for each entry of ``users``, independently of each other.

        Args:
            users: int32 dense user ids, any shape; user 0 (unknown or padding) knows no item.
            seed: int32 or int64 ``[2]``.

        Returns:
            int32 dense item ids ``1..num_items``, same shape.
        """
        user = tf.reshape(users, [-1])
        # 63 random bits modulo at most 40: no item gets more than 2**-23 too much, relatively.
        bits = tf.random.stateless_uniform(
            tf.shape(user), seed, minval=None, maxval=None, dtype=tf.int64, alg="philox"
        )
        bits = tf.bitwise.bitwise_and(bits, tf.constant(2**63 - 1, tf.int64))
        place = bits % (self.total - tf.gather(self.known_mass, user) if self.rejects else self.total)
        if self.lists:
            item = tf.cast(tf.gather(self.unknown, tf.gather(self.first_unknown, user) + place), tf.int32)
        else:
            item = self._item_at(self._beyond_known(user, place) if self.rejects else place)
        return tf.ensure_shape(tf.reshape(item, tf.shape(users)), users.shape)

    def _beyond_known(self, user: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        """Turn places among the unknown items into places among all items."""
        keys = tf.cast(user, tf.int64) * self.total + place
        skipped = tf.searchsorted(self.keys, keys, side="right")
        known = tf.cast(skipped, tf.int64) if self.uniform else tf.gather(self.mass_before, skipped)
        return place + known - tf.gather(self.mass_before_user, user)

    def _item_at(self, place: tf.Tensor) -> tf.Tensor:
        if self.uniform:
            return tf.cast(place, tf.int32) + 1
        return tf.searchsorted(self.cumulative, place, side="right") + 1

    def _list_unknown(self, interactions: Interactions) -> None:
        """Write the unknown items of all users down, one user after the other."""
        num_users, num_items = interactions.num_users, interactions.num_items
        user, item, per_user = known_items(interactions)
        unknown = np.ones((num_users + 1, num_items), bool)
        unknown[user, item - 1] = False
        items = np.arange(1, num_items + 1, dtype=np.min_scalar_type(num_items))
        self.unknown = tf.constant(np.broadcast_to(items, unknown.shape)[unknown])
        count = num_items - per_user
        self.first_unknown = tf.constant(np.cumsum(count) - count, tf.int64)
        self.known_mass = tf.constant(per_user, tf.int64)

    def _skip_known(self, interactions: Interactions, weights: NDArray, cumulative: NDArray) -> None:
        """Lay all users' known items on one line: user ``u`` has the keys from ``u * total``."""
        user, item, per_user = known_items(interactions)
        starts = np.cumsum(per_user) - per_user
        if self.uniform:
            # The mass of the first n known items is n: there is no table to keep.
            mass, mass_before_user = len(user), starts
        else:
            mass_before = np.zeros(len(user) + 1, np.int64)
            np.cumsum(weights[item], out=mass_before[1:])
            mass, mass_before_user = int(mass_before[-1]), mass_before[starts]
            self.mass_before = tf.constant(mass_before, tf.int64)
        keys = np.empty(len(user), np.int64)
        # In parts: each of these arrays would be as large as the keys.
        for start in range(0, len(user), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            who, what = user[part], item[part]
            before = np.arange(start, start + len(who)) if self.uniform else mass_before[:-1][part]
            unknown_before = cumulative[what] - weights[what] - (before - mass_before_user[who])
            keys[part] = who.astype(np.int64) * self.total + unknown_before
        self.keys = tf.constant(keys, tf.int64)
        self.mass_before_user = tf.constant(mass_before_user, tf.int64)
        self.known_mass = tf.constant(np.diff(mass_before_user, append=mass), tf.int64)
