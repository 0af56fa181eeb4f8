"""Warm-up requests: what TensorFlow Serving asks a model by itself before it answers others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzoo.data.vocabulary import INTEGER, Vocabulary

WARMUP_FILE = "tf_serving_warmup_requests"
BATCH_SIZES = (1, 8)
TOP = 10
HISTORY = 10

Counted = tuple[Vocabulary, NDArray]


def write_warmup(extra: Path, users: Counted, items: Counted, *, reads_history: bool) -> int:
    """Write requests for every signature, of several batch sizes.

    The format is that of TensorFlow Serving's documentation, "SavedModel Warmup": a TFRecord of
    ``PredictionLog``. Ids are those of the most popular users and items.

    Args:
        extra: the folder ``assets.extra`` of an export.
        users: their vocabulary, and the number of interactions by dense id ``[num_users + 1]``.
        items: the same of the items.
        reads_history: the export has the signatures that read histories.

    Returns:
        The number of requests; 0 where ``tensorflow-serving-api`` is not installed, and then no
        file is written.
    """
    return write_requests(
        extra, (one for size in BATCH_SIZES for one in _requests(users, items, size, reads_history))
    )


def write_requests(extra: Path, requests: Iterable[tuple[str, Mapping[str, tf.Tensor]]]) -> int:
    """Write requests, each the name of a signature and its inputs, see `write_warmup`."""
    try:
        import tensorflow_serving.apis.prediction_log_pb2  # noqa: F401
    except ImportError:
        return 0
    logs = [prediction_log(signature, inputs).SerializeToString() for signature, inputs in requests]
    with tf.io.TFRecordWriter(str(extra / WARMUP_FILE)) as writer:
        for log in logs:
            writer.write(log)
    return len(logs)


def prediction_log(signature: str, inputs: Mapping[str, tf.Tensor]) -> Any:
    """Return one request as the protocol buffer ``PredictionLog``.

    Args:
        signature: name of the signature.
        inputs: its inputs.

    Raises:
        ImportError: ``tensorflow-serving-api`` is not installed.
    """
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    return log


def _requests(
    counted_users: Counted, counted_items: Counted, size: int, reads_history: bool
) -> Iterator[tuple[str, dict[str, tf.Tensor]]]:
    users = _popular(*counted_users, size)
    items = _popular(*counted_items, max(size, HISTORY))
    options = {"k": tf.fill([size], TOP), "exclude_ids": _rows(items[:1], size)}
    allowed = {"allow_ids": _rows(items[1:], size)}
    yield "serving_default", {"user_id": users, "item_id": items[:size]}
    yield "recommend", {"user_id": users, **options}
    yield "recommend_among", {"user_id": users, **options, **allowed}
    if reads_history:
        history = {"history": _rows(items, size)}
        yield "recommend_from_history", {**history, **options}
        yield "recommend_among_from_history", {**history, **options, **allowed}


def _popular(vocabulary: Vocabulary, counts: NDArray, size: int) -> tf.Tensor:
    """Return the raw ids of the ``size`` ids with the most interactions, from the start again if fewer."""
    order = np.argsort(-counts[1:], kind="stable") + 1
    raw = vocabulary.decode([order[position % len(order)] for position in range(size)])
    return tf.constant(raw.tolist(), tf.int64 if vocabulary.dtype == INTEGER else tf.string)


def _rows(ids: tf.Tensor, size: int) -> tf.Tensor:
    return tf.repeat(ids[tf.newaxis], size, axis=0)
