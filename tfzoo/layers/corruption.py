"""Noise on the input of a denoising auto-encoder."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("tfzoo")
class Corruption(keras.layers.Layer):
    """Sets each value to 0 with probability ``rate`` in training, as dropout does.

    It differs from `keras.layers.Dropout` in two ways. Kept values can stay as they are
    (``scaled=False``). With ``rate=1`` the output is empty at inference too: a model that never
    saw its input in training has not learned what to do with it.

    Args:
        rate: probability to lose a value, from 0 to 1.
        scaled: multiply kept values by ``1 / (1 - rate)``, so that the expected output is the input.
        seed: seed of the noise.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        values: float, any shape.
        training: whether to corrupt.

    Returns:
        Values of the same shape.
    """

    def __init__(self, rate: float, *, scaled: bool = True, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate <= 1:
            raise ValueError(f"The rate of corruption must lie from 0 to 1. Received: {rate}")
        self.rate, self.scaled, self.seed = float(rate), scaled, seed
        if 0 < rate < 1:
            self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, values: Any, training: bool = False) -> Any:
        """Corrupt."""
        if self.rate == 1:
            return ops.zeros_like(values)
        if self.rate == 0 or not training:
            return values
        kept = keras.random.uniform(ops.shape(values), seed=self.seed_generator) >= self.rate
        factor = 1 / (1 - self.rate) if self.scaled else 1.0
        return ops.where(kept, values * factor, ops.zeros_like(values))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "rate": self.rate, "scaled": self.scaled, "seed": self.seed}
