"""Metrics of an export, from the answers of its signatures and with NumPy alone."""

from __future__ import annotations

import numpy as np


def rating_figures(client, test, scale):
    """Return ``rmse`` and ``mae`` of ratings clipped to the scale."""
    users, items = test.users.decode(test.user_id), test.items.decode(test.item_id)
    errors = np.clip(client.score(users, items).astype(np.float64), *scale) - test.ratings
    return {"rmse": np.sqrt(np.mean(errors**2)), "mae": np.mean(np.abs(errors))}


def list_figures(lists, cutoffs, ties="against"):
    """Return metrics of ranked lists.

    Args:
        lists: (answer, relevant raw ids) of each case; the answers are long enough to hold all items.
        cutoffs: lengths to cut them to.
        ties: of equal scores the relevant items come last (``against``) or first (``for``), or the order
            is that of the answer (``served``).
    """
    found = {}
    for k in cutoffs:
        discount = 1 / np.log2(np.arange(2, k + 2))
        rows = []
        for answer, relevant in lists:
            hits = _hits(answer, relevant, ties)[:k]
            hits = np.pad(hits, (0, k - len(hits)))
            best = min(k, len(relevant))
            precisions = np.cumsum(hits) / np.arange(1, k + 1)
            rows.append(
                {
                    f"hr@{k}": float(hits.any()),
                    f"recall@{k}": hits.sum() / len(relevant),
                    f"precision@{k}": hits.sum() / k,
                    f"ndcg@{k}": (hits * discount).sum() / discount[:best].sum(),
                    f"map@{k}": (precisions * hits).sum() / len(relevant),
                    f"mrr@{k}": 1 / (1 + hits.argmax()) if hits.any() else 0.0,
                }
            )
        found |= {name: np.mean([row[name] for row in rows]) for name in rows[0]}
    return found


def _hits(answer, relevant, ties):
    hits = np.array([item in relevant for item in answer.item_ids], bool)
    if ties == "served" or not len(hits):
        return hits
    return hits[np.lexsort((hits if ties == "against" else ~hits, -np.array(answer.scores)))]


def raw_items(parts, user):
    """Return the raw ids of a dense user's items in some parts, in the order of time."""
    items, times = [], []
    for part in parts:
        rows = np.flatnonzero(part.user_id == user)
        items += part.items.decode(part.item_id[rows]).tolist()
        times += (np.arange(len(rows)) if part.timestamp is None else part.timestamp[rows]).tolist()
    return [items[at] for at in np.argsort(times, kind="stable")]


def user_lists(client, split, *, hide_known=True, from_history=False):
    """Ask for the lists of all test users, without what was known before the test part."""
    known = [split.train, *([] if split.fold_in is None else [split.fold_in]), split.validation]
    lists, k = [], split.train.num_items
    for user in np.unique(split.test.user_id):
        relevant, history = set(raw_items([split.test], user)), raw_items(known, user)
        exclude = history if hide_known else []
        if from_history:
            answer = client.recommend_from_history(history, k, exclude)
        else:
            answer = client.recommend(split.test.users.decode(user).item(), k, exclude)
        lists.append((answer, relevant))
    return lists


def sampled_lists(client, split):
    """Ask for lists of each test user's items and negatives alone."""
    negatives, lists = split.negatives["test"], []
    for user, drawn in zip(negatives.user_id, negatives.item_id, strict=True):
        relevant = set(raw_items([split.test], user))
        allowed = [*relevant, *(set(split.test.items.decode(drawn[drawn > 0]).tolist()) - relevant)]
        raw = split.test.users.decode(user).item()
        lists.append((client.recommend_among(raw, allowed, k=len(allowed)), relevant))
    return lists


def event_lists(client, test):
    """Ask for the list after every event of the test sessions but the last of each."""
    lists = []
    for user in np.unique(test.user_id):
        events = raw_items([test], user)
        lists += [
            (client.recommend_from_history(events[:at], test.num_items), {events[at]})
            for at in range(1, len(events))
        ]
    return lists
