"""New interactions behind known ones: users and items are added, and no dense id changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.interactions import Interactions
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import DataError


def extend_vocabularies(known: Interactions, new: Interactions) -> tuple[Vocabulary, Vocabulary]:
    """Return the vocabularies of users and items of known interactions, with those of new ones behind.

    Raises:
        DataError: the ids of one kind are whole numbers in the known data and texts in the new.
    """
    sides = (("user", known.users, new.users), ("item", known.items, new.items))
    found = []
    for side, vocabulary, other in sides:
        try:
            found.append(vocabulary.extended(other.ids))
        except DataError as error:
            raise DataError(f"'{new.name}', {side} ids: {error}") from None
    return found[0], found[1]


def over(interactions: Interactions, users: Vocabulary, items: Vocabulary) -> Interactions:
    """Return interactions over extended vocabularies; side features of new ids are 0 or an empty text.

    Args:
        interactions: over vocabularies that the others begin with.
        users: see `extend_vocabularies`.
        items: see `extend_vocabularies`.
    """
    return replace(
        interactions,
        users=users,
        items=items,
        user_features=_grown(interactions.user_features, len(users) + 1),
        item_features=_grown(interactions.item_features, len(items) + 1),
    )


def translate(new: Interactions, into: Interactions) -> Interactions:
    """Return new interactions as further rows of a table.

    Args:
        new: over vocabularies of their own.
        into: the table, whose vocabularies hold all ids of the new interactions, see `over`.

    Raises:
        DataError: the table has ratings or times and the new interactions have none, or a rating lies
            outside the scale of the table.
    """
    rating, timestamp, text = new.rating, new.timestamp, new.text
    if into.rating is None:
        rating = None
    elif rating is None:
        raise DataError(f"'{new.name}' has no ratings, which '{into.name}' has (--rating-col).")
    elif into.rating_scale is not None:
        low, high = into.rating_scale
        wrong = (rating < low) | (rating > high)
        if wrong.any():
            raise DataError(
                f"'{new.name}': the rating {rating[wrong][0]:g} lies outside the scale {low:g} to {high:g} "
                f"of '{into.name}'."
            )
    if into.timestamp is None:
        timestamp = None
    elif timestamp is None:
        raise DataError(f"'{new.name}' has no times, which '{into.name}' has (--time-col).")
    else:
        # Divided first: times in microseconds leave no room for the product of both rates.
        common = math.gcd(into.ticks_per_second, new.ticks_per_second)
        timestamp = timestamp * (into.ticks_per_second // common) // (new.ticks_per_second // common)
    if into.text is None:
        text = None
    elif text is None:
        text = np.full(len(new), "", object)
    return replace(
        into,
        user_id=into.users.lookup(new.users.decode(new.user_id)),
        item_id=into.items.lookup(new.items.decode(new.item_id)),
        rating=rating,
        timestamp=timestamp,
        text=text,
        notes=new.notes,
    )


def with_features_of(table: Interactions, new: Interactions, known: Interactions) -> Interactions:
    """Return a table in which ids that only the new interactions have get the new side features.

    Args:
        table: over extended vocabularies, see `over`.
        new: with side features of the same names as the table's; others are left out.
        known: over the vocabularies before; its ids keep their features.
    """
    users = _filled(table.user_features, table.users, new.user_features, new.users, known.num_users)
    items = _filled(table.item_features, table.items, new.item_features, new.items, known.num_items)
    return replace(table, user_features=users, item_features=items)


def _filled(
    features: Mapping[str, NDArray],
    ids: Vocabulary,
    others: Mapping[str, NDArray],
    of: Vocabulary,
    num_known: int,
) -> dict[str, NDArray]:
    """Return features in which those of ids behind the known ones are what others have of the same ids."""
    found, rows = dict(features), ids.lookup(of.ids)
    added = rows > num_known
    for name in features.keys() & others.keys():
        values, more = features[name], others[name][1:]
        # A longer text would be cut.
        kind = np.result_type(values, more) if values.dtype.kind == "U" else values.dtype
        found[name] = values.astype(kind)
        found[name][rows[added]] = more[added]
    return found


def _grown(features: Mapping[str, NDArray], rows: int) -> dict[str, NDArray]:
    return {
        name: np.concatenate([values, np.zeros((rows - len(values), *values.shape[1:]), values.dtype)])
        for name, values in features.items()
    }
