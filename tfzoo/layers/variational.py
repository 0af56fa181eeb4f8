"""The stochastic code of a variational auto-encoder."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("tfzoo")
class GaussianCode(keras.layers.Layer):
    """Draws a code from the encoder's normal distribution and charges its distance from N(0, I).

    In training the code is ``mean + noise * exp(log_variance / 2)`` with standard normal noise,
    otherwise the mean. The loss gets ``beta`` times the mean over users of::

        KL(N(mean, variance) | N(0, 1)) = sum_k (variance + mean^2 - 1 - log_variance) / 2

    and ``beta = min(kl_cap, step / total_anneal_steps)``, where ``step`` counts the training
    calls before this one.

    Args:
        kl_cap: largest beta.
        total_anneal_steps: steps after which beta would be 1; 0 for ``kl_cap`` from the start.
        seed: seed of the noise.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        statistics: ``[B, 2 k]``, means first, then logarithms of variances.
        rows: ``[B, n]``, what the encoder read. An empty row is padding and is not charged.
        training: whether to draw, and to count the step.

    Returns:
        The code, ``[B, k]``.
    """

    def __init__(
        self,
        *,
        kl_cap: float = 0.2,
        total_anneal_steps: int = 200_000,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if kl_cap < 0:
            raise ValueError(f"`kl_cap` must not be negative. Received: kl_cap={kl_cap}")
        if total_anneal_steps < 0:
            raise ValueError(
                "`total_anneal_steps` must not be negative. "
                f"Received: total_anneal_steps={total_anneal_steps}"
            )
        self.kl_cap, self.total_anneal_steps, self.seed = float(kl_cap), int(total_anneal_steps), seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, *shapes: Any, **named_shapes: Any) -> None:
        """Create the counter of steps."""
        # A float32 counts exactly to 16.8 million, and GPUs keep integer variables on the host.
        self.steps = self.add_weight(
            shape=(), initializer="zeros", dtype="float32", trainable=False, autocast=False, name="steps"
        )

    @property
    def beta(self) -> Any:
        """Weight of the KL term in the next training step, a float32 scalar tensor."""
        if not self.total_anneal_steps:
            return ops.convert_to_tensor(self.kl_cap, "float32")
        return ops.minimum(self.kl_cap, ops.convert_to_tensor(self.steps) / self.total_anneal_steps)

    def call(self, statistics: Any, rows: Any, training: bool = False) -> Any:
        """Draw the code and add the loss."""
        mean, log_variance = ops.split(statistics, 2, axis=-1)
        self.add_loss(self.beta * self.divergence(statistics, rows))
        if not training:
            return mean
        self.steps.assign_add(1.0)
        noise = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
        return mean + noise * ops.exp(log_variance / 2)

    def divergence(self, statistics: Any, rows: Any) -> Any:
        """Return the mean KL divergence of the users with a row, a float32 scalar without beta."""
        mean, log_variance = ops.split(ops.cast(statistics, "float32"), 2, axis=-1)
        each = ops.sum(ops.exp(log_variance) + ops.square(mean) - 1 - log_variance, axis=-1) / 2
        known = ops.cast(ops.any(ops.not_equal(rows, 0), axis=-1), "float32")
        return ops.sum(each * known) / ops.maximum(ops.sum(known), 1.0)

    def compute_output_shape(self, statistics_shape: Any, rows_shape: Any) -> Any:
        """Return ``(B, k)``."""
        return (*statistics_shape[:-1], statistics_shape[-1] // 2)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "kl_cap": self.kl_cap,
            "total_anneal_steps": self.total_anneal_steps,
            "seed": self.seed,
        }
