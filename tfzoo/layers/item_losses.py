"""Losses of scores of one right item against others, for every position of a sequence.

All of them take ``positive`` float32 ``[...]`` and ``negative`` float32 ``[..., K]``, and give the loss of
each position, float32 ``[...]``. ``mask`` float32 ``[..., K]`` is 0 for negatives that do not count, such as
those that are the right item itself.
"""

from __future__ import annotations

from typing import Any

from keras import ops

LOWEST = -1e30
TINY = 1e-24


def binary_cross_entropy(positive: Any, negative: Any, mask: Any) -> Any:
    """Return ``-log sigmoid(s) - sum_j log(1 - sigmoid(n_j))``."""
    return ops.softplus(-positive) + ops.sum(ops.softplus(negative) * mask, axis=-1)


def generalised_binary_cross_entropy(positive: Any, negative: Any, mask: Any, beta: float) -> Any:
    """Return ``-(beta log sigmoid(s) + sum_j log(1 - sigmoid(n_j)))``, at ``beta`` 1 binary cross-entropy.

    Petrov and Macdonald, RecSys 2023: of ``K`` negatives among ``n`` items, ``beta`` corrects scores for
    sampling, see `calibrated_beta`. The power of the probability is taken in log space, so that it neither
    underflows nor needs more digits than float32 has. The paper's mean over the ``K + 1`` scores is left a
    sum: hundreds of times smaller, the gradients of rare items would drown in the epsilon of Adam.
    """
    return beta * ops.softplus(-positive) + ops.sum(ops.softplus(negative) * mask, axis=-1)


def calibrated_beta(negatives: int, num_items: int, calibration: float) -> float:
    """Return ``alpha (t (1 - 1 / alpha) + 1 / alpha)`` with the sampling rate ``alpha = K / (n - 1)``.

    Args:
        negatives: K.
        num_items: n.
        calibration: t, 0 for plain cross-entropy to 1 for scores that estimate probabilities.
    """
    alpha = negatives / max(1, num_items - 1)
    return alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)


def sampled_softmax(positive: Any, negative: Any, mask: Any) -> Any:
    """Return ``-log softmax`` of the right item among itself and the negatives."""
    others = ops.where(mask > 0, negative, LOWEST)
    every = ops.concatenate([ops.expand_dims(positive, -1), others], axis=-1)
    return ops.logsumexp(every, axis=-1) - positive


def bpr(positive: Any, negative: Any, mask: Any) -> Any:
    """Return the mean over negatives of ``-log sigmoid(s - n_j)``."""
    each = ops.softplus(negative - ops.expand_dims(positive, -1)) * mask
    return ops.sum(each, axis=-1) / ops.maximum(ops.sum(mask, axis=-1), 1.0)


def top1(positive: Any, negative: Any, mask: Any) -> Any:
    """Return the mean over negatives of ``sigmoid(n_j - s) + sigmoid(n_j^2)``."""
    return ops.sum(_top1_terms(positive, negative) * mask, axis=-1) / ops.maximum(ops.sum(mask, axis=-1), 1.0)


def top1_max(positive: Any, negative: Any, mask: Any) -> Any:
    """Return ``sum_j w_j (sigmoid(n_j - s) + sigmoid(n_j^2))``, w the softmax over negatives."""
    return ops.sum(_softmax(negative, mask) * _top1_terms(positive, negative), axis=-1)


def bpr_max(positive: Any, negative: Any, mask: Any, bpreg: float = 1.0) -> Any:
    """Return ``-log(sum_j w_j sigmoid(s - n_j)) + bpreg sum_j w_j n_j^2``, w the softmax over negatives."""
    weights = _softmax(negative, mask)
    won = ops.sum(weights * ops.sigmoid(ops.expand_dims(positive, -1) - negative), axis=-1)
    # A position without any negative has nothing to win against: its loss is 0, not -log(1e-24).
    contest = ops.cast(ops.sum(mask, axis=-1) > 0, "float32")
    return (-ops.log(won + TINY) + bpreg * ops.sum(weights * ops.square(negative), axis=-1)) * contest


def _top1_terms(positive: Any, negative: Any) -> Any:
    return ops.sigmoid(negative - ops.expand_dims(positive, -1)) + ops.sigmoid(ops.square(negative))


def _softmax(negative: Any, mask: Any) -> Any:
    return ops.softmax(ops.where(mask > 0, negative, LOWEST), axis=-1) * mask
