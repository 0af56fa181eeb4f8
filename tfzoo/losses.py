"""Losses of scores of one right item against others, as Keras losses for `compile` or a loop of one's own.

Labels and scores are ``[..., C]``, a column for each candidate: 1 marks the right item, 0 the others, and a
negative number a candidate that does not count, such as padding. Labels and scores with several axes in front
give one loss for each place; a place without a right item has the loss 0. Where ``y_pred`` are scores of all
items and ``y_true`` a row of zeros and ones, no candidates need be drawn.

Scores are any numbers, no probabilities. Losses are worked out in float32.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import keras
from keras import ops

from tfzoo.layers import item_losses

__all__ = ["BPR", "GBCE", "TOP1", "BPRMax", "Multinomial", "SampledSoftmax", "TOP1Max", "without_logq"]


class _OfCandidates(keras.losses.Loss):
    """Splits candidates into the right item and the others."""

    def __init__(self, reduction: str = "sum_over_batch_size", **kwargs: Any) -> None:
        super().__init__(reduction=reduction, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each place, float32 ``[...]``."""
        scores = ops.cast(y_pred, "float32")
        right = ops.cast(y_true > 0, "float32")
        others = ops.cast(ops.equal(y_true, 0), "float32")
        losses = self.of(ops.sum(right * scores, axis=-1), scores, others)
        return losses * ops.max(right, axis=-1)

    @abstractmethod
    def of(self, positive: Any, negative: Any, mask: Any) -> Any:
        """Return the losses as those of `tfzoo.layers.item_losses`."""


@keras.saving.register_keras_serializable("tfzoo")
class BPR(_OfCandidates):
    """``mean_j -log sigmoid(s - n_j)``: the right item before each other one.

    Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback, UAI 2009.
    """

    def of(self, positive: Any, negative: Any, mask: Any) -> Any:
        """Return the losses."""
        return item_losses.bpr(positive, negative, mask)


@keras.saving.register_keras_serializable("tfzoo")
class TOP1(_OfCandidates):
    """``mean_j sigmoid(n_j - s) + sigmoid(n_j^2)``: the right item before the others, theirs near 0.

    Hidasi et al., Session-based Recommendations with Recurrent Neural Networks, ICLR 2016.
    """

    def of(self, positive: Any, negative: Any, mask: Any) -> Any:
        """Return the losses."""
        return item_losses.top1(positive, negative, mask)


@keras.saving.register_keras_serializable("tfzoo")
class TOP1Max(_OfCandidates):
    """`TOP1` with the softmax over the others in the place of the mean.

    Hidasi and Karatzoglou, Recurrent Neural Networks with Top-k Gains, CIKM 2018.
    """

    def of(self, positive: Any, negative: Any, mask: Any) -> Any:
        """Return the losses."""
        return item_losses.top1_max(positive, negative, mask)


@keras.saving.register_keras_serializable("tfzoo")
class BPRMax(_OfCandidates):
    """``-log(sum_j w_j sigmoid(s - n_j)) + bpreg sum_j w_j n_j^2``, w the softmax over the others.

    Hidasi and Karatzoglou, Recurrent Neural Networks with Top-k Gains, CIKM 2018.

    Args:
        bpreg: weight of the penalty on the scores of the others.
        reduction: as for `keras.losses.Loss`.
        **kwargs: as for `keras.losses.Loss`.
    """

    def __init__(self, bpreg: float = 1.0, reduction: str = "sum_over_batch_size", **kwargs: Any) -> None:
        super().__init__(reduction=reduction, **kwargs)
        self.bpreg = float(bpreg)

    def of(self, positive: Any, negative: Any, mask: Any) -> Any:
        """Return the losses."""
        return item_losses.bpr_max(positive, negative, mask, self.bpreg)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "bpreg": self.bpreg}


@keras.saving.register_keras_serializable("tfzoo")
class GBCE(_OfCandidates):
    """Generalised binary cross-entropy, which corrects scores for how few of the items are drawn.

    Petrov and Macdonald, gSASRec, RecSys 2023; a sum over the candidates, see
    `tfzoo.layers.item_losses.generalised_binary_cross_entropy`. All of them but the positive one count as
    drawn, padding too.

    Args:
        num_items: number of items that negatives are drawn from.
        calibration: t, 0 for plain binary cross-entropy to 1 for scores that estimate probabilities.
        reduction: as for `keras.losses.Loss`.
        **kwargs: as for `keras.losses.Loss`.
    """

    def __init__(
        self,
        num_items: int,
        calibration: float = 0.75,
        reduction: str = "sum_over_batch_size",
        **kwargs: Any,
    ) -> None:
        super().__init__(reduction=reduction, **kwargs)
        if num_items < 2 or not 0 <= calibration <= 1:
            raise ValueError(
                "`num_items` must be at least 2 and `calibration` from 0 to 1. "
                f"Received: num_items={num_items}, calibration={calibration}"
            )
        self.num_items, self.calibration = int(num_items), float(calibration)

    def of(self, positive: Any, negative: Any, mask: Any) -> Any:
        """Return the losses."""
        if negative.shape[-1] < 2:
            raise ValueError(f"`GBCE` needs two candidates at least. Received: {negative.shape[-1]}")
        # Of a whole catalogue every other item is there.
        drawn = min(negative.shape[-1] - 1, self.num_items - 1)
        beta = item_losses.calibrated_beta(drawn, self.num_items, self.calibration)
        return item_losses.generalised_binary_cross_entropy(positive, negative, mask, beta)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "num_items": self.num_items, "calibration": self.calibration}


@keras.saving.register_keras_serializable("tfzoo")
class SampledSoftmax(_OfCandidates):
    """``-log softmax`` of the right item among the candidates.

    Scores of candidates that are drawn by popularity are corrected before, see `without_logq`.
    """

    def of(self, positive: Any, negative: Any, mask: Any) -> Any:
        """Return the losses."""
        return item_losses.sampled_softmax(positive, negative, mask)


@keras.saving.register_keras_serializable("tfzoo")
class Multinomial(keras.losses.Loss):
    """``-sum_i x_i log softmax(s)_i`` over all items, of rows with any number of right ones.

    Liang et al., Variational Autoencoders for Collaborative Filtering, WWW 2018. Items with a negative
    label, such as the unknown one, do not count.
    """

    def __init__(self, reduction: str = "sum_over_batch_size", **kwargs: Any) -> None:
        super().__init__(reduction=reduction, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each row, float32 ``[...]``."""
        scores = ops.where(y_true < 0, item_losses.LOWEST, ops.cast(y_pred, "float32"))
        row = ops.maximum(ops.cast(y_true, "float32"), 0.0)
        return -ops.sum(row * ops.log_softmax(scores, axis=-1), axis=-1)


def without_logq(scores: Any, log_proposal: Any, weight: float = 1.0) -> Any:
    """Return scores as softmax over drawn candidates should see them, ``scores - weight log_proposal``.

    A popular item is proposed more often than it is right; without the correction its score is pushed down
    for that. Yi et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations, RecSys
    2019. For training alone: ranking uses the scores themselves.

    Args:
        scores: float ``[..., C]``.
        log_proposal: logarithm of how often each candidate is proposed, ``[C]`` or ``[..., C]``.
        weight: 1 for the whole correction, 0 for none.
    """
    return scores - weight * ops.cast(log_proposal, scores.dtype)
