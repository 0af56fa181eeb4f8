"""Another set of items for an export, without training: the graph stays, its variables change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzoo.data.vocabulary import INTEGER, Vocabulary
from tfzoo.errors import DataError, UsageError
from tfzoo.serving.candidates import Candidates
from tfzoo.serving.checkpoint import read_variables, write_variables
from tfzoo.serving.export import TITLES, publish, read_metadata, write_metadata, writing_version
from tfzoo.serving.id_lookup import raw_ids
from tfzoo.serving.index import IndexSettings
from tfzoo.serving.recommender import ITEMS_FILE, USERS_FILE
from tfzoo.serving.recommenders import popular_order
from tfzoo.serving.warmup import WARMUP_FILE, write_warmup


def swap_candidates(version: Path, candidates: Candidates) -> Path:
    """Publish an export with another set of items as the next version.

    Users, their vectors and what they have seen stay as they are; items that are not among the
    candidates are forgotten.

    Args:
        version: folder of one version of an export with an index.
        candidates: all items of the new version.

    Returns:
        The folder of the new version.

    Raises:
        UsageError: the export has no index.
        DataError: a new item has no vector, or the vectors have another width or are not finite.
    """
    metadata = read_metadata(version)
    if metadata.get("index") is None:
        raise UsageError(
            f"{version} scores its items with the model, which knows no others. Export with --index exact or "
            "--index ivf to exchange the items later."
        )
    prefix = version / "variables" / "variables"
    old = read_variables(prefix)
    before = Vocabulary.load(version / "assets" / ITEMS_FILE, metadata["ids"]["item"])
    new, items = _new_variables(old, before, candidates, metadata["index"])
    with writing_version(version.parent) as temporary:
        target = temporary / "model"
        shutil.copytree(version, target, ignore=shutil.ignore_patterns("variables", "fingerprint.pb"))
        (target / "variables").mkdir()
        write_variables(prefix, target / "variables" / "variables", new)
        items.save(target / "assets" / ITEMS_FILE)
        _describe(target, version, metadata, items, candidates, new)
        return publish(target, version.parent)


def _new_variables(
    old: dict[str, NDArray], before: Vocabulary, candidates: Candidates, settings: dict[str, Any]
) -> tuple[dict[str, NDArray], Vocabulary]:
    """Return the variables that change, by name, and the vocabulary."""
    items = Vocabulary.from_values(candidates.ids)
    if items.dtype != before.dtype:
        raise DataError(
            f"The candidates have {items.dtype} ids; those of the export are {before.dtype}, such as "
            f"'{before.ids[0]}'."
        )
    if len(items) != len(candidates.ids):
        raise DataError(f"{len(candidates.ids) - len(items)} candidates have an id that occurs before.")
    # Dense ids before and after: of the rows of the old arrays, and of the candidates' rows.
    was = np.concatenate([[0], before.lookup(items.ids)])
    row = np.argsort(items.lookup(candidates.ids))
    given = _given(candidates, row, old["item_factors"].shape[1], settings["item_offset"])
    missing = items.ids[(was[1:] == 0) & np.isnan(given[:, 0])]
    if len(missing):
        raise DataError(
            f"{len(missing)} candidates are not in the export and have no vector, such as '{missing[0]}'."
        )
    vectors = old["item_factors"][was]
    vectors[1:] = np.where(np.isnan(given), vectors[1:], given)
    popularity = np.where(was > 0, old["popularity"][was], 0).astype(np.float32)
    if candidates.popularity is not None:
        popularity[1:] = candidates.popularity[row]
    hidden = old["hidden"][was]
    hidden[1:] &= np.isnan(given[:, 0])
    new = {
        "item_factors": vectors,
        "popularity": popularity,
        "hidden": hidden,
        "popular": popular_order(popularity, hidden),
        "raw_item_ids": np.array(raw_ids(items), np.int64 if items.dtype == INTEGER else object),
        **_seen(old, items.lookup(before.ids)),
    }
    if hidden.all():
        raise DataError("None of the candidates was trained or has a vector: nothing could be recommended.")
    partitions = settings["partitions"] and min(settings["partitions"], int((~hidden).sum()))
    index = IndexSettings(settings["kind"], partitions, settings["probes"])
    return {**new, **index.arrays(vectors, hidden)}, items


def _given(
    candidates: Candidates, row: NDArray, width: int, offset: list[float] | None
) -> NDArray[np.float32]:
    """Return the given vectors in the form and order of the export's, NaN where there is none."""
    if candidates.vectors is None:
        return np.full((len(row), width), np.nan, np.float32)
    vectors = np.asarray(candidates.vectors, np.float32)[row]
    if vectors.shape[1] == width - 1 and offset is not None:
        weights = np.array(offset, np.float32)
        vectors = np.concatenate([vectors, vectors @ weights[:-1, np.newaxis] + weights[-1]], axis=1)
    if vectors.shape[1] != width:
        expected = f"{width}, the last the item's offset" if offset is None else f"{width - 1} or {width}"
        raise DataError(f"The vectors must have width {expected}. Received {vectors.shape[1]}.")
    blank = np.isnan(vectors).all(axis=1)
    if not np.isfinite(vectors[~blank]).all():
        raise DataError("The vectors of the candidates must be finite, or missing as a whole.")
    return vectors


def _seen(old: dict[str, NDArray], now: NDArray[np.int32]) -> dict[str, NDArray]:
    """Return what users have seen among the new items; ``now`` is the new id of each old item."""
    user = np.repeat(np.arange(len(old["seen_splits"]) - 1), np.diff(old["seen_splits"]))
    item = np.concatenate([[0], now])[old["seen_columns"]]
    user, item = user[item > 0], item[item > 0]
    order = np.lexsort((item, user))
    counts = np.bincount(user, minlength=len(old["seen_splits"]) - 1)
    return {
        "seen_splits": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        "seen_columns": item[order].astype(np.int32),
        "seen_values": np.ones(len(item), np.float32),
    }


def _describe(
    target: Path,
    version: Path,
    metadata: dict[str, Any],
    items: Vocabulary,
    candidates: Candidates,
    new: dict[str, NDArray],
) -> None:
    """Write the metadata, the titles and the warm-up requests of the new items."""
    extra = target / "assets.extra"
    titles = extra / TITLES
    by_id = json.loads(titles.read_text(encoding="utf-8")) if titles.exists() else {}
    if candidates.titles is not None:
        by_id.update(zip(map(str, candidates.ids.tolist()), candidates.titles.tolist(), strict=True))
    metadata = {**metadata, "candidates": {"from_version": int(version.name), "items": len(items)}}
    metadata["policy"]["blank_id"] = raw_ids(items)[0]
    names = [by_id.get(str(raw), "") for raw in items.ids.tolist()] if by_id else None
    write_metadata(extra, metadata, items, names)
    if (extra / WARMUP_FILE).exists():
        users = Vocabulary.load(target / "assets" / USERS_FILE, metadata["ids"]["user"])
        # Behind the users of the vocabulary stand others, of whom items are known and nothing else.
        seen = np.concatenate([[0], np.diff(new["seen_splits"])[1 : len(users) + 1]])
        write_warmup(extra, (users, seen), (items, new["popularity"]), reads_history=False)
