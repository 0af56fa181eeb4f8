"""Export to a SavedModel that a stock TensorFlow Serving loads: raw ids in, ratings and lists out."""

from __future__ import annotations

import contextlib
import errno
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import StorageError, TfzooError, UsageError
from tfzoo.files import temporary_folder
from tfzoo.serving.deployment import write_deployment
from tfzoo.serving.index import IndexSettings
from tfzoo.serving.recommender import Recommender
from tfzoo.serving.recommenders import CatalogueRecommender, IndexedRecommender
from tfzoo.serving.signatures import served_functions, served_policy
from tfzoo.serving.warmup import write_warmup
from tfzoo.tasks.base import Scorer
from tfzoo.tasks.factors import Factors

METADATA = "tfzoo.json"
TITLES = "titles.json"
# TensorFlow Serving reads the names of folders as numbers of 64 bits.
VERSION = re.compile("0*[0-9]{1,19}")
LARGEST_VERSION = 2**63 - 1


def export_saved_model(
    model: keras.Model,
    scorer: Scorer,
    train: Interactions,
    folder: Path,
    *,
    metadata: dict[str, Any],
    exclude_seen: bool = True,
    known: Sequence[Interactions] = (),
    index: IndexSettings | None = None,
) -> Path:
    """Write the next version of a served model.

    Args:
        model: the trained model, whose weights are checked.
        scorer: from the model's task.
        train: the training part.
        folder: the served model's folder, ``EXPORT_DIR/<model>-<dataset>``; the export becomes
            the subfolder named by the next whole number, written beside and renamed into place.
        metadata: what to write into ``assets.extra/tfzoo.json`` beside the policy.
        exclude_seen: lists leave out what a user is known to have, and the items of a given history.
        known: what is known of users beside the training part, such as the other parts of a split and
            what a filter dropped; its users and items may be others.
        index: find items through an index over their vectors, which can be exchanged later, see
            `swap_candidates`; None scores all items with the model.

    Returns:
        The folder of the new version. Its signatures are those of `served_functions`; the files
        for a server beside it are those of `write_deployment`.

    Raises:
        TfzooError: the folder cannot be written, or weights of the model are not finite.
        UsageError: an index is asked for, and the model's scores are not inner products.
    """
    check_finite(model)
    factors = None if index is None else _factors(scorer, metadata)
    with writing_version(folder) as temporary:
        assets = temporary / "vocabulary"
        assets.mkdir()
        options: dict[str, Any] = {"exclude_seen": exclude_seen, "known": known}
        recommender: Recommender
        if index is None or factors is None:
            recommender = CatalogueRecommender(scorer, train, assets, **options)
        else:
            recommender = IndexedRecommender(scorer, factors, index, train, assets, **options)
        target = temporary / "model"
        _write(recommender, target)
        extra = target / "assets.extra"
        extra.mkdir()
        users, items = (train.users, train.user_counts()), (train.items, train.item_counts())
        warm = write_warmup(extra, users, items, reads_history=recommender.reads_history)
        policy = served_policy(recommender)
        ids = {"user": train.users.dtype, "item": train.items.dtype}
        described = {**metadata, "policy": policy, "ids": ids, "warmup_requests": warm}
        if index is not None and factors is not None:
            offset = None if factors.item_offset is None else factors.item_offset.tolist()
            described["index"] = {**asdict(index), "item_offset": offset}
        write_metadata(extra, described, train.items, item_titles(train))
        version = publish(target, folder)
    write_deployment(folder.parent)
    return version


@contextlib.contextmanager
def writing_version(folder: Path) -> Iterator[Path]:
    """Give a hidden folder beside the versions of a served model, to prepare the next one in.

    It is removed after the block; what killed processes have left there is removed first.

    Args:
        folder: of the served model; it is made.

    Raises:
        StorageError: the export cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _next_version(folder)  # Before the work, of which nobody would see the result.
        with temporary_folder(folder, ".export-") as temporary:
            yield temporary
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"Cannot write the export to {folder}: {error.strerror or error}.") from error
    except tf.errors.OpError as error:
        # TensorFlow, which writes the graph and the weights, has errors of its own for a disk; before the
        # reason they name a file of the hidden folder.
        reason = error.message.rpartition("; ")[2]
        raise StorageError(f"Cannot write the export to {folder}: {reason}.") from error


def publish(prepared: Path, folder: Path) -> Path:
    """Move a finished export into place as the next version, which appears whole or not at all.

    Args:
        prepared: the finished SavedModel, on the same file system.
        folder: of the served model.

    Returns:
        ``folder/<version>``; a version that another process publishes meanwhile is never
        overwritten.
    """
    while True:
        version = _next_version(folder)
        try:
            prepared.rename(version)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return version


def _next_version(folder: Path) -> Path:
    """Return the folder of the next version; raises `TfzooError` where a server would never look at it."""
    newest = max(versions(folder), default=0)
    if newest >= LARGEST_VERSION:
        raise TfzooError(
            f"{folder} holds version {newest}, the largest that a server reads, so that no export can follow "
            "it. Rename that folder, or export with another --name."
        )
    return folder / str(newest + 1)


def versions(folder: Path) -> dict[int, Path]:
    """Return the folders of versions by number; other names, such as of temporary folders, do not count.

    The rules are TensorFlow Serving's: a number is at most 2**63 - 1, and of two folders with the
    same number, such as ``01`` and ``1``, the name that sorts last counts.
    """
    if not folder.is_dir():
        return {}
    named = sorted(entry for entry in folder.iterdir() if VERSION.fullmatch(entry.name) and entry.is_dir())
    numbered = {int(entry.name): entry for entry in named}
    return {number: entry for number, entry in numbered.items() if number <= LARGEST_VERSION}


def refuse_other_data(folder: Path, model: str, data: Sequence[str], told: str) -> None:
    """Raise `TfzooError` where the newest version of a served model is another model, or of other data.

    Versions of older programs, which do not say what data they are of, are taken for the same.

    Args:
        folder: of the served model.
        model: name of the model that is to be exported.
        data: fingerprints of the data that the newest version may be of, see `Interactions.fingerprint`.
        told: what the user can do, for the message.
    """
    found = versions(folder)
    if not found:
        return
    newest = found[max(found)]
    try:
        known = read_metadata(newest)
        of = (known["model"], known["data_fingerprint"])
    except (TfzooError, KeyError):
        return
    if of[0] != model or of[1] not in data:
        what = "other data" if of[0] == model else f"the model '{of[0]}'"
        raise TfzooError(f"{newest} is an export of {what}: whoever asks {folder} relies on it. {told}")


def item_titles(items: Interactions) -> list[str] | None:
    """Return the titles of the items in the order of their ids, or None where the data set has none."""
    titles = items.item_features.get("title")
    return None if titles is None else titles[1:].tolist()


def latest_version(folder: Path) -> Path:
    """Return the folder of the newest version; raises `TfzooError` where there is none."""
    # A folder with a number for its name need not be an export; a larger number hides none.
    found = {number: version for number, version in versions(folder).items() if _is_export(version)}
    if not found:
        raise TfzooError(
            f"No exported model in {folder}. Export one with scripts/train.py or scripts/export.py."
        )
    return found[max(found)]


def _is_export(version: Path) -> bool:
    return (version / "saved_model.pb").is_file() or (version / METADATA).is_file()


def read_metadata(version: Path) -> dict[str, Any]:
    """Return what `write_metadata` wrote; raises `TfzooError` where there is no such file."""
    # Exports for other runtimes have it on top.
    path = version / METADATA
    if not path.is_file():
        path = version / "assets.extra" / METADATA
    try:
        return json_object(path)
    except (OSError, ValueError) as error:
        raise TfzooError(f"{version} is no export of this library: {error}") from None


def json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object that a file holds; raises `OSError` or `ValueError` where it does not."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds a {type(found).__name__}, expected an object")
    return found


def write_metadata(
    extra: Path, metadata: dict[str, Any], items: Vocabulary, titles: list[str] | None
) -> None:
    """Write ``tfzoo.json`` and, where the items have titles, ``titles.json``.

    Args:
        extra: the folder ``assets.extra`` of the export.
        metadata: what to write.
        items: the items' ids.
        titles: of the items, in the order of the ids.
    """
    text = json.dumps(metadata, indent=1, sort_keys=True)
    (extra / METADATA).write_text(text + "\n", encoding="utf-8")
    if titles is not None:
        by_id = dict(zip(items.ids.tolist(), titles, strict=True))
        (extra / TITLES).write_text(json.dumps(by_id) + "\n", encoding="utf-8")


def _write(recommender: Recommender, target: Path) -> None:
    archive = keras.export.ExportArchive()
    archive.track(recommender)
    for name, function in served_functions(recommender).items():
        archive.add_endpoint(name, function)
    archive.write_out(str(target), verbose=False)


def _factors(scorer: Scorer, metadata: dict[str, Any]) -> Factors:
    factors = scorer.factors()
    if factors is None:
        raise UsageError(
            f"The scores of '{metadata.get('model', 'this model')}' are not inner products of a user's and "
            "an item's vector, which an index needs. Export it without --index."
        )
    return factors


def check_finite(model: keras.Model) -> None:
    """Raise `TfzooError` if a weight of the model is not finite."""
    for weight in model.weights:
        values = keras.ops.convert_to_numpy(weight)
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            raise TfzooError(
                f"The weights '{weight.path}' of the model are not finite, so that no score would be. "
                "Nothing was exported; train again with a smaller learning rate."
            )
