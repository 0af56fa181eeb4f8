"""Losses of GRU4Rec on the scores of a mini-batch, Hidasi and Karatzoglou 2018.

All of them take scores float32 ``[B, B + N]``: row ``i`` holds the scores that slot ``i`` gives to
the targets of all slots and to ``N`` extra negative samples, so that the diagonal holds the
targets. ``active`` float32 ``[B]`` is 0 for slots without a session: their targets are no
negatives either. All of them return the loss of each slot, float32 ``[B]``, 0 where it is idle.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from tfzoo.layers import item_losses
from tfzoo.layers.item_losses import TINY


def cross_entropy(scores: Any, active: Any, *, log_proposal: Any = None, logq: float = 0.0) -> Any:
    """Return ``-log(softmax_i + 1e-24)`` over target and negatives.

    Args:
        scores: see above.
        active: see above.
        log_proposal: float32 ``[B + N]``, logarithm of how often each column is proposed; training
            alone needs it.
        logq: its weight; the correction ``logq * log_proposal`` is subtracted from the scores.
    """
    if logq:
        scores = scores - logq * ops.expand_dims(log_proposal, 0)
    target, negative = _masks(scores, active)
    choices = ops.where(target + negative > 0, scores, _lowest(scores))
    softmax = ops.exp(_diagonal(ops.log_softmax(choices, axis=-1), target))
    return -ops.log(softmax + TINY) * active


def bpr(scores: Any, active: Any) -> Any:
    """Return ``sum_j -log sigmoid(r_i - r_j)`` over the negatives."""
    target, negative = _masks(scores, active)
    return ops.sum(ops.softplus(scores - _positive(scores, target)) * negative, axis=-1) * active


def top1(scores: Any, active: Any) -> Any:
    """Return ``mean_j [sigmoid(r_j - r_i) + sigmoid(r_j^2)] - sigmoid(r_i^2) / C``.

    The mean is over all ``C`` columns in use, the target's own among them. That column adds the
    constant ``0.5 / C`` and its square is taken out again by the last term.
    """
    target, negative = _masks(scores, active)
    used = target + negative
    terms = ops.sigmoid(scores - _positive(scores, target)) + ops.sigmoid(ops.square(scores)) * negative
    count = ops.maximum(ops.sum(used, axis=-1), 1.0)
    return ops.sum(terms * used, axis=-1) / count * active


def top1_max(scores: Any, active: Any) -> Any:
    """Return ``sum_j s_j [sigmoid(r_j - r_i) + sigmoid(r_j^2)]``, s the softmax over negatives."""
    target, negative = _masks(scores, active)
    return item_losses.top1_max(_diagonal(scores, target), scores, negative) * active


def bpr_max(scores: Any, active: Any, *, bpreg: float = 1.0) -> Any:
    """Return ``-log(sum_j s_j sigmoid(r_i - r_j) + 1e-24) + bpreg sum_j s_j r_j^2``.

    Args:
        scores: see above.
        active: see above.
        bpreg: weight of the penalty on the scores of negatives.

    ``s`` is the softmax over the negatives alone, without the target.
    """
    target, negative = _masks(scores, active)
    return item_losses.bpr_max(_diagonal(scores, target), scores, negative, bpreg) * active


def _masks(scores: Any, active: Any) -> tuple[Any, Any]:
    """Return float32 ``[B, B + N]`` masks of the target and of the negatives of each slot."""
    batch, columns = scores.shape
    target = ops.eye(batch, columns, dtype="float32")
    used = ops.concatenate([active, ops.ones(columns - batch, "float32")], axis=0)
    return target, (1.0 - target) * ops.expand_dims(used, 0)


def _diagonal(scores: Any, target: Any) -> Any:
    return ops.sum(ops.where(target > 0, scores, 0.0), axis=-1)


def _positive(scores: Any, target: Any) -> Any:
    return ops.expand_dims(_diagonal(scores, target), -1)


def _lowest(scores: Any) -> Any:
    # A finite number, so that a row without any column in use gives 0 and not a nan.
    return ops.full_like(scores, -1e30)
