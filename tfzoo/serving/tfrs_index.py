"""Item vectors in an index of TensorFlow Recommenders, for those who serve with it.

``tensorflow-recommenders`` is made for Keras 2: it can be imported only where the environment variable
``TF_USE_LEGACY_KERAS=1`` was set before TensorFlow was first used. That changes `tf.keras` for the
whole process, which a library must not do; so this module says what is missing and leaves it to the
program. Models of Keras 3 stay as they are beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from tfzoo.errors import UsageError

KINDS = ("brute-force", "streaming", "scann")
STREAMING_BATCH = 4096


def tfrs_index(
    vectors: NDArray[np.float32], ids: ArrayLike, *, kind: str = "brute-force", k: int = 10, **options: Any
) -> Any:
    """Put item vectors into a top-k layer of TensorFlow Recommenders.

    The vectors and the queries are those of `tfzoo.tasks.factors.Factors`, whose last query
    component is 1, so that offsets of items count.

    Args:
        vectors: float32 ``[n, d]``, without row 0 of the unknown item.
        ids: raw ids of the items ``[n]``.
        kind: ``brute-force``, ``streaming`` or ``scann``, which needs the package ``scann`` and a
            server with its operations.
        k: number of items to find.
        **options: of the layer, such as ``num_leaves`` of ScaNN.

    Returns:
        A layer from queries float32 ``[B, d]`` to scores and ids ``[B, k]``.

    Raises:
        UsageError: there is no such kind, the package is missing, or Keras 2 is not chosen.
    """
    if kind not in KINDS:
        raise UsageError(
            f"An index of TensorFlow Recommenders is one of {', '.join(KINDS)}. Received '{kind}'."
        )
    layers = _layers()
    identifiers = tf.constant(np.asarray(ids))
    if kind == "streaming":
        rows = tf.data.Dataset.from_tensor_slices((identifiers, vectors)).batch(STREAMING_BATCH)
        return layers.Streaming(k=k, **options).index_from_dataset(rows)
    if kind == "brute-force":
        return layers.BruteForce(k=k, **options).index(tf.constant(vectors), identifiers)
    try:
        return layers.ScaNN(k=k, **options).index(tf.constant(vectors), identifiers)
    except ImportError as error:
        raise UsageError(f"kind='scann' needs the package scann: {error}") from None


def _layers() -> Any:
    try:
        from tensorflow_recommenders.layers import factorized_top_k
    except ImportError as error:
        raise UsageError(
            "tensorflow-recommenders needs Keras 2. Set TF_USE_LEGACY_KERAS=1 in the environment before "
            f"the program starts. ({str(error).splitlines()[0]})"
        ) from None
    return factorized_top_k
