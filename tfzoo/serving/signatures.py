"""The signatures of a SavedModel, and the policy that they follow."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tfzoo.serving.recommender import Answer, Recommender
from tfzoo.serving.recommenders import CatalogueRecommender

POLICY = {
    "unknown_user": "serving_default scores the average user; recommend and recommend_among rank by "
    "popularity (training interactions) and return that count as the score",
    "unknown_item": "serving_default scores the average item; unknown ids among exclude_ids and allow_ids "
    "are ignored",
    "blank": "rows past their own k, or past the last eligible item, hold the blank id and the blank score; "
    "the blank id is ignored in exclude_ids, allow_ids and history, so that rows can be padded with it",
    "history": "recommend_from_history leaves out the items of the history, ignores unknown ids, and ranks "
    "by popularity where no id is known",
    "allow_ids": "recommend_among ranks the items of allow_ids alone; without any, the list is blank",
    "k": "k is capped at the number of items, and of allow_ids; k below 1 gives a blank row",
    "ties": "the item that comes first in the vocabulary wins",
}


def served_functions(recommender: Recommender) -> dict[str, Callable[..., Answer]]:
    """Return the functions of a SavedModel by the names of their signatures.

    Args:
        recommender: what they ask.

    Returns:
        A `tf.function` with named inputs for ``serving_default``, ``recommend``,
        ``recommend_among`` and, where the scorer reads histories, ``recommend_from_history`` and
        ``recommend_among_from_history``.
    """
    user = tf.TensorSpec([None], recommender.users.dtype, "user_id")
    item = tf.TensorSpec([None], recommender.items.dtype, "item_id")
    k = tf.TensorSpec([None], tf.int32, "k")
    exclude, allow, history = (
        tf.TensorSpec([None, None], recommender.items.dtype, name)
        for name in ("exclude_ids", "allow_ids", "history")
    )
    functions = {
        "serving_default": tf.function(recommender.rate, [user, item]),
        "recommend": tf.function(recommender.recommend, [user, k, exclude]),
        "recommend_among": tf.function(recommender.recommend_among, [user, k, exclude, allow]),
    }
    if isinstance(recommender, CatalogueRecommender) and recommender.reads_history:
        functions["recommend_from_history"] = tf.function(
            recommender.recommend_from_history, [history, k, exclude]
        )
        functions["recommend_among_from_history"] = tf.function(
            recommender.recommend_among_from_history, [history, k, exclude, allow]
        )
    return functions
