"""Attentive pooling: two documents look at each other, and each becomes one vector."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

# tanh of it is -1, which no pair of words falls below.
HIDDEN = -1e9


@keras.saving.register_keras_serializable("tfzoo")
class AttentivePooling(keras.layers.Layer):
    """Weigh the places of two documents by what the other one says (dos Santos et al. 2016).

    ``G = tanh(U W V^T)`` compares every place of one document with every place of the other. A
    place counts as much as the best place that it meets: ``a_u = softmax(max over columns of G)``,
    ``a_v = softmax(max over rows of G)``, ``r_u = U^T a_u``, ``r_v = V^T a_v``.

    A place whose vector is zero is padding: it weighs nothing and is met by nobody. A document without
    any other place becomes the zero vector, and all places of the other document then weigh the same.

    Args:
        initializer: initialiser of ``W``.
        **kwargs: as for `keras.layers.Layer`. It should be a float32 layer.

    Call arguments:
        user: float ``[B, Tu, Fu]``.
        item: float ``[B, Ti, Fi]``.

    Returns:
        ``r_u`` float ``[B, Fu]`` and ``r_v`` float ``[B, Fi]``.
    """

    def __init__(self, initializer: str | keras.Initializer = "glorot_uniform", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initializer = keras.initializers.get(initializer)

    def build(self, user_shape: tuple[int | None, ...], item_shape: tuple[int | None, ...]) -> None:
        """Create ``W``."""
        shape = (user_shape[-1], item_shape[-1])
        self.kernel = self.add_weight(shape=shape, initializer=self.initializer, name="kernel")
        self.built = True

    def call(self, user: Any, item: Any) -> tuple[Any, Any]:
        """Return the vectors of both documents."""
        user_weights, item_weights = self.attention(user, item)
        pooled = ops.einsum("bt,btf->bf", user_weights, user)
        return pooled, ops.einsum("bt,btf->bf", item_weights, item)

    def attention(self, user: Any, item: Any) -> tuple[Any, Any]:
        """Return ``a_u`` float ``[B, Tu]`` and ``a_v`` float ``[B, Ti]``.

        Each row sums to 1, or is all 0 for a document without a place.
        """
        products = self.products(user, item)
        return _softmax(products, 2, _known(user)), _softmax(products, 1, _known(item))

    def products(self, user: Any, item: Any) -> Any:
        """Return ``U W V^T``, float ``[B, Tu, Ti]``, `HIDDEN` where either place is padding."""
        products = ops.matmul(ops.matmul(user, self.kernel), ops.transpose(item, (0, 2, 1)))
        both = ops.logical_and(_known(user)[:, :, None], _known(item)[:, None, :])
        return ops.where(both, products, HIDDEN)

    def compute_output_shape(
        self, user_shape: tuple[int | None, ...], item_shape: tuple[int | None, ...]
    ) -> tuple[tuple[int | None, int | None], tuple[int | None, int | None]]:
        """Return the shapes of both vectors."""
        return (user_shape[0], user_shape[-1]), (item_shape[0], item_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "initializer": keras.initializers.serialize(self.initializer)}


def _known(places: Any) -> Any:
    return ops.any(ops.not_equal(places, 0), axis=-1)


def _softmax(products: Any, axis: int, known: Any) -> Any:
    # tanh rises, so the largest product has the largest tanh: one tanh a place instead of one a pair.
    scores = ops.tanh(ops.max(products, axis=axis))
    weights = ops.exp(scores) * ops.cast(known, scores.dtype)
    # Scores are at least -1, so a sum of weights below exp(-1) is that of no place at all.
    return weights / ops.maximum(ops.sum(weights, axis=-1, keepdims=True), 0.1)
