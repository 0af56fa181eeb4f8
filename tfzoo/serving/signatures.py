"""The signatures of a SavedModel, and the policy that they follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfzoo.serving.recommender import BLANK_SCORE, Answer, Recommender
from tfzoo.serving.recommenders import CatalogueRecommender

_POLICY = {
    "unknown_user": "serving_default scores the average user; recommend and recommend_among rank by "
    "popularity (training interactions) and return that count as the score",
    "unknown_item": "serving_default scores the average item; unknown ids among exclude_ids and allow_ids "
    "are ignored",
    "blank": "rows past their own k, or past the last eligible item, hold the blank id and the blank score; "
    "the blank id is ignored in exclude_ids, allow_ids and history, so that rows can be padded with it",
    "history": "recommend_from_history and recommend_among_from_history ignore unknown ids, and rank by "
    "popularity where no id is known",
    "allow_ids": "recommend_among ranks the items of allow_ids alone; without any, the list is blank",
    "k": "k is capped at the number of items, and of allow_ids; k below 1 gives a blank row",
    "ties": "the item that comes first in the vocabulary wins",
}


_SEEN_ITEMS = {
    True: "left out of all lists: what a user is known to have in the training, validation and test parts "
    "and in rows that a filter dropped, and the items of a history",
    False: "kept in all lists, those of a history too",
}


def served_policy(recommender: Recommender) -> dict[str, Any]:
    """Return what the signatures do in every case that their names leave open, one sentence each."""
    blank = {"blank_id": recommender.items.blank, "blank_score": BLANK_SCORE}
    return {**_POLICY, "seen_items": _SEEN_ITEMS[recommender.exclude_seen], **blank}


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
